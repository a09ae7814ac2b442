# SPDX-License-Identifier: Apache-2.0
"""Does the jobs that wait in the database: of each kind a bounded number at once, found by polling, or when woken.

One look is for every kind that has nothing to do; who has takes jobs of its kind at a pace, and many at once.

A handler that fails is logged and tried again, later and later; no job is given up. A database that is away is waited
for.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from datetime import timedelta
from time import perf_counter
from typing import Any, Final

from strongroom.jobs.claim import JobQueue, PutOff
from strongroom.jobs.finisher import Finisher
from strongroom.jobs.model import Again, Claimed, Done, Handler
from strongroom.kernel.errors import StrongroomError
from strongroom.telemetry.log import Log
from strongroom.telemetry.render import exception_fields
from strongroom.telemetry.work_metrics import JobMetrics

POLL_SECONDS: Final = 0.2
#: Between two looks at a kind that has work: so long jobs gather, and one statement takes them together.
PACE_SECONDS: Final = 0.1
#: Likewise where more wait than were taken: those gathered already.
FULL_PACE_SECONDS: Final = 0.02
AWAY_SECONDS: Final = 1.0
#: A look that takes longer is given up: every idle kind depends on it.
LOOK_SECONDS_MAX: Final = 10.0
STOP_SECONDS_MAX: Final = 10.0
LAG_EVERY_SECONDS: Final = 5.0
#: After a handler's first error, its second …; the last one repeats.
FAILED_DELAYS_SECONDS: Final = (1, 2, 5, 15, 60)
#: A job that fails after this many claims waits an hour from then on, and somebody should look.
FAILURES_MAX: Final = 20
HOPELESS_DELAY_SECONDS: Final = 3_600


class Worker:
    """The worker of one process. May run in several processes at once."""

    def __init__(
        self,
        queue: JobQueue,
        handlers: Mapping[str, Handler],
        *,
        log: Log,
        metrics: JobMetrics,
        poll_seconds: float = POLL_SECONDS,
        pace_seconds: float = PACE_SECONDS,
    ) -> None:
        self._queue = queue
        self._log = log
        self._metrics = metrics
        self._finisher = Finisher(queue, log)
        self._lanes = {
            kind: _Lane(
                kind,
                handler,
                queue,
                self._finisher,
                log,
                metrics,
                pace_seconds=pace_seconds,
            )
            for kind, handler in handlers.items()
        }
        self._poll_seconds = poll_seconds
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to look for work."""
        for lane in self._lanes.values():
            self._tasks.append(_task(lane.serve(), f"worker-{lane.kind}"))
        self._tasks.append(_task(self._look(), "worker-look"))
        self._tasks.append(_task(self._measure(), "worker-lag"))

    def wake(self, kind: str) -> None:
        """Have a kind looked at now: something of it was just committed in this process."""
        lane = self._lanes.get(kind)
        if lane is not None:
            lane.wake()

    async def stop(self) -> None:
        """Take nothing new, let handlers end (at most `STOP_SECONDS_MAX`), and give back what they finished."""
        self._stop.set()
        for lane in self._lanes.values():
            lane.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        running = {task for lane in self._lanes.values() for task in lane.running}
        if running:
            _, late = await asyncio.wait(running, timeout=STOP_SECONDS_MAX)
            # Cut off: the lease of its job ends, and the next claimer follows.
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._finisher.drain()

    async def _look(self) -> None:
        failed = False
        while not self._stop.is_set():
            await _wait(self._stop, self._poll_seconds)
            waiting = [kind for kind, lane in self._lanes.items() if lane.waits]
            if not waiting or self._stop.is_set():
                continue
            try:
                async with asyncio.timeout(LOOK_SECONDS_MAX):
                    due = await self._queue.due(waiting)
                failed = False
            except Exception as error:  # noqa: BLE001 - whatever it was, each kind looks for itself
                if not failed:
                    self._log.emit("warning", "jobs.look_failed", exception_fields(error))
                due, failed = waiting, True
            for kind in due:
                self._lanes[kind].wake()

    async def _measure(self) -> None:
        while not self._stop.is_set():
            try:
                for kind, lag in (await self._queue.lag(list(self._lanes))).items():
                    self._metrics.lag(kind, lag.waiting, lag.oldest_seconds)
            except StrongroomError:
                pass  # the lanes say that the database is away
            await _wait(self._stop, LAG_EVERY_SECONDS)


