# SPDX-License-Identifier: Apache-2.0
"""What each processor is told of stored cards, judged by what it publishes; and what it tells beside."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import jsonschema
import msgspec
import pytest

from contracts import adyen_words, checkout_peer
from contracts.checkout_reference import PROCESSED, REQUESTS
from contracts.processor import attempt
from contracts.stripe_judge import judged
from contracts.stripe_words import intent, made, named, reply
from payment_makers import payment
from strongroom.kernel.ids import TokenId
from strongroom.kernel.mode import Mode
from strongroom.payments.model import Check, Found, Operation, Outcome
from strongroom.payments.ports import Adapter, Command, Prepares
from strongroom.payments.processors.adyen.results import AVS, CVC
from strongroom.payments.processors.simulator import SimulatorAdapter
from strongroom.payments.processors.stripe import StripeAdapter
from strongroom.payments.stored import Initiator, Stage, StoredCredential, StoredReason, readable_id
from strongroom.vault import Slot, Template
from strongroom.vault.destinations import Destinations
from strongroom.vault.template import encoded, filled, slots_of

STRIPE: Final = StripeAdapter()
SIMULATOR: Final = SimulatorAdapter()
TOKEN: Final = TokenId("tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB")
#: What the scheme called the first payment.
FIRST: Final = "489341065491658"
CARD: Final[dict[Slot, str | int]] = {
    Slot.CARD_NUMBER: "4242424242424242",
    Slot.CARD_EXP_MONTH: 7,
    Slot.CARD_EXP_MONTH_DIGITS: "07",
    Slot.CARD_EXP_YEAR: 2034,
    Slot.CARD_EXP_YEAR_DIGITS: "2034",
    Slot.CARD_CVC: "123",
}
CUSTOMER, MERCHANT = Initiator.CUSTOMER, Initiator.MERCHANT
ONE_OFF, RECURRING = StoredReason.ONE_OFF, StoredReason.RECURRING
INSTALMENT, UNSCHEDULED = StoredReason.INSTALMENT, StoredReason.UNSCHEDULED
INITIAL, LATER = Stage.INITIAL, Stage.LATER
Said = tuple[Initiator, StoredReason, Stage]
#: Everything that can be said.
SAID: Final[list[Said]] = [
    *((CUSTOMER, reason, stage) for reason in StoredReason for stage in Stage),
    *((MERCHANT, reason, LATER) for reason in StoredReason if reason is not ONE_OFF),
]


def command(said: Said | None, operation: Operation = Operation.SALE, **more: Any) -> Command:
    """A payment with a stored card, ready to be asked for."""
    stored = None if said is None else StoredCredential(*said)
    later = stored is not None and not stored.begins
    asked = attempt(operation, initial_transaction_id=FIRST if later else None, **more)
    return Command(
        attempt=asked,
        payment=payment(stored_credential=stored, token_id=TOKEN, amount=asked.amount),
        authorization=None,
        return_url="https://pay.example/v1/returns/x",
    )


def body_of(adapter: Adapter, asked: Command) -> dict[str, Any]:
    """Return a request's body as the vault sends it, after it took the template as it stands."""
    template = adapter.template(asked)
    matched = Destinations([adapter.destination]).matched(adapter.name, Mode.TEST, template)
    body = filled(matched.body, CARD)
    assert isinstance(body, dict)
    return body


def adyen(asked: Command) -> dict[str, Any]:
    body = body_of(adyen_words.ADAPTER, asked)
    assert adyen_words.complaints("/payments", None, body) == []
    return {
        name: body.get(name)
        for name in ("shopperInteraction", "recurringProcessingModel", "shopperReference")
    } | {"network": body["paymentMethod"].get("networkPaymentReference")}


def checkout(asked: Command) -> dict[str, Any]:
    body = body_of(checkout_peer.ADAPTER, asked)
    jsonschema.Draft202012Validator(REQUESTS["authorize"][2]).validate(body)
    names = ("payment_type", "merchant_initiated", "previous_payment_id", "3ds", "success_url")
    return {name: body.get(name) for name in names} | {"stored": body["source"].get("stored")}


def stripe(asked: Command) -> dict[str, Any]:
    named_card = msgspec.structs.replace(asked.attempt, instrument="pm_prepared")
    template = STRIPE.template(replace(asked, attempt=named_card))
    matched = Destinations([STRIPE.destination]).matched("stripe", Mode.TEST, template)
    sent = encoded(filled(matched.body, CARD), matched.route.content_type)
    body = judged(matched.route.method, template.path, dict(template.query), sent)
    names = ("off_session", "setup_future_usage", "expand", "return_url")
    return {name: body[name] for name in names if name in body}


