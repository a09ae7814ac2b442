# SPDX-License-Identifier: Apache-2.0
"""Ground for settlement reports: books put into a real database, a gateway that takes them, a worker that compares."""

import csv
import io
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from database import Databases
from strongroom.audit import Origin
from strongroom.audit.recorder import EventRecorder
from strongroom.crypto import random_bytes, sha256
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database, connect
from strongroom.jobs import Again, Claimed, Done, JobResult
from strongroom.kernel.clock import SteppedClock
from strongroom.kernel.ids import MerchantId, encode_id
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.payments.connections import By, ConnectionBook
from strongroom.payments.settlement.comparing import Comparing, ComparingParts
from strongroom.payments.settlement.model import ComparedLine, Report, State
from strongroom.payments.settlement.uploads import Reports, Wanted
from strongroom.payments.settlement.wire import PeriodIn, ReconciliationIn
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import Metrics
from strongroom.telemetry.sink import MemorySink

START: Final = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
COLUMNS: Final = (
    "kind booked_at currency gross fee net processor_reference payment_reference our_reference batch "
    "presented_amount presented_currency"
).split()
Row = Mapping[str, str]


_moments: Final = itertools.count(int(START.timestamp() * 1_000))


def later_attempt() -> str:
    """The id of an attempt that was made after all before."""
    return encode_id("att", next(_moments), random_bytes(10))


@dataclass(frozen=True, slots=True)
class Move:
    """A movement of ours: an attempt that was approved, or came to something else."""

    operation: str = "sale"
    amount: int = 1_050
    currency: str = "AED"
    outcome: str = "approved"
    reason: str | None = None
    attempt: str = field(default_factory=later_attempt)
    reference: str = field(default_factory=lambda: new_id("evt").replace("evt_", "act_"))

    def row(self, **changes: str) -> dict[str, str]:
        """The line that a processor writes of it."""
        gross = -self.amount if self.operation == "refund" else self.amount
        return {
            "kind": "refund" if self.operation == "refund" else "capture",
            "booked_at": "2026-11-20T09:30:00Z",
            "currency": self.currency,
            "gross": major(gross),
            "fee": "0",
            "net": major(gross),
            "processor_reference": self.reference,
            "our_reference": self.attempt,
            "batch": "b1",
            **changes,
        }


def major(minor: int) -> str:
    """An amount of a currency with two decimals, as reports have it."""
    return f"{'-' if minor < 0 else ''}{abs(minor) // 100}.{abs(minor) % 100:02}"


def amount(minor: int) -> dict[str, str]:
    return {"gross": major(minor), "net": major(minor)}


