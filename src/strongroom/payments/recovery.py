# SPDX-License-Identifier: Apache-2.0
"""The worker's jobs of payments: a look at an attempt whose outcome is not known, and what a notice says (promise 5).

Both may run twice, and beside a request that is still being served: they end in the same `settle`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from strongroom.audit import Origin
from strongroom.jobs import Again, Claimed, Done, JobResult, Kept
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import MerchantId, is_id
from strongroom.kernel.mode import Mode
from strongroom.payments.attempts import Attempts
from strongroom.payments.changes import Changes
from strongroom.payments.connections import ConnectionBook
from strongroom.payments.decisions import Decided
from strongroom.payments.dispute_notices import AGREES, BELIEVED, LATER, DisputeNotices
from strongroom.payments.findings import (
    agrees,
    is_beside_open,
    is_early,
    is_of_another_try,
    is_overtaken,
)
from strongroom.payments.leaving import leave
from strongroom.payments.model import (
    Attempt,
    Connection,
    Finding,
    Found,
    Loaded,
    Outcome,
    Payment,
)
from strongroom.payments.ports import AnswerSurprising, Report
from strongroom.payments.records import NOTICE, NOTICES, RECOVERY, Act, Extras, Scribe
from strongroom.payments.store import Change, JobChange, NoticeDone
from strongroom.telemetry.log import Log
from strongroom.telemetry.work_metrics import PaymentMetrics
from strongroom.webhooks import OpenedNotice

#: Opens a kept notice of a tenant; raises NoticeUnknown.
Opener = Callable[[MerchantId, Mode, str], Awaitable[OpenedNotice]]
#: A notice that overtook the answer of its own attempt waits for it this long.
OVERTOOK_SECONDS: Final = 1.0


class LookUps:
    """The job `lookup`: finds out what became of an attempt."""

    def __init__(
        self,
        changes: Changes,
        attempts: Attempts,
        scribe: Scribe,
        clock: Clock,
        log: Log,
        *,
        people_seconds: int,
    ) -> None:
        self._changes = changes
        self._attempts = attempts
        self._scribe = scribe
        self._clock = clock
        self._log = log
        self._people_after = timedelta(seconds=people_seconds)

    async def run(self, job: Claimed) -> JobResult:
        """Look once. What stays unknown is looked at again, later and later, and never called failed."""
        loaded = await self._changes.reader.load(
            job.merchant, job.mode, None, also_attempt=job.object_id
        )
        attempt = None if loaded is None else loaded.attempt(job.object_id)
        if loaded is None or attempt is None or not attempt.is_open:
            return Done()
        now = self._clock.now()
        if attempt.outcome is None and attempt.lease_until > now:
            return Again(attempt.lease_until)
        loaded = await self._attempts.look(loaded, attempt)
        attempt = loaded.attempt(job.object_id)
        if attempt is None or not attempt.is_open:
            return Done()
        await self._attempts.continuations.call_back(loaded, attempt)
        now = self._clock.now()
        await self._changes.reader.note_look(attempt, now)
        if now - attempt.created_at >= self._people_after and attempt.outcome is not None:
            await self._leave(loaded, attempt.attempt_id)
            return Kept()
        return Again(self._scribe.next_look(job.tries - 1, now))

    async def _leave(self, loaded: Loaded, attempt_id: str) -> None:
        """Leave an attempt to people; the job ends in the same commit, and the merchant hears."""

        def decide(known: Loaded) -> tuple[Decided, Change] | None:
            attempt, now = known.attempt(attempt_id), self._clock.now()
            decided = None if attempt is None else leave(known, attempt, now)
            if decided is None or not decided.changed:
                return None
            return decided, self._scribe.change(decided, Act(RECOVERY, Origin(), now), Extras())

        await self._changes.apply(loaded, decide, also_attempt=attempt_id)
        self._log.emit(
            "error",
            "payments.attempt_left",
            {
                "transaction_id": loaded.payment.payment_id,
                "merchant_id": loaded.payment.merchant_id,
            },
        )


@dataclass(frozen=True, slots=True)
class NoticeParts:
    """What dealing with notices takes."""

    open: Opener
    changes: Changes
    attempts: Attempts
    connections: ConnectionBook
    scribe: Scribe
    clock: Clock
    log: Log
    metrics: PaymentMetrics
    disputes: DisputeNotices


class Notices:
    """The job `notice`: what a processor told us, verified and kept, is compared with what we know."""

    def __init__(self, parts: NoticeParts) -> None:
        self._parts = parts

    async def run(self, job: Claimed) -> JobResult:
        """Deal with one notice.

        1. Open what was kept: it was verified when it came, and is authenticated again by being sealed.
        2. Correlate: processor, account, mode, our reference, amount, currency. Anything else changes nothing.
        3. What is known already needs nothing. What overtook the answer of its own request waits a moment, and a
           release waits for the capture or void under way, which may be what released it. An approval beside an open
           attempt is marked at once, and comes again until that one has ended.
        4. Ask the processor, where it can be asked; else the signed fields count, and the record says `basis: notice`.
        5. Mark it handled, in the commit of what it changed.
        """
        parts = self._parts
        notice = await parts.open(job.merchant, job.mode, job.object_id)  # (1)
        if notice.state == "handled":
            return Done()
        connection = await parts.connections.one(job.merchant, job.mode, notice.connection_id)
        adapter = parts.connections.adapter(connection)
        try:
            report = adapter.report(notice.notice.body)
        except AnswerSurprising:
            return await self._aside(job, "surprising")
        if report is None:
            return await self._aside(job, "not_about_a_payment")
        if report.dispute is not None:
            return await self._disputed(job, connection, report)
        loaded, attempt = await self._correlated(connection, report)  # (2)
        if loaded is None or attempt is None:
            return await self._aside(job, "uncorrelated")
        if not _matches(loaded.payment, attempt, report):
            return await self._aside(job, "differs")
        if attempt.outcome is None and attempt.lease_until > parts.clock.now():  # (3)
            return Again(parts.clock.now() + timedelta(seconds=OVERTOOK_SECONDS))
        if is_early(loaded.payment, attempt, report.found):
            return self._later(job)
        if (
            agrees(loaded.payment, attempt, report.found)
            or _is_older(attempt, report)
            or is_of_another_try(attempt, report.found)
        ):
            return await self._handled(job, loaded, "agrees")
        return await self._changed(job, notice, connection, report, loaded, attempt)

    async def _disputed(self, job: Claimed, connection: Connection, report: Report) -> JobResult:
        """Deal with what it tells of a dispute."""
        word = await self._parts.disputes.tell(job, connection, report)
        if word == BELIEVED:
            return Kept()
        return self._later(job) if word == LATER else await self._aside(job, word)

    async def _changed(
        self,
        job: Claimed,
        notice: OpenedNotice,
        connection: Connection,
        report: Report,
        loaded: Loaded,
        attempt: Attempt,
    ) -> JobResult:
        """Learn what it tells: (4), (5)."""
        parts = self._parts
        if is_overtaken(attempt, report.found) and connection.finding is not Finding.BY_REFERENCE:
            # An old success that comes late, or a new one (a capture that was tried again there): nobody signs which.
            return await self._aside(job, "overtaken")
        if connection.finding is Finding.BY_REFERENCE:
            found = await parts.attempts.find(loaded, attempt)
            if found.outcome is Outcome.UNKNOWN:
                # It cannot be asked now, or does not show it yet. Nobody looks at what is final but for this notice.
                return self._later(job)
            before = loaded.payment.version
            loaded = await parts.attempts.learn(loaded, attempt, found)
            if _comes_again(loaded, attempt, found):
                return self._later(job)
            result = "confirmed" if loaded.payment.version != before else "not_confirmed"
            if result == "not_confirmed":
                self._alert(job, result)
            return await self._handled(job, loaded, result)
        act = Act(NOTICES, Origin(), parts.clock.now())
        record = parts.scribe.handled(loaded.payment, notice.notice_id, "believed", act)
        extras = Extras(
            notice=NoticeDone(notice.notice_id, "believed"),
            audit=[record],
            jobs=[JobChange(NOTICE, notice.notice_id, None)],
        )
        settled = await parts.attempts.settle(
            loaded,
            attempt.attempt_id,
            report.found,
            act,
            extras=extras,
            waits=lambda known, current: is_early(known.payment, current, report.found),
        )
        if _comes_again(settled, attempt, report.found):
            return self._later(job)
        parts.metrics.noticed("believed")
        return Kept()

    def _later(self, job: Claimed) -> Again:
        return Again(self._parts.scribe.next_look(job.tries - 1, self._parts.clock.now()))

    async def _correlated(
        self, connection: Connection, report: Report
    ) -> tuple[Loaded | None, Attempt | None]:
        # A notice that names no account is of the one whose secret it holds under: this connection's.
        if report.account not in (None, connection.account) or report.mode != connection.mode:
            return None, None
        if not is_id("att", report.reference):
            return None, None
        loaded = await self._parts.changes.reader.load(
            connection.merchant_id, connection.mode, None, also_attempt=report.reference
        )
        attempt = None if loaded is None else loaded.attempt(report.reference)
        if attempt is None or attempt.connection_id != connection.connection_id:
            return None, None
        return loaded, attempt

    async def _handled(self, job: Claimed, loaded: Loaded, result: str) -> JobResult:
        parts = self._parts
        act = Act(NOTICES, Origin(), parts.clock.now())
        parts.metrics.noticed(result)
        await parts.changes.write(
            Change(
                merchant=job.merchant,
                mode=job.mode,
                now=act.now,
                audit=[parts.scribe.handled(loaded.payment, job.object_id, result, act)],
                notice=NoticeDone(job.object_id, result),
                jobs=[JobChange(NOTICE, job.object_id, None)],
            )
        )
        return Kept()

    async def _aside(self, job: Claimed, result: str) -> JobResult:
        """Keep it and change nothing; somebody should know why it came."""
        parts = self._parts
        if result not in ("not_about_a_payment", AGREES):
            self._alert(job, result)
        parts.metrics.noticed(result)
        act = Act(NOTICES, Origin(), parts.clock.now())
        await parts.changes.write(
            Change(
                merchant=job.merchant,
                mode=job.mode,
                now=act.now,
                audit=[parts.scribe.put_aside(job.merchant, job.mode, job.object_id, result, act)],
                notice=NoticeDone(job.object_id, result),
                jobs=[JobChange(NOTICE, job.object_id, None)],
            )
        )
        return Kept()

    def _alert(self, job: Claimed, result: str) -> None:
        self._parts.log.emit(
            "error",
            "payments.notice_not_believed",
            {"merchant_id": job.merchant, "mode": job.mode.value, "outcome": result},
        )


def _comes_again(loaded: Loaded, attempt: Attempt, found: Found) -> bool:
    """Tell whether what was told is not saved whole yet: a capture or void began, or another attempt is open."""
    return is_early(loaded.payment, attempt, found) or is_beside_open(loaded, attempt, found)


def _matches(payment: Payment, attempt: Attempt, report: Report) -> bool:
    """Tell whether a notice speaks of what we asked: the operation, the currency and the amount."""
    amounts: set[int | None] = {attempt.raises_to if report.of_total else attempt.amount}
    if attempt.operation.authorizes:
        # Some processors say of an authorization what it came to with its increments.
        raised = attempt.amount + payment.incremented
        amounts |= {raised, raised + payment.incrementing}
    if report.operation is not attempt.operation or report.currency != attempt.currency:
        return False
    return report.amount in amounts or (
        report.of_the_whole and attempt.amount < report.amount <= payment.authorized
    )


def _is_older(attempt: Attempt, report: Report) -> bool:
    """Tell whether a notice tells of a step that was passed already: events come late and in any order."""
    outcome = attempt.outcome
    return outcome is not None and outcome.is_final and not report.found.outcome.is_final
