# SPDX-License-Identifier: Apache-2.0
"""Turns a decision into what is written: the rows, their audit records, and the events that the merchant hears."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from strongroom.audit import Action, NewRecord, Origin, Recorder
from strongroom.kernel.clock import rfc3339
from strongroom.kernel.events import EventType
from strongroom.kernel.ids import EventId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.payments.decisions import Decided
from strongroom.payments.disputes_wire import DisputeEvent, dispute_out
from strongroom.payments.events_wire import PaymentEvent, RefundEvent
from strongroom.payments.holds import HoldPolicy, is_over
from strongroom.payments.leaving import LEFT_TO_PEOPLE
from strongroom.payments.model import Attempt, Dispute, Operation, Payment, Status
from strongroom.payments.soft import is_soft_decline
from strongroom.payments.store import Change, JobChange, KeyClaim, KeyDone, NoticeDone
from strongroom.payments.wire import payment_out, refund_out
from strongroom.webhooks import NewEvent, make_event, new_event_ids

#: The job that looks at an attempt whose outcome is not known.
LOOKUP: Final = "lookup"
#: The job that releases an approval whose checks failed.
RELEASE: Final = "release"
#: The job that deals with a notice.
NOTICE: Final = "notice"
#: The job that sees to a payment's hold: tells that it ends soon, captures as scheduled, releases at its end.
HOLD: Final = "hold"
#: Who acts when nobody asked: recovery and notices.
RECOVERY: Final = "system:recovery"
NOTICES: Final = "system:notices"
HOLDS: Final = "system:holds"
#: Who tries again what a merchant began, and the job that does.
RETRIES: Final = "system:retries"
RETRY: Final = "retry"

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

    def __init__(
        self, recorder: Recorder, delays_seconds: Sequence[int], holds: HoldPolicy | None = None
    ) -> None:
        self._recorder = recorder
        self._delays = tuple(delays_seconds)
        self.holds: Final = holds or HoldPolicy()

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
        records += [self._of_dispute(payment, each, act) for each in decided.disputes]
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
            disputes=decided.disputes,
            events=self.events(decided, act.now),
            jobs=[
                *(self.look(each, act.now) for each in decided.attempts),
                *self.hold(decided, act.now),
                *retry_looks(decided, act.now),
                *extras.jobs,
            ],
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

    def refused(self, payment: Payment, brake: str, act: Act) -> NewRecord:
        """Record that a brake of the merchant's refused a payment, and which."""
        details: Details = {"reason": brake, "amount": payment.amount, "currency": payment.currency}
        return self.record(
            Action.PAYMENTS_PAYMENT_REFUSED, payment, payment.payment_id, act, details
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
        if not attempt.is_open or attempt.reason == LEFT_TO_PEOPLE:
            return JobChange(LOOKUP, attempt.attempt_id, None)
        if attempt.outcome is None:
            return JobChange(LOOKUP, attempt.attempt_id, attempt.lease_until)
        return JobChange(LOOKUP, attempt.attempt_id, self.next_look(0, now))

    def hold(self, decided: Decided, now: datetime) -> Sequence[JobChange]:
        """Say when somebody has to see to the payment's hold: at its next moment, or never again.

        A release is no reason to look again: one that failed at the hold's end would be asked for without end.
        """
        payment = decided.payment
        if is_over(payment):
            return [JobChange(HOLD, payment.payment_id, None)]
        released = any(each.operation is Operation.VOID for each in decided.attempts)
        moment = self.holds.next_moment(payment)
        if payment.status is not Status.REQUIRES_CAPTURE or moment is None or released:
            return []
        return [JobChange(HOLD, payment.payment_id, max(moment, now))]

    def announced(self, payment: Payment, act: Act) -> NewRecord:
        """Record that a merchant was told that a hold ends soon."""
        return self.record(
            Action.PAYMENTS_HOLD_ANNOUNCED,
            payment,
            payment.payment_id,
            act,
            _hold_facts(payment, payment.capture_before),
        )

    def hold_changed(self, payment: Payment, act: Act) -> NewRecord:
        """Record that what happens to a hold by itself was changed."""
        return self.record(
            Action.PAYMENTS_HOLD_CHANGED,
            payment,
            payment.payment_id,
            act,
            _hold_facts(payment, payment.capture_at),
        )

    def resolved(self, payment: Payment, attempt: Attempt, act: Act) -> NewRecord:
        """Record that people said what became of an attempt; who approved it stands in the approval's record."""
        word = attempt.outcome.value if attempt.outcome else "none"
        facts: Details = {"operation": attempt.operation.value, "result": word}
        return self.record(
            Action.PAYMENTS_ATTEMPT_RESOLVED, payment, attempt.attempt_id, act, facts
        )

    def next_look(self, tries: int, now: datetime) -> datetime:
        """Say when to look again after so many looks; the last delay repeats."""
        return now + timedelta(seconds=self._delays[min(tries, len(self._delays) - 1)])

    def events(self, decided: Decided, now: datetime) -> Sequence[NewEvent]:
        """Return the events of what happened."""
        ids = new_event_ids(len(decided.happened))
        named = zip(decided.happened, ids, strict=True)
        return [self._event(each, name, decided, now) for each, name in named]

    def _event(
        self, happened: EventType, name: EventId, decided: Decided, now: datetime
    ) -> NewEvent:
        payment = payment_out(decided.payment, decided.attempts[0] if decided.attempts else None)
        data: msgspec.Struct = PaymentEvent(payment)
        thing: str = decided.payment.payment_id
        if happened.value.startswith("refund.") and decided.refunds:
            data = RefundEvent(refund_out(decided.refunds[0]), payment)
        if happened.value.startswith("dispute.") and decided.disputes:
            data = DisputeEvent(dispute_out(decided.disputes[0]), payment)
        return make_event(happened, thing, data, decided.payment.mode, now, name)

    def _of_dispute(self, payment: Payment, dispute: Dispute, act: Act) -> NewRecord:
        details: Details = {
            "amount": dispute.amount,
            "currency": dispute.currency,
            "result": dispute.status.value,
        }
        return self.record(
            Action.PAYMENTS_DISPUTE_RECORDED, payment, dispute.dispute_id, act, details
        )

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


def _hold_facts(payment: Payment, moment: datetime | None) -> Details:
    """Say what a hold's end brings, and when what was changed or told of is due."""
    facts: dict[str, str | int] = {"result": payment.on_expiry or "none"}
    if moment is not None:
        facts["due_at"] = rfc3339(moment)[:19] + "Z"
    return facts


def retry_looks(decided: Decided, now: datetime) -> Sequence[JobChange]:
    """Have somebody look whether what the merchant began, and was declined softly, is tried again."""
    stored, payment = decided.payment.stored_credential, decided.payment
    soft = stored is not None and stored.by_merchant
    if not soft or not any(map(is_soft_decline, decided.attempts)):
        return ()
    return (JobChange(RETRY, payment.payment_id, now),)
