# SPDX-License-Identifier: Apache-2.0
"""Compares a report with our books: the handler of `settlement` jobs. A stretch of lines a commit, with how far it is.

While PostgreSQL joins one stretch the next is read. A worker that is killed leaves the last commit's end as the place
where the next one goes on; two that have one job see by the report's row that the other was faster.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Final

import msgspec

from strongroom.audit import Action, Origin, Recorder
from strongroom.crypto import Sha256
from strongroom.db.pool import Database, Transaction
from strongroom.jobs import Again, Claimed, Done, JobResult
from strongroom.kernel.clock import Clock
from strongroom.kernel.events import EventType
from strongroom.kernel.ids import id_floor
from strongroom.payments.reconciliation import Reading, ReportRefused
from strongroom.payments.settlement import store
from strongroom.payments.settlement.columns import Columns, columns_of
from strongroom.payments.settlement.model import (
    DIFFERENCES,
    FORMATS,
    PART_BYTES_MAX,
    Report,
    Result,
    State,
    Step,
    Sum,
)
from strongroom.payments.settlement.reader import read_piece
from strongroom.payments.settlement.wire import ReconciliationEvent, reconciliation_out
from strongroom.telemetry.log import Log
from strongroom.telemetry.work_metrics import PaymentMetrics
from strongroom.webhooks import make_event

#: How long a job goes on before another has its turn; well below a lease.
TURN_SECONDS: Final = 10.0
#: What a transaction of earlier findings removes.
CLEARED_LINES: Final = 10_000
_ACTOR: Final = "system:reconciliation"

_replace: Final = msgspec.structs.replace


class MovedOn(Exception):
    """Somebody else has moved this report on. What was done here is undone."""


@dataclass(frozen=True, slots=True)
class ComparingParts:
    """What a comparison is made with."""

    database: Database
    recorder: Recorder
    clock: Clock
    log: Log
    metrics: PaymentMetrics
    wake: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some lines that were read, and the number of the piece behind them."""

    columns: Columns
    next_piece: int


