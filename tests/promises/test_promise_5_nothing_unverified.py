# SPDX-License-Identifier: Apache-2.0
"""Promise 5: nothing unverified changes a state."""

import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from notice_makers import SENDERS, adyen_envelope, adyen_item, adyen_signed
from paying import WITH_CHALLENGE, Shop, open_shop, simulating
from polling import until
from service import Service
from strongroom.crypto.digest import hmac_sha256, sha256
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.simulator import Fault, Simulated
from strongroom.webhooks.inbound import VERIFIERS
from strongroom.webhooks.inbound.verify import VerifiedNotice


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def simulated(
    service: Service, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Simulated]:
    async with simulating(tmp_path_factory.mktemp("simulator"), service) as running:
        yield running


def notice(shop: Shop, attempt: dict[str, Any], word: str, **more: Any) -> bytes:
    """What the simulator would send of an attempt."""
    thing = {
        "id": new_id("pay").replace("pay_", "sp_"),
        "object": "payment",
        "account": shop.account,
        "mode": "test",
        "reference": attempt["id"],
        "status": word,
        "amount": attempt["amount"],
        "currency": attempt["currency"],
        "capture": attempt["operation"] == "sale",
        "authorized": attempt["amount"],
        "captured": 0,
        "voided": 0,
        "refunded": 0,
        **more,
    }
    event = {
        "id": new_id("evt").replace("evt_", "se_"),
        "type": f"payment.{word}",
        "created": "2026-11-20T09:30:00.000000Z",
        "account": thing["account"],
        "mode": "test",
        "data": thing,
    }
    return json.dumps(event).encode()


def signed(body: bytes, secret: str, at: float | None = None) -> dict[str, str]:
    moment = str(int(time.time() if at is None else at))
    mac = hmac_sha256(secret.encode(), moment.encode() + b"." + body).hex()
    return {"sim-signature": f"t={moment},v1={mac}", "content-type": "application/json"}


async def send(shop: Shop, body: bytes, headers: dict[str, str]) -> httpx.Response:
    path = "/v1/inbound/" + shop.connection["id"]
    return await shop.service.public.send(
        "POST", path, content=body, headers=headers, idempotency=None
    )


async def unknown(shop: Shop, fault: str = "timeout_before") -> tuple[str, dict[str, Any]]:
    """A payment whose outcome nobody knows."""
    await shop.simulated.control.demand(Fault(fault), "authorize")
    answer = await shop.pay(capture_method="manual")
    assert answer.status_code == 202, answer.text
    payment = answer.json()["id"]
    (attempt,) = await shop.attempts(payment)
    return payment, attempt


async def state(shop: Shop, payment: str) -> tuple[Any, ...]:
    found = await shop.payment(payment)
    return found["status"], found["balances"]["authorized"]


#: Every scheme, with each forgery that it can be sent. What signs no time has no wrong one.
FORGERIES: Final = [
    (scheme, wrong)
    for scheme, sender in SENDERS.items()
    for wrong in (
        "secret", "body", "absent", "another connection's",
        *(("twice",) if VERIFIERS[scheme].headers else ()),
        *(("old", "future") if sender.timed else ()),
    )
]  # fmt: skip


def told(scheme: str, shop: Shop, attempt: dict[str, Any]) -> bytes:
    """The simulator's word that an attempt was authorized, in the form of a scheme's events: its adapter reads it."""
    event = json.loads(notice(shop, attempt, "authorized"))
    if scheme == "adyen":
        amount = {"value": attempt["amount"], "currency": attempt["currency"]}
        return adyen_envelope(adyen_item(merchantReference=attempt["id"], amount=amount), **event)
    return SENDERS[scheme].event(**{**event, **({} if scheme == "simulator" else {"id": "evt_1"})})


async def scheme_shop(service: Service, simulated: Simulated, scheme: str, secret: str) -> Shop:
    """A shop that believes notices of a scheme, where nothing else decides."""
    more: dict[str, Any] = {"webhook_scheme": scheme, "webhook_secret": secret}
    return await open_shop(service, simulated, notices=False, finding="by_notice", **more)


async def send_all(shop: Shop, body: bytes, headers: list[tuple[str, str]]) -> httpx.Response:
    """Send a notice with headers that may come twice."""
    path = "/v1/inbound/" + shop.connection["id"]
    return await shop.service.public.client.post(path, content=body, headers=headers)


