# SPDX-License-Identifier: Apache-2.0
"""Idempotency-Key: the same wish twice is one token, another wish under the key is refused, and scopes are apart."""

import asyncio
from typing import Any

import pytest

from service import Caller, Service, Tenant, card, running, wish
from strongroom.db.logins import Domain
from strongroom.http.limits import IDEMPOTENCY_KEY_CHARACTERS_MAX
from strongroom.kernel.mode import Mode
from strongroom.kernel.schemes import complete_luhn, synthetic_number

VISA = "4242424242424242"
MASTERCARD = "5555555555554444"
ROUTE = "/v1/tokens"

_serial = iter(range(1, 1_000_000))


def new_key() -> str:
    return f"order-{next(_serial)}"


@pytest.fixture
def vault(service: Service, tenant: Tenant) -> Caller:
    return service.vault(tenant.keys[Mode.TEST])


#: What is sent first, what is sent again under the same key, expected.
FIRST = wish(VISA, "123", metadata={"a": "1", "b": "2"})
AGAIN: list[tuple[str, dict[str, Any], str]] = [
    ("the same", FIRST, "replayed"),
    ("fields in another order", dict(reversed(FIRST.items())), "replayed"),
    ("metadata in another order", {**FIRST, "metadata": {"b": "2", "a": "1"}}, "replayed"),
    ("deduplicate spelt out", {**FIRST, "deduplicate": False}, "replayed"),
    ("another CVC", {**FIRST, "card": card(VISA, "999")}, "replayed"),
    ("no CVC", {**FIRST, "card": card(VISA)}, "replayed"),
    ("another card", {**FIRST, "card": card(MASTERCARD, "123")}, "reused"),
    ("another month", {**FIRST, "card": {**card(VISA, "123"), "exp_month": 11}}, "reused"),
    ("another year", {**FIRST, "card": {**card(VISA, "123"), "exp_year": 2033}}, "reused"),
    ("deduplicate", {**FIRST, "deduplicate": True}, "reused"),
    ("other metadata", {**FIRST, "metadata": {"a": "1", "b": "3"}}, "reused"),
    ("no metadata", {"card": FIRST["card"]}, "reused"),
]


@pytest.mark.parametrize(("what", "again", "expected"), AGAIN, ids=[row[0] for row in AGAIN])
async def test_a_key_that_was_used(
    vault: Caller, what: str, again: dict[str, Any], expected: str
) -> None:
    key = new_key()
    first = await vault.post(ROUTE, FIRST, idempotency=key)
    second = await vault.post(ROUTE, again, idempotency=key)
    if expected == "reused":
        assert (second.status_code, second.json()["code"]) == (422, "idempotency_key_reused")
        assert "idempotent-replayed" not in second.headers
        return
    assert (first.status_code, second.status_code) == (201, 201)
    assert (first.headers.get("idempotent-replayed"), second.headers["idempotent-replayed"]) == (
        None,
        "true",
    )
    sealed = {"cvc", "cvc_expires_at", "cvc_state"}
    assert first.json()["cvc_state"] == "sealed"
    assert second.json()["cvc_state"] == "not_replayable"
    assert (second.json()["cvc"], second.json()["cvc_expires_at"]) == (None, None)
    assert without(first.json(), sealed) == without(second.json(), sealed)


def without(body: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}


#: Two spellings of a key, expected: the same key or not.
SPELLINGS = [
    ("{}", '"{}"', "same"),
    ('"{}"', "{}", "same"),
    ('"{}"', '"{}"', "same"),
    ("{}", "{}x", "other"),
    ("{}a", "{}A", "other"),
    ("{}", '""{}""', "other"),
]


@pytest.mark.parametrize(("one", "two", "expected"), SPELLINGS)
async def test_quoted_and_unquoted_are_the_same_key(
    vault: Caller, one: str, two: str, expected: str
) -> None:
    key = new_key()
    first = await vault.post(ROUTE, wish(VISA), idempotency=one.format(key))
    second = await vault.post(ROUTE, wish(VISA), idempotency=two.format(key))
    assert (first.json()["id"] == second.json()["id"]) == (expected == "same")


#: A header's value, expected.
MALFORMED = [
    ("(none)", "idempotency_key_missing"),
    ('""', "idempotency_key_malformed"),
    ("k" * (IDEMPOTENCY_KEY_CHARACTERS_MAX + 1), "idempotency_key_malformed"),
    ("a\tb", "idempotency_key_malformed"),
    ("k" * IDEMPOTENCY_KEY_CHARACTERS_MAX, "created"),
    ("x", "created"),
    ("with spaces; and = signs, /?", "created"),
]