class Comparing:
    """Does `settlement` jobs."""

    def __init__(
        self,
        parts: ComparingParts,
        *,
        turn_seconds: float = TURN_SECONDS,
        stretch_bytes: int = PART_BYTES_MAX,
    ) -> None:
        self._parts = parts
        self._database = parts.database
        self._clock = parts.clock
        self._turn_seconds = turn_seconds
        self._stretch_bytes = stretch_bytes

    async def run(self, job: Claimed) -> JobResult:
        """Go on with a report for a turn."""
        until = monotonic() + self._turn_seconds
        async with self._database.transaction([job.merchant]) as read:
            report = await store.by_id(read, job.merchant, job.mode, job.object_id)
        if report is None:
            return Done()
        try:
            while report.state is State.RECEIVED:
                report = await self._step(report, until)
                if monotonic() >= until:
                    break
        except MovedOn:
            return Again(self._clock.now() + timedelta(seconds=1))
        return Again(self._clock.now()) if report.state is State.RECEIVED else Done()

    async def _step(self, report: Report, until: float) -> Report:
        match report.step:
            case Step.CLEAR:
                return await self._clear(report)
            case Step.CHECK:
                return await self._check(report)
            case Step.READ:
                return await self._read(report, until)
            case _:
                return await self._look(report)

    async def _clear(self, report: Report) -> Report:
        """Remove some of what an earlier run found."""
        async with self._database.transaction([report.merchant_id]) as tx:
            await self._held(tx, report)
            gone = await tx.run(
                store.QUERIES["clear_lines"], *store.key_of(report), report.run, CLEARED_LINES
            )
            if gone:
                return report
            return await self._save(tx, _replace(report, step=Step.CHECK))

    async def _check(self, report: Report) -> Report:
        """See that the file is the one whose digest its sender said, before a line of it counts."""
        hasher, number = Sha256(), 0
        while True:
            async with self._database.transaction([report.merchant_id]) as read:
                found = await store.pieces(read, report, number, PART_BYTES_MAX)
            if not found:
                break
            await asyncio.to_thread(hasher.update, b"".join(each.content for each in found))
            number += len(found)
        if hasher.digest() != report.sha256:
            return await self._fail(report, "the file is not the one whose SHA-256 was said")
        async with self._database.transaction([report.merchant_id]) as tx:
            await self._held(tx, report)
            return await self._save(tx, _replace(report, step=Step.READ))

    async def _read(self, report: Report, until: float) -> Report:
        """Compare stretch after stretch; the next is read while one is compared."""
        try:
            following = await self._stretch(report, report.next_piece)
            while following is not None:
                stretch = following
                ahead = asyncio.create_task(self._stretch(report, stretch.next_piece))
                try:
                    report = await self._compare(report, stretch)
                except BaseException:
                    ahead.cancel()
                    await asyncio.gather(ahead, return_exceptions=True)
                    raise
                following = await ahead
                if monotonic() >= until:
                    return report
        except ReportRefused as error:
            # Every line was read once when it came: this release reads it otherwise than the one that took it.
            return await self._fail(report, str(error))
        async with self._database.transaction([report.merchant_id]) as tx:
            await self._held(tx, report)
            return await self._save(tx, _replace(report, step=Step.LOOK))

    async def _stretch(self, report: Report, number: int) -> Stretch | None:
        """Read the lines of the pieces from one on, about PART_BYTES_MAX of them; None behind the last."""
        async with self._database.transaction([report.merchant_id]) as read:
            found = await store.pieces(read, report, number, self._stretch_bytes)
        if not found:
            return None
        columns = await asyncio.to_thread(_columns, report, found)
        return Stretch(columns, number + len(found))

    async def _compare(self, report: Report, stretch: Stretch) -> Report:
        # Crash before this: the stretch is read again.
        async with self._database.transaction([report.merchant_id]) as tx:
            await self._held(tx, report)
            after = _replace(report, next_piece=stretch.next_piece)
            if stretch.columns.places:
                after = _with(after, await store.compare(tx, report, stretch.columns))
            after = await self._save(tx, after)
        # Crash after this: the next stretch is.
        self._parts.metrics.reconciled(
            {each: getattr(after, each) - getattr(report, each) for each in Result}
        )
        return after

    async def _look(self, report: Report) -> Report:
        """Look through our attempts of the report's period for some that it does not name; at their end, end."""
        first, last = _period(report)
        async with self._database.transaction([report.merchant_id]) as tx:
            await self._held(tx, report)
            missing, looked_to = 0, None
            if first is not None and last is not None:
                missing, looked_to = await store.unnamed(
                    tx, report, report.next_attempt or first, last
                )
            after = _replace(
                report,
                next_attempt=looked_to,
                missing_there=report.missing_there + missing,
            )
            ended = looked_to is None
            after = await (self._end(tx, after) if ended else self._save(tx, after))
        self._parts.metrics.reconciled({Result.MISSING_THERE: missing})
        if ended:
            self._say(after)
        return after

    async def _end(self, tx: Transaction, report: Report) -> Report:
        now = self._clock.now()
        after = await self._save(
            tx, _replace(report, state=State.DONE, step=Step.DONE, ended_at=now)
        )
        counts = {each.value: getattr(after, each) for each in Result}
        await self._record(
            tx, after, Action.PAYMENTS_RECONCILIATION_ENDED, {"lines": after.lines, **counts}
        )
        differs = bool(after.differing)
        event = EventType.RECONCILIATION_DIFFERED if differs else EventType.RECONCILIATION_AGREED
        await self._tell(tx, after, event)
        return after

    async def _fail(self, report: Report, problem: str) -> Report:
        async with self._database.transaction([report.merchant_id]) as tx:
            await self._held(tx, report)
            now = self._clock.now()
            await store.failed(tx, report, problem, now)
            after = _replace(report, state=State.FAILED, problem=problem, ended_at=now)
            await self._record(
                tx, after, Action.PAYMENTS_RECONCILIATION_FAILED, {"lines": after.lines}
            )
            await self._tell(tx, after, EventType.RECONCILIATION_FAILED)
        self._parts.metrics.reconciliations("failed")
        self._parts.wake()
        return after

    async def _held(self, tx: Transaction, report: Report) -> None:
        """Hold a report's row as it was read.

        Raises:
            MovedOn: it is not so any more.
        """
        found = await store.by_id(tx, report.merchant_id, report.mode, report.report_id, lock=True)
        if found is None or _place(found) != _place(report):
            raise MovedOn

    async def _save(self, tx: Transaction, report: Report) -> Report:
        await store.stepped(tx, report, self._clock.now())
        return report

    async def _record(
        self, tx: Transaction, report: Report, action: Action, counts: Mapping[str, int]
    ) -> None:
        record = self._parts.recorder.make(
            action,
            actor=_ACTOR,
            merchant=report.merchant_id,
            mode=report.mode,
            thing=report.report_id,
            origin=Origin(),
            now=self._clock.now(),
            details={"digest": report.sha256.hex(), **counts},
        )
        await self._parts.recorder.insert(tx, record)

    async def _tell(self, tx: Transaction, report: Report, event: EventType) -> None:
        now = self._clock.now()
        data = ReconciliationEvent(reconciliation_out(report))
        made = make_event(event, report.report_id, data, report.mode, now)
        await store.publish(tx, report, made, now)

    def _say(self, report: Report) -> None:
        """Count what has ended, and alert where it differs."""
        parts = self._parts
        parts.metrics.reconciliations("differed" if report.differing else "agreed")
        if report.differing:
            parts.log.emit(
                "error",
                "payments.reconciliation_differs",
                {
                    "merchant_id": report.merchant_id,
                    "mode": report.mode.value,
                    "object_id": report.report_id,
                    "total": sum(getattr(report, each) for each in DIFFERENCES),
                },
            )
        parts.wake()