@pytest.mark.parametrize(("scheme", "wrong"), FORGERIES)
async def test_a_notice_that_does_not_verify_is_refused_and_leaves_nothing(
    service: Service, simulated: Simulated, scheme: str, wrong: str
) -> None:
    """Of each scheme: wrong secret or time, altered, unsigned, twice, of another connection: 401, none kept."""
    sender = SENDERS[scheme]
    shop = await scheme_shop(service, simulated, scheme, sender.secret)
    payment, attempt = await unknown(shop)
    event = told(scheme, shop, attempt)
    late = {"old": -400, "future": 400}.get(wrong, 0)
    at = datetime.now(UTC) + timedelta(seconds=late)
    secret = sender.other if wrong in ("secret", "another connection's") else sender.secret
    headers, body = sender.sign(event, secret, at)
    given = [*headers.items()]
    if wrong == "body":
        body = altered(scheme, body)
    elif wrong == "absent":
        given, body = [], event
    elif wrong == "twice":
        given += given
    elif wrong == "another connection's":
        other = await scheme_shop(service, simulated, scheme, sender.other)
        assert (await send_all(other, body, given)).is_success, "there it holds"
    answer = await send_all(shop, body, given)
    assert answer.status_code == 401, answer.text
    assert await shop.notices() == {}
    assert await state(shop, payment) == ("processing", 0)


def altered(scheme: str, body: bytes) -> bytes:
    """One cent more, where the scheme signs or encrypts it."""
    if scheme.startswith("aes_gcm"):
        return body[:20] + (b"0" if body[20:21] != b"0" else b"1") + body[21:]
    before = b'"value": 1000' if scheme == "adyen" else b'"amount": 1000'
    assert body.count(before) == 1
    return body.replace(before, before[:-1] + b"1")


@pytest.mark.parametrize("scheme", sorted(SENDERS))
async def test_the_same_notice_counts_when_it_is_signed(
    service: Service, simulated: Simulated, scheme: str
) -> None:
    """What is refused above would have changed the state: of each scheme, signed as it has to be, it does."""
    sender = SENDERS[scheme]
    shop = await scheme_shop(service, simulated, scheme, sender.secret)
    payment, attempt = await unknown(shop)
    headers, body = sender.sign(told(scheme, shop, attempt), sender.secret, datetime.now(UTC))
    answers = [await send_all(shop, body, [*headers.items()]) for _ in range(2)]
    assert all(each.is_success for each in answers), answers
    await shop.until_status(payment, "requires_capture")
    assert await shop.notices() == {"believed": 1}


async def test_what_a_processor_tells_again_in_other_words_is_not_applied_twice(
    service: Service, simulated: Simulated
) -> None:
    """Of Adyen: other unsigned words are kept aside; a signed correction is looked at, and nothing happens twice."""
    key = SENDERS["adyen"].secret
    shop = await scheme_shop(service, simulated, "adyen", key)
    payment, attempt = await unknown(shop)
    event = json.loads(notice(shop, attempt, "authorized"))
    item = adyen_item(merchantReference=attempt["id"])

    async def tell(**other: Any) -> None:
        body = adyen_envelope(adyen_signed({**item, **other}, key), **event)
        for _ in range(2):
            assert (await send_all(shop, body, [])).status_code == 202

    await tell()
    await shop.until_status(payment, "requires_capture")
    await tell(reason="in other words")
    await tell(amount={"value": 2, "currency": "EUR"})
    await shop.until_told()
    assert await shop.notices() == {"believed": 1, "restated": 1, "agrees": 1}
    assert await state(shop, payment) == ("requires_capture", 1_000)
    assert (await shop.events(payment)).count("payment.authorized") == 1


@pytest.mark.parametrize("scheme", sorted(SENDERS))
@pytest.mark.parametrize("secret", [None, "", "sixteen letters!"])
async def test_a_connection_without_a_verification_secret_cannot_be_made(
    service: Service, simulated: Simulated, scheme: str, secret: str | None
) -> None:
    """Of each scheme: no secret, an empty one, and one of another form are refused; nothing is made."""
    shop = await open_shop(service, simulated, notices=False)
    wish = {
        "processor": "simulator",
        "account": "acct_without",
        "base_url": simulated.url,
        "credentials": {"api_key": shop.api_key},
        "name": "without",
        "webhook_scheme": scheme,
        **({} if secret is None else {"webhook_secret": secret}),
    }
    answer = await shop.gateway.post("/v1/connections", wish)
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["code"] == ("source_refused" if secret else "invalid")
    assert secret or "webhook_secret" in answer.text, "it names the field"
    found = (await shop.gateway.get("/v1/connections")).json()["data"]
    assert [each["id"] for each in found] == [shop.connection["id"]]