def simulator(asked: Command) -> dict[str, Any]:
    body = body_of(SIMULATOR, asked)
    return {"stored": body.get("stored"), "return_url": body.get("return_url")}


THERE: Final = "https://pay.example/v1/returns/x"
NO_3DS: Final = {"enabled": False, "allow_upgrade": False}
MAY_3DS: Final = {"enabled": False, "allow_upgrade": True}


@pytest.mark.parametrize(
    ("said", "interaction", "model", "network"),
    [
        (None, None, None, None),
        ((CUSTOMER, ONE_OFF, INITIAL), "Ecommerce", "CardOnFile", None),
        ((CUSTOMER, ONE_OFF, LATER), "ContAuth", "CardOnFile", FIRST),
        ((CUSTOMER, RECURRING, INITIAL), "Ecommerce", "Subscription", None),
        ((CUSTOMER, UNSCHEDULED, INITIAL), "Ecommerce", "UnscheduledCardOnFile", None),
        ((MERCHANT, RECURRING, LATER), "ContAuth", "Subscription", FIRST),
        ((MERCHANT, INSTALMENT, LATER), "ContAuth", "Subscription", FIRST),
        ((MERCHANT, UNSCHEDULED, LATER), "ContAuth", "UnscheduledCardOnFile", FIRST),
    ],
)
def test_adyen_is_told_so(
    said: Said | None, interaction: str | None, model: str | None, network: str | None
) -> None:
    assert adyen(command(said)) == {
        "shopperInteraction": interaction,
        "recurringProcessingModel": model,
        "shopperReference": None if said is None else TOKEN,
        "network": network,
    }


@pytest.mark.parametrize(
    ("said", "kind", "by_merchant", "previous", "stored"),
    [
        (None, None, None, None, None),
        ((CUSTOMER, ONE_OFF, INITIAL), "Regular", False, None, None),
        ((CUSTOMER, ONE_OFF, LATER), "Regular", False, FIRST, True),
        ((CUSTOMER, RECURRING, INITIAL), "Recurring", False, None, None),
        ((MERCHANT, RECURRING, LATER), "Recurring", True, FIRST, True),
        ((MERCHANT, INSTALMENT, LATER), "Installment", True, FIRST, True),
        ((MERCHANT, UNSCHEDULED, LATER), "Unscheduled", True, FIRST, True),
    ],
)
def test_checkout_is_told_so(
    said: Said | None,
    kind: str | None,
    by_merchant: bool | None,  # noqa: FBT001 - a row of the table
    previous: str | None,
    stored: bool | None,  # noqa: FBT001 - a row of the table
) -> None:
    assert checkout(command(said)) == {
        "payment_type": kind,
        "merchant_initiated": by_merchant,
        "previous_payment_id": previous,
        "stored": stored,
        "3ds": NO_3DS if by_merchant else MAY_3DS,
        "success_url": None if by_merchant else THERE,
    }


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (None, {"return_url": THERE}),
        (
            (CUSTOMER, ONE_OFF, INITIAL),
            {
                "return_url": THERE,
                "setup_future_usage": "on_session",
                "expand": ["latest_charge"],
            },
        ),
        (
            (CUSTOMER, RECURRING, INITIAL),
            {
                "return_url": THERE,
                "setup_future_usage": "off_session",
                "expand": ["latest_charge"],
            },
        ),
        ((CUSTOMER, ONE_OFF, LATER), {"return_url": THERE}),
        ((MERCHANT, RECURRING, LATER), {"off_session": True}),
        ((MERCHANT, UNSCHEDULED, LATER), {"off_session": True}),
    ],
)
def test_stripe_is_told_so(said: Said | None, expected: dict[str, Any]) -> None:
    assert stripe(command(said)) == expected


@pytest.mark.parametrize("said", SAID)
def test_the_simulator_is_told_so(said: Said) -> None:
    initiator, reason, stage = said
    told = {"initiator": initiator.value, "reason": reason.value, "stage": stage.value}
    if stage is LATER:
        told["network_transaction_id"] = FIRST
    there = None if initiator is MERCHANT else THERE
    assert simulator(command(said)) == {"stored": told, "return_url": there}


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("operation", [Operation.AUTHORIZE, Operation.SALE, Operation.VERIFY])
@pytest.mark.parametrize("judge", [adyen, checkout, stripe, simulator])
def test_whatever_is_said_is_published(
    said: Said, operation: Operation, judge: Callable[[Command], dict[str, Any]]
) -> None:
    judge(command(said, operation))


@pytest.mark.parametrize("said", [each for each in SAID if each[0] is MERCHANT])
@pytest.mark.parametrize("adapter", [adyen_words.ADAPTER, checkout_peer.ADAPTER, STRIPE, SIMULATOR])
def test_what_a_merchant_begins_carries_no_code_and_leads_to_no_challenge(
    said: Said, adapter: Adapter
) -> None:
    asked = command(said)
    assert asked.nobody_there
    template: Template | None = None
    if isinstance(adapter, Prepares):
        template = adapter.prepare(asked)
    template = template or adapter.template(asked)
    assert Slot.CARD_CVC not in slots_of(template.body).values()