class _Lane:
    """One kind of job: looks for work, and runs so many handlers at once."""

    def __init__(
        self,
        kind: str,
        handler: Handler,
        queue: JobQueue,
        finisher: Finisher,
        log: Log,
        metrics: JobMetrics,
        *,
        pace_seconds: float,
    ) -> None:
        self.kind = kind
        self.running: set[asyncio.Task[None]] = set()
        self._handler = handler
        self._queue = queue
        self._finisher = finisher
        self._log = log
        self._metrics = metrics
        self._pace_seconds = pace_seconds
        #: It could take more than there was, and looks again when it is woken.
        self.waits = False
        self._signal = asyncio.Event()
        self._stopping = False
        self._full = False
        self._away = False

    def wake(self) -> None:
        self._signal.set()

    def stop(self) -> None:
        self._stopping = True
        self._signal.set()

    async def serve(self) -> None:
        while not self._stopping:
            # Before the look: what is committed during it is looked for again.
            self._signal.clear()
            free = self._handler.at_once_max - len(self.running)
            found = await self._fill(free) if free else 0
            # Everybody is busy, and there may be more than was asked for: go on as soon as one is free.
            self._full = found == free
            if found:
                await asyncio.sleep(FULL_PACE_SECONDS if self._full else self._pace_seconds)
            if self._full and len(self.running) < self._handler.at_once_max:
                continue
            if self._away:
                await _wait(self._signal, AWAY_SECONDS)
                continue
            self.waits = not self._full  # who is busy looks when one of its handlers is free
            await self._signal.wait()
            self.waits = False

    async def _fill(self, free: int) -> int:
        try:
            claimed = await self._queue.claim(self.kind, free, self._handler.lease_seconds)
        except Exception as error:  # noqa: BLE001 - whatever it was, the lane goes on
            if not self._away:
                self._say("warning", "jobs.claim_failed", None, error)
            self._away = True
            return 0
        self._away = False
        if claimed:
            self._metrics.claimed(self.kind, len(claimed))
        for job in claimed:
            task = _task(self._run(job), f"job-{self.kind}")
            self.running.add(task)
            task.add_done_callback(self._ended)
        return len(claimed)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self.running.discard(task)
        if self._full:
            self._signal.set()

    async def _run(self, job: Claimed) -> None:
        started = perf_counter()
        outcome = "failed"
        lease = asyncio.timeout(self._handler.lease_seconds)
        try:
            async with lease:
                result = await self._handler.run(job)
        except Exception as error:  # noqa: BLE001 - a bug in one handler does not stop the others
            if lease.expired():
                # By now somebody else may have it: what is given back here then changes nothing.
                outcome = "lost"
            self._failed(job, error)
        else:
            outcome = type(result).__name__.lower()
            if isinstance(result, Again):
                self._finisher.add(PutOff(job, result.at))
            elif isinstance(result, Done):
                self._finisher.add(job)
        self._metrics.ended(self.kind, outcome, perf_counter() - started)

    def _failed(self, job: Claimed, error: Exception) -> None:
        failures = job.failures + 1
        hopeless = failures > FAILURES_MAX
        delay = (
            HOPELESS_DELAY_SECONDS
            if hopeless
            else FAILED_DELAYS_SECONDS[min(failures, len(FAILED_DELAYS_SECONDS)) - 1]
        )
        ours = isinstance(error, StrongroomError) and not hopeless
        self._say("warning" if ours else "error", "jobs.job_failed", job, error)
        at = self._queue.clock.now() + timedelta(seconds=delay)
        self._finisher.add(PutOff(job, at, failures))

    def _say(self, level: str, event: str, job: Claimed | None, error: Exception) -> None:
        facts: dict[str, object] = {"job": self.kind}
        if job is not None:
            facts |= {
                "attempt": job.failures + 1,
                "merchant_id": job.merchant,
                "mode": job.mode.value,
            }
        if isinstance(error, StrongroomError):
            facts |= {"code": error.code, "reason": error.detail}
        else:
            facts |= exception_fields(error)
        self._log.emit(level, event, facts)


def _task(work: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
    return asyncio.get_running_loop().create_task(work, name=name)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Wait until an event is set, at most so long."""
    try:
        await asyncio.wait_for(event.wait(), timeout=seconds)
    except TimeoutError:
        return
