# SPDX-License-Identifier: Apache-2.0
"""Payments over HTTP, charged through a running simulator: what a merchant sees, sends and is refused."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from paying import DECLINED, VISA, WITH_CHALLENGE, Shop, open_shop, simulating
from polling import until
from service import Service
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import KeyKind
from strongroom.simulator import Simulated


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def simulated(
    service: Service, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Simulated]:
    async with simulating(tmp_path_factory.mktemp("simulator"), service) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(service: Service, simulated: Simulated) -> Shop:
    return await open_shop(service, simulated)


async def test_an_automatic_payment_succeeds_at_once(shop: Shop) -> None:
    answer = await shop.pay(
        amount=1_050, cvc="123", reference="order-1", metadata={"customer": "c-17"}
    )
    assert answer.status_code == 201
    found = answer.json()
    assert (found["status"], found["amount"], found["currency"]) == ("succeeded", 1_050, "AED")
    assert found["card"] == {"brand": "visa", "bin": "424242", "last4": "4242"}
    assert (found["reference"], found["metadata"]) == ("order-1", {"customer": "c-17"})
    assert (found["balances"]["captured"], found["balances"]["refundable"]) == (1_050, 1_050)
    assert (found["attempt"]["outcome"], found["attempt"]["operation"]) == ("approved", "sale")
    assert (await shop.payment(found["id"])) == {**found, "attempt": None}
    assert await shop.events(found["id"]) == ["payment.created", "payment.captured"]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (DECLINED, "generic_decline"),
        ("4000000000009995", "insufficient_funds"),
        ("4000000000009987", "lost_card"),
        ("4000000000009979", "stolen_card"),
        ("4000000000000069", "expired_card"),
        ("4000000000000127", "incorrect_cvc"),
        ("4000000000000119", "processing_error"),
    ],
)
async def test_a_decline_is_402_with_the_payment(shop: Shop, number: str, code: str) -> None:
    answer = await shop.pay(number, cvc="123")
    assert answer.status_code == 402
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["code"], problem["decline_code"]) == ("declined", code)
    assert problem["payment"]["status"] == "requires_payment_method"
    assert problem["payment"]["attempt"]["outcome"] == "declined"
    again = await shop.token()
    payment = problem["payment"]["id"]
    charged = await shop.gateway.post(
        f"/v1/payments/{payment}/confirm", {"token": again["id"], "cvc": None}
    )
    assert charged.status_code == 200
    assert charged.json()["status"] == "succeeded"
    assert await shop.events(payment) == ["payment.created", "payment.declined", "payment.captured"]


async def test_why_a_card_does_not_open_is_told_by_no_route(shop: Shop) -> None:
    """The secret key may ask for everything, and is told what whoever altered the database may know."""
    token, other = await shop.token(), await shop.token("5555555555554444")
    await shop.service.look(
        Domain.VAULT,
        "update vault.token set sealed_number = (select sealed_number from vault.token where token_id = $2)"
        " where token_id = $1 returning 1",
        token["id"],
        other["id"],
    )
    body = {"amount": 1_000, "currency": "AED", "token": token["id"], "confirm": True}
    answer = await shop.gateway.post("/v1/payments", body)
    (line,) = [
        each
        for each in map(json.loads, shop.service.log_text().splitlines())
        if each.get("token_id") == token["id"] and each["event_type"] == "vault.opening.failed"
    ]
    assert line["code"] == "card_of_another_token"
    payment = answer.json()
    attempts = await shop.gateway.get(f"/v1/payments/{payment['id']}/attempts")
    (attempt,) = attempts.json()["data"]
    assert (attempt["outcome"], attempt["reason"]) == ("not_sent", "card_unreadable")
    records = await shop.vault.get("/v1/audit/records?limit=100")
    (failed,) = [
        each
        for each in (each["record"] for each in records.json()["data"])
        if each["action"] == "vault.opening.failed"
    ]
    assert (failed["object"], failed["details"]["reason"]) == (token["id"], "card_unreadable")
    events = await shop.gateway.get("/v1/events")
    for said in (answer, attempts, records, events, await shop.gateway.get("/v1/audit/records")):
        assert said.status_code < 300, said.text
        assert "card_of_another" not in said.text


async def test_captures_in_parts_and_refunds_in_parts(shop: Shop) -> None:
    payment = (await shop.authorized(1_000))["id"]
    path = f"/v1/payments/{payment}"
    first = await shop.gateway.post(f"{path}/capture", {"amount": 300, "final_capture": False})
    assert (first.status_code, first.json()["status"]) == (200, "requires_capture")
    last = await shop.gateway.post(f"{path}/capture", {"amount": 500})
    assert last.json()["status"] == "succeeded"
    assert last.json()["balances"]["voided"] == 200
    more = await shop.gateway.post(f"{path}/capture", {"amount": 1})
    assert (more.status_code, more.json()["code"]) == (422, "amount_beyond_left")
    back = await shop.gateway.post(
        f"{path}/refunds",
        {"amount": 300, "reason": "requested_by_customer", "reference": "return-7"},
    )
    assert (back.status_code, back.json()["status"]) == (201, "succeeded")
    assert (await shop.gateway.get(f"/v1/refunds/{back.json()['id']}")).json() == back.json()
    too_much = await shop.gateway.post(f"{path}/refunds", {"amount": 501})
    assert (too_much.status_code, too_much.json()["code"]) == (422, "amount_beyond_left")
    rest = await shop.gateway.post(f"{path}/refunds", {})
    assert rest.json()["amount"] == 500
    refunds = (await shop.gateway.get(f"{path}/refunds")).json()["data"]
    assert [each["amount"] for each in refunds] == [300, 500]
    assert [each.kind for each in await shop.happened(payment)] == [
        "authorized",
        "captured",
        "captured",
        "released",
        "refunded",
        "refunded",
    ]


async def test_cancel_releases_what_is_held_and_calls_off_what_is_not(shop: Shop) -> None:
    payment = (await shop.authorized(1_000))["id"]
    answer = await shop.gateway.post(f"/v1/payments/{payment}/cancel", {"reason": "duplicate"})
    assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
    assert answer.json()["cancellation_reason"] == "duplicate"
    assert "payment.canceled" in await shop.events(payment)
    again = await shop.gateway.post(f"/v1/payments/{payment}/cancel", {})
    assert again.status_code == 409
    waiting = (await shop.pay(confirm=False)).json()
    assert waiting["status"] == "requires_confirmation"
    off = await shop.gateway.post(f"/v1/payments/{waiting['id']}/cancel", {}, idempotency="off-1")
    assert off.json()["status"] == "canceled"
    repeat = await shop.gateway.post(
        f"/v1/payments/{waiting['id']}/cancel", {}, idempotency="off-1"
    )
    assert repeat.headers["idempotent-replayed"] == "true"
    assert await shop.happened(waiting["id"]) == []


async def test_a_challenge_is_completed_on_the_processors_page(shop: Shop) -> None:
    answer = await shop.pay(WITH_CHALLENGE, return_url="https://shop.example/thanks")
    assert answer.status_code == 201
    asked = answer.json()
    assert asked["status"] == "requires_action"
    assert asked["next_action"]["type"] == "redirect"
    busy = await shop.gateway.post(f"/v1/payments/{asked['id']}/confirm", {"token": None})
    assert (busy.status_code, busy.json()["code"]) == (409, "payment_unresolved")
    back = await shop.simulated.control.challenge(asked["next_action"]["url"])
    assert back is not None
    assert f"/v1/returns/{asked['id']}" in back
    found = await shop.until_status(asked["id"], "succeeded")
    assert found["next_action"] is None


async def test_a_partial_approval_shows_in_the_balances(shop: Shop) -> None:
    found = (await shop.pay(amount=1_077, capture_method="manual")).json()
    assert found["status"] == "requires_capture"
    assert found["balances"]["authorized"] == 538


async def test_a_payment_that_is_decided_later_is_202_and_hears_by_notice(shop: Shop) -> None:
    answer = await shop.pay(amount=1_088)
    assert (answer.status_code, answer.json()["status"]) == (202, "processing")
    attempt = answer.json()["attempt"]["id"]
    await shop.simulated.control.happen("pending_declined", attempt)
    await shop.until_status(answer.json()["id"], "requires_payment_method")


async def test_a_repeat_is_answered_from_what_was_kept_and_another_body_is_refused(
    shop: Shop,
) -> None:
    token = await shop.token(cvc="123")
    body = {
        "amount": 500,
        "currency": "AED",
        "token": token["id"],
        "cvc": token["cvc"],
        "confirm": True,
    }
    first = await shop.gateway.post("/v1/payments", body, idempotency="once")
    again = await shop.gateway.post(
        "/v1/payments", {**body, "cvc": "cvc_another"}, idempotency='"once"'
    )
    assert again.status_code == first.status_code == 201
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"
    other = await shop.gateway.post("/v1/payments", {**body, "amount": 501}, idempotency="once")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    missing = await shop.gateway.post("/v1/payments", body, idempotency=None)
    assert (missing.status_code, missing.json()["code"]) == (400, "idempotency_key_missing")
    payment = first.json()["id"]
    back = await shop.gateway.post(f"/v1/payments/{payment}/refunds", {}, idempotency="back")
    repeat = await shop.gateway.post(f"/v1/payments/{payment}/refunds", {}, idempotency="back")
    assert repeat.content == back.content, "although nothing is left to refund by now"
    assert len(await shop.happened(payment)) == 2


async def test_a_cvc_is_for_one_use(shop: Shop) -> None:
    token = await shop.token(cvc="123")
    body = {
        "amount": 500,
        "currency": "AED",
        "token": token["id"],
        "cvc": token["cvc"],
        "confirm": True,
    }
    assert (await shop.gateway.post("/v1/payments", body)).json()["status"] == "succeeded"
    second = await shop.gateway.post("/v1/payments", body)
    assert second.json()["status"] == "requires_confirmation"
    assert second.json()["attempt"]["outcome"] == "not_sent"
    assert second.json()["attempt"]["reason"] == "cvc_used"


async def test_a_public_keys_token_becomes_lasting_with_its_first_success(
    shop: Shop, service: Service
) -> None:
    public = await service.key(shop.tenant.merchant, KeyKind.PUBLIC)
    token = await service.vault(public.text.expose()).token(VISA)
    assert token["single_use"]
    body = {"amount": 500, "currency": "AED", "token": token["id"], "confirm": True}
    assert (await shop.gateway.post("/v1/payments", body)).json()["status"] == "succeeded"
    kept = (await shop.vault.get(f"/v1/tokens/{token['id']}")).json()
    assert not kept["single_use"]
    assert kept["expires_at"] is None


#: What a merchant says of their customer's browser, at the least.
BROWSER = {"user_agent": "Mozilla/5.0 (of a customer's own)", "accept_header": "*/*"}
#: (what is wrong, status, code or pointer)
WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"amount": 0, "capture_method": "manual"}, 422, "/capture_method"),
    ({"amount": -5}, 422, "/amount"),
    ({"amount": 10.5}, 422, "/amount"),
    ({"amount": "100"}, 422, "/amount"),
    ({"amount": 10**12}, 422, "/amount"),
    ({"currency": "aed"}, 422, "/currency"),
    ({"currency": "XXZ"}, 422, "/currency"),
    ({"currency": "AEDX"}, 422, "/currency"),
    ({"capture_method": "later"}, 422, "/capture_method"),
    ({"novelty": 1}, 422, "field_unknown"),
    ({"token": "tok_short"}, 422, "/token"),
    ({"token": new_id("tok")}, 404, "token_unknown"),
    ({"connection": new_id("con")}, 422, "no_connection"),
    ({"reference": ""}, 422, "/reference"),
    ({"reference": "a" * 101}, 422, "/reference"),
    ({"reference": "nul\x00"}, 422, "/reference"),
    ({"metadata": {"a b": "c"}}, 422, "/metadata"),
    ({"metadata": {"note": VISA}}, 422, "card_number_refused"),
    ({"reference": "4242 4242 4242 4242"}, 422, "card_number_refused"),
    ({"return_url": "http://shop.example/"}, 422, "/return_url"),
    ({"return_url": "https://user@shop.example/"}, 422, "/return_url"),
    ({"return_url": "javascript:alert(1)"}, 422, "/return_url"),
    ({"return_url": "https://shop.example/\r\nSet-Cookie:x"}, 422, "/return_url"),
    ({"return_url": "https://shop.example/#there"}, 422, "/return_url"),
    ({"token": None}, 422, "/token"),
    ({"customer_browser": {"user_agent": "Mozilla/5.0"}}, 422, "/customer_browser"),
    ({"customer_browser": {**BROWSER, "user_agent": ""}}, 422, "/customer_browser/user_agent"),
    ({"customer_browser": {**BROWSER, "user_agent": "M" * 2_049}}, 422, "/user_agent"),
    ({"customer_browser": {**BROWSER, "accept_header": "*" * 2_049}}, 422, "/accept_header"),
    ({"customer_browser": {**BROWSER, "user_agent": "nul\x00"}}, 422, "/user_agent"),
    ({"customer_browser": {**BROWSER, "user_agent": "M\n"}}, 422, "/user_agent"),
    ({"customer_browser": {**BROWSER, "accept_header": "*/*\x85"}}, 422, "/accept_header"),
    ({"customer_browser": {**BROWSER, "user_agent": f"M {VISA}"}}, 422, "card_number_refused"),
    ({"customer_browser": {**BROWSER, "details": {"language": "ar"}}}, 422, "/details"),
    ({"customer_browser": {**BROWSER, "novelty": 1}}, 422, "field_unknown"),
]


@pytest.mark.parametrize(("wrong", "status", "said"), WRONG, ids=lambda each: str(each)[:40])
async def test_what_is_wrong_is_named_and_nothing_is_asked(
    shop: Shop, wrong: dict[str, Any], status: int, said: str
) -> None:
    before = len(await shop.simulated.control.journal(account=shop.account))
    token = await shop.token()
    body = {"amount": 100, "currency": "AED", "token": token["id"], "confirm": True, **wrong}
    answer = await shop.gateway.post("/v1/payments", body)
    assert answer.status_code == status, answer.text
    assert said in answer.text
    assert len(await shop.simulated.control.journal(account=shop.account)) == before


async def test_a_browser_is_kept_with_the_attempt_and_shown_to_nobody(shop: Shop) -> None:
    """The longest that is taken is kept whole, and each attempt has its own."""
    long = {"user_agent": '"' * 2_048, "accept_header": "*" * 2_048}
    declined = await shop.pay(DECLINED, customer_browser=long)
    assert declined.status_code == 402
    payment, token = declined.json()["payment"]["id"], await shop.token()
    path = f"/v1/payments/{payment}"
    body = {"token": token["id"], "customer_browser": BROWSER}
    charged = await shop.gateway.post(f"{path}/confirm", body)
    assert charged.status_code == 200, charged.text
    refunded = await shop.gateway.post(f"{path}/refunds", {})
    assert refunded.status_code == 201, refunded.text
    rows = await shop.service.look(
        Domain.CORE,
        "select browser::text from payments.attempt where payment_id = $1 order by attempt_id",
        payment,
    )
    kept = [None if row["browser"] is None else json.loads(row["browser"]) for row in rows]
    assert kept == [{**long, "details": None}, {**BROWSER, "details": None}, None]
    answers = [
        declined,
        charged,
        await shop.gateway.get(path),
        await shop.gateway.get(f"{path}/attempts"),
        await shop.gateway.get("/v1/events"),
        await shop.gateway.get("/v1/audit/records"),
    ]
    for answer in answers:
        assert "customer's own" not in answer.text
        assert "browser" not in answer.text


async def test_where_nobody_is_there_no_browser_is_kept(shop: Shop) -> None:
    stored = {"initiator": "merchant", "reason": "recurring", "stage": "later"}
    answer = await shop.pay(
        customer_browser=BROWSER,
        stored_credential={**stored, "scheme_transaction_id": "MCC12ABC34DEF"},
    )
    assert answer.status_code == 201, answer.text
    (row,) = await shop.service.look(
        Domain.CORE,
        "select browser from payments.attempt where payment_id = $1",
        answer.json()["id"],
    )
    assert row["browser"] is None


async def test_payments_are_found_by_what_is_known_of_them(shop: Shop) -> None:
    name = f"order-{new_id('pay')}"
    made = [
        (await shop.pay(amount=amount, reference=name, confirm=confirm)).json()
        for amount, confirm in ((311, True), (312, True), (313, False))
    ]
    ids = [each["id"] for each in reversed(made)]

    async def found(query: str) -> list[str]:
        answer = await shop.gateway.get(f"/v1/payments?reference={name}&{query}")
        assert answer.status_code == 200, answer.text
        return [each["id"] for each in answer.json()["data"]]

    assert await found("limit=10") == ids
    assert await found("status=succeeded") == ids[1:]
    assert await found("amount=312") == [ids[1]]
    assert await found("last4=4242") == ids
    assert await found("last4=0001") == []
    assert await found(f"token={made[0]['token']}") == [ids[2]]
    assert await found("created_from=2026-01-01T00:00:00Z") == ids
    assert await found("created_to=2026-01-01T00:00:00Z") == []
    page = (await shop.gateway.get(f"/v1/payments?reference={name}&limit=2")).json()
    assert page["has_more"]
    rest = (
        await shop.gateway.get(
            f"/v1/payments?reference={name}&limit=2&cursor={page['next_cursor']}"
        )
    ).json()
    assert [each["id"] for each in page["data"] + rest["data"]] == ids
    assert not rest["has_more"]
    for wrong in ("status=done", "last4=12", "amount=0", "cursor=x", "limit=0", "token=x"):
        assert (await shop.gateway.get(f"/v1/payments?{wrong}")).status_code == 422, wrong


async def test_a_restricted_key_does_what_it_may(shop: Shop, service: Service) -> None:
    made = await service.key(
        shop.tenant.merchant,
        KeyKind.RESTRICTED,
        permissions=[Permission.PAYMENTS_PAYMENT_CREATE, Permission.PAYMENTS_PAYMENT_READ],
    )
    key = service.gateway(made.text.expose())
    body = {"amount": 100, "currency": "AED"}
    payment = (await key.post("/v1/payments", body)).json()["id"]
    assert (await key.get(f"/v1/payments/{payment}")).status_code == 200
    assert (await key.post(f"/v1/payments/{payment}/refunds", {})).status_code == 403
    assert (await key.post(f"/v1/payments/{payment}/capture", {})).status_code == 403


async def test_without_a_connection_nothing_can_be_charged(service: Service) -> None:
    tenant = await service.tenant()
    token = await service.vault(tenant.keys[Mode.TEST]).token(VISA)
    answer = await service.gateway(tenant.keys[Mode.TEST]).post(
        "/v1/payments",
        {"amount": 100, "currency": "AED", "token": token["id"], "confirm": True},
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "no_connection")


async def test_connections_are_made_tested_rotated_and_disabled(
    service: Service, simulated: Simulated
) -> None:
    shop = await open_shop(service, simulated, notices=False)
    path = f"/v1/connections/{shop.connection['id']}"
    tested = (await shop.gateway.post(f"{path}/test")).json()
    assert (tested["reachable"], tested["passed"], tested["raw_cards"]) == (True, False, True)
    assert tested["missing"] == ["the account has no webhook: notices will not come"]
    wrong = await shop.gateway.post(
        f"{path}/rotate", {"credentials": {"api_key": "sim_sk_" + "x" * 40}}
    )
    assert wrong.status_code == 200

    async def refused() -> bool | None:
        return not (await shop.gateway.post(f"{path}/test")).json()["reachable"] or None

    await until(refused, what="the new credentials to be used")
    await shop.gateway.post(f"{path}/rotate", {"credentials": {"api_key": shop.api_key}})
    assert (await shop.gateway.post(f"{path}/disable")).status_code == 204
    assert (await shop.pay()).json()["code"] == "no_connection"
    listed = (await shop.gateway.get("/v1/connections")).json()["data"]
    assert [each["status"] for each in listed] == ["disabled"]
    assert shop.api_key not in repr(listed)
    assert shop.secret not in repr(listed)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"processor": "novelty"}, "/processor"),
        ({"base_url": "http://10.0.0.1/"}, "/base_url"),
        ({"base_url": "https://169.254.169.254/"}, "/base_url"),
        ({"credentials": {}}, "/credentials"),
        ({"credentials": {"api_key": "x", "other": "y"}}, "/credentials"),
        ({"webhook_secret": ""}, "/webhook_secret"),
        ({"webhook_secret": None}, "/webhook_secret"),
        ({"webhook_scheme": "none"}, "source_refused"),
        ({"finding": "by_guess"}, "/finding"),
    ],
    ids=str,
)
async def test_a_connection_that_cannot_be_is_refused(
    shop: Shop, simulated: Simulated, wrong: dict[str, Any], said: str
) -> None:
    body = {
        "processor": "simulator",
        "account": "acct_x",
        "base_url": simulated.url,
        "credentials": {"api_key": "sim_sk_1"},
        "webhook_secret": "sim_whsec_of_some_length",
        **wrong,
    }
    answer = await shop.gateway.post("/v1/connections", body)
    assert answer.status_code == 422, answer.text
    assert said in answer.text


async def test_the_simulator_is_connected_in_test_mode_only(
    shop: Shop, simulated: Simulated
) -> None:
    answer = await shop.service.gateway(shop.tenant.keys[Mode.LIVE]).post(
        "/v1/connections",
        {
            "processor": "simulator",
            "account": "acct_x",
            "base_url": simulated.url,
            "credentials": {"api_key": "sim_sk_1"},
            "webhook_secret": "sim_whsec_of_some_length",
        },
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "connection_refused")


async def test_every_change_of_a_payment_has_its_record(shop: Shop) -> None:
    payment = (await shop.captured())["id"]
    await shop.gateway.post(f"/v1/payments/{payment}/refunds", {})
    rows = await shop.service.look(
        Domain.CORE,
        "select convert_from(payload, 'utf8')::json ->> 'action' as action from audit.event"
        " where merchant_id = $1 and convert_from(payload, 'utf8')::json ->> 'transaction_id' = $2"
        " order by xid, 1 desc",
        shop.tenant.merchant,
        payment,
    )
    assert [row["action"] for row in rows if "notice" not in row["action"]] == [
        "payments.payment.created",
        "payments.attempt.started",
        "payments.attempt.settled",
        "payments.attempt.started",
        "payments.attempt.settled",
    ]
