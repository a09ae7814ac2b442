# SPDX-License-Identifier: Apache-2.0
"""What a merchant's wish does to a payment: an attempt that reserves its amount, or a refusal. Touches nothing."""

from dataclasses import replace
from datetime import datetime
from typing import Final

import msgspec

from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.events import EventType
from strongroom.kernel.ids import RefundId
from strongroom.payments.decisions import Asking, Card, Decided, decided_over
from strongroom.payments.errors import AmountBeyond, PaymentBusy, PaymentNotReady, PaymentUnresolved
from strongroom.payments.model import (
    Attempt,
    CaptureMethod,
    Loaded,
    Operation,
    Payment,
    Refund,
    RefundStatus,
    Status,
)

_replace: Final = msgspec.structs.replace
#: What one payment may come to, in minor units.
AMOUNT_MAX: Final = 999_999_999_999
_CONFIRMABLE: Final = frozenset({Status.REQUIRES_CONFIRMATION, Status.REQUIRES_PAYMENT_METHOD})


def start_authorization(loaded: Loaded, card: Card | None, asking: Asking) -> Decided:
    """Ask for the payment's amount, with a card.

    Raises:
        PaymentNotReady, PaymentUnresolved: it is not there any more, or not yet.
        Invalid: no card was given.
    """
    payment = loaded.payment
    _require_resolved(loaded)
    if payment.status not in _CONFIRMABLE or payment.authorized:
        raise PaymentNotReady
    if payment.discrepancy:
        # An approval was reported of an attempt that had ended, and is saved when it is told again: asking once more
        # would charge twice.
        raise PaymentUnresolved
    if card is None:
        raise Invalid(FieldError("/token", "field_missing", "a token is needed to confirm"))
    attempt = _attempt(payment, _beginning(payment), payment.amount, asking)
    stored = payment.stored_credential
    nobody_there = stored is not None and stored.by_merchant
    attempt = _replace(
        attempt,
        initial_transaction_id=card.initial_transaction_id,
        token_id=card.token if nobody_there else None,
        browser=None if nobody_there else asking.browser,
    )
    asked = _replace(
        payment,
        token_id=card.token,
        brand=card.brand,
        bin=card.bin,
        last4=card.last4,
        connection_id=asking.connection,
        decline_code=None,
        advice=None,
        action_url=None,
        # What was canceled was the retry of what came before: a decline of this one may be tried again.
        retry_at=None,
    )
    return decided_over(loaded, asked, attempt, now=asking.now)


def _beginning(payment: Payment) -> Operation:
    if not payment.amount:
        return Operation.VERIFY
    automatic = payment.capture_method is CaptureMethod.AUTOMATIC
    return Operation.SALE if automatic else Operation.AUTHORIZE


def start_capture(loaded: Loaded, amount: int | None, asking: Asking, *, final: bool) -> Decided:
    """Ask for money that is authorized: all that is left, or an amount of it; `final` releases what then remains.

    Raises:
        PaymentNotReady, PaymentBusy, PaymentUnresolved, AmountBeyond: see each.
    """
    payment = loaded.payment
    _require_authorized(loaded)
    _require_not_raised(payment)
    wanted = payment.capturable if amount is None else amount
    if wanted < 1 or wanted > payment.capturable:
        raise AmountBeyond(_left("captured", payment.capturable))
    releases = payment.capturable - wanted if final else 0
    if releases and payment.capturing:
        raise PaymentBusy(
            "another capture is under way: what it takes must be known before the rest is released"
        )
    attempt = _attempt(payment, Operation.CAPTURE, wanted, asking, releases=releases)
    return decided_over(loaded, payment, attempt, now=asking.now)


def start_void(loaded: Loaded, asking: Asking) -> Decided:
    """Ask to release what is authorized and not captured.

    Raises:
        PaymentNotReady, PaymentBusy, PaymentUnresolved: see each.
    """
    payment = loaded.payment
    _require_authorized(loaded)
    _require_not_raised(payment)
    if payment.capturing or payment.voiding:
        raise PaymentBusy
    if payment.capturable < 1:
        raise PaymentNotReady("nothing of this payment is left to release")
    attempt = _attempt(payment, Operation.VOID, payment.capturable, asking)
    return decided_over(loaded, payment, attempt, now=asking.now)


