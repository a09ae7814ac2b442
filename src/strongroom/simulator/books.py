# SPDX-License-Identifier: Apache-2.0
"""The state machine of the simulator's payments, and the sums that hold in every state. Pure.

`captured + voided <= authorized` and `refunded + disputed <= captured`, always. A ruling says what a wish comes to;
nothing here is kept or sent. What can be captured or voided is `left`.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from strongroom.kernel.invariant import invariant
from strongroom.simulator.cards import ADVICE, Card, approved_amount, is_pending, is_short_once
from strongroom.simulator.errors import Refusal

#: Amounts of one payment, in minor units. Keeps every sum far from what JSON readers round.
AMOUNT_MAX: Final = 999_999_999_999


class Status(enum.StrEnum):
    """Where a payment stands."""

    #: Something is left to capture; parts may be captured already.
    AUTHORIZED = "authorized"
    #: Something was captured and nothing is left.
    CAPTURED = "captured"
    DECLINED = "declined"
    REQUIRES_ACTION = "requires_action"
    PENDING = "pending"
    #: Everything was released, nothing captured.
    VOIDED = "voided"
    EXPIRED = "expired"
    #: Of amount 0: the card is good, and nothing is held.
    VERIFIED = "verified"


#: Which status may follow which; None stands before the first.
FOLLOWING: Final[Mapping[Status | None, frozenset[Status]]] = {
    None: frozenset(
        {
            Status.AUTHORIZED,
            Status.CAPTURED,
            Status.DECLINED,
            Status.REQUIRES_ACTION,
            Status.PENDING,
            Status.VERIFIED,
        }
    ),
    Status.REQUIRES_ACTION: frozenset(
        {
            Status.AUTHORIZED,
            Status.CAPTURED,
            Status.DECLINED,
            Status.PENDING,
            Status.EXPIRED,
            Status.VERIFIED,
        }
    ),
    Status.PENDING: frozenset({Status.AUTHORIZED, Status.CAPTURED, Status.DECLINED}),
    Status.AUTHORIZED: frozenset(
        {Status.AUTHORIZED, Status.CAPTURED, Status.VOIDED, Status.EXPIRED}
    ),
    # A capture that fails afterwards gives its amount back to what is left.
    Status.CAPTURED: frozenset({Status.AUTHORIZED, Status.CAPTURED}),
    Status.DECLINED: frozenset(),
    Status.VOIDED: frozenset(),
    Status.EXPIRED: frozenset(),
    Status.VERIFIED: frozenset(),
}


class OperationKind(enum.StrEnum):
    """What can be done to a payment, and the `object` of its answer."""

    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    INCREMENT = "increment"
    DISPUTE = "dispute"


class OperationStatus(enum.StrEnum):
    """What an operation came to."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    PENDING = "pending"


class Totals(msgspec.Struct, frozen=True):
    """A payment's sums, in minor units."""

    authorized: int = 0
    captured: int = 0
    voided: int = 0
    refunded: int = 0

    @property
    def left(self) -> int:
        """What can still be captured or voided."""
        return self.authorized - self.captured - self.voided

    def plus(
        self, *, authorized: int = 0, captured: int = 0, voided: int = 0, refunded: int = 0
    ) -> "Totals":
        """Return the sums after a change; they hold."""
        after = Totals(
            self.authorized + authorized,
            self.captured + captured,
            self.voided + voided,
            self.refunded + refunded,
        )
        invariant(
            0 <= after.refunded <= after.captured and after.voided >= 0 and after.left >= 0,
            "a payment's sums hold",
        )
        return after


