# SPDX-License-Identifier: Apache-2.0
"""Sealed CVCs over HTTP: for one token, one use, and half an hour; any other byte is no CVC."""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from database import Databases
from service import Caller, Service, Tenant, running
from strongroom.kernel.clock import SteppedClock
from strongroom.kernel.mode import Mode
from strongroom.kernel.schemes import complete_luhn, synthetic_number
from strongroom.vault.cvc import EPOCH_LIFE_SECONDS, EPOCH_SECONDS, PREFIX

VISA = "4242424242424242"
AMEX = "378282246310005"
LIVE = complete_luhn("400000999999999")


@pytest.fixture
def vault(service: Service, tenant: Tenant) -> Caller:
    return service.vault(tenant.keys[Mode.TEST])


async def said(caller: Caller, token: str, sealed: str) -> str:
    """Discard, and say what came of it."""
    answer = await caller.post(f"/v1/tokens/{token}/cvc/discard", {"cvc": sealed})
    return f"{answer.status_code} {answer.json().get('code', 'discarded')}"


async def sealed_for(caller: Caller, number: str = VISA, cvc: str = "123") -> tuple[str, str]:
    token = await caller.token(number, cvc)
    return token["id"], token["cvc"]


async def test_a_sealed_cvc_is_used_once(vault: Caller) -> None:
    token, sealed = await sealed_for(vault)
    assert await said(vault, token, sealed) == "200 discarded"
    assert await said(vault, token, sealed) == "409 cvc_used"


async def test_of_twenty_uses_at_once_one_wins(vault: Caller) -> None:
    token, sealed = await sealed_for(vault)
    outcomes = await asyncio.gather(*(said(vault, token, sealed) for _ in range(20)))
    assert sorted(outcomes) == ["200 discarded"] + ["409 cvc_used"] * 19


#: Card, CVC, expected.
TYPED_AGAIN = [
    (VISA, "123", "200"),
    (VISA, "000", "200"),
    (AMEX, "1234", "200"),
    (VISA, "12", "422 /cvc cvc_malformed"),
    (VISA, "1234", "422 /cvc cvc_malformed"),
    (AMEX, "123", "422 /cvc cvc_malformed"),
    (VISA, "١٢٣", "422 /cvc cvc_malformed"),
    (VISA, "", "422 /cvc cvc_malformed"),
    (VISA, VISA, "422 /cvc cvc_malformed"),
    (VISA, " 123", "422 /cvc cvc_malformed"),
]


@pytest.mark.parametrize(("number", "cvc", "expected"), TYPED_AGAIN)
async def test_a_cvc_that_is_typed_again(
    vault: Caller, number: str, cvc: str, expected: str
) -> None:
    token = (await vault.token(number))["id"]
    answer = await vault.post(f"/v1/tokens/{token}/cvc", {"cvc": cvc})
    words = [str(answer.status_code)]
    if answer.status_code == 200:
        body = answer.json()
        assert (body["object"], body["token"]) == ("sealed_cvc", token)
        assert await said(vault, token, body["cvc"]) == "200 discarded"
    else:
        error = answer.json()["errors"][0]
        words += [error["pointer"], error["code"]]
    assert " ".join(words) == expected


async def test_two_seals_of_one_cvc_have_nothing_in_common(vault: Caller) -> None:
    token, one = await sealed_for(vault)
    two = (await vault.post(f"/v1/tokens/{token}/cvc", {"cvc": "123"})).json()["cvc"]
    a, b = packed(one)[46:], packed(two)[46:]
    assert len(a) == len(b)
    assert sum(x == y for x, y in zip(a, b, strict=True)) < len(a) // 4


def packed(sealed: str) -> bytes:
    body = sealed.removeprefix(PREFIX)
    return urlsafe_b64decode(body + "=" * (-len(body) % 4))


def printed(data: bytes) -> str:
    return PREFIX + urlsafe_b64encode(data).rstrip(b"=").decode()


async def test_no_byte_of_it_can_be_changed(vault: Caller) -> None:
    """Its key's name, its own id, version, IV, ciphertext and tag: each byte, one bit."""
    token, sealed = await sealed_for(vault)
    whole = packed(sealed)
    assert len(whole) == 30 + 16 + 1 + 16 + 16 + 32
    for at in range(len(whole)):
        altered = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        allowed = {"422 cvc_invalid"} if at >= 30 else {"422 cvc_invalid", "410 cvc_expired"}
        assert await said(vault, token, printed(altered)) in allowed, at
    assert await said(vault, token, sealed) == "200 discarded", "no attempt used it up"