def start_increment(loaded: Loaded, amount: int, asking: Asking) -> Decided:
    """Ask to hold more, by so much. Only while nothing of the hold was taken or released, and nothing is under way.

    Raises:
        PaymentNotReady, PaymentBusy, PaymentUnresolved, AmountBeyond: see each.
    """
    payment, authorization = loaded.payment, loaded.authorization
    _require_authorized(loaded)
    if not payment.estimated:
        raise PaymentNotReady("this payment's amount is no estimate: it cannot be raised")
    if payment.capturing or payment.voiding or payment.incrementing:
        raise PaymentBusy
    holds = authorization is not None and authorization.operation is Operation.AUTHORIZE
    if not holds or payment.captured or payment.voided:
        raise PaymentNotReady("only a hold of which nothing was taken or released can be raised")
    total = payment.authorized + amount
    if amount < 1 or total > AMOUNT_MAX:
        raise AmountBeyond("more cannot be held of one payment")
    attempt = _replace(_attempt(payment, Operation.INCREMENT, amount, asking), raises_to=total)
    return decided_over(loaded, payment, attempt, now=asking.now)


def start_refund(
    loaded: Loaded, amount: int | None, refund: RefundId, asking: Asking, **more: object
) -> Decided:
    """Ask to give captured money back: all that is left of it, or an amount.

    Args:
        loaded: the payment.
        amount: minor units; None for all.
        refund: the new refund's id.
        asking: the attempt to be.
        more: `reason`, `reference` and `metadata` of the refund.

    Raises:
        PaymentNotReady, AmountBeyond: see each.
    """
    payment = loaded.payment
    if loaded.authorization is None or not payment.captured:
        raise PaymentNotReady("nothing of this payment was captured")
    wanted = payment.refundable if amount is None else amount
    if wanted < 1 or wanted > payment.refundable:
        raise AmountBeyond(_left("refunded", payment.refundable))
    attempt = _attempt(payment, Operation.REFUND, wanted, asking, refund_id=refund)
    made = msgspec.convert(
        {
            "merchant_id": payment.merchant_id,
            "mode": payment.mode,
            "refund_id": refund,
            "payment_id": payment.payment_id,
            "attempt_id": attempt.attempt_id,
            "amount": wanted,
            "currency": payment.currency,
            "status": RefundStatus.PENDING,
            "created_at": asking.now,
            "updated_at": asking.now,
            **more,
        },
        Refund,
    )
    decided = decided_over(
        loaded, payment, attempt, now=asking.now, happened=(EventType.REFUND_CREATED,)
    )
    return replace(decided, refunds=(made,))


def call_off(loaded: Loaded, reason: str, now: datetime) -> Decided:
    """End a payment that no processor holds anything of.

    Raises:
        PaymentNotReady, PaymentUnresolved: a processor has it, or may have it.
    """
    payment = loaded.payment
    _require_resolved(loaded)
    if payment.authorized or payment.status not in _CONFIRMABLE:
        raise PaymentNotReady
    ended = _replace(payment, cancel_reason=reason, retry_at=None)
    return decided_over(loaded, ended, None, now=now, happened=(EventType.PAYMENT_CANCELED,))


def _attempt(
    payment: Payment,
    operation: Operation,
    amount: int,
    asking: Asking,
    *,
    releases: int = 0,
    refund_id: RefundId | None = None,
) -> Attempt:
    return Attempt(
        merchant_id=payment.merchant_id,
        mode=payment.mode,
        attempt_id=asking.attempt,
        payment_id=payment.payment_id,
        operation=operation,
        wish=asking.wish,
        connection_id=asking.connection,
        amount=amount,
        currency=payment.currency,
        releases=releases,
        refund_id=refund_id,
        three_ds=asking.three_ds if operation.authorizes else None,
        checks_policy=asking.checks_policy if operation.authorizes else None,
        created_at=asking.now,
        lease_until=asking.lease_until,
        step=asking.step,
        route=asking.route,
    )


def _require_not_raised(payment: Payment) -> None:
    """Refuse to take or release what is being raised: how much there is is not known."""
    if payment.incrementing:
        raise PaymentBusy


def _require_resolved(loaded: Loaded) -> None:
    if any(each.operation.authorizes and each.is_open for each in loaded.attempts):
        raise PaymentUnresolved


def _require_authorized(loaded: Loaded) -> None:
    _require_resolved(loaded)
    if loaded.authorization is None:
        raise PaymentNotReady("this payment is not authorized")


def _left(word: str, amount: int) -> str:
    return f"the amount is more than what can still be {word} ({amount} minor units)"