class Payment(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A payment as it is known here, between two changes."""

    payment_id: str
    account: str
    reference: str
    amount: int
    currency: str
    #: Captured with the authorization: a sale.
    capture: bool
    card: Card
    created: datetime
    status: Status
    totals: Totals = Totals()
    decline_code: str | None = None
    return_url: str | None = None
    #: What increments added to what was authorized.
    incremented: int = 0
    #: Until when what is authorized may be captured, it says; nothing here expires by itself.
    capture_before: datetime | None = None
    #: What was found of the security code: match or mismatch; None: none was given.
    cvc_check: str | None = None

    #: What disputes have taken.
    disputed: int = 0

    @property
    def network_transaction_id(self) -> str | None:
        """What the scheme calls it, once the issuer said yes: later payments with the card refer to that."""
        if self.status in (Status.DECLINED, Status.PENDING, Status.REQUIRES_ACTION):
            return None
        return (
            self.payment_id.removeprefix("sp_")
            if self.totals.authorized or not self.amount
            else None
        )

    @property
    def returnable(self) -> int:
        """What can still be given back, or be taken by a dispute."""
        return self.totals.captured - self.totals.refunded - self.disputed

    @property
    def advice(self) -> str | None:
        """What to do about its decline."""
        return None if self.decline_code is None else ADVICE.get(self.decline_code, "later")


class Operation(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A capture, void, refund, increment or dispute, as it is known between two changes."""

    operation_id: str
    kind: OperationKind
    payment_id: str
    account: str
    reference: str
    amount: int
    currency: str
    status: OperationStatus
    #: The payment's sums right after it.
    totals: Totals
    created: datetime
    decline_code: str | None = None
    #: Of a dispute: where it stands, how often it has moved, and until when evidence is taken.
    stage: str | None = None
    step: int = 0
    evidence_due_by: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a wish comes to."""

    payment: Payment
    #: What was moved; of a refused wish what was asked for.
    amount: int
    decline_code: str | None = None
    #: What a final capture released.
    released: int = 0


@dataclass(frozen=True, slots=True)
class Unattended:
    """A payment that the merchant begins: nobody can be challenged."""

    #: Why it is declined, if it is.
    declined: str | None


def unattended(
    card: Card, amount: int, *, first_is_known: bool, declined_before: bool
) -> Unattended:
    """Return what becomes of a payment that the merchant begins.

    A card that wants a challenge had one with its first payment, or wants it now. An amount that ends in 66 is declined
    once, and approved when it is tried again.
    """
    if card.challenged and not first_is_known:
        return Unattended("authentication_required")
    if is_short_once(amount) and not declined_before:
        return Unattended("insufficient_funds")
    return Unattended(None)


def begin(
    *,
    payment_id: str,
    account: str,
    reference: str,
    amount: int,
    currency: str,
    capture: bool,
    card: Card,
    return_url: str | None,
    now: datetime,
    cvc_check: str | None = None,
    unattended: Unattended | None = None,
    capture_before: datetime | None = None,
) -> Payment:
    """Return the payment that a wish to authorize makes; a decline is a payment too."""
    new = Payment(
        payment_id=payment_id,
        account=account,
        reference=reference,
        amount=amount,
        currency=currency,
        capture=capture,
        card=card,
        created=now,
        status=Status.REQUIRES_ACTION,
        return_url=return_url,
        cvc_check=cvc_check,
        capture_before=capture_before,
    )
    if card.declined is not None:
        return _to(new, None, Status.DECLINED, decline_code=card.declined)
    if unattended is not None and unattended.declined is not None:
        return _to(new, None, Status.DECLINED, decline_code=unattended.declined)
    if card.challenged and unattended is None:
        return new
    return _decided(new, None)


def complete_challenge(payment: Payment, *, approved: bool) -> Payment:
    """Return the payment after its customer passed the challenge, or did not.

    Raises:
        Refusal: it waits for no challenge.
    """
    _require(payment, Status.REQUIRES_ACTION)
    code = payment.card.declined_after if approved else "authentication_failed"
    if code is not None:
        return _to(payment, payment.status, Status.DECLINED, decline_code=code)
    return _decided(payment, payment.status)


def decide_pending(payment: Payment, *, approved: bool) -> Payment:
    """Return a pending payment after it was decided.

    Raises:
        Refusal: it is not pending.
    """
    _require(payment, Status.PENDING)
    if approved:
        return _granted(payment, payment.status)
    return _to(payment, payment.status, Status.DECLINED, decline_code="generic_decline")


def expire(payment: Payment) -> Ruling:
    """Return the payment after its time has passed: what is left is released.

    Raises:
        Refusal: nothing of it can expire.
    """
    if payment.status is Status.REQUIRES_ACTION:
        return Ruling(_to(payment, payment.status, Status.EXPIRED), payment.amount)
    _require(payment, Status.AUTHORIZED)
    left = payment.totals.left
    totals = payment.totals.plus(voided=left)
    after = Status.CAPTURED if totals.captured else Status.EXPIRED
    return Ruling(_to(payment, payment.status, after, totals=totals), left)


def capture(payment: Payment, amount: int, *, final: bool) -> Ruling:
    """Take an amount of what is left; `final` releases the rest."""
    left = payment.totals.left
    if amount > left:
        return Ruling(payment, amount, "amount_exceeds_left")
    if payment.card.captures_fail:
        return Ruling(payment, amount, "capture_declined")
    released = left - amount if final else 0
    after = _summed(payment, payment.totals.plus(captured=amount, voided=released))
    return Ruling(after, amount, released=released)


def void(payment: Payment) -> Ruling:
    """Release all that is left."""
    left = payment.totals.left
    if left == 0:
        return Ruling(payment, 0, "nothing_left")
    return Ruling(_summed(payment, payment.totals.plus(voided=left)), left)


def refund(payment: Payment, amount: int) -> Ruling:
    """Give back an amount of what was captured, and neither refunded nor taken by a dispute."""
    if amount > payment.returnable:
        return Ruling(payment, amount, "amount_exceeds_left")
    return Ruling(_summed(payment, payment.totals.plus(refunded=amount)), amount)


def increment(payment: Payment, amount: int) -> Ruling:
    """Raise what is authorized, while something is left."""
    if payment.totals.left == 0:
        return Ruling(payment, amount, "not_authorized")
    if payment.totals.authorized + amount > AMOUNT_MAX:
        return Ruling(payment, amount, "amount_too_large")
    raised = msgspec.structs.replace(payment, incremented=payment.incremented + amount)
    return Ruling(_summed(raised, payment.totals.plus(authorized=amount)), amount)


def undo_capture(payment: Payment, amount: int) -> Payment:
    """Return the payment after a capture failed that had succeeded: the amount is left again.

    Raises:
        Refusal: it was refunded or disputed meanwhile.
    """
    if amount == 0 or amount > payment.returnable:
        raise not_possible("nothing of this capture can fail")
    return _summed(payment, payment.totals.plus(captured=-amount))


def undo_refund(payment: Payment, amount: int) -> Payment:
    """Return the payment after a refund failed that had succeeded."""
    return _summed(payment, payment.totals.plus(refunded=-amount))


def not_possible(message: str) -> Refusal:
    """Return the refusal of a wish of the control API that the present state does not allow."""
    return Refusal(409, "not_possible", message)


def _require(payment: Payment, status: Status) -> None:
    if payment.status is not status:
        raise not_possible(f"the payment is {payment.status}, not {status}")


def _decided(payment: Payment, before: Status | None) -> Payment:
    """An approval by the card; its amount may still make it wait or fail."""
    if payment.card.captures_fail and payment.capture:
        return _to(payment, before, Status.DECLINED, decline_code="generic_decline")
    if not payment.amount:
        return _to(payment, before, Status.VERIFIED)
    if is_pending(payment.amount):
        return _to(payment, before, Status.PENDING)
    return _granted(payment, before)


def _granted(payment: Payment, before: Status | None) -> Payment:
    granted = approved_amount(payment.amount)
    totals = Totals(authorized=granted, captured=granted if payment.capture else 0)
    after = Status.CAPTURED if payment.capture else Status.AUTHORIZED
    return _to(payment, before, after, totals=totals)


def _summed(payment: Payment, totals: Totals) -> Payment:
    """Sums decide the status of what is or was authorized."""
    if totals.left:
        after = Status.AUTHORIZED
    elif totals.captured:
        after = Status.CAPTURED
    else:
        after = Status.VOIDED
    return _to(payment, payment.status, after, totals=totals)


def _to(
    payment: Payment,
    before: Status | None,
    after: Status,
    *,
    totals: Totals | None = None,
    decline_code: str | None = None,
) -> Payment:
    """The one function that moves a payment."""
    invariant(after in FOLLOWING[before], "a payment moves along its table")
    return msgspec.structs.replace(
        payment,
        status=after,
        totals=payment.totals if totals is None else totals,
        decline_code=decline_code,
    )