@pytest.mark.parametrize(
    ("lie", "result"),
    [
        ({"amount": 1_001}, "differs"),
        ({"currency": "KWD"}, "differs"),
        ({"account": "acct_somebody_else"}, "uncorrelated"),
        ({"reference": new_id("att")}, "uncorrelated"),
        ({"reference": "order-1042"}, "uncorrelated"),
        ({"capture": True}, "differs"),
        ({"status": "a novelty"}, "surprising"),
    ],
)
async def test_a_signed_notice_about_something_else_changes_nothing(
    service: Service, simulated: Simulated, lie: dict[str, Any], result: str
) -> None:
    """Another amount, currency, account, reference or shape than we asked about: kept, recorded, and not believed."""
    shop = await open_shop(service, simulated, notices=False, finding="by_notice")
    payment, attempt = await unknown(shop)
    body = notice(shop, attempt, "authorized", **lie)
    assert (await send(shop, body, signed(body, shop.secret))).status_code == 200

    async def dealt_with() -> dict[str, int] | None:
        found = dict(await shop.notices())
        return found if "kept" not in found else None

    assert await until(dealt_with, what="the notice to be dealt with") == {result: 1}
    assert await state(shop, payment) == ("processing", 0)
    records = await service.look(
        Domain.CORE,
        "select convert_from(payload, 'utf8') as text from audit.event where merchant_id = $1",
        shop.tenant.merchant,
    )
    assert any("webhooks.notice.handled" in r["text"] and result in r["text"] for r in records)


async def test_what_a_signed_notice_claims_is_confirmed_by_asking(
    service: Service, simulated: Simulated
) -> None:
    """A signed lie about a payment that the processor knows nothing of: it is asked, and the lie changes nothing."""
    shop = await open_shop(service, simulated, notices=False)
    payment, attempt = await unknown(shop)
    body = notice(shop, attempt, "authorized")
    assert (await send(shop, body, signed(body, shop.secret))).status_code == 200
    await shop.until_status(payment, "requires_confirmation")
    assert await state(shop, payment) == ("requires_confirmation", 0)
    (attempt,) = await shop.attempts(payment)
    assert (attempt["outcome"], attempt["basis"]) == ("not_sent", "lookup")


async def test_where_it_cannot_be_asked_the_record_says_that_a_notice_was_believed(
    service: Service, simulated: Simulated
) -> None:
    """A processor that can only tell: its signed notice decides, and attempt and audit record say `basis: notice`."""
    shop = await open_shop(service, simulated, finding="by_notice")
    payment, _ = await unknown(shop, "cut_after")
    await shop.until_status(payment, "requires_capture")
    (attempt,) = await shop.attempts(payment)
    assert (attempt["outcome"], attempt["basis"]) == ("approved", "notice")
    records = await service.look(
        Domain.CORE,
        "select convert_from(payload, 'utf8') as text from audit.event where merchant_id = $1",
        shop.tenant.merchant,
    )
    assert any('"basis":"notice"' in r["text"] and attempt["id"] in r["text"] for r in records)


async def test_a_notice_that_comes_twice_or_late_counts_once(
    service: Service, simulated: Simulated
) -> None:
    """Notices doubled and out of order, all of them: kept once each, and the state is the processor's."""
    shop = await open_shop(service, simulated)
    await simulated.control.faults(rates={"webhook_duplicate": 0.5, "webhook_reorder": 0.5}, seed=7)
    try:
        payment = (await shop.authorized())["id"]
        for amount in (300, 200):
            await shop.gateway.post(
                f"/v1/payments/{payment}/capture", {"amount": amount, "final_capture": False}
            )
        await shop.gateway.post(f"/v1/payments/{payment}/refunds", {"amount": 100})
        await shop.until_told()
    finally:
        await simulated.control.no_faults()
    found = await shop.payment(payment)
    assert found["balances"]["captured"] == 500
    assert found["balances"]["refunded"] == 100
    assert set(await shop.notices()) <= {"agrees", "confirmed"}
    assert sum((await shop.notices()).values()) == len(await shop.happened(payment))


