# SPDX-License-Identifier: Apache-2.0
"""The simulator over HTTP: every route, what it refuses, idempotency, the challenge."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from contracts.simulator_shop import CARD, GOOD, Shop, answered, shop_at, shopping, simulating
from strongroom.crypto import hmac_sha256
from strongroom.kernel.schemes import synthetic_number
from strongroom.simulator import (
    Simulated,
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def simulated(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Simulated]:
    async with simulating(tmp_path_factory.mktemp("simulator")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def shop(simulated: Simulated) -> AsyncIterator[Shop]:
    async with shopping(simulated) as made:
        yield made


# --- routes -------------------------------------------------------------------------------------------


async def test_a_payment_is_authorized_and_read_again(shop: Shop) -> None:
    answer = await shop.pay(amount=1050)
    payment = answer.json()
    assert answer.headers["Sim-Request-Id"].startswith("sq_")
    assert answer.headers["Content-Type"] == "application/json"
    assert "Idempotent-Replayed" not in answer.headers
    assert re.fullmatch(r"sp_[0-9A-Z]{26}", payment["id"])
    assert payment == {
        "id": payment["id"],
        "object": "payment",
        "account": shop.name,
        "mode": "test",
        "reference": payment["reference"],
        "status": "authorized",
        "amount": 1050,
        "currency": "AED",
        "capture": False,
        "authorized": 1050,
        "incremented": 0,
        "captured": 0,
        "voided": 0,
        "refunded": 0,
        "disputed": 0,
        "capture_before": payment["capture_before"],
        "decline_code": None,
        "advice": None,
        "action": None,
        "card": {"brand": "visa", "last4": "4242"},
        "created": payment["created"],
        "network_transaction_id": payment["id"].removeprefix("sp_"),
        "cvc_check": "match",
        "avs_check": None,
    }
    assert (await shop.http.get(f"/v1/payments/{payment['id']}")).json() == payment
    assert await shop.find(payment["reference"]) == [payment]
    assert await shop.find("att_nobody") == []


async def test_operations_move_money_and_say_the_sums(shop: Shop) -> None:
    path = f"/v1/payments/{(await shop.paid())['id']}"
    #: Route, body; status, decline code, amount, sums.
    steps: list[tuple[str, dict[str, Any], str, str | None, int, tuple[int, ...]]] = [
        ("increments", {"amount": 500}, "succeeded", None, 500, (1500, 0, 0, 0)),
        ("captures", {"amount": 400, "final": False}, "succeeded", None, 400, (1500, 400, 0, 0)),
        (
            "captures",
            {"amount": 1200, "final": False},
            "failed",
            "amount_exceeds_left",
            1200,
            (1500, 400, 0, 0),
        ),
        ("captures", {"amount": 600, "final": True}, "succeeded", None, 600, (1500, 1000, 500, 0)),
        ("voids", {}, "failed", "nothing_left", 0, (1500, 1000, 500, 0)),
        ("refunds", {"amount": 700}, "succeeded", None, 700, (1500, 1000, 500, 700)),
        (
            "refunds",
            {"amount": 301},
            "failed",
            "amount_exceeds_left",
            301,
            (1500, 1000, 500, 700),
        ),
    ]
    for route, body, status, code, amount, sums in steps:
        reference = shop.fresh()
        answer = await shop.post(f"{path}/{route}", reference=reference, **body)
        assert answer.status_code == 201
        done = answer.json()
        assert done["object"] == route[:-1]
        assert (done["status"], done["decline_code"], done["amount"]) == (status, code, amount)
        assert tuple(done["totals"].values()) == sums
        assert await shop.find(reference) == [done]
    assert (await shop.http.get(path)).json()["status"] == "captured"
    assert await shop.kinds() == [
        "authorized",
        "incremented",
        "captured",
        "capture_refused",
        "captured",
        "released",
        "void_refused",
        "refunded",
        "refund_refused",
    ]


async def test_a_void_releases_the_rest(shop: Shop) -> None:
    payment = await shop.paid()
    path = f"/v1/payments/{payment['id']}"
    await shop.post(f"{path}/captures", reference=shop.fresh(), amount=1, final=False)
    voided = (await shop.post(f"{path}/voids", reference=shop.fresh())).json()
    assert (voided["object"], voided["amount"], voided["totals"]["voided"]) == ("void", 999, 999)
    assert [entry.amount for entry in await shop.control.journal(account=shop.name)] == [
        1000,
        1,
        999,
    ]


async def test_a_decline_is_an_answer_and_a_journal_entry(shop: Shop) -> None:
    answer = await shop.pay("4000000000009995")
    declined = answer.json()
    assert answer.status_code == 201
    assert (declined["status"], declined["decline_code"], declined["advice"]) == (
        "declined",
        "insufficient_funds",
        "later",
    )
    assert await shop.kinds() == ["declined"]


async def test_the_synthetic_range_is_taken(shop: Shop) -> None:
    assert (await shop.paid(synthetic_number(12)))["card"]["brand"] == "synthetic"


async def test_an_account_sees_itself_and_no_other(simulated: Simulated, shop: Shop) -> None:
    payment = await shop.paid()
    async with shop_at(simulated, shop.name + "_other") as other:
        path = f"/v1/payments/{payment['id']}"
        assert (await other.http.get(path)).status_code == 404
        refund = await other.post(f"{path}/refunds", reference="x", amount=1)
        assert refund.status_code == 404
        assert await other.find(payment["reference"]) == []
        told = (await other.http.get("/v1/account")).json()
    assert told == {
        "account": other.name,
        "mode": "test",
        "raw_cards": True,
        "capabilities": told["capabilities"],
        "webhook": {"configured": False, "url": None},
    }
    assert "find_by_reference" in told["capabilities"]


#: What is wrong; status, code, param.
WRONG: list[tuple[str, dict[str, Any], int, str, str | None]] = [
    ("amount is text", {"amount": "10"}, 422, "type_wrong", "amount"),
    ("nothing is captured", {"amount": 0, "capture": True}, 422, "value_wrong", "capture"),
    ("an amount below nothing", {"amount": -1}, 422, "type_wrong", "amount"),
    (
        "a merchant with a code",
        {"stored": {"initiator": "merchant", "reason": "recurring", "stage": "later"}},
        422,
        "value_wrong",
        "card.cvc",
    ),
    ("amount is a fraction", {"amount": 1.5}, 422, "type_wrong", "amount"),
    ("currency", {"currency": "aed"}, 422, "currency_unknown", "currency"),
    ("no reference", {"reference": ""}, 422, "type_wrong", "reference"),
    ("card in reference", {"reference": GOOD}, 422, "card_number_refused", "reference"),
    ("card in descriptor", {"descriptor": f"x {GOOD}"}, 422, "card_number_refused", "descriptor"),
    ("return_url", {"return_url": "javascript:alert(1)"}, 422, "type_wrong", "return_url"),
    ("return_url's port", {"return_url": "http://a:99999/"}, 422, "value_wrong", "return_url"),
    ("unknown field", {"colour": "red"}, 422, "field_unknown", "colour"),
    ("unknown number", {GOOD: 1}, 422, "field_unknown", "…"),
    ("card's field", {"card": {**CARD, "pin": "1234"}}, 422, "field_unknown", "card.pin"),
    ("card's month", {"card": {**CARD, "exp_month": 13}}, 422, "type_wrong", "card.exp_month"),
    ("card's cvc", {"card": {**CARD, "cvc": "12"}}, 422, "type_wrong", "card.cvc"),
    (
        "no number",
        {"card": {"exp_month": 1, "exp_year": 2030}},
        422,
        "field_missing",
        "card.number",
    ),
    (
        "luhn",
        {"card": {**CARD, "number": GOOD[:-1] + "1"}},
        422,
        "card_number_wrong",
        "card.number",
    ),
    (
        "a real number",
        {"card": {**CARD, "number": "4539578763621486"}},
        422,
        "card_number_not_test",
        "card.number",
    ),
]


@pytest.mark.parametrize("row", WRONG, ids=[row[0] for row in WRONG])
async def test_what_is_refused_did_nothing_and_repeats_nothing(
    shop: Shop, row: tuple[str, dict[str, Any], int, str, str | None]
) -> None:
    _, wrong, status, code, param = row
    key = shop.fresh("key")
    answer = await shop.pay(key=key, **wrong)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)
    assert GOOD not in answer.text
    assert await shop.kinds() == []
    assert (await shop.pay(key=key)).status_code == 201, "the key was not used up"


async def test_requests_that_are_no_requests(simulated: Simulated, shop: Shop) -> None:
    http = shop.http
    json_type = {"Content-Type": "application/json", "Idempotency-Key": "k"}
    payment = await shop.paid()
    #: Method, path, headers, content; status, code.
    cases: list[tuple[str, str, dict[str, str], bytes, int, str]] = [
        ("POST", "/v1/payments", {}, b"{}", 400, "idempotency_key_missing"),
        ("POST", "/v1/payments", {"Idempotency-Key": "k" * 256}, b"{}", 400, "idempotency_key_malformed"),
        ("POST", "/v1/payments", {"Idempotency-Key": GOOD}, b"{}", 422, "card_number_refused"),
        ("POST", "/v1/payments", json_type, b"{", 400, "malformed_json"),
        ("POST", "/v1/payments", json_type, b"\xff", 400, "malformed_json"),
        ("POST", "/v1/payments", json_type, b"[" * 100_000, 422, "type_wrong"),
        ("POST", "/v1/payments", json_type, b" " * 2_000_000, 413, "body_too_large"),
        ("POST", "/v1/payments", {"Authorization": "Bearer x"}, b"{}", 401, "unauthenticated"),
        ("GET", "/v1/payments/sp_nobody", {}, b"", 404, "not_found"),
        ("POST", "/v1/payments/sp_nobody/voids", json_type, b'{"reference":"r"}', 404, "not_found"),
        ("POST", f"/v1/payments/{payment['id']}/tips", json_type, b"{}", 404, "not_found"),
        ("GET", "/v1/operations", {}, b"", 422, "field_missing"),
        ("DELETE", "/v1/payments", {}, b"", 404, "not_found"),
        ("GET", "/", {}, b"", 404, "not_found"),
        ("GET", "/challenge/sp_nobody", {}, b"", 404, "not_found"),
        ("GET", "/control/journal", {}, b"", 401, "unauthenticated"),
    ]  # fmt: skip
    for method, path, headers, content, status, code in cases:
        answer = await http.request(method, path, headers=headers, content=content)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), (path, code)
        assert answer.headers["Sim-Request-Id"]
    assert await shop.kinds() == ["authorized"]


async def test_a_signing_secret_asks_for_signed_bodies(simulated: Simulated, shop: Shop) -> None:
    async with shop_at(simulated, shop.name + "_s", signing_secret="a-secret-of-ours") as signing:
        body = json.dumps(
            {"reference": "r", "amount": 5, "currency": "KWD", "capture": True, "card": CARD}
        ).encode()
        sign = hmac_sha256(b"a-secret-of-ours", body).hex()
        for header, status in ((sign, 201), (sign[:-1] + "g", 401), ("", 401), ("é", 401)):
            answer = await signing.http.post(
                "/v1/payments",
                content=body,
                headers={b"Idempotency-Key": b"k", b"Sim-Body-Signature": header.encode()},
            )
            assert answer.status_code == status
        assert await signing.kinds() == ["captured"]


# --- idempotency --------------------------------------------------------------------------------------


async def test_a_key_is_answered_as_before_whatever_happened_since(shop: Shop) -> None:
    key = shop.fresh("key")
    first = await shop.pay(key=key, reference="att_same")
    path = f"/v1/payments/{first.json()['id']}"
    voided = await shop.post(f"{path}/voids", "void-key", reference="v")
    for _ in range(2):
        again = await shop.pay(key=key, reference="att_same")
        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["Idempotent-Replayed"] == "true"
        void_again = await shop.post(f"{path}/voids", "void-key", reference="v")
        assert void_again.content == voided.content
    assert await shop.kinds() == ["authorized", "voided"]


async def test_a_repeat_without_the_cvc_is_the_same_wish(shop: Shop) -> None:
    first = await shop.pay(key="k-cvc", reference="r")
    again = await shop.pay(key="k-cvc", reference="r", card=CARD)
    assert again.content == first.content


async def test_a_key_with_another_body_is_refused(shop: Shop) -> None:
    payment = (await shop.pay(key="k-1", reference="r")).json()
    others = [
        await shop.pay(key="k-1", reference="r", amount=999),
        await shop.pay(key="k-1", reference="other"),
        await shop.pay("5555555555554444", key="k-1", reference="r"),
        await shop.post(f"/v1/payments/{payment['id']}/voids", "k-1", reference="r"),
    ]
    assert [(each.status_code, each.json()["error"]["code"]) for each in others] == [
        (422, "idempotency_mismatch")
    ] * 4
    assert await shop.kinds() == ["authorized"]


async def test_a_decline_and_a_refused_operation_are_replayed_too(shop: Shop) -> None:
    payment = await shop.paid()
    path = f"/v1/payments/{payment['id']}/captures"
    body = {"reference": "r", "amount": 5000, "final": False}
    first = await shop.post(path, "k", **body)
    await shop.post(f"/v1/payments/{payment['id']}/increments", reference="i", amount=9000)
    assert (await shop.post(path, "k", **body)).content == first.content
    assert first.json()["status"] == "failed"


async def test_keys_of_two_accounts_are_apart(simulated: Simulated, shop: Shop) -> None:
    async with shop_at(simulated, shop.name + "_2") as other:
        mine = (await shop.pay(key="k", reference="r")).json()
        theirs = (await other.pay(key="k", reference="r")).json()
    assert mine["id"] != theirs["id"]


async def test_a_key_at_once_from_many_clients_is_executed_once(shop: Shop) -> None:
    payment = await shop.paid(amount=100_000)
    path = f"/v1/payments/{payment['id']}/captures"
    await shop.control.faults(latency_ms=300)
    try:
        for n in range(3):
            body = {"reference": f"c{n}", "amount": 100, "final": False}
            answers = await asyncio.gather(*(shop.post(path, f"k{n}", **body) for _ in range(12)))
            assert {answer.status_code for answer in answers} == {201, 409}
            done = [answer for answer in answers if answer.status_code == 201]
            replayed = [answer for answer in done if "Idempotent-Replayed" in answer.headers]
            assert len(replayed) == len(done) - 1
            codes = {a.json()["error"]["code"] for a in answers if a.status_code == 409}
            assert codes == {"idempotency_in_flight"}
            other = await asyncio.gather(
                shop.post(path, f"j{n}", **body), shop.post(path, f"j{n}", **{**body, "amount": 1})
            )
            assert sorted(answer.status_code for answer in other) == [201, 422]
    finally:
        await shop.control.faults(latency_ms=0)
    assert Counter(await shop.kinds())["captured"] == 6


async def test_a_request_whose_client_has_gone_is_executed_once(shop: Shop) -> None:
    await shop.control.faults(latency_ms=600)
    try:
        for n in range(8):
            with pytest.raises(httpx.ReadTimeout):
                await shop.http.post(
                    "/v1/payments",
                    json={"reference": f"g{n}", "amount": 5, "currency": "AED", "capture": True,
                          "card": CARD},
                    headers={"Idempotency-Key": f"g{n}"},
                    timeout=httpx.Timeout(10, read=0.1),
                )  # fmt: skip
    finally:
        await shop.control.faults(latency_ms=0)
    for n in range(8):
        again = await answered(lambda n=n: shop.pay(key=f"g{n}", reference=f"g{n}", amount=5, capture=True, card=CARD))  # type: ignore[misc] # fmt: skip
        assert again.headers["Idempotent-Replayed"] == "true"
    assert await shop.kinds() == ["captured"] * 8


# --- challenge ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "approve", "status", "code"),
    [
        ("4000002760003184", True, "authorized", None),
        ("4000002760003184", False, "declined", "authentication_failed"),
        ("4000008260003178", True, "declined", "insufficient_funds"),
    ],
)
async def test_a_challenge_is_answered_on_its_page(
    shop: Shop, number: str, *, approve: bool, status: str, code: str | None
) -> None:
    back = "http://127.0.0.1:9/back?basket=7&x=%20#top"
    payment = await shop.paid(number, return_url=back)
    assert payment["status"] == "requires_action"
    url = payment["action"]["url"]
    page = await shop.http.get(url)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = page.headers["Content-Security-Policy"]
    assert "form-action 'self' http://127.0.0.1:9;" in policy
    assert "default-src 'none'" in policy
    for part in (
        '<html lang="en">',
        "<title>",
        "<h1>",
        "10.00 AED",
        f"ending in {number[-4:]}",
        "Approve",
        "Fail",
    ):
        assert part in page.text
    assert "<script" not in page.text
    came = await shop.control.challenge(url, approve=approve)
    assert came == f"http://127.0.0.1:9/back?basket=7&x=%20&payment={payment['id']}#top"
    after = (await shop.http.get(f"/v1/payments/{payment['id']}")).json()
    assert (after["status"], after["decline_code"], after["action"]) == (status, code, None)
    assert await shop.control.challenge(url, approve=not approve) is None, "it is over"
    assert "over" in (await shop.http.get(url)).text
    assert (await shop.http.get(f"/v1/payments/{payment['id']}")).json() == after


async def test_a_challenge_without_a_return_url_ends_on_its_page(shop: Shop) -> None:
    payment = await shop.paid("4000002500003155")
    url = payment["action"]["url"]
    assert (await shop.http.post(url, data={"outcome": "maybe"})).status_code == 422
    done = await shop.http.post(url, data={"outcome": "approve"})
    assert (done.status_code, "Thank you" in done.text) == (200, True)
    assert await shop.kinds() == ["action_required", "authorized"]
