# SPDX-License-Identifier: Apache-2.0
"""What each processor says of how long it holds and of what was raised, in its own words; and what is surprising."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from contracts.adyen_words import ADAPTER as ADYEN
from contracts.adyen_words import asked as adyen_asked
from contracts.adyen_words import notification, reference
from contracts.checkout_peer import ADAPTER as CHECKOUT
from contracts.checkout_peer import about, sums
from contracts.checkout_peer import asked as checkout_asked
from contracts.checkout_peer import reply as checkout_reply
from contracts.checkout_reference import INCREMENTED, LISTED, PROCESSED
from contracts.processor import attempt, command
from contracts.stripe_words import event, intent, made, named, reply
from payment_makers import payment
from strongroom.payments.model import Attempt, Basis, Operation, Outcome
from strongroom.payments.ports import Adapter, AnswerSurprising, Command, Increments
from strongroom.payments.processors.simulator import SimulatorAdapter
from strongroom.payments.processors.stripe import StripeAdapter

STRIPE = StripeAdapter()
PAID = named("pi")
ENDS = datetime(2026, 11, 27, 9, 30, tzinfo=UTC)
CHARGE: dict[str, Any] = {
    "object": "charge",
    "id": named("ch"),
    "payment_method_details": {"type": "card", "card": {"capture_before": int(ENDS.timestamp())}},
}


@pytest.mark.parametrize("adapter", [ADYEN, CHECKOUT, SimulatorAdapter(), STRIPE])
def test_every_adapter_of_today_raises(adapter: Adapter) -> None:
    assert isinstance(adapter, Increments)


def stripe_intent(asked: Attempt, **members: Any) -> dict[str, Any]:
    metadata = {
        "strongroom_payment": asked.payment_id,
        "strongroom_attempt": asked.attempt_id
        if asked.operation.authorizes
        else "att_of_the_first",
        "strongroom_increment": asked.attempt_id,
    }
    told = {
        "id": PAID,
        "amount": asked.raises_to or asked.amount,
        "capture_method": "manual",
        "metadata": metadata,
        "latest_charge": CHARGE,
    }
    return intent("requires_capture", **{**told, **members})


@pytest.mark.parametrize(
    ("charge", "ends"),
    [
        (CHARGE, ENDS),
        ("ch_1", None),
        (None, None),
        ({**CHARGE, "payment_method_details": None}, None),
        ({**CHARGE, "payment_method_details": {"type": "card", "card": {}}}, None),
    ],
)
def test_stripe_says_until_when_a_charge_holds(charge: object, ends: datetime | None) -> None:
    asked = attempt(Operation.AUTHORIZE, instrument="pm_1")
    made_ = command(asked, PAID)
    body = stripe_intent(asked, latest_charge=charge)
    found = STRIPE.answer(made_, reply(200, body))
    assert (found.outcome, found.capture_before) == (Outcome.APPROVED, ends)


STRIPE_SAYS: list[tuple[dict[str, Any], str]] = [
    ({}, "approved"),
    ({"amount": 2_999}, "surprising"),
    ({"amount": 1_000}, "surprising"),
    ({"amount_capturable": 2_000}, "surprising"),
    ({"metadata": {"strongroom_payment": "…"}}, "surprising"),
    ({"capture_method": "automatic"}, "surprising"),
    ({"currency": "usd"}, "surprising"),
    ({"livemode": True}, "surprising"),
]


@pytest.mark.parametrize(("members", "word"), STRIPE_SAYS)
def test_stripe_raises_to_what_was_asked_or_is_not_believed(
    members: dict[str, Any], word: str
) -> None:
    asked = attempt(Operation.INCREMENT)
    try:
        found = STRIPE.answer(command(asked, PAID), reply(200, stripe_intent(asked, **members)))
    except AnswerSurprising:
        assert word == "surprising"
        return
    assert (found.outcome.value, found.amount, found.capture_before) == (word, 1_000, ENDS)


def test_stripes_event_of_a_raise_is_the_raises_and_of_the_whole() -> None:
    asked = attempt(Operation.INCREMENT)
    body = event("payment_intent.amount_capturable_updated", stripe_intent(asked))
    report = STRIPE.report(body)
    assert report is not None
    assert (report.operation, report.reference) == (Operation.INCREMENT, asked.attempt_id)
    assert (report.amount, report.of_total, report.found.amount) == (3_000, True, None)
    # A release of it all is the first authorization's, with the whole amount.
    charge = made(
        "charge",
        id=named("ch"),
        status="succeeded",
        amount=3_000,
        amount_captured=0,
        amount_refunded=3_000,
        currency="aed",
        captured=False,
        payment_intent=PAID,
        metadata={"strongroom_attempt": asked.attempt_id},
    )
    gone = STRIPE.report(event("charge.expired", charge))
    assert gone is not None
    assert (gone.operation, gone.amount, gone.found.released) == (Operation.AUTHORIZE, 3_000, 3_000)


def test_adyen_is_told_the_whole_and_that_it_is_an_estimate() -> None:
    asked = adyen_asked(Operation.INCREMENT, raises_to=3_000)
    whole = {"currency": "AED", "value": 3_000}
    body: Any = ADYEN.template(asked).body
    assert body["amount"] == whole
    begun = adyen_asked(Operation.AUTHORIZE)
    for estimated in (False, True):
        estimate = _estimated(begun, estimated=estimated)
        sent: Any = ADYEN.template(estimate).body
        more = sent["additionalData"]
        assert more.get("authorisationType") == ("PreAuth" if estimated else None)


def test_adyens_notice_of_a_raise_is_of_the_whole() -> None:
    asked = adyen_asked(Operation.INCREMENT, raises_to=3_000)
    amount = {"currency": "AED", "value": 3_000}
    report = ADYEN.report(notification("AUTHORISATION_ADJUSTMENT", reference(asked), amount=amount))
    assert report is not None
    assert (report.operation, report.of_total) == (Operation.INCREMENT, True)
    assert (report.found.outcome, report.found.amount) == (Outcome.APPROVED, None)


def test_checkout_is_told_an_estimate_and_says_until_when_it_holds() -> None:
    begun = checkout_asked(Operation.AUTHORIZE)
    for estimated, word in ((False, None), (True, "Estimated")):
        body: Any = CHECKOUT.template(_estimated(begun, estimated=estimated)).body
        assert body.get("authorization_type") == word
    for text, ends in (
        ("2026-11-27T09:30:00Z", ENDS),
        ("2026-11-27T09:30:00", None),
        ("next week", None),
        (..., None),
    ):
        told = about(begun.attempt, PROCESSED, balances=sums(1_000), expires_on=text)
        found = CHECKOUT.answer(begun, checkout_reply(201, told))
        assert (found.outcome, found.capture_before) == (Outcome.APPROVED, ends)


CHECKOUT_SAYS: list[tuple[dict[str, Any], str]] = [
    ({}, "approved"),
    ({"balances": ...}, "approved"),
    ({"approved": False, "response_code": "20051"}, "declined"),
    ({"approved": False}, "surprising"),
    ({"response_code": "20051"}, "surprising"),
    ({"amount": 3_000}, "surprising"),
    ({"currency": "USD"}, "surprising"),
    ({"reference": "ORD-1"}, "surprising"),
    ({"balances": sums(2_000)}, "surprising"),
    ({"action_id": ...}, "surprising"),
]


@pytest.mark.parametrize(("members", "word"), CHECKOUT_SAYS)
def test_checkout_raises_by_what_was_asked_or_is_not_believed(
    members: dict[str, Any], word: str
) -> None:
    asked = checkout_asked(Operation.INCREMENT)
    told = about(asked.attempt, INCREMENTED, **{"balances": sums(3_000), **members})
    try:
        found = CHECKOUT.answer(asked, checkout_reply(201, told))
    except AnswerSurprising:
        assert word == "surprising"
        return
    assert found.outcome.value == word
    if word == "approved":
        assert (found.amount, found.processor_reference) == (1_000, told["action_id"])
        assert found.capture_before == datetime(2023, 6, 28, 17, 17, 25, tzinfo=UTC)


def test_a_look_at_a_hold_that_was_raised_finds_the_first_authorization() -> None:
    """Only once it was seen: a hold of more than was asked for, that nobody raised, is surprising."""
    first = attempt(Operation.AUTHORIZE)
    told = about(first, LISTED, amount=3_000, status="Voided", balances=sums(3_000, 3_000))
    body = {"total_count": 1, "data": [told]}
    with pytest.raises(AnswerSurprising):
        CHECKOUT.found(first, checkout_reply(200, body))
    found = CHECKOUT.found(replace(first, outcome=Outcome.APPROVED), checkout_reply(200, body))
    assert found is not None
    assert (found.outcome, found.basis, found.released) == (
        Outcome.APPROVED,
        Basis.LOOKUP,
        3_000,
    )
    assert found.amount == 1_000


def _estimated(begun: Command, *, estimated: bool) -> Command:
    return Command(
        attempt=begun.attempt,
        payment=payment(estimated=estimated),
        authorization=begun.authorization,
        with_cvc=begun.with_cvc,
        return_url=begun.return_url,
    )
