# SPDX-License-Identifier: Apache-2.0
"""What Stripe's objects say in our words, whichever way they came: answer, look or event."""

from datetime import UTC, datetime
from typing import Final, TypeVar

from strongroom.payments.declines import ADVICE, DeclineCode
from strongroom.payments.model import Basis, Found, Operation, Outcome
from strongroom.payments.ports import AnswerSurprising
from strongroom.payments.processors.stripe.amounts import amount_from_stripe
from strongroom.payments.processors.stripe.checks import checks_of
from strongroom.payments.processors.stripe.declines import (
    REFUND_FAILURES,
    read_decline,
)
from strongroom.payments.processors.stripe.wire import (
    ChargedOut,
    IntentOut,
    LastErrorOut,
    RefundOut,
)
from strongroom.payments.published import decoded

#: Members of metadata: the attempt that an object was made for; its payment; the capture, and the last raise, of later.
ATTEMPT: Final = "strongroom_attempt"
PAYMENT: Final = "strongroom_payment"
CAPTURE: Final = "strongroom_capture"
INCREMENT: Final = "strongroom_increment"

Shape = TypeVar("Shape")


def decline_of(error: LastErrorOut, basis: Basis, reference: str | None = None) -> Found:
    """Say in our words why a card was declined; Stripe's own word stays as the reason."""
    word = error.decline_code or error.code
    code, advice = read_decline(word, error.advice_code)
    return Found(
        Outcome.DECLINED,
        basis,
        processor_reference=reference,
        decline_code=code.value,
        advice=advice.value,
        reason=word,
    )


def operation_of(intent: IntentOut) -> Operation:
    """Say which of ours began a PaymentIntent."""
    return Operation.AUTHORIZE if intent.capture_method == "manual" else Operation.SALE


def ended(intent: IntentOut, basis: Basis) -> Found:
    """Say what a PaymentIntent says that was canceled before it charged anybody: a challenge that nobody took."""
    code = DeclineCode.CANCELED_BY_CUSTOMER
    return Found(
        Outcome.DECLINED,
        basis,
        processor_reference=intent.id,
        decline_code=code.value,
        advice=ADVICE[code].value,
        reason="canceled",
    )


def authorization_known(intent: IntentOut, basis: Basis) -> Found:
    """Say what a PaymentIntent says of the authorization or sale that began it.

    Raises:
        AnswerSurprising: it stands where it cannot, or says no way forward.
    """
    amount, currency = amount_from_stripe(intent.amount, intent.currency)
    if intent.status == "processing":
        return Found(Outcome.PENDING, basis, processor_reference=intent.id, currency=currency)
    if intent.status == "requires_action":
        action = intent.next_action
        if action is None or action.redirect_to_url is None or action.redirect_to_url.url is None:
            raise AnswerSurprising
        return Found(
            Outcome.PENDING,
            basis,
            processor_reference=intent.id,
            currency=currency,
            action_url=action.redirect_to_url.url,
        )
    canceled = intent.status == "canceled" and intent.latest_charge is None
    if canceled and basis is not Basis.ANSWER:  # which is about what was just begun
        return ended(intent, basis)
    if intent.status == "requires_payment_method" and intent.last_payment_error is not None:
        return decline_of(intent.last_payment_error, basis, intent.id)
    held = {
        ("manual", "requires_capture"): intent.amount_capturable,
        ("manual", "succeeded"): intent.amount,
        ("automatic", "succeeded"): intent.amount_received,
    }.get((intent.capture_method, intent.status), 0)
    authorized, _ = amount_from_stripe(held, intent.currency)
    if not 0 < authorized <= amount:
        raise AnswerSurprising
    charge = intent.latest_charge
    told = checks_of(charge.payment_method_details if isinstance(charge, ChargedOut) else None)
    return Found(
        Outcome.APPROVED,
        basis,
        processor_reference=intent.id,
        scheme_transaction_id=told.scheme_transaction_id,
        avs_result=told.avs,
        cvc_result=told.cvc,
        amount=authorized,
        currency=currency,
        captured=authorized if intent.capture_method == "automatic" else None,
        capture_before=held_until(intent),
    )


def increment_known(intent: IntentOut, basis: Basis) -> Found:
    """Say what a PaymentIntent says of the raise that was asked for last: it holds that much now.

    Raises:
        AnswerSurprising: it holds nothing, or not all that it says.
    """
    if (intent.capture_method, intent.status) != ("manual", "requires_capture"):
        raise AnswerSurprising
    if intent.amount_capturable != intent.amount:
        raise AnswerSurprising
    return Found(
        Outcome.APPROVED,
        basis,
        processor_reference=intent.id,
        currency=intent.currency.upper(),
        capture_before=held_until(intent),
    )


def held_until(intent: IntentOut) -> datetime | None:
    """Say until when a PaymentIntent holds, where it says so."""
    charge = intent.latest_charge
    if intent.status != "requires_capture" or not isinstance(charge, ChargedOut):
        return None
    details = charge.payment_method_details
    card = None if details is None else details.card
    if card is None or card.capture_before is None:
        return None
    return datetime.fromtimestamp(card.capture_before, UTC)


def capture_known(intent: IntentOut, basis: Basis) -> Found:
    """Say what a captured PaymentIntent says of its capture, which is the only one.

    Raises:
        AnswerSurprising: it is not captured.
    """
    if intent.capture_method == "manual" and intent.status == "processing":
        return Found(Outcome.PENDING, basis, processor_reference=intent.id)
    if intent.capture_method != "manual" or intent.status != "succeeded":
        raise AnswerSurprising
    amount, currency = amount_from_stripe(intent.amount_received, intent.currency)
    return Found(
        Outcome.APPROVED,
        basis,
        processor_reference=intent.id,
        amount=amount,
        currency=currency,
    )


def void_known(intent: IntentOut, basis: Basis) -> Found:
    """Say what a canceled PaymentIntent says of the release that was asked for.

    Raises:
        AnswerSurprising: it is not canceled, or something of it was captured.
    """
    if intent.status != "canceled" or intent.amount_received:
        raise AnswerSurprising
    amount, currency = amount_from_stripe(intent.amount, intent.currency)
    return Found(
        Outcome.APPROVED,
        basis,
        processor_reference=intent.id,
        amount=amount,
        currency=currency,
    )


def refund_known(refund: RefundOut, basis: Basis) -> Found:
    """Say what a Refund says."""
    amount, currency = amount_from_stripe(refund.amount, refund.currency)
    if refund.status in ("pending", "requires_action"):
        return Found(Outcome.PENDING, basis, processor_reference=refund.id, currency=currency)
    if refund.status == "succeeded":
        return Found(
            Outcome.APPROVED,
            basis,
            processor_reference=refund.id,
            amount=amount,
            currency=currency,
        )
    word = refund.failure_reason or "unknown"
    return Found(
        Outcome.DECLINED,
        basis,
        processor_reference=refund.id,
        currency=currency,
        decline_code=REFUND_FAILURES.get(word, REFUND_FAILURES["unknown"]).value,
        reason=word,
    )


__all__ = [
    "ATTEMPT",
    "CAPTURE",
    "INCREMENT",
    "PAYMENT",
    "authorization_known",
    "capture_known",
    "decline_of",
    "decoded",
    "ended",
    "increment_known",
    "operation_of",
    "refund_known",
    "void_known",
]