def _place(report: Report) -> tuple[object, ...]:
    return report.state, report.run, report.step, report.next_piece, report.next_attempt


def _columns(report: Report, pieces: Sequence[store.Piece]) -> Columns:
    """Read pieces of a file. Raises ReportRefused."""
    reading = Reading(FORMATS[report.format])
    if pieces[0].number and report.header is not None:
        reading.go_on(report.header, pieces[0].line)
    return columns_of(line for piece in pieces for line in read_piece(reading, piece.content))


def _with(report: Report, found: store.Found) -> Report:
    """Add what some lines were found to be."""
    counts = {each.value: getattr(report, each) + found.counts.get(each, 0) for each in Result}
    totals = {currency: dict(kinds) for currency, kinds in report.totals.items()}
    for currency, kinds in found.totals.items():
        into = totals.setdefault(currency, {})
        for kind, more in kinds.items():
            into[kind] = into.get(kind, Sum()).plus(more)
    attempts = [each for each in (report.first_attempt, found.first_attempt) if each is not None]
    latest = [each for each in (report.last_attempt, found.last_attempt) if each is not None]
    return _replace(
        report,
        **counts,
        lines=report.lines + sum(found.counts.values()),
        totals=totals,
        first_attempt=min(attempts, default=None),
        last_attempt=max(latest, default=None),
    )


def _period(report: Report) -> tuple[str | None, str | None]:
    """Return between which attempts every one has to be named. The first is named, or made before the period."""
    first = report.first_attempt
    if report.period_from is not None:
        first = id_floor("att", report.period_from)
    last = report.last_attempt
    if report.period_to is not None:
        last = id_floor("att", report.period_to)
    return first, last
