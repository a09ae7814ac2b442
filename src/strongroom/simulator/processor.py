# SPDX-License-Identifier: Apache-2.0
"""Does what is asked: rules by the books, writes the journal, and returns what to answer and what to announce.

Each method runs from decision to journal without letting anything else run between, so that two requests never
decide on the same sums. Who asks twice, and what goes wrong, is `app`'s affair.
"""

from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from strongroom.crypto.ids import new_id
from strongroom.kernel.clock import Clock
from strongroom.simulator import books
from strongroom.simulator.books import (
    Operation,
    OperationKind,
    OperationStatus,
    Payment,
    Ruling,
    Status,
)
from strongroom.simulator.cards import read_card
from strongroom.simulator.errors import Refusal
from strongroom.simulator.journal import Announcement, Line
from strongroom.simulator.ledger import Ledger
from strongroom.simulator.wire import AmountWish, CaptureWish, PaymentWish, VoidWish

#: By a payment's status: what the journal says of it, and the event that tells of it.
_BECAME: Final = {
    Status.AUTHORIZED: ("authorized", "payment.authorized"),
    Status.CAPTURED: ("captured", "payment.captured"),
    Status.DECLINED: ("declined", "payment.declined"),
    Status.REQUIRES_ACTION: ("action_required", "payment.action_required"),
    Status.PENDING: ("pending", "payment.pending"),
}
#: By kind: an id's prefix, the journal's words for done and refused, and the events.
_DONE: Final = {
    OperationKind.CAPTURE: (
        "sc",
        "captured",
        "capture_refused",
        "capture.succeeded",
        "capture.failed",
    ),
    OperationKind.VOID: ("sv", "voided", "void_refused", "void.succeeded", "void.failed"),
    OperationKind.REFUND: (
        "sr",
        "refunded",
        "refund_refused",
        "refund.succeeded",
        "refund.failed",
    ),
    OperationKind.INCREMENT: (
        "si",
        "incremented",
        "increment_refused",
        "increment.succeeded",
        None,
    ),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks under which key; the fingerprint tells whether it is the same wish again."""

    account: str
    idempotency_key: str
    fingerprint: str


class Processor:
    """Accounts' money, and what happens to it."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def authorize(self, asked: Asked, wish: PaymentWish) -> Line:
        """Make a payment.

        Raises:
            Refusal: the card is none that is taken here.
        """
        now = self._clock.now()
        card = read_card(
            wish.card.number, exp_month=wish.card.exp_month, exp_year=wish.card.exp_year, now=now
        )
        payment = books.begin(
            payment_id=new_id("sp"),
            account=asked.account,
            reference=wish.reference,
            amount=wish.amount,
            currency=wish.currency,
            capture=wish.capture,
            card=card,
            return_url=wish.return_url,
            now=now,
        )
        return self._became(payment, asked)

    def capture(self, asked: Asked, payment: Payment, wish: CaptureWish) -> Line:
        """Capture a part or all; a final one releases the rest."""
        ruling = books.capture(payment, wish.amount, final=wish.final)
        return self._operated(OperationKind.CAPTURE, asked, wish.reference, ruling)

    def void(self, asked: Asked, payment: Payment, wish: VoidWish) -> Line:
        """Release what is left."""
        return self._operated(OperationKind.VOID, asked, wish.reference, books.void(payment))

    def refund(self, asked: Asked, payment: Payment, wish: AmountWish) -> Line:
        """Give back a part or all of what was captured."""
        ruling = books.refund(payment, wish.amount)
        return self._operated(OperationKind.REFUND, asked, wish.reference, ruling)

    def increment(self, asked: Asked, payment: Payment, wish: AmountWish) -> Line:
        """Raise what is authorized."""
        ruling = books.increment(payment, wish.amount)
        return self._operated(OperationKind.INCREMENT, asked, wish.reference, ruling)

    # --- what no client asks for ----------------------------------------------------------------------

    def challenged(self, payment: Payment, *, approved: bool) -> Line:
        """The customer passed the challenge, or did not."""
        return self._became(books.complete_challenge(payment, approved=approved), None)

    def decided(self, payment: Payment, *, approved: bool) -> Line:
        """A pending payment was decided."""
        return self._became(books.decide_pending(payment, approved=approved), None)

    def expired(self, payment: Payment) -> Line:
        """A payment's time has passed."""
        ruling = books.expire(payment)
        return self._line(ruling.payment, "expired", ruling.amount, announces="payment.expired")

    def capture_failed(self, subject: Payment | Operation) -> Line:
        """A capture, or the capture of a sale, failed after it had succeeded."""
        if isinstance(subject, Payment):
            amount = subject.totals.captured if subject.capture else 0
            payment = books.undo_capture(subject, amount)
            return self._line(payment, "capture_failed", amount, announces="capture.failed")
        operation = _that_succeeded(subject, OperationKind.CAPTURE)
        payment = books.undo_capture(self._payment_of(operation), operation.amount)
        return self._undone(payment, operation, "capture_failed", "capture.failed")

    def refund_failed(self, subject: Payment | Operation) -> Line:
        """A refund failed after it had succeeded."""
        operation = _that_succeeded(subject, OperationKind.REFUND)
        payment = books.undo_refund(self._payment_of(operation), operation.amount)
        return self._undone(payment, operation, "refund_failed", "refund.failed")

    def disputed(self, payment: Payment, amount: int | None) -> Line:
        """The cardholder disputes a payment, or a part."""
        captured = payment.totals.captured
        disputed = captured if amount is None else amount
        if not 0 < disputed <= captured:
            raise books.not_possible("nothing of this payment can be disputed")
        operation = Operation(
            operation_id=new_id("sd"),
            kind=OperationKind.DISPUTE,
            payment_id=payment.payment_id,
            account=payment.account,
            reference=payment.reference,
            amount=disputed,
            currency=payment.currency,
            status=OperationStatus.PENDING,
            totals=payment.totals,
            created=self._clock.now(),
        )
        return self._line(
            payment, "disputed", disputed, operation=operation, announces="dispute.opened"
        )

    # --- writing --------------------------------------------------------------------------------------

    def _payment_of(self, operation: Operation) -> Payment:
        return self._ledger.payments[operation.payment_id]

    def _became(self, payment: Payment, asked: Asked | None) -> Line:
        kind, event = _BECAME[payment.status]
        amount = payment.totals.authorized or payment.amount
        return self._line(payment, kind, amount, asked=asked, announces=event)

    def _operated(self, kind: OperationKind, asked: Asked, reference: str, ruling: Ruling) -> Line:
        prefix, done, refused, succeeded, failed = _DONE[kind]
        ok = ruling.decline_code is None
        payment = ruling.payment
        operation = Operation(
            operation_id=new_id(prefix),
            kind=kind,
            payment_id=payment.payment_id,
            account=payment.account,
            reference=reference,
            amount=ruling.amount,
            currency=payment.currency,
            status=OperationStatus.SUCCEEDED if ok else OperationStatus.FAILED,
            totals=payment.totals,
            created=self._clock.now(),
            decline_code=ruling.decline_code,
        )
        return self._line(
            payment,
            done if ok else refused,
            ruling.amount,
            operation=operation,
            asked=asked,
            announces=succeeded if ok else failed,
            released=ruling.released,
        )

    def _undone(self, payment: Payment, operation: Operation, kind: str, event: str) -> Line:
        failed = replace(
            operation, status=OperationStatus.FAILED, decline_code=kind, totals=payment.totals
        )
        return self._line(payment, kind, operation.amount, operation=failed, announces=event)

    def _line(
        self,
        payment: Payment,
        kind: str,
        amount: int,
        *,
        operation: Operation | None = None,
        asked: Asked | None = None,
        announces: str | None = None,
        released: int = 0,
    ) -> Line:
        """Write one line, and a second for what a final capture released; return the first."""
        number = self._ledger.next_number
        line = Line(
            n=number,
            at=self._clock.now(),
            account=payment.account,
            kind=kind,
            payment=payment.payment_id,
            operation=None if operation is None else operation.operation_id,
            reference=payment.reference if operation is None else operation.reference,
            amount=amount,
            currency=payment.currency,
            idempotency_key=None if asked is None else asked.idempotency_key,
            payment_after=payment,
            operation_after=operation,
            fingerprint=None if asked is None else asked.fingerprint,
            announces=None if announces is None else Announcement(new_id("se"), announces),
        )
        lines = [line]
        if released:
            lines.append(
                replace(
                    line,
                    n=number + 1,
                    kind="released",
                    amount=released,
                    fingerprint=None,
                    announces=None,
                )
            )
        self._ledger.write(*lines)
        return line


def _that_succeeded(subject: Payment | Operation, kind: OperationKind) -> Operation:
    if (
        isinstance(subject, Payment)
        or subject.kind is not kind
        or subject.status is not OperationStatus.SUCCEEDED
    ):
        raise Refusal(409, "not_possible", f"this is no {kind} that succeeded")
    return subject
