# SPDX-License-Identifier: Apache-2.0
"""Does what is asked: rules by the books, writes the journal, and returns what to answer and what to announce.

Each method runs from decision to journal without letting anything else run between, so that two requests never
decide on the same sums. Who asks twice, and what goes wrong, is `app`'s affair.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from msgspec.structs import replace

from strongroom.crypto.ids import new_id
from strongroom.kernel.clock import Clock
from strongroom.simulator import books, disputes
from strongroom.simulator.books import (
    Operation,
    OperationKind,
    OperationStatus,
    Payment,
    Ruling,
    Status,
)
from strongroom.simulator.cards import Card, read_card
from strongroom.simulator.disputes import FOLLOWING, Stage
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
    Status.VERIFIED: ("verified", "payment.verified"),
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
        "increment.failed",
    ),
}


#: How long an authorization holds, it says.
HOLD_SECONDS: Final = 604_800


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks under which key; the fingerprint tells whether it is the same wish again."""

    account: str
    idempotency_key: str
    fingerprint: str
    #: Declined with this whatever the card.
    declined: str | None = None


class Processor:
    """Accounts' money, and what happens to it."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self.hold_seconds: float = HOLD_SECONDS

    def authorize(self, asked: Asked, wish: PaymentWish) -> Line:
        """Make a payment.

        Raises:
            Refusal: the card is none that is taken here.
        """
        now = self._clock.now()
        card = read_card(
            wish.card.number,
            exp_month=wish.card.exp_month,
            exp_year=wish.card.exp_year,
            now=now,
            challenge=wish.three_ds == "challenge",
        )
        if asked.declined is not None:
            card = replace(card, declined=asked.declined)
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
            cvc_check=_cvc_check(wish, card),
            unattended=self._unattended(asked, wish, card),
            capture_before=now + timedelta(seconds=self.hold_seconds),
        )
        return self._became(payment, asked)

    def _unattended(self, asked: Asked, wish: PaymentWish, card: Card) -> books.Unattended | None:
        """Say what becomes of a payment that the merchant begins; None where its customer does."""
        if wish.stored is None or wish.stored.initiator != "merchant":
            return None
        first = self._ledger.payments.get(f"sp_{wish.stored.network_transaction_id}")
        return books.unattended(
            card,
            wish.amount,
            first_is_known=first is not None and first.account == asked.account,
            declined_before=any(
                each.status is Status.DECLINED
                and (each.account, each.amount, each.card.last4)
                == (asked.account, wish.amount, card.last4)
                for each in self._ledger.payments.values()
            ),
        )

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

    def disputed(self, payment: Payment, amount: int | None, stage: Stage) -> Line:
        """The cardholder disputes a payment, or a part; or what is disputed moves on.

        Without an amount, an opening moves the newest dispute on where that is possible.
        """
        known = self._dispute_of(payment)
        opens = stage in (Stage.INQUIRY, Stage.OPENED)
        goes_on = known is not None and amount is None and stage in FOLLOWING[_stage_of(known)]
        if known is None or (opens and not goes_on):
            if not opens:
                raise books.not_possible("nothing of this payment is disputed")
            known, dispute = (
                None,
                disputes.begin(payment, amount, stage, new_id("sd"), self._clock.now()),
            )
        else:
            dispute = disputes.move(known, stage)
        change = disputes.taken(dispute) - disputes.taken(known)
        if change > payment.returnable:
            raise books.not_possible("so much is not left of this payment")
        after = replace(payment, disputed=payment.disputed + change)
        kind = {Stage.INQUIRY: "dispute_inquired", Stage.OPENED: "disputed"}.get(
            stage, f"dispute_{stage}"
        )
        return self._line(
            after, kind, dispute.amount, operation=dispute, announces=f"dispute.{stage}"
        )

    def _dispute_of(self, payment: Payment) -> Operation | None:
        """Return the newest dispute of a payment."""
        found = [
            each
            for each in self._ledger.operations.values()
            if each.kind is OperationKind.DISPUTE and each.payment_id == payment.payment_id
        ]
        return found[-1] if found else None

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


def _cvc_check(wish: PaymentWish, card: Card) -> str | None:
    if wish.card.cvc is None:
        return None
    wrong = card.cvc_fails or card.declined == "incorrect_cvc"
    return "mismatch" if wrong else "match"


def _stage_of(dispute: Operation) -> Stage:
    return Stage(dispute.stage or Stage.OPENED)


def _that_succeeded(subject: Payment | Operation, kind: OperationKind) -> Operation:
    if (
        isinstance(subject, Payment)
        or subject.kind is not kind
        or subject.status is not OperationStatus.SUCCEEDED
    ):
        raise Refusal(409, "not_possible", f"this is no {kind} that succeeded")
    return subject
