# SPDX-License-Identifier: Apache-2.0
"""Does the jobs of the vault's database: step by step, each step and where the job is in one transaction.

A killed process leaves a job where its last step was; its lease ends, and the next claimer goes on from there. A runner
that comes back late finds that its claim stands no more, and what it did is undone.
"""

import asyncio
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import perf_counter
from typing import Final, final

from strongroom.audit import Recorder
from strongroom.crypto import random_bytes
from strongroom.db.pool import Database, Transaction
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import StrongroomError, Unavailable
from strongroom.telemetry.log import Log
from strongroom.telemetry.render import exception_fields
from strongroom.telemetry.work_metrics import VaultJobMetrics
from strongroom.vault.work import store
from strongroom.vault.work.ending import write_end
from strongroom.vault.work.model import Job, JobKind, JobState, Step
from strongroom.vault.work.pace import next_at, speed
from strongroom.vault.work.ports import EndsWithJob, JobHandler
from strongroom.vault.work.store import Claim, Held

#: So many jobs of a process at once.
LANES: Final = 2
LEASE_SECONDS: Final = 20.0
#: A step that takes longer is undone and tried again later.
STEP_SECONDS_MAX: Final = 10.0
#: Then it is another job's turn, if one waits.
TURN_SECONDS: Final = 1.0
POLL_SECONDS: Final = 0.25
MEASURE_SECONDS: Final = 5.0
#: A look for work that takes longer is given up: its lane alone looks.
CLAIM_SECONDS_MAX: Final = 10.0
STOP_SECONDS_MAX: Final = STEP_SECONDS_MAX
#: After the first failure, the second …; the last one repeats.
FAILED_DELAYS_SECONDS: Final = (1, 2, 5, 15, 60)
#: A job whose handler breaks (a bug of ours) so often in a row has failed; one that waits for others never has.
BROKEN_MAX: Final = 10
BROKEN: Final = "internal_error"


class _Lost(Exception):
    """The claim stands no more: what this step did is undone."""


@dataclass(frozen=True, slots=True)
class _Stepped:
    job: Job
    run_at: datetime


