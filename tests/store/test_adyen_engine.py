# SPDX-License-Identifier: Apache-2.0
"""Adyen through the whole of a service, at a strict stand-in: challenges, lost answers, notices, technical cancels."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from adyen_shop import AdyenShop, adyen_ground, open_adyen_shop
from contracts.adyen_stand_in import CHALLENGED, DECLINED, HOSTED, AdyenStandIn
from contracts.adyen_words import DETAILS, published_browser
from database import Server
from polling import until
from service import Service
from strongroom.payments.processors.adyen import adapter as adyen

Ground = tuple[Service, AdyenStandIn]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ground(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    async with adyen_ground(server, tmp_path_factory.mktemp("adyen")) as made:
        yield made


@pytest.fixture(autouse=True)
def as_published(ground: Ground) -> None:
    ground[1].wrong.clear()
    ground[1].lost.clear()


async def reference(shop: AdyenShop, payment: str, at: int = 0) -> str:
    """Return what Adyen calls an attempt."""
    attempt = (await shop.attempts(payment))[at]
    return f"{attempt['id']}-{attempt['operation']}"


async def test_authorize_capture_and_refund_are_told_by_notices(ground: Ground) -> None:
    shop = await open_adyen_shop(*ground)
    answer = await shop.pay()
    assert (answer.status_code, answer.json()["status"]) == (201, "requires_capture"), answer.text
    payment = answer.json()["id"]
    captured = await shop.gateway.post(f"/v1/payments/{payment}/capture", {"amount": 600})
    assert captured.status_code == 202, captured.text
    await shop.tell("CAPTURE", await reference(shop, payment, 1), 600)
    balances = (await shop.payment(payment))["balances"]
    assert (balances["captured"], balances["voided"]) == (600, 400)
    refunded = await shop.gateway.post(f"/v1/payments/{payment}/refunds", {"amount": 250})
    assert refunded.status_code == 202, refunded.text
    await shop.tell("REFUND", await reference(shop, payment, 2), 250)
    await shop.tell("CHARGEBACK", await reference(shop, payment), 350)
    balances = (await shop.payment(payment))["balances"]
    assert (balances["refunded"], balances["disputed"], balances["refundable"]) == (250, 350, 0)
    assert await shop.results() == ["believed"] * 3
    assert ground[1].wrong == []


async def test_a_decline_is_said_with_adyens_reason(ground: Ground) -> None:
    shop = await open_adyen_shop(*ground)
    answer = await shop.pay(DECLINED)
    assert (answer.status_code, answer.json()["decline_code"]) == (402, "insufficient_funds")


async def test_a_challenge_is_finished_with_what_the_customer_brings_back(ground: Ground) -> None:
    shop, there = await open_adyen_shop(*ground), ground[1]
    answer = await shop.pay(CHALLENGED, return_url="https://shop.example/done")
    shown = answer.json()
    assert (shown["status"], shown["next_action"]["url"]) == ("requires_action", HOSTED)
    payment = shown["id"]
    there.results["X6XtfGC3!Y..."] = await reference(shop, payment)
    back = await shop.come_back(payment, redirectResult="X6XtfGC3!Y...")
    assert back.status_code == 303
    assert "redirectResult" not in back.headers["location"]
    found = await shop.until_status(payment, "requires_capture")
    assert found["balances"]["authorized"] == 1_000
    (attempt,) = await shop.attempts(payment)
    assert (attempt["outcome"], attempt["basis"]) == ("approved", "lookup")
    assert there.wrong == []


async def test_what_belongs_to_another_payment_finishes_none(ground: Ground) -> None:
    """Somebody pays a little, and brings the result of that to a larger payment."""
    shop, there = await open_adyen_shop(*ground), ground[1]
    cheap = (await shop.pay(CHALLENGED, amount=1)).json()["id"]
    dear = (await shop.pay(CHALLENGED, amount=100_000)).json()["id"]
    there.results["cheap"] = await reference(shop, cheap)
    for word in ("cheap", "never-given", "x" * 9_000, "4242424242424242"):
        assert (await shop.come_back(dear, redirectResult=word)).status_code in (200, 400, 414, 422)

    async def handed_on() -> bool | None:
        words = {
            tree["details"]["redirectResult"]
            for route, tree, _ in there.requests
            if route == "continue"
        }
        return {"cheap", "never-given"} <= words or None

    await until(handed_on, what="both words to be handed on")
    assert (await shop.payment(dear))["status"] == "requires_action"
    there.results["dear"] = await reference(shop, dear)
    await shop.come_back(dear, redirectResult="dear")
    await shop.until_status(dear, "requires_capture")
    assert not any(
        tree["details"]["redirectResult"].startswith(("xx", "4242"))
        for route, tree, _ in there.requests
        if route == "continue"
    )


async def test_an_answer_that_is_lost_is_found_by_the_same_key(ground: Ground) -> None:
    shop, there = await open_adyen_shop(*ground), ground[1]
    there.lost.append("authorize")
    answer = await shop.pay()
    assert (answer.status_code, answer.json()["status"]) == (202, "processing"), answer.text
    payment = answer.json()["id"]
    await shop.until_status(payment, "requires_capture")
    name = await reference(shop, payment)
    assert [each for each in there.journal if each[1] == name] == [("authorize", name, 1_000)]
    assert (await shop.attempts(payment))[0]["basis"] == "replay"


async def test_a_challenge_is_asked_for_with_the_customers_browser(ground: Ground) -> None:
    """As Adyen describes it, and byte for byte the same where an answer that was lost is asked for again."""
    shop, there = await open_adyen_shop(*ground), ground[1]
    before = len(there.requests)
    there.lost.append("authorize")
    browser = published_browser()
    answer = await shop.pay(CHALLENGED, customer_browser=browser, three_ds="challenge")
    assert (answer.status_code, answer.json()["status"]) == (202, "processing"), answer.text
    await shop.until_status(answer.json()["id"], "requires_action")
    first, again = there.requests[before:]
    assert first == again
    assert (first[0], first[1]["channel"]) == ("authorize", "Web")
    told = first[1]["browserInfo"]
    assert told["userAgent"] == browser["user_agent"]
    assert told["acceptHeader"] == browser["accept_header"]
    assert {ours: told[theirs] for theirs, ours in DETAILS.items()} == browser["details"]
    assert there.wrong == []


async def test_a_browser_may_come_with_the_confirmation(ground: Ground) -> None:
    shop, there = await open_adyen_shop(*ground), ground[1]
    made = (await shop.pay(confirm=False, customer_browser=published_browser())).json()["id"]
    browser = {**published_browser(), "user_agent": "Mozilla/5.0 (of the confirmation)"}
    answer = await shop.gateway.post(f"/v1/payments/{made}/confirm", {"customer_browser": browser})
    assert answer.status_code == 200, answer.text
    assert there.requests[-1][1]["browserInfo"]["userAgent"] == browser["user_agent"]
    assert there.wrong == []


async def test_an_answer_that_is_lost_is_told_by_a_notice(ground: Ground) -> None:
    shop, there = await open_adyen_shop(*ground, finding="by_notice"), ground[1]
    there.lost.append("authorize")
    payment = (await shop.pay()).json()["id"]
    assert (await shop.payment(payment))["status"] == "processing"
    name = await reference(shop, payment)
    await shop.tell("AUTHORISATION", name, 999, pspReference=there.payments[name])
    assert (await shop.payment(payment))["status"] == "processing"
    await shop.tell("AUTHORISATION", name, pspReference=there.payments[name])
    assert (await shop.payment(payment))["status"] == "requires_capture"
    assert await shop.results() == ["differs", "believed"]
    assert sum(each[1] == name for each in there.journal) == 1


async def test_what_nobody_tells_of_is_called_back_in_the_end(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is lost and no notice comes: at the deadline Adyen is asked to release it, by our reference."""
    shop, there = await open_adyen_shop(*ground, finding="by_notice"), ground[1]
    there.lost.append("authorize")
    payment = (await shop.pay()).json()["id"]
    name = await reference(shop, payment)
    monkeypatch.setattr(adyen, "CALL_BACK_SECONDS", 0)

    async def called() -> bool | None:
        return ("call_back", name, 0) in there.journal or None

    await until(called, what="the technical cancel")
    assert (await shop.payment(payment))["status"] == "processing"
    await shop.tell("TECHNICAL_CANCEL", name, originalReference=there.payments[name])
    found = await shop.payment(payment)
    assert (found["status"], found["balances"]["voided"]) == ("canceled", 1_000)
    await shop.tell("AUTHORISATION", name, pspReference=there.payments[name])
    assert (await shop.payment(payment))["status"] == "canceled"
    assert await shop.results() == ["believed", "agrees"]
    keys = {
        key
        for route, tree, key in there.requests
        if route == "call_back" and tree["paymentReference"] == name
    }
    assert len(keys) == 1, "repeated under one key"
    assert there.wrong == []
