# SPDX-License-Identifier: Apache-2.0
"""What a wish or a finding does to a payment. Pure: takes what was loaded and `now`, returns what is to be saved.

Balances are kept by one rule: an attempt contributes to them what its outcome says, so a change of outcome takes the
old contribution away and adds the new one. Asking reserves; a report of the processor's is always recorded.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import msgspec

from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.events import EventType
from strongroom.kernel.ids import AttemptId, ConnectionId, RefundId, TokenId
from strongroom.payments.errors import AmountBeyond, PaymentBusy, PaymentNotReady, PaymentUnresolved
from strongroom.payments.model import (
    Attempt,
    CaptureMethod,
    Found,
    Loaded,
    Operation,
    Outcome,
    Payment,
    Refund,
    RefundStatus,
    Status,
)
from strongroom.payments.states import moved

_replace: Final = msgspec.structs.replace
_CONFIRMABLE: Final = frozenset({Status.REQUIRES_CONFIRMATION, Status.REQUIRES_PAYMENT_METHOD})


@dataclass(frozen=True, slots=True)
class Card:
    """What may be known of the card outside the vault."""

    token: TokenId
    brand: str
    bin: str
    last4: str


@dataclass(frozen=True, slots=True)
class Asking:
    """The attempt to be: who asks for it, through which connection, and until when its answer is waited for."""

    attempt: AttemptId
    wish: str
    connection: ConnectionId
    now: datetime
    lease_until: datetime


@dataclass(frozen=True, slots=True)
class Decided:
    """What is to be saved. Nothing where `changed` is false."""

    payment: Payment
    attempts: tuple[Attempt, ...] = ()
    refunds: tuple[Refund, ...] = ()
    happened: tuple[EventType, ...] = ()
    #: A sum was broken by what a processor reported: alert.
    discrepancy: bool = False
    changed: bool = True


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
    if card is None:
        raise Invalid(FieldError("/token", "field_missing", "a token is needed to confirm"))
    automatic = payment.capture_method is CaptureMethod.AUTOMATIC
    attempt = _attempt(
        payment, Operation.SALE if automatic else Operation.AUTHORIZE, payment.amount, asking
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
    )
    return _decided(loaded, asked, attempt, now=asking.now)


def start_capture(loaded: Loaded, amount: int | None, asking: Asking, *, final: bool) -> Decided:
    """Ask for money that is authorized: all that is left, or an amount of it; `final` releases what then remains.

    Raises:
        PaymentNotReady, PaymentBusy, PaymentUnresolved, AmountBeyond: see each.
    """
    payment = loaded.payment
    _require_authorized(loaded)
    wanted = payment.capturable if amount is None else amount
    if wanted < 1 or wanted > payment.capturable:
        raise AmountBeyond(_left("captured", payment.capturable))
    releases = payment.capturable - wanted if final else 0
    if releases and payment.capturing:
        raise PaymentBusy(
            "another capture is under way: what it takes must be known before the rest is released"
        )
    attempt = _attempt(payment, Operation.CAPTURE, wanted, asking, releases=releases)
    return _decided(loaded, payment, attempt, now=asking.now)


def start_void(loaded: Loaded, asking: Asking) -> Decided:
    """Ask to release what is authorized and not captured.

    Raises:
        PaymentNotReady, PaymentBusy, PaymentUnresolved: see each.
    """
    payment = loaded.payment
    _require_authorized(loaded)
    if payment.capturing or payment.voiding:
        raise PaymentBusy
    if payment.capturable < 1:
        raise PaymentNotReady("nothing of this payment is left to release")
    attempt = _attempt(payment, Operation.VOID, payment.capturable, asking)
    return _decided(loaded, payment, attempt, now=asking.now)


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
    decided = _decided(
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
    ended = _replace(payment, cancel_reason=reason)
    return _decided(loaded, ended, None, now=now, happened=(EventType.PAYMENT_CANCELED,))


def settle(loaded: Loaded, attempt: Attempt, found: Found, now: datetime) -> Decided:
    """Apply what is known of an attempt now. What was known before is never forgotten for something vaguer.

    A final outcome that changes is a fact too: a capture that fails after it was approved gives its amount back to what
    may be captured; an approval that comes late counts, unless another authorization lives: then it is a discrepancy.
    """
    payment = loaded.payment
    if _tells_nothing_new(payment, attempt, found):
        return Decided(payment, changed=False)
    other = loaded.authorization
    contradicts = (
        attempt.operation.authorizes
        and attempt.outcome is Outcome.APPROVED
        and found.outcome is not Outcome.APPROVED
    )
    doubled = (
        attempt.operation.authorizes
        and found.outcome is Outcome.APPROVED
        and other is not None
        and other.attempt_id != attempt.attempt_id
    )
    if contradicts or doubled:
        return _discrepancy(loaded, attempt, found, now)
    known = _replace(
        attempt,
        outcome=found.outcome,
        basis=found.basis,
        processor_reference=found.processor_reference or attempt.processor_reference,
        settled_amount=_settled(attempt, found),
        decline_code=found.decline_code,
        advice=found.advice,
        reason=found.reason,
        action_url=found.action_url,
        # Whoever sent it has stopped: what has not arrived by now never will.
        lease_until=min(attempt.lease_until, now),
        settled_at=now if found.outcome.is_final else None,
    )
    changed = _balanced(payment, attempt, known)
    if _unknown_release(changed, known, found):
        changed = _replace(changed, voided=found.released or 0, cancel_reason="expired")
    if attempt.operation.authorizes:
        changed = _replace(
            changed,
            action_url=found.action_url,
            decline_code=found.decline_code,
            advice=found.advice,
            token_id=None if found.outcome is Outcome.DECLINED else changed.token_id,
        )
    refund = loaded.refund_of(attempt)
    refunds = () if refund is None else _refund_settled(refund, known, now)
    decided = _decided(loaded, changed, known, now=now, happened=_happened(attempt, known, refunds))
    if decided.payment.status is Status.CANCELED is not payment.status:
        decided = replace(decided, happened=(*decided.happened, EventType.PAYMENT_CANCELED))
    broken = _breaks_a_sum(decided.payment) and not payment.discrepancy
    if broken:
        decided = replace(
            decided,
            payment=_replace(decided.payment, discrepancy=True),
            happened=(*decided.happened, EventType.PAYMENT_DISCREPANCY),
            discrepancy=True,
        )
    return replace(decided, refunds=refunds)


def contribution(attempt: Attempt) -> dict[str, int]:
    """Say what an attempt adds to the balances, from its outcome."""
    operation, amount = attempt.operation, attempt.amount
    if attempt.is_open:
        if operation is Operation.CAPTURE:
            return {"capturing": amount, "voiding": attempt.releases}
        if operation is Operation.VOID:
            return {"voiding": amount}
        return {"refunding": amount} if operation is Operation.REFUND else {}
    if attempt.outcome is not Outcome.APPROVED:
        return {}
    settled = amount if attempt.settled_amount is None else attempt.settled_amount
    if operation is Operation.CAPTURE:
        return {"captured": settled, "voided": attempt.releases}
    if operation is Operation.SALE:
        return {"authorized": settled, "captured": settled}
    word = {Operation.AUTHORIZE: "authorized", Operation.VOID: "voided"}.get(operation, "refunded")
    return {word: settled}


def after(before: Loaded, decided: Decided) -> Loaded:
    """Return what would be loaded once a decision is saved."""
    attempts: dict[str, Attempt] = {each.attempt_id: each for each in before.attempts}
    attempts |= {each.attempt_id: each for each in decided.attempts}
    refunds: dict[str, Refund] = {each.refund_id: each for each in before.refunds}
    refunds |= {each.refund_id: each for each in decided.refunds}
    return Loaded(decided.payment, tuple(attempts.values()), tuple(refunds.values()))


def agrees(payment: Payment, attempt: Attempt, found: Found) -> bool:
    """Tell whether a report says what is known already."""
    return (
        attempt.outcome is found.outcome
        and not _unknown_release(payment, attempt, found)
        and (found.amount is None or attempt.settled_amount in (None, found.amount))
        and (found.outcome is not Outcome.PENDING or attempt.action_url == found.action_url)
    )


def _tells_nothing_new(payment: Payment, attempt: Attempt, found: Found) -> bool:
    if attempt.outcome is None:
        return False
    if attempt.outcome.is_final:
        # Vaguer, or "nothing found" about what was seen: neither takes anything back.
        return (
            agrees(payment, attempt, found)
            or not found.outcome.is_final
            or (found.outcome is Outcome.NOT_SENT)
        )
    if found.outcome is Outcome.UNKNOWN:
        return True
    return agrees(payment, attempt, found)


def _unknown_release(payment: Payment, attempt: Attempt, found: Found) -> bool:
    """Tell whether a processor released more of an authorization than we asked it to: it expired there."""
    return (
        attempt.operation.authorizes
        and found.outcome is Outcome.APPROVED
        and found.released is not None
        and not payment.voiding
        and not payment.capturing
        and found.released > payment.voided
    )


def _discrepancy(loaded: Loaded, attempt: Attempt, found: Found, now: datetime) -> Decided:
    """Two authorizations, or one that was taken back: nothing of ours adds up with that, so a person looks."""
    payment = loaded.payment
    noted = _replace(
        attempt, reason="approved_twice" if found.outcome is Outcome.APPROVED else "taken_back"
    )
    if noted == attempt and payment.discrepancy:
        return Decided(payment, changed=False)
    marked = _replace(payment, discrepancy=True, version=payment.version + 1, updated_at=now)
    return Decided(marked, (noted,), (), (EventType.PAYMENT_DISCREPANCY,), discrepancy=True)


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
        created_at=asking.now,
        lease_until=asking.lease_until,
    )


def _decided(
    loaded: Loaded,
    payment: Payment,
    attempt: Attempt | None,
    *,
    now: datetime,
    happened: tuple[EventType, ...] = (),
) -> Decided:
    """Count the version, reserve for a new attempt, and move to the state that the facts now say."""
    before = None if attempt is None else loaded.attempt(attempt.attempt_id)
    attempts = [
        each for each in loaded.attempts if attempt is None or each.attempt_id != attempt.attempt_id
    ]
    if attempt is not None:
        attempts.append(attempt)
        if before is None:
            payment = _added(payment, contribution(attempt), 1)
    changed = _replace(payment, version=loaded.payment.version + 1, updated_at=now)
    return Decided(moved(changed, attempts), () if attempt is None else (attempt,), (), happened)


def _balanced(payment: Payment, before: Attempt, after: Attempt) -> Payment:
    return _added(_added(payment, contribution(before), -1), contribution(after), 1)


def _added(payment: Payment, amounts: dict[str, int], sign: int) -> Payment:
    return _replace(
        payment,
        **{name: getattr(payment, name) + sign * amount for name, amount in amounts.items()},
    )


def _settled(attempt: Attempt, found: Found) -> int | None:
    if found.outcome is not Outcome.APPROVED:
        return None
    return attempt.amount if found.amount is None else found.amount


def _breaks_a_sum(payment: Payment) -> bool:
    return (
        payment.capturing + payment.captured + payment.voiding + payment.voided > payment.authorized
        or payment.refunding + payment.refunded > payment.captured
        or payment.authorized > payment.amount
    )


def _refund_settled(refund: Refund, attempt: Attempt, now: datetime) -> tuple[Refund, ...]:
    if attempt.is_open:
        return ()
    status = RefundStatus.SUCCEEDED if attempt.outcome is Outcome.APPROVED else RefundStatus.FAILED
    code = attempt.decline_code or (
        None if status is RefundStatus.SUCCEEDED else (attempt.outcome or Outcome.UNKNOWN).value
    )
    return (_replace(refund, status=status, failure_code=code, updated_at=now),)


def _happened(
    before: Attempt, after: Attempt, refunds: tuple[Refund, ...]
) -> tuple[EventType, ...]:
    """Say what a merchant hears of it."""
    outcome = after.outcome
    if before.operation.authorizes and before.outcome is outcome is Outcome.APPROVED:
        return (EventType.PAYMENT_VOIDED,)  # it expired at the processor
    if before.operation is Operation.REFUND:
        if not refunds:
            return ()
        succeeded = refunds[0].status is RefundStatus.SUCCEEDED
        return (EventType.REFUND_SUCCEEDED if succeeded else EventType.REFUND_FAILED,)
    if outcome is Outcome.APPROVED:
        return (
            {
                Operation.AUTHORIZE: EventType.PAYMENT_AUTHORIZED,
                Operation.VOID: EventType.PAYMENT_VOIDED,
            }.get(before.operation, EventType.PAYMENT_CAPTURED),
        )
    if outcome in (Outcome.UNKNOWN, Outcome.PENDING):
        asks = after.action_url is not None
        return (EventType.PAYMENT_ACTION_REQUIRED if asks else EventType.PAYMENT_PROCESSING,)
    if before.operation is Operation.CAPTURE:
        return (EventType.PAYMENT_CAPTURE_FAILED,)
    if before.operation.authorizes and outcome is Outcome.DECLINED:
        return (EventType.PAYMENT_DECLINED,)
    return ()


def _require_resolved(loaded: Loaded) -> None:
    if any(each.operation.authorizes and each.is_open for each in loaded.attempts):
        raise PaymentUnresolved


def _require_authorized(loaded: Loaded) -> None:
    _require_resolved(loaded)
    if loaded.authorization is None:
        raise PaymentNotReady("this payment is not authorized")


def _left(word: str, amount: int) -> str:
    return f"the amount is more than what can still be {word} ({amount} minor units)"