async def test_a_return_proves_nothing_and_triggers_a_look(
    service: Service, simulated: Simulated
) -> None:
    """Coming back without having done the challenge changes nothing; having failed it, the processor's word counts."""
    shop = await open_shop(service, simulated, notices=False)
    answer = await shop.pay(WITH_CHALLENGE, return_url="https://shop.example/thanks?order=7")
    assert answer.json()["status"] == "requires_action", answer.text
    payment = answer.json()["id"]
    back = await service.public.get(f"/v1/returns/{payment}")
    assert back.status_code == 303
    assert back.headers["location"] == f"https://shop.example/thanks?order=7&payment={payment}"
    assert (await shop.payment(payment))["status"] == "requires_action"
    where = await simulated.control.challenge(answer.json()["next_action"]["url"], approve=False)
    assert where is not None
    await service.public.get(f"/v1/returns/{payment}")
    found = await shop.until_status(payment, "requires_payment_method")
    assert found["balances"]["authorized"] == 0
    assert (await service.public.get(f"/v1/returns/{new_id('pay')}")).status_code == 404


@pytest.mark.parametrize("operation", ["capture", "cancel"])
async def test_an_expiry_told_while_an_outcome_is_unknown_is_not_lost(
    service: Service, simulated: Simulated, operation: str
) -> None:
    """A release is told while a capture or void may be what released it: it waits, and then it counts."""
    shop = await open_shop(service, simulated)
    payment = (await shop.authorized())["id"]
    (authorization,) = await shop.attempts(payment)
    word = {"capture": "capture", "cancel": "void"}[operation]
    await simulated.control.demand(Fault.CUT_BEFORE, word)
    answer = await shop.gateway.post(f"/v1/payments/{payment}/{operation}", {})
    assert answer.status_code == 202, answer.text
    await simulated.control.happen("payment_expired", authorization["id"])
    found = await shop.until_status(payment, "canceled")
    assert (found["cancellation_reason"], found["balances"]["voided"]) == ("expired", 1_000)
    assert [each["outcome"] for each in await shop.attempts(payment)] == ["approved", "not_sent"]


async def test_an_encrypted_notice_is_verified_by_being_opened(
    service: Service, simulated: Simulated
) -> None:
    """AES-256-GCM, as the processors that encrypt do it: what opens counts, one flipped bit is 401."""
    shop = await open_shop(service, simulated, encryption_key="5a" * 32)
    payment = (await shop.authorized())["id"]
    await shop.until_told()
    assert set(await shop.notices()) == {"agrees"}
    flipped = await send(
        shop,
        b"00" * 40,
        {
            "x-initialization-vector": "00" * 12,
            "x-authentication-tag": "00" * 16,
            "content-type": "text/plain",
        },
    )
    assert flipped.status_code == 401
    assert await state(shop, payment) == ("requires_capture", 1_000)


@pytest.mark.parametrize("scheme", sorted(SENDERS))
async def test_sabotage_a_verifier_that_lets_everything_through_is_noticed(
    service: Service, simulated: Simulated, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """Of each scheme: its signature is not looked at, the forged notice changes a state, and the check sees it."""

    class Gullible:
        headers = VERIFIERS[scheme].headers
        acknowledgement = VERIFIERS[scheme].acknowledgement

        def accepts(self, secret: Any) -> bool:  # noqa: ARG002 - the port's
            return True

        def verify(self, raw: Any, *_: Any) -> VerifiedNotice:
            return VerifiedNotice(raw.body, sha256(raw.body).hex(), scheme)

    gullible = Gullible()
    gullible.scheme = scheme  # type: ignore[attr-defined]
    monkeypatch.setitem(VERIFIERS, scheme, gullible)
    shop = await scheme_shop(service, simulated, scheme, SENDERS[scheme].secret)
    payment, attempt = await unknown(shop)
    # Encrypted schemes too: whoever does not authenticate takes what stands there.
    answer = await send_all(shop, told(scheme, shop, attempt), [])
    assert answer.is_success
    await shop.until_status(payment, "requires_capture")
    assert await state(shop, payment) != ("processing", 0)