@pytest.mark.parametrize(("key", "expected"), MALFORMED, ids=[row[0][:20] for row in MALFORMED])
async def test_a_key_has_a_form(vault: Caller, key: str, expected: str) -> None:
    answer = await vault.post(ROUTE, wish(VISA), headers={"idempotency-key": key})
    if expected == "created":
        assert answer.status_code == 201
    else:
        assert (answer.status_code, answer.json()["code"]) == (400, expected)


async def test_a_key_that_is_not_ascii_is_refused(vault: Caller) -> None:
    raw = {b"idempotency-key": "schlüssel".encode(), b"content-type": b"application/json"}
    raw[b"authorization"] = f"Bearer {vault.key}".encode()
    answer = await vault.client.post(ROUTE, content=b"{}", headers=raw)
    assert answer.status_code == 400
    # A server may hand such a header on, or leave it out.
    assert answer.json()["code"] in ("idempotency_key_malformed", "idempotency_key_missing")


async def test_fifty_at_once_make_one_token(
    service: Service, vault: Caller, tenant: Tenant
) -> None:
    before = await service.written(tenant.merchant)
    key = new_key()
    answers = await asyncio.gather(
        *(vault.post(ROUTE, wish(VISA), idempotency=key) for _ in range(50))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 49
    after = await service.written(tenant.merchant)
    assert {name: after[name] - before[name] for name in after} == {
        "token": 1,
        "card_identity": 0,
        "request": 1,
        "event": 1,
    }


async def test_of_fifty_different_wishes_under_one_key_one_wins(vault: Caller) -> None:
    key = new_key()
    answers = await asyncio.gather(
        *(vault.post(ROUTE, wish(synthetic_number(n)), idempotency=key) for n in range(1, 51))
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [422] * 49
    assert sum(answer.json().get("code") == "idempotency_key_reused" for answer in answers) == 49


async def test_scopes_are_apart(service: Service, tenant: Tenant) -> None:
    """Merchant, mode and route: one key in each is a key of its own."""
    key = new_key()
    live_number = complete_luhn("400000999999999")
    other = await service.tenant()
    first = await service.vault(tenant.keys[Mode.TEST]).post(ROUTE, wish(VISA), idempotency=key)
    live = await service.vault(tenant.keys[Mode.LIVE]).post(
        ROUTE, wish(live_number), idempotency=key
    )
    foreign = await service.vault(other.keys[Mode.TEST]).post(
        ROUTE, wish(MASTERCARD), idempotency=key
    )
    bulk = await service.vault(tenant.keys[Mode.TEST]).post(
        f"{ROUTE}/bulk", {"tokens": [wish(VISA)]}, idempotency=key
    )
    answers = [first, live, foreign, bulk]
    assert [answer.status_code for answer in answers] == [201, 201, 201, 200]
    assert not any("idempotent-replayed" in answer.headers for answer in answers)
    ids = [answer.json()["id"] for answer in answers[:3]]
    assert len({*ids, bulk.json()["data"][0]["token"]["id"]}) == 4


async def test_another_key_of_the_same_merchant_shares_the_scope(
    service: Service, tenant: Tenant
) -> None:
    key = new_key()
    second = (await service.key(tenant.merchant)).text.expose()
    one = await service.vault(tenant.keys[Mode.TEST]).post(ROUTE, wish(VISA), idempotency=key)
    two = await service.vault(second).post(ROUTE, wish(VISA), idempotency=key)
    assert one.json()["id"] == two.json()["id"]


async def test_a_refusal_is_not_kept(vault: Caller) -> None:
    key = new_key()
    refused = await vault.post(ROUTE, wish("4242424242424241"), idempotency=key)
    mended = await vault.post(ROUTE, wish(VISA), idempotency=key)
    assert (refused.status_code, mended.status_code) == (422, 201)


async def test_a_replay_tells_what_was_even_when_the_token_is_gone(vault: Caller) -> None:
    key = new_key()
    first = await vault.post(ROUTE, wish(VISA), idempotency=key)
    token = first.json()["id"]
    assert (await vault.delete(f"{ROUTE}/{token}")).status_code == 204
    again = await vault.post(ROUTE, wish(VISA), idempotency=key)
    assert (again.status_code, again.json()) == (201, first.json())
    assert (await vault.get(f"{ROUTE}/{token}")).status_code == 404


async def test_a_deduplicated_answer_is_replayed_as_it_was(vault: Caller) -> None:
    number = synthetic_number(4711)
    made = await vault.token(number, deduplicate=True)
    key = new_key()
    body = wish(number, deduplicate=True)
    first = await vault.post(ROUTE, body, idempotency=key)
    again = await vault.post(ROUTE, body, idempotency=key)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    assert (first.json()["id"], first.json()["deduplicated"]) == (made["id"], True)
    assert again.headers["idempotent-replayed"] == "true"


async def test_a_bulk_call_is_replayed_whole(vault: Caller) -> None:
    key = new_key()
    body = {"tokens": [wish(VISA, "123"), wish("4242424242424241"), wish(MASTERCARD)]}
    first = await vault.post(f"{ROUTE}/bulk", body, idempotency=key)
    again = await vault.post(f"{ROUTE}/bulk", body, idempotency=key)
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.headers["idempotent-replayed"] == "true"
    assert first.json()["data"][0]["token"]["cvc_state"] == "sealed"
    assert again.json()["data"][0]["token"]["cvc_state"] == "not_replayable"
    assert again.json()["data"][0]["token"]["cvc"] is None
    assert [item.get("token", {}).get("id") for item in first.json()["data"]] == [
        item.get("token", {}).get("id") for item in again.json()["data"]
    ]
    other = {"tokens": [wish(VISA), wish("4242424242424241"), wish(VISA)]}
    reused = await vault.post(f"{ROUTE}/bulk", other, idempotency=key)
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")


async def test_what_is_kept_holds_no_cvc(service: Service, vault: Caller, tenant: Tenant) -> None:
    await vault.post(ROUTE, wish(VISA, "123"))
    rows = await service.look(
        Domain.VAULT,
        "select response from idempotency.request where merchant_id = $1",
        tenant.merchant,
    )
    assert rows
    assert not [
        row for row in rows if b"cvc_Y3" in row["response"] or b'"cvc":"' in row["response"]
    ]


async def test_two_processes_and_one_key_make_one_token(service: Service, tenant: Tenant) -> None:
    """Neither waits for the other: who comes second is told to ask again, and is then told the same."""
    async with running(service.databases, service.settings.state.parent, listens=False) as second:
        key = tenant.keys[Mode.TEST]
        callers = [service.vault(key), second.vault(key)] * 15
        before = await service.written(tenant.merchant)
        for round_ in range(5):
            name = f"{new_key()}-{round_}"
            answers = await asyncio.gather(
                *(caller.post(ROUTE, wish(VISA), idempotency=name) for caller in callers)
            )
            codes = {answer.json().get("code") for answer in answers if answer.status_code != 201}
            assert codes <= {"idempotency_in_flight"}
            made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
            assert len(made) == 1
            again = await callers[1].post(ROUTE, wish(VISA), idempotency=name)
            assert {again.json()["id"]} == made
        after = await service.written(tenant.merchant)
        assert after["token"] - before["token"] == 5
        assert after["event"] - before["event"] == 5


async def test_two_processes_and_one_card_make_one_token(service: Service, tenant: Tenant) -> None:
    """Likewise for deduplication: two processes that meet a card at once end with one token for it."""
    async with running(service.databases, service.settings.state.parent, listens=False) as second:
        key = tenant.keys[Mode.TEST]
        callers = [service.vault(key), second.vault(key)] * 10
        for round_ in range(5):
            number = synthetic_number(990_000 + round_)
            answers = await asyncio.gather(
                *(caller.tokenize(number, deduplicate=True) for caller in callers)
            )
            codes = {answer.json().get("code") for answer in answers if answer.status_code >= 400}
            assert codes <= {"idempotency_in_flight"}
            made = {answer.json()["id"] for answer in answers if answer.status_code < 300}
            assert len(made) == 1
            assert [answer.status_code for answer in answers].count(201) == 1


async def test_a_key_of_yesterday_is_still_known(service: Service, vault: Caller) -> None:
    key = new_key()
    first = await vault.post(ROUTE, wish(VISA), idempotency=key)
    await service.look(
        Domain.VAULT, "update idempotency.request set day = day - 1 where key = $1", key
    )
    again = await vault.post(ROUTE, wish(VISA), idempotency=key)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == first.json()
    other = await vault.post(ROUTE, wish(MASTERCARD), idempotency=key)
    assert other.json()["code"] == "idempotency_key_reused"