async def test_no_form_but_its_own(vault: Caller) -> None:
    token, sealed = await sealed_for(vault)
    whole = packed(sealed)
    #: What is sent, expected.
    forms = [
        (sealed[:-1], "422 cvc_invalid"),
        (sealed[len(PREFIX) :], "422 cvc_invalid"),
        (PREFIX, "422 cvc_invalid"),
        (PREFIX + "A", "422 cvc_invalid"),
        ("123", "422 cvc_invalid"),
        (sealed + "AAAA", "422 cvc_invalid"),
        (printed(whole[:46]), "422 cvc_invalid"),
        (printed(whole[:-16]), "422 cvc_invalid"),
        (printed(whole[:46] + whole[46:][::-1]), "422 cvc_invalid"),
        (printed(b"cvk_" + b"0" * 26 + whole[30:]), "410 cvc_expired"),
        (printed(b"tok_" + whole[4:]), "422 cvc_invalid"),
        (f"{PREFIX}ж" + sealed[5:], "422 cvc_invalid"),
        ("c" * 1_024, "422 cvc_invalid"),
        ("", "422 invalid"),
        ("c" * 1_025, "422 invalid"),
    ]
    for form, expected in forms:
        assert await said(vault, token, form) == expected, form
    assert await said(vault, token, sealed) == "200 discarded"


async def test_it_belongs_to_one_token_merchant_and_mode(
    service: Service, tenant: Tenant, vault: Caller
) -> None:
    token, sealed = await sealed_for(vault)
    other = await vault.token(VISA)
    foreign = await service.shop()
    live = service.vault(tenant.keys[Mode.LIVE])
    assert await said(vault, other["id"], sealed) == "422 cvc_invalid"
    assert await said(foreign, token, sealed) == "404 token_unknown"
    assert await said(foreign, (await foreign.token(VISA))["id"], sealed) == "422 cvc_invalid"
    assert await said(live, (await live.token(LIVE))["id"], sealed) == "422 cvc_invalid"
    assert await said(vault, token, sealed) == "200 discarded", "nobody else used it up"


async def test_with_its_token_it_is_gone(vault: Caller) -> None:
    token, sealed = await sealed_for(vault)
    await vault.delete(f"/v1/tokens/{token}")
    assert await said(vault, token, sealed) == "404 token_unknown"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stepped(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Service, SteppedClock]]:
    """A Strongroom whose time moves only when told to; it begins where a window does."""
    now = int(datetime.now(UTC).timestamp())
    clock = SteppedClock(datetime.fromtimestamp(now - now % EPOCH_SECONDS, UTC))
    folder = tmp_path_factory.mktemp("stepped")
    async with running(databases, folder, clock=clock, listens=False) as service:
        yield service, clock


#: How far into a window it is sealed, how long after that it is used, in seconds; expected.
AGES = [
    (0, 0, "200 discarded"),
    (0, EPOCH_LIFE_SECONDS - 1, "200 discarded"),
    (0, EPOCH_LIFE_SECONDS, "410 cvc_expired"),
    (EPOCH_SECONDS - 1, EPOCH_LIFE_SECONDS - EPOCH_SECONDS, "200 discarded"),
    (EPOCH_SECONDS - 1, EPOCH_LIFE_SECONDS - EPOCH_SECONDS + 1, "410 cvc_expired"),
    (300, 86_400, "410 cvc_expired"),
]


@pytest.mark.parametrize(("sealed_at", "used_after", "expected"), AGES)
async def test_its_life(
    stepped: tuple[Service, SteppedClock], sealed_at: int, used_after: int, expected: str
) -> None:
    service, clock = stepped
    vault = service.vault((await service.tenant()).keys[Mode.TEST])
    into = int(clock.now().timestamp()) % EPOCH_SECONDS
    clock.step(timedelta(seconds=EPOCH_SECONDS - into + sealed_at or EPOCH_SECONDS))
    token = await vault.token(synthetic_number(1), "123")
    ends = datetime.fromisoformat(token["cvc_expires_at"])
    assert ends - clock.now() == timedelta(seconds=EPOCH_LIFE_SECONDS - sealed_at)
    if used_after:
        clock.step(timedelta(seconds=used_after))
    assert await said(vault, token["id"], token["cvc"]) == expected
