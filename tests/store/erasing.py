# SPDX-License-Identifier: Apache-2.0
"""Erasure for tests: a merchant's ground with erasures, their driver and the jobs that they put."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from contracts.fakes import FakeKeyStore
from database import Databases
from polling import until
from store.rotation_ground import Ground, Process
from strongroom.audit import Origin
from strongroom.kernel.clock import SteppedClock
from strongroom.keys.store import PostgresDataKeyTable
from strongroom.telemetry.log import Log
from strongroom.vault.containers.feed import RuleFeed
from strongroom.vault.erasure.driver import ErasureDriver
from strongroom.vault.erasure.jobs import MerchantRows, RetentionHandler
from strongroom.vault.erasure.model import ErasureState, Scope
from strongroom.vault.erasure.service import Erasures
from strongroom.vault.finding import Caller
from strongroom.vault.work.model import JobKind, JobState
from strongroom.vault.work.ports import JobHandler
from strongroom.vault.work.runner import Runner

KEY_BACKUP_DAYS: Final = 35
RETIRED: Final = timedelta(minutes=10, seconds=1)


@dataclass
class Eraser:
    """A ground with erasures on it."""

    ground: Ground
    process: Process
    erasures: Erasures
    driver: ErasureDriver

    @property
    def caller(self) -> Caller:
        return Caller(self.ground.principal, Origin())

    def runner(self) -> Runner:
        """Return a runner of every kind of job that an erasure puts."""
        process = self.process
        handlers: dict[JobKind, JobHandler] = {
            JobKind.RESEAL: process.handler,
            JobKind.ERASURE: MerchantRows(process.recorder, process.clock),
            JobKind.RETENTION: RetentionHandler(process.recorder, process.clock),
        }
        runner = process.runner()
        runner._handlers = handlers
        return runner

    async def run_jobs(self, runner: Runner | None = None, *, paused: int = 0) -> None:
        """Do every job of the merchant to its end, but those (so many) that stand still."""
        runner = runner or self.runner()
        runner.start()
        try:

            async def ended() -> bool:
                self.ground.clock.step(timedelta(milliseconds=200))
                jobs, _ = await self.process.jobs.list(
                    self.ground.merchant, self.ground.mode, None, 50
                )
                open_jobs = [
                    job for job in jobs if job.state not in (JobState.DONE, JobState.FAILED)
                ]
                return len(open_jobs) == paused

            await until(ended)
        finally:
            await runner.stop()

    async def finish(self) -> None:
        """Let time pass until every erasure of the merchant has destroyed its keys."""
        for _ in range(6):
            await self.driver.advance()
            await self.run_jobs()
            self.ground.clock.step(RETIRED)
            await self.process.keyring.look()

    async def states(self) -> list[tuple[Scope, ErasureState, int]]:
        found, _ = await self.erasures.list(self.ground.merchant, self.ground.mode, None, 50)
        return [(each.scope, each.state, each.tokens) for each in found]

    async def identities(self) -> int:
        rows = await self.ground.look(
            "select count(*) from vault.card_identity where merchant_id = $1", self.ground.merchant
        )
        return int(rows[0][0])

    async def actions(self) -> list[str]:
        """What was recorded, in the order of the transactions; within one by name, since its ids have no order."""
        rows = await self.ground.look(
            "select convert_from(payload, 'utf8')::jsonb ->> 'action' from audit.event where merchant_id = $1"
            " order by xid, 1",
            self.ground.merchant,
        )
        return [str(row[0]) for row in rows]


async def eraser_on(databases: Databases, store: FakeKeyStore) -> Eraser:
    """Return an eraser of a new merchant."""
    ground = Ground(databases, store, SteppedClock(datetime.now(UTC)))
    process = await ground.process()
    erasures = Erasures(
        database=process.database,
        rules=RuleFeed(process.database),
        jobs=process.jobs,
        recorder=process.recorder,
        clock=process.clock,
        key_backup_days=KEY_BACKUP_DAYS,
    )
    return Eraser(ground, process, erasures, driver_of(process))


def driver_of(process: Process, table: PostgresDataKeyTable | None = None) -> ErasureDriver:
    """Return what carries erasures on in a process."""
    return ErasureDriver(
        database=process.database,
        rotation=process.rotation,
        keyring=process.keyring,
        table=table or PostgresDataKeyTable(process.database, process.clock),
        jobs=process.jobs,
        recorder=process.recorder,
        clock=process.clock,
        log=Log(process.lines, clock=process.clock),
        key_backup_days=KEY_BACKUP_DAYS,
    )
