# SPDX-License-Identifier: Apache-2.0
"""What is done at Stripe without us, through the whole of a service: put aside, and no balance changes by it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from contracts.stripe_stand_in import CHALLENGED
from contracts.stripe_words import made
from database import Server
from event_shapes import events_of, misshapen
from stripe_shop import StripeGround, open_stripe_shop, stripe_ground


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ground(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[StripeGround]:
    async with stripe_ground(server, tmp_path_factory.mktemp("unasked")) as made_ready:
        yield made_ready


async def test_a_dashboards_capture_and_refund_and_a_dispute_are_put_aside(
    ground: StripeGround,
) -> None:
    shop = await open_stripe_shop(ground.living, ground.there)
    payment = (await shop.pay()).json()["id"]
    held = await shop.payment(payment)
    (attempt,) = await shop.attempts(payment)
    there = ground.there.intents[attempt["processor_reference"]]
    captured = {**there, "status": "succeeded", "amount_capturable": 0, "amount_received": 1_000}
    of_it = {"amount": 1_000, "currency": "aed", "payment_intent": there["id"]}
    charged = made(
        "charge",
        status="succeeded",
        captured=True,
        amount_refunded=1_000,
        metadata=there["metadata"],
        **of_it,
    )
    expected = []
    for kind, thing, result in (
        ("payment_intent.succeeded", captured, "differs"),
        ("charge.refunded", charged, "differs"),
        ("refund.created", made("refund", **of_it), "uncorrelated"),
        (
            "charge.dispute.created",
            made("dispute", **{**of_it, "payment_intent": "pi_ofsomebodyelse"}),
            "uncorrelated",
        ),
    ):
        await shop.tell(kind, thing)
        expected.append(result)
        assert await shop.results() == expected
    after = await shop.payment(payment)
    assert (after["status"], after["balances"]) == (held["status"], held["balances"])
    assert after["status"] == "requires_capture"


async def test_a_refund_of_ours_alarms_nobody_by_its_charge(ground: StripeGround) -> None:
    """`charge.refunded` follows our own refunds as well: the key of the request that caused it tells them apart."""
    shop = await open_stripe_shop(ground.living, ground.there)
    payment = (await shop.pay(capture_method="automatic")).json()["id"]
    answer = await shop.gateway.post(f"/v1/payments/{payment}/refunds", {"amount": 1_000})
    assert answer.status_code == 201, answer.text
    first, refund = await shop.attempts(payment)
    charged = made(
        "charge",
        amount=1_000,
        amount_refunded=1_000,
        currency="aed",
        status="succeeded",
        captured=True,
        payment_intent=first["processor_reference"],
        metadata=ground.there.intents[first["processor_reference"]]["metadata"],
    )
    request = {"id": "req_1", "idempotency_key": refund["attempt_id"]}
    await shop.tell("charge.refunded", charged, request=request)
    assert await shop.results() == ["not_about_a_payment"]


async def test_a_dispute_is_followed_by_stripes_name_of_the_payment(ground: StripeGround) -> None:
    """Opened, told twice, won: what is disputed cannot be refunded, and comes back."""
    shop = await open_stripe_shop(ground.living, ground.there)
    payment = (await shop.pay(capture_method="automatic")).json()["id"]
    (attempt,) = await shop.attempts(payment)
    of_it = {
        "amount": 600,
        "currency": "aed",
        "payment_intent": attempt["processor_reference"],
        "livemode": False,
    }
    expected = []
    for kind, status, result, disputed in (
        ("charge.dispute.created", "needs_response", "believed", 600),
        ("charge.dispute.funds_withdrawn", "needs_response", "agrees", 600),
        ("charge.dispute.updated", "under_review", "believed", 600),
        ("charge.dispute.closed", "won", "believed", 0),
        ("charge.dispute.funds_reinstated", "won", "agrees", 0),
        ("charge.dispute.created", "needs_response", "agrees", 0),
    ):
        await shop.tell(kind, made("dispute", **of_it, status=status))
        expected.append(result)
        assert await shop.results() == expected
        balances = (await shop.payment(payment))["balances"]
        assert (balances["disputed"], balances["refundable"]) == (disputed, 1_000 - disputed)
        if disputed:
            answer = await shop.gateway.post(f"/v1/payments/{payment}/refunds", {"amount": 500})
            assert (answer.status_code, answer.json()["code"]) == (422, "amount_beyond_left")
    (dispute,) = (await shop.gateway.get(f"/v1/disputes?payment={payment}")).json()["data"]
    assert (dispute["status"], dispute["counted"], dispute["reason"]) == ("won", 0, "general")
    assert dispute["evidence_due_by"] == "2024-08-14T23:59:59.000000Z"
    told = await events_of(shop.service)
    assert "dispute.updated" in {each["type"] for each in told}
    assert not misshapen(told)


async def test_a_challenge_is_found_passed_when_its_customer_is_back(ground: StripeGround) -> None:
    """No event comes: the PaymentIntent is asked for by its name."""
    shop = await open_stripe_shop(ground.living, ground.there)
    shown = (await shop.pay(CHALLENGED)).json()
    assert shown["status"] == "requires_action"
    (attempt,) = await shop.attempts(shown["id"])
    there = ground.there.intents[attempt["processor_reference"]]
    there |= {"status": "requires_capture", "amount_capturable": 1_000, "next_action": None}
    back = await shop.service.public.send("GET", f"/v1/returns/{shown['id']}", idempotency=None)
    assert back.status_code == 200
    found = await shop.until_settled(shown["id"])
    assert (found["status"], found["balances"]["authorized"]) == ("requires_capture", 1_000)
    (attempt,) = await shop.attempts(shown["id"])
    assert (attempt["outcome"], attempt["basis"]) == ("approved", "lookup")


async def test_a_challenge_that_nobody_took_is_found_ended(ground: StripeGround) -> None:
    shop = await open_stripe_shop(ground.living, ground.there)
    shown = (await shop.pay(CHALLENGED)).json()
    (attempt,) = await shop.attempts(shown["id"])
    there = ground.there.intents[attempt["processor_reference"]]
    there |= {"status": "canceled", "next_action": None, "latest_charge": None}
    found = await shop.until_settled(shown["id"])
    assert (found["status"], found["decline_code"]) == (
        "requires_payment_method",
        "canceled_by_customer",
    )