@final
class Runner:
    """The runner of one process. May run in several processes at once."""

    def __init__(
        self,
        database: Database,
        recorder: Recorder,
        clock: Clock,
        handlers: Mapping[JobKind, JobHandler],
        *,
        log: Log,
        metrics: VaultJobMetrics,
        lanes: int = LANES,
        lease_seconds: float = LEASE_SECONDS,
        turn_seconds: float = TURN_SECONDS,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._clock = clock
        self._handlers = handlers
        self._log = log
        self._metrics = metrics
        self._lease = timedelta(seconds=lease_seconds)
        self._turn_seconds = turn_seconds
        self._poll_seconds = poll_seconds
        self._stop = asyncio.Event()
        self._lanes = lanes
        self._wakeup = asyncio.Event()
        #: Held by the lane that looks for work: the others wait for their turn to look, and ask nothing meanwhile.
        self._looking = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to look for work."""
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._serve(), name=f"vault-job-lane-{number}")
            for number in range(self._lanes)
        ]
        self._tasks.append(loop.create_task(self._measure(), name="vault-job-load"))

    def wake(self) -> None:
        """Look for work now: some was just committed in this process."""
        self._wakeup.set()

    async def stop(self) -> None:
        """Let the steps that are under way end, and give their jobs back."""
        self._stop.set()
        self.wake()
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=STOP_SECONDS_MAX)
        # Cut off: the step is undone, and the lease of its job ends.
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    # --- lanes -----------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        while not self._stop.is_set():
            async with self._looking:
                claim = await self._found()
            if claim is not None:
                await self._turn(claim)

    async def _found(self) -> Claim | None:
        """Look until there is work; None when this runner stops."""
        while not self._stop.is_set():
            self._wakeup.clear()
            try:
                async with asyncio.timeout(CLAIM_SECONDS_MAX):  # the other lanes wait for this one
                    claim = await self._claim()
            except (StrongroomError, TimeoutError) as error:
                code = error.code if isinstance(error, StrongroomError) else "timed_out"
                self._log.emit("warning", "vault.jobs.claim_failed", {"code": code})
                claim = None
            if claim is not None:
                return claim
            if not self._stop.is_set():
                await _wait(self._wakeup, self._poll_seconds)
        return None

    async def _claim(self) -> Claim | None:
        now = self._clock.now()
        async with self._database.transaction() as tx:
            return await store.claim(
                tx, self._handlers.keys(), random_bytes(12).hex(), now, now + self._lease
            )

    async def _turn(self, claim: Claim) -> None:
        """Do steps of a job until its turn is over, it ends, or its claim stands no more."""
        ends = perf_counter() + self._turn_seconds
        try:
            while True:
                stepped = await self._step(claim)
                if stepped.job.ended_at is not None:
                    return
                if self._stop.is_set():
                    break
                pause = (stepped.run_at - self._clock.now()).total_seconds()
                if perf_counter() + max(0.0, pause) >= ends:
                    break
                if pause > 0:
                    await _wait(self._stop, pause)
            async with self._database.transaction([claim.merchant]) as tx:
                await store.release(tx, claim, JobState.RUNNING, stepped.run_at, 0)
        except _Lost:
            # Paused, canceled, or another runner's by now.
            self._metrics.lost.inc()
        except Exception as error:  # noqa: BLE001 - a bug in one job does not stop the others
            await self._put_off(claim, error)

    async def _step(self, claim: Claim) -> _Stepped:
        """Do one step, and save where the job is, in one transaction."""
        begun = self._clock.now()
        async with (
            asyncio.timeout(STEP_SECONDS_MAX),
            self._database.transaction([claim.merchant]) as tx,
        ):
            held = await store.held(tx, claim)
            if held is None:
                raise _Lost
            handler = self._handlers[held.job.kind]
            late = (begun - held.run_at).total_seconds()
            step = await handler.step(dataclasses.replace(held.job, late_seconds=late), tx)
            after = self._after(held, step, begun)
            if not await store.save(
                tx, claim, after.job, after.run_at, self._clock.now() + self._lease
            ):
                raise _Lost  # undoes what the step did
            if after.job.ended_at is not None:
                await write_end(handler, after.job, tx, self._recorder)
        self._metrics.stepped(after.job.kind, step.done, step.refused)
        return after

    def _after(self, held: Held, step: Step, begun: datetime) -> _Stepped:
        job, now, items = held.job, self._clock.now(), step.done + step.refused
        # The first step's time begins where it began, not where the job was put.
        since = begun if job.items_a_second is None else job.updated_at
        after = dataclasses.replace(
            job,
            state=JobState.DONE if step.ended else JobState.RUNNING,
            cursor=step.cursor,
            total=job.total if step.total is None else step.total,
            done=job.done + step.done,
            refused=job.refused + step.refused,
            problem=None,
            result={**job.result, **step.result},
            items_a_second=speed(job.items_a_second, items, since, now),
            updated_at=now,
            ended_at=now if step.ended else None,
        )
        run_at = next_at(job, items, held.run_at, begun, now)
        return _Stepped(after, max(run_at, now + timedelta(seconds=step.wait_seconds)))

    # --- what fails ------------------------------------------------------------------------------------

    async def _put_off(self, claim: Claim, error: Exception) -> None:
        """Give a job back whose step failed; it is tried again later, or has failed."""
        waits = isinstance(error, (Unavailable, TimeoutError))
        code = error.code if isinstance(error, StrongroomError) else BROKEN
        fields: dict[str, object] = {"job": claim.job_id, "code": code}
        if not isinstance(error, StrongroomError):
            fields |= exception_fields(error)
        self._log.emit("warning" if waits else "error", "vault.jobs.step_failed", fields)
        try:
            async with self._database.transaction([claim.merchant]) as tx:
                held = await store.held(tx, claim)
                if held is None:
                    return
                failures = held.failures + 1
                gives_up = isinstance(error, StrongroomError) or failures >= BROKEN_MAX
                if not waits and gives_up:
                    await self._fail(tx, claim, held.job, code)
                    return
                delay = FAILED_DELAYS_SECONDS[min(failures, len(FAILED_DELAYS_SECONDS)) - 1]
                run_at = self._clock.now() + timedelta(seconds=delay)
                await store.release(tx, claim, JobState.WAITING, run_at, failures)
        except StrongroomError as again:
            # The lease ends, and the job is claimed again.
            self._log.emit("warning", "vault.jobs.release_failed", {"code": again.code})

    async def _fail(self, tx: Transaction, claim: Claim, job: Job, code: str) -> None:
        now = self._clock.now()
        if not await store.fail(tx, claim, code, now):
            return
        failed = dataclasses.replace(job, state=JobState.FAILED, problem=code, ended_at=now)
        handler = self._handlers[job.kind]
        if isinstance(handler, EndsWithJob):
            await handler.end_with(failed, tx)
        await write_end(handler, failed, tx, self._recorder)

    # --- metrics ---------------------------------------------------------------------------------------

    async def _measure(self) -> None:
        while not self._stop.is_set():
            try:
                async with self._database.transaction() as tx:
                    found = await store.load(tx)
                self._metrics.load(
                    {(each.kind, each.state): each.jobs for each in found},
                    {
                        each.kind: each.seconds_left
                        for each in found
                        if each.state == JobState.RUNNING and each.seconds_left is not None
                    },
                )
            except StrongroomError as error:
                self._log.emit("warning", "vault.jobs.load_unknown", {"code": error.code})
            await _wait(self._stop, MEASURE_SECONDS)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), timeout=seconds)
    except TimeoutError:
        return
