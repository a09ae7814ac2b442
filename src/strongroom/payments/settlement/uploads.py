# SPDX-License-Identifier: Apache-2.0
"""Takes settlement reports in parts, and shows what became of them.

Every line is read before any byte of it is kept: what cannot be read, or holds a card number, is refused with its line,
and nothing of the file stays.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from strongroom.audit import Action, Origin, Recorder
from strongroom.crypto.ids import new_id
from strongroom.db.pool import Database, Transaction
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import MerchantId, ReportId, is_id
from strongroom.kernel.mode import Mode
from strongroom.payments.connections import By, ConnectionBook
from strongroom.payments.reconciliation import ROW_BYTES_MAX, Reading, ReportRefused, whole_rows
from strongroom.payments.settlement import store
from strongroom.payments.settlement.errors import (
    ReconciliationUnknown,
    ReportEnded,
    ReportNotRead,
    ReportNotTaken,
    ReportOffsetWrong,
    ReportTooLarge,
)
from strongroom.payments.settlement.model import (
    FORMATS,
    REPORT_BYTES_MAX,
    ComparedLine,
    Report,
    Result,
    State,
    Step,
)
from strongroom.payments.settlement.reader import read_piece
from strongroom.payments.settlement.wire import ReconciliationIn

_AFTER_EVERY_ID: Final = "rcn_~"

_replace: Final = msgspec.structs.replace


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines of a report: all, those that differ, or those that are one thing."""

    result: Result | None = None
    differing: bool = False


class _Taken(NamedTuple):
    """How much of a part is whole lines, and where the reading stands behind them."""

    content: bytes
    header: Sequence[str] | None
    next_line: int


