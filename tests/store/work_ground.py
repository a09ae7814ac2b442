# SPDX-License-Identifier: Apache-2.0
"""Jobs for tests: a handler that counts in a table of the database, and a runner over it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from database import Databases
from polling import until
from strongroom.audit import Action, NewRecord, Origin, Outcome
from strongroom.audit.recorder import EventRecorder
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database, Transaction, connect
from strongroom.db.queries import Query
from strongroom.kernel.clock import Clock, SystemClock
from strongroom.kernel.ids import KeyId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import CallerKind, Principal
from strongroom.kernel.secret import Secret
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import Metrics
from strongroom.telemetry.sink import MemorySink
from strongroom.vault.finding import Caller
from strongroom.vault.work.model import Job, JobKind, JobState, Step
from strongroom.vault.work.pace import batch
from strongroom.vault.work.runner import Runner
from strongroom.vault.work.service import JobService

DEADLINE_SECONDS: Final = 20.0
ROW_KEY: Final = Secret(bytes(32))
#: A container a number: a row that is there twice breaks the transaction of its step.
ADD: Final = Query(
    "add",
    (),
    "insert into vault.container (merchant_id, mode, name, created_by, created_at, updated_at)"
    " select $1, $2, $3 || $6::text || n, $3, now(), now() from generate_series($4::integer, $5::integer) n",
)


@dataclass
class Counting:
    """Writes the numbers from 1 to the job's total, each once; a step does at most so many."""

    recorder: EventRecorder
    kind: JobKind = JobKind.IMPORT
    most: int = 10
    #: What its rows are called: those of two that are named apart do not collide.
    mark: str = "-"
    #: Awaited inside a step, before it writes.
    before: Callable[[Job], Awaitable[None]] | None = None
    #: Likewise, after it wrote.
    after: Callable[[Job], Awaitable[None]] | None = None
    #: Which job each step was of.
    steps: list[str] = field(default_factory=list)

    async def step(self, job: Job, tx: Transaction) -> Step:
        self.steps.append(job.job_id)
        if self.before is not None:
            await self.before(job)
        first = int(job.cursor or 0) + 1
        last = min(first + batch(job, self.most) - 1, job.total or 0)
        await tx.run(ADD, job.merchant_id, job.mode, job.job_id, first, last, self.mark)
        if self.after is not None:
            await self.after(job)
        return Step(
            str(last), done=last - first + 1, ended=last == job.total, result={"last": last}
        )

    def ended(self, job: Job) -> NewRecord | None:
        return self.recorder.make(
            Action.VAULT_RESEAL_ENDED,
            actor=job.created_by,
            merchant=job.merchant_id,
            mode=job.mode,
            thing=job.job_id,
            origin=Origin(),
            now=job.ended_at or job.updated_at,
            outcome=Outcome.SUCCESS if job.state is JobState.DONE else Outcome.FAILED,
            details={"count": job.done, "state": job.state.value},
        )


@dataclass
class Ground:
    """A merchant, its jobs, and runners over them."""

    databases: Databases
    database: Database
    clock: Clock = field(default_factory=SystemClock)
    metrics: Metrics = field(default_factory=Metrics)
    lines: MemorySink = field(default_factory=MemorySink)
    merchant: MerchantId = field(default_factory=lambda: MerchantId(new_id("mer")))

    def __post_init__(self) -> None:
        self.recorder = EventRecorder(self.database, ROW_KEY, self.clock)
        self.handler = Counting(self.recorder)
        self.jobs = JobService(
            self.database, self.recorder, self.clock, {self.handler.kind: self.handler}
        )

    @property
    def caller(self) -> Caller:
        who = Principal(
            KeyId(new_id("key")), CallerKind.SECRET, self.merchant, Mode.TEST, frozenset()
        )
        return Caller(who, Origin())

    def runner(self, handler: Any = None, **more: Any) -> Runner:
        handler = handler or self.handler
        return Runner(
            self.database,
            self.recorder,
            self.clock,
            {handler.kind: handler},
            log=Log(self.lines, clock=self.clock),
            metrics=self.metrics.vault_jobs,
            **{"poll_seconds": 0.02, **more},
        )

    @asynccontextmanager
    async def running(self, handler: Any = None, **more: Any) -> AsyncIterator[Runner]:
        runner = self.runner(handler, **more)
        runner.start()
        try:
            yield runner
        finally:
            await runner.stop()

    async def begin(self, total: int, *, rate: int | None = None) -> Job:
        async with self.database.transaction([self.merchant]) as tx:
            return await self.jobs.begin(
                tx,
                self.merchant,
                Mode.TEST,
                self.handler.kind,
                {"what": "numbers"},
                created_by="operator:tests",
                total=total,
                rate=rate,
            )

    async def read(self, job: Job) -> Job:
        return await self.jobs.read(self.merchant, Mode.TEST, job.job_id)

    async def is_in(self, job: Job, state: JobState) -> bool:
        return (await self.read(job)).state is state

    async def ended(self, job: Job, state: JobState = JobState.DONE) -> Job:
        async def holds() -> bool:
            return await self.is_in(job, state)

        await until(holds)
        return await self.read(job)

    async def look(self, sql: str, *values: object) -> list[Any]:
        connection = await connect(self.databases.administrator(Domain.VAULT))
        try:
            return list(await connection.fetch(sql, *values))
        finally:
            await connection.close()

    async def written(self, job: Job) -> int:
        """How many numbers a job has written."""
        sql = "select count(*) from vault.container where merchant_id = $1 and created_by = $2"
        ((count,),) = await self.look(sql, self.merchant, job.job_id)
        return int(count)

    async def records(self, job: Job) -> list[dict[str, Any]]:
        """What the audit log says of a job, oldest first."""
        rows = await self.look(
            "select payload from audit.event where merchant_id = $1 order by xid, payload",
            self.merchant,
        )
        found = [msgspec.json.decode(bytes(row["payload"])) for row in rows]
        return [each for each in found if each["object"] == job.job_id]

    def logged(self, event: str) -> list[dict[str, Any]]:
        found = [msgspec.json.decode(line) for line in self.lines.lines]
        return [line for line in found if line["event_type"] == event]


async def ground_of(databases: Databases, clock: Clock | None = None) -> Ground:
    """A fresh merchant over the module's databases."""
    await databases.run(Domain.VAULT, "truncate vault.job, vault.container")
    database = await databases.open(Domain.VAULT, Login.VAULT, connections_max=8)
    return Ground(databases, database, clock or SystemClock())