def written(rows: Sequence[Row]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


@dataclass
class Ground:
    """A merchant with one connection, and both roles."""

    databases: Databases
    gateway: Database
    worker: Database
    clock: SteppedClock
    lines: MemorySink = field(default_factory=MemorySink)
    metrics: Metrics = field(default_factory=Metrics)
    merchant: MerchantId = field(default_factory=lambda: MerchantId(new_id("mer")))
    connection: str = field(default_factory=lambda: new_id("con"))
    reports: Reports = field(init=False)
    book: ConnectionBook = field(init=False)

    def __post_init__(self) -> None:
        self.book = ConnectionBook(self.gateway, {})
        self.reports = Reports(
            database=self.gateway,
            connections=self.book,
            recorder=self._recorder(self.gateway),
            clock=self.clock,
            wake=lambda: None,
        )

    def _recorder(self, database: Database) -> EventRecorder:
        return EventRecorder(database, Secret(b"r" * 32), self.clock)

    def comparing(self, database: Database | None = None, **more: Any) -> Comparing:
        of = database or self.worker
        return Comparing(
            ComparingParts(
                database=of,
                recorder=self._recorder(of),
                clock=self.clock,
                log=Log(self.lines, clock=self.clock),
                metrics=self.metrics.payments,
                wake=lambda: None,
            ),
            **more,
        )

    @property
    def by(self) -> By:
        return By(self.merchant, Mode.TEST, "key:tests", Origin())

    async def run(self, sql: str, *values: object) -> list[Any]:
        """Ask as the superuser."""
        connection = await connect(self.databases.administrator(Domain.CORE))
        try:
            return list(await connection.fetch(sql, *values))
        finally:
            await connection.close()

    async def connect(self, connection: str | None = None, processor: str = "checkout") -> str:
        made = connection or self.connection
        await self.run(
            "insert into payments.connection values ($1, 'test', $2, 'n', $3, 'a', 'by_reference', 'active', now(), "
            "now())",
            self.merchant,
            made,
            processor,
        )
        self.book.forget(self.merchant, Mode.TEST)
        return made

    async def move(self, *moves: Move, connection: str | None = None) -> None:
        """Put movements into the books, each with a payment of its own."""
        admin = await connect(self.databases.administrator(Domain.CORE))
        try:
            for each in moves:
                payment = each.attempt.replace("att_", "pay_")
                await admin.execute(
                    """insert into payments.payment (merchant_id, mode, payment_id, version, status, amount, currency,
                              capture_method, authorized, captured, created_by, created_at, updated_at)
                       values ($1, 'test', $2, 1, 'succeeded', $3, $4, 'manual', $3, $3, 'x', now(), now())""",
                    self.merchant,
                    payment,
                    each.amount,
                    each.currency,
                )
                await admin.execute(
                    """insert into payments.attempt (merchant_id, mode, attempt_id, payment_id, operation, wish,
                              connection_id, amount, currency, outcome, basis, processor_reference, settled_amount,
                              reason, created_at, lease_until)
                       values ($1, 'test', $2, $3, $4, $2, $5, $6, $7, $8, 'answer', $9,
                               case when $8 = 'approved' then $6::bigint end, $10, now(), now())""",
                    self.merchant,
                    each.attempt,
                    payment,
                    each.operation,
                    connection or self.connection,
                    each.amount,
                    each.currency,
                    each.outcome,
                    each.reference,
                    each.reason,
                )
        finally:
            await admin.close()

    async def give(
        self, content: bytes, *, part: int = 2**20, whole: bool = False, **more: Any
    ) -> Report:
        """Send a report in parts; `whole`: its period is all of this year."""
        if whole:
            more["period"] = PeriodIn(
                datetime(2026, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
            )
        at = await self.reports.begin(
            ReconciliationIn(
                more.pop("connection", self.connection), sha256(content).hex(), **more
            ),
            self.by,
        )
        while at.state is State.OPEN:
            sent = content[at.received : at.received + part]
            last = at.received + len(sent) == len(content)
            at = await self.reports.take(
                self.merchant, Mode.TEST, at.report_id, at.received, sent, last=last
            )
        return at

    def job(self, report: Report) -> Claimed:
        now = self.clock.now()
        return Claimed(
            self.merchant,
            Mode.TEST,
            "settlement",
            report.report_id,
            1,
            0,
            now,
            now + timedelta(seconds=60),
        )

    async def compared(self, report: Report, comparing: Comparing | None = None) -> Report:
        """Let a worker go on until a report has ended."""
        by, result = comparing or self.comparing(), None
        while not isinstance(result, Done):
            result = await by.run(self.job(report))
            assert isinstance(result, Done | Again), JobResult
        return await self.reports.read(self.merchant, Mode.TEST, report.report_id)

    async def found(self, report: Report, **wanted: Any) -> list[ComparedLine]:
        """Every line that is wanted, page by page."""
        found: list[ComparedLine] = []
        behind: int | None = 0
        while behind is not None:
            page, behind = await self.reports.lines(
                self.merchant, Mode.TEST, report.report_id, Wanted(**wanted), behind, 7
            )
            found += page
        return found


@asynccontextmanager
async def settlement_ground(databases: Databases) -> AsyncIterator[Ground]:
    """Lend a merchant with a connection."""
    gateway = Database(databases.address(Domain.CORE, Login.GATEWAY), connections_max=3)
    worker = Database(databases.address(Domain.CORE, Login.WORKER), connections_max=3)
    ground = Ground(databases, gateway, worker, SteppedClock(START))
    try:
        await ground.connect()
        yield ground
    finally:
        await gateway.close()
        await worker.close()