# --- what they tell ---------------------------------------------------------------------------------


def test_adyen_tells_what_scheme_and_issuer_said() -> None:
    asked = command((CUSTOMER, RECURRING, INITIAL))
    body = {
        **adyen_words.vectors("checkout-v71-examples.json")["post-payments-card-direct-200"],
        "merchantReference": adyen_words.reference(asked),
    }
    body["additionalData"] = {**body["additionalData"], "networkTxReference": FIRST}
    assert adyen_words.complaints("/payments", "200", body) == []
    found = adyen_words.ADAPTER.answer(asked, adyen_words.reply(200, body))
    assert told(found) == (FIRST, Check.UNAVAILABLE, Check.MATCH)
    body["additionalData"] |= {"networkTxReference": "4242424242424242", "cvcResult": "77 New"}
    found = adyen_words.ADAPTER.answer(asked, adyen_words.reply(200, body))
    assert (found.outcome, *told(found)) == (Outcome.APPROVED, None, Check.UNAVAILABLE, None)
    assert (set(AVS.values()), set(CVC.values())) == (
        set(Check),
        set(Check) - {Check.PARTIAL},
    )


def test_checkout_tells_what_scheme_and_issuer_said() -> None:
    asked = command((CUSTOMER, RECURRING, INITIAL))
    source = {**PROCESSED["source"], "avs_check": "P", "cvv_check": "Y"}
    body = checkout_peer.about(asked.attempt, PROCESSED, source=source)
    found = checkout_peer.ADAPTER.answer(asked, checkout_peer.reply(201, body))
    assert told(found) == (FIRST, Check.PARTIAL, Check.MATCH)
    refused = {"status": "Declined", "approved": False, "response_code": "20051"}
    source["cvv_check"] = "D"
    body = checkout_peer.about(asked.attempt, PROCESSED, source=source, **refused)
    found = checkout_peer.ADAPTER.answer(asked, checkout_peer.reply(201, body))
    assert (found.outcome, found.cvc_result) == (Outcome.DECLINED, Check.MISMATCH)


def test_stripe_tells_what_scheme_and_issuer_said() -> None:
    asked = command((CUSTOMER, RECURRING, INITIAL), Operation.SALE)
    details = made("charge")["payment_method_details"]
    details["card"] |= {"network_transaction_id": FIRST}
    details["card"]["checks"] |= {
        "address_line1_check": "pass",
        "address_postal_code_check": "fail",
    }
    ours = {
        "strongroom_attempt": asked.attempt.attempt_id,
        "strongroom_payment": asked.attempt.payment_id,
    }
    answer = intent(
        "succeeded",
        metadata=ours,
        capture_method="automatic",
        latest_charge=made("charge", payment_method_details=details),
    )
    assert told(STRIPE.answer(asked, reply(200, answer))) == (FIRST, Check.PARTIAL, Check.MATCH)
    answer["latest_charge"] = named("ch")
    assert told(STRIPE.answer(asked, reply(200, answer))) == (None, None, None)


def test_stripe_tells_what_an_issuer_said_of_a_card_that_is_only_verified() -> None:
    asked = command(None, Operation.VERIFY)
    ours = {
        "strongroom_attempt": asked.attempt.attempt_id,
        "strongroom_payment": asked.attempt.payment_id,
        "strongroom_currency": "AED",
    }
    tried = made("setup_attempt")
    tried["payment_method_details"] = {"type": "card", "card": {"checks": {"cvc_check": "pass"}}}
    answer = made(
        "setup_intent",
        id=named("seti"),
        status="succeeded",
        metadata=ours,
        latest_attempt=tried,
        last_setup_error=None,
        next_action=None,
    )
    found = STRIPE.answer(asked, reply(200, answer))
    assert (found.outcome, found.amount, *told(found)) == (
        Outcome.APPROVED,
        0,
        None,
        None,
        Check.MATCH,
    )


def told(found: Found) -> tuple[str | None, Check | None, Check | None]:
    return found.scheme_transaction_id, found.avs_result, found.cvc_result


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (FIRST, FIRST),
        ("MCC 123456 0912", "MCC 123456 0912"),
        (None, None),
        ("", None),
        ("x" * 65, None),
        ("a-b", None),
        ("a\n", None),
        ("4242424242424242", None),
    ],
)
def test_an_id_that_cannot_be_kept_is_left_out(text: str | None, kept: str | None) -> None:
    assert readable_id(text) == kept