class Reports:
    """The settlement reports of every tenant."""

    def __init__(
        self,
        *,
        database: Database,
        connections: ConnectionBook,
        recorder: Recorder,
        clock: Clock,
        wake: Callable[[], None],
        bytes_max: int = REPORT_BYTES_MAX,
    ) -> None:
        self._database = database
        self._connections = connections
        self._recorder = recorder
        self._clock = clock
        self._wake = wake
        self._bytes_max = bytes_max

    async def begin(self, wish: ReconciliationIn, by: By) -> Report:
        """Make a report, which takes content from now on; or return the one that this file is already.

        Raises:
            ConnectionUnknown: see there.
            Invalid: a period that ends before it begins.
        """
        if wish.period is not None and wish.period.begin >= wish.period.to:
            raise Invalid(
                FieldError("/period/to", "period_wrong", "a period ends after it has begun")
            )
        connection = await self._connections.one(by.merchant, by.mode, wish.connection)
        own = connection.processor if connection.processor in FORMATS else "generic"
        now = self._clock.now()
        made = msgspec.convert(
            {
                "merchant_id": by.merchant,
                "mode": by.mode,
                "report_id": ReportId(new_id("rcn")),
                "connection_id": connection.connection_id,
                "format": wish.format or own,
                "state": State.OPEN,
                "digest": f"\\x{wish.sha256}",
                "period_from": None if wish.period is None else wish.period.begin,
                "period_to": None if wish.period is None else wish.period.to,
                "received": 0,
                "next_line": 1,
                "pieces": 0,
                "header": None,
                "run": 1,
                "step": Step.CLEAR,
                "next_piece": 0,
                "next_attempt": None,
                "first_attempt": None,
                "last_attempt": None,
                "lines": 0,
                **{each.value: 0 for each in Result},
                "totals": {},
                "problem": None,
                "created_by": by.actor,
                "created_at": now,
                "updated_at": now,
                "ended_at": None,
            },
            Report,
        )
        async with self._database.transaction([by.merchant]) as tx:
            if await store.insert(tx, made):
                await self._record_start(tx, made, by)
                return made
            there = await store.by_digest(tx, made)
        if there is None:
            # It failed between the two statements: the next call makes a new one.
            raise ReportOffsetWrong
        return there

    async def take(
        self,
        merchant: MerchantId,
        mode: Mode,
        report_id: str,
        offset: int,
        content: bytes,
        *,
        last: bool,
    ) -> Report:
        """Take a part of the file. Its answer says where the next one begins (`received`).

        Raises:
            ReconciliationUnknown, ReportEnded, ReportOffsetWrong, ReportTooLarge: see each.
            ReportNotTaken: a line of it cannot be read, or holds a card number; the report has failed.
        """
        at = await self.read(merchant, mode, report_id)
        _require_open(at, offset)
        if offset + len(content) > self._bytes_max:
            raise ReportTooLarge
        try:
            taken = await asyncio.to_thread(_taken, at, content, last=last)
        except ReportRefused as error:
            await self._fail(at, str(error))
            raise ReportNotTaken(f"the report cannot be read: {error}") from None
        now = self._clock.now()
        async with self._database.transaction([merchant]) as tx:
            found = await store.by_id(tx, merchant, mode, report_id, lock=True)
            if found is None:
                raise ReconciliationUnknown
            _require_open(found, offset)
            after = _replace(
                found,
                received=offset + len(taken.content),
                next_line=taken.next_line,
                header=taken.header,
                state=State.RECEIVED if last else State.OPEN,
                updated_at=now,
            )
            if taken.content:
                await store.put_piece(
                    tx, found, store.Piece(found.pieces, found.next_line, taken.content)
                )
                after = _replace(after, pieces=found.pieces + 1)
            await store.taken(tx, after, now)
            if last:
                await store.put_job(tx, after, now)
                tx.after_commit(self._wake)
        return after

    async def again(self, report_id: str, by: By) -> Report:
        """Let a report be compared anew, with what is known now.

        Raises:
            ReconciliationUnknown, ReportNotRead: see each.
        """
        now = self._clock.now()
        async with self._database.transaction([by.merchant]) as tx:
            found = await store.by_id(tx, by.merchant, by.mode, _checked(report_id), lock=True)
            if found is None:
                raise ReconciliationUnknown
            if found.state is not State.DONE:
                raise ReportNotRead
            await store.again(tx, found, now)
            await store.put_job(tx, found, now)
            await self._record_start(tx, found, by)
            tx.after_commit(self._wake)
        return await self.read(by.merchant, by.mode, report_id)

    async def read(self, merchant: MerchantId, mode: Mode, report_id: str) -> Report:
        """Return a report.

        Raises:
            ReconciliationUnknown: not there for this tenant and mode.
        """
        _checked(report_id)
        async with self._database.transaction([merchant]) as read:
            found = await store.by_id(read, merchant, mode, report_id)
        if found is None:
            raise ReconciliationUnknown
        return found

    async def list(
        self,
        merchant: MerchantId,
        mode: Mode,
        before: str | None,
        connection: str | None,
        limit: int,
    ) -> tuple[Sequence[Report], str | None]:
        """Return a page of reports, newest first, and the cursor of the next page if there is one."""
        async with self._database.transaction([merchant]) as read:
            rows = await store.page(
                read, merchant, mode, before or _AFTER_EVERY_ID, connection, limit + 1
            )
        page = rows[:limit]
        return page, page[-1].report_id if len(rows) > limit else None

    async def lines(
        self,
        merchant: MerchantId,
        mode: Mode,
        report_id: str,
        wanted: Wanted,
        behind: int,
        limit: int,
    ) -> tuple[Sequence[ComparedLine], int | None]:
        """Return some lines behind a place, as far as they are compared, and the place of the last if more follow.

        Raises:
            ReconciliationUnknown: see `read`.
        """
        report = await self.read(merchant, mode, report_id)
        async with self._database.transaction([merchant]) as read:
            rows = await store.lines(
                read,
                report,
                wanted.result,
                differing=wanted.differing,
                behind=behind,
                limit=limit + 1,
            )
        page = rows[:limit]
        return page, page[-1].place if len(rows) > limit else None

    async def _fail(self, at: Report, problem: str) -> None:
        now = self._clock.now()
        async with self._database.transaction([at.merchant_id]) as tx:
            found = await store.by_id(tx, at.merchant_id, at.mode, at.report_id, lock=True)
            if found is None or found.state is not State.OPEN:
                return
            await store.failed(tx, found, problem, now)
            record = self._recorder.make(
                Action.PAYMENTS_RECONCILIATION_FAILED,
                actor=found.created_by,
                merchant=found.merchant_id,
                mode=found.mode,
                thing=found.report_id,
                origin=Origin(),
                now=now,
                details={"digest": found.sha256.hex(), "lines": 0},
            )
            await self._recorder.insert(tx, record)
        while True:
            async with self._database.transaction([at.merchant_id]) as tx:
                if not await store.drop_pieces(tx, at):
                    return

    async def _record_start(self, tx: Transaction, report: Report, by: By) -> None:
        record = self._recorder.make(
            Action.PAYMENTS_RECONCILIATION_STARTED,
            actor=by.actor,
            merchant=by.merchant,
            mode=by.mode,
            thing=report.report_id,
            origin=by.origin,
            now=self._clock.now(),
            details={"digest": report.sha256.hex()},
        )
        await self._recorder.insert(tx, record)


def _checked(report_id: str) -> str:
    if not is_id("rcn", report_id):
        raise ReconciliationUnknown
    return report_id


def _require_open(report: Report, offset: int) -> None:
    if report.state is not State.OPEN:
        raise ReportEnded
    if report.received != offset:
        raise ReportOffsetWrong


def _taken(at: Report, content: bytes, *, last: bool) -> _Taken:
    """Read the whole lines of a part. Raises ReportRefused: also where a report ends without a header."""
    reading = Reading(FORMATS[at.format])
    if at.header is not None:
        reading.go_on(at.header, at.next_line)
    end = len(content) if last else whole_rows(content)
    whole = content[:end]
    for _ in read_piece(reading, whole):
        pass
    header = list(reading.columns) or None
    if header is None:
        # The header stands in the first piece: a stretch that begins with another one needs no more than its columns.
        if last or len(content) > ROW_BYTES_MAX:
            raise ReportRefused(1, None, "the report is empty, or its header is no header")
        return _Taken(b"", None, 1)
    if not end and len(content) > ROW_BYTES_MAX:
        raise ReportRefused(at.next_line, None, "a row longer than any row is")
    return _Taken(whole, header, reading.next_line)
