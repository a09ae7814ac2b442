# SPDX-License-Identifier: Apache-2.0
"""Turns a decision into what is written: the rows, their audit records, and the events that the merchant hears."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from strongroom.audit import Action, NewRecord, Origin, Recorder
from strongroom.kernel.events import EventType
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.payments.decisions import Decided
from strongroom.payments.model import Attempt, Payment
from strongroom.payments.store import Change, JobChange, KeyClaim, KeyDone, NoticeDone
from strongroom.payments.wire import PaymentEvent, RefundEvent, payment_out, refund_out
from strongroom.webhooks import NewEvent, make_event

#: The job that looks at an attempt whose outcome is not known.
LOOKUP: Final = "lookup"
#: The job that deals with a notice.
NOTICE: Final = "notice"
#: Who acts when nobody asked: recovery and notices.
RECOVERY: Final = "system:recovery"
NOTICES: Final = "system:notices"

Details = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Act:
    """Who does it, whence, and when."""

    actor: str
    origin: Origin
    now: datetime


@dataclass(frozen=True, slots=True)
class Extras:
    """What is written beside a decision."""

    key: KeyClaim | None = None
    done: KeyDone | None = None
    jobs: Sequence[JobChange] = ()
    notice: NoticeDone | None = None
    audit: Sequence[NewRecord] = ()


class Scribe:
    """Writes down what was decided."""

    def __init__(self, recorder: Recorder, delays_seconds: Sequence[int]) -> None:
        self._recorder = recorder
        self._delays = tuple(delays_seconds)

    def change(self, decided: Decided, act: Act, extras: Extras) -> Change:
        """Return the change of a decision, with a record of each act and an event of each happening."""
        payment = decided.payment
        if not decided.changed:
            return Change(
                merchant=payment.merchant_id,
                mode=payment.mode,
                now=act.now,
                audit=extras.audit,
                done=extras.done,
                jobs=extras.jobs,
                notice=extras.notice,
            )
        records = [*extras.audit]
        records += [self._of_attempt(payment, each, act) for each in decided.attempts]
        if decided.discrepancy:
            records.append(
                self.record(
                    Action.PAYMENTS_DISCREPANCY_RECORDED, payment, payment.payment_id, act, {}
                )
            )
        return Change(
            merchant=payment.merchant_id,
            mode=payment.mode,
            now=act.now,
            audit=records,
            key=extras.key,
            done=extras.done,
            payment=payment,
            attempts=decided.attempts,
            refunds=decided.refunds,
            postings=decided.postings,
            events=self.events(decided, act.now),
            jobs=[*(self.look(each, act.now) for each in decided.attempts), *extras.jobs],
            notice=extras.notice,
        )

    def created(self, payment: Payment, act: Act) -> NewRecord:
        """Record that a payment was made."""
        details: Details = {"amount": payment.amount, "currency": payment.currency}
        return self.record(
            Action.PAYMENTS_PAYMENT_CREATED, payment, payment.payment_id, act, details
        )

    def canceled(self, payment: Payment, act: Act) -> NewRecord:
        """Record that a payment was called off."""
        return self.record(
            Action.PAYMENTS_PAYMENT_CANCELED,
            payment,
            payment.payment_id,
            act,
            {"reason": payment.cancel_reason or "none"},
        )

    def handled(self, payment: Payment, notice_id: str, result: str, act: Act) -> NewRecord:
        """Record how a notice was dealt with."""
        return self.record(
            Action.WEBHOOKS_NOTICE_HANDLED, payment, notice_id, act, {"result": result}
        )

    def put_aside(
        self, merchant: MerchantId, mode: Mode, notice_id: str, result: str, act: Act
    ) -> NewRecord:
        """Record that a notice changed nothing, and why."""
        return self._recorder.make(
            Action.WEBHOOKS_NOTICE_HANDLED,
            actor=act.actor,
            merchant=merchant,
            mode=mode,
            thing=notice_id,
            origin=act.origin,
            now=act.now,
            details={"result": result},
        )

    def record(
        self, action: Action, payment: Payment, thing: str, act: Act, details: Details
    ) -> NewRecord:
        """Make a record that belongs to a payment."""
        return self._recorder.make(
            action,
            actor=act.actor,
            merchant=payment.merchant_id,
            mode=payment.mode,
            thing=thing,
            origin=act.origin,
            now=act.now,
            details=details,
            transaction_id=payment.payment_id,
        )

    def look(self, attempt: Attempt, now: datetime) -> JobChange:
        """Say when somebody has to look at an attempt: never again, at its lease's end, or after the first delay."""
        if not attempt.is_open:
            return JobChange(LOOKUP, attempt.attempt_id, None)
        if attempt.outcome is None:
            return JobChange(LOOKUP, attempt.attempt_id, attempt.lease_until)
        return JobChange(LOOKUP, attempt.attempt_id, self.next_look(0, now))

    def next_look(self, tries: int, now: datetime) -> datetime:
        """Say when to look again after so many looks; the last delay repeats."""
        return now + timedelta(seconds=self._delays[min(tries, len(self._delays) - 1)])

    def events(self, decided: Decided, now: datetime) -> Sequence[NewEvent]:
        """Return the events of what happened."""
        return [self._event(each, decided, now) for each in decided.happened]

    def _event(self, happened: EventType, decided: Decided, now: datetime) -> NewEvent:
        payment = payment_out(decided.payment, decided.attempts[0] if decided.attempts else None)
        data: msgspec.Struct = PaymentEvent(payment)
        thing: str = decided.payment.payment_id
        if happened.value.startswith("refund.") and decided.refunds:
            data = RefundEvent(refund_out(decided.refunds[0]), payment)
        return make_event(happened, thing, data, decided.payment.mode, now)

    def _of_attempt(self, payment: Payment, attempt: Attempt, act: Act) -> NewRecord:
        details: dict[str, str | int] = {
            "operation": attempt.operation.value,
            "amount": attempt.amount,
            "currency": attempt.currency,
        }
        if attempt.outcome is None and attempt.instrument is not None:
            action = Action.PAYMENTS_ATTEMPT_PREPARED
        elif attempt.outcome is None:
            action = Action.PAYMENTS_ATTEMPT_STARTED
        else:
            action = Action.PAYMENTS_ATTEMPT_SETTLED
            details["result"] = attempt.outcome.value
            details["basis"] = attempt.basis.value if attempt.basis else "none"
            if attempt.decline_code is not None:
                details["decline_code"] = attempt.decline_code
        return self.record(action, payment, attempt.attempt_id, act, details)
