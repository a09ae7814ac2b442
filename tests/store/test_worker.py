# SPDX-License-Identifier: Apache-2.0
"""The worker on the real database: how much at once, what becomes of what fails, waking, an outage, and its end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from database import Databases
from polling import until
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database, connect
from strongroom.jobs import Again, Claimed, Done, Handler, JobQueue, JobResult, Kept, Worker
from strongroom.jobs import worker as worker_module
from strongroom.kernel.clock import Clock, SteppedClock, SystemClock
from strongroom.kernel.errors import Unavailable
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import Metrics
from strongroom.telemetry.sink import MemorySink

DEADLINE_SECONDS = 15.0
START = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


@dataclass
class Ground:
    """One worker's surroundings."""

    databases: Databases
    database: Database
    clock: Clock
    metrics: Metrics = field(default_factory=Metrics)
    lines: MemorySink = field(default_factory=MemorySink)
    merchant: str = field(default_factory=lambda: new_id("mer"))
    #: How often the worker has looked for jobs, and was answered.
    looks: int = 0

    def worker(self, run: Any, *, poll_seconds: float = 0.02, **more: Any) -> Worker:
        ground = self

        class Queue(JobQueue):
            async def claim(self, kind: str, limit: int, lease_seconds: float) -> list[Claimed]:
                found = await super().claim(kind, limit, lease_seconds)
                ground.looks += 1
                return found

        return Worker(
            Queue(self.database, self.clock),
            {"lookup": Handler(run, **more)},
            log=Log(self.lines, clock=self.clock),
            metrics=self.metrics.jobs,
            poll_seconds=poll_seconds,
            pace_seconds=0.001,
        )

    @asynccontextmanager
    async def working(self, run: Any, **more: Any) -> AsyncIterator[Worker]:
        worker = self.worker(run, **more)
        worker.start()
        try:
            yield worker
        finally:
            await worker.stop()

    async def put(self, *names: str) -> None:
        due = self.clock.now()
        await self.databases.run(
            Domain.CORE,
            *[
                f"select jobs.put('{self.merchant}', 'test', 'lookup', '{name}', '{due}', '{due}')"
                for name in names
            ],
        )

    async def rows(self) -> dict[str, tuple[datetime, int]]:
        connection = await connect(self.databases.administrator(Domain.CORE))
        try:
            found = await connection.fetch("select object_id, run_at, tries from jobs.job")
        finally:
            await connection.close()
        return {row["object_id"]: (row["run_at"], row["tries"]) for row in found}

    async def none_left(self) -> bool:
        return not await self.rows()

    def logged(self, event: str) -> list[dict[str, Any]]:
        found = [msgspec.json.decode(line) for line in self.lines.lines]
        return [line for line in found if line["event_type"] == event]

    def counted(self, outcome: str) -> float:
        return (
            self.metrics.registry.get_sample_value(
                "strongroom_jobs_ended_total", {"kind": "lookup", "outcome": outcome}
            )
            or 0.0
        )


@pytest_asyncio.fixture(loop_scope="session")
async def ground(databases: Databases) -> Ground:
    await databases.run(Domain.CORE, "truncate jobs.job")
    database = await databases.open(Domain.CORE, Login.WORKER)
    return Ground(databases, database, SystemClock())


async def test_jobs_are_done_so_many_at_once_and_removed(ground: Ground) -> None:
    running, most, seen = 0, 0, []

    async def run(job: Claimed) -> JobResult:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        running -= 1
        seen.append(job.object_id)
        return Done()

    await ground.put(*[f"job-{n}" for n in range(40)])
    async with ground.working(run, at_once_max=8):
        await until(ground.none_left)
    assert sorted(seen) == sorted(f"job-{n}" for n in range(40))
    assert 1 < most <= 8
    assert ground.counted("done") == 40


async def test_what_a_handler_says_is_done_with_its_job(ground: Ground) -> None:
    later = ground.clock.now() + timedelta(hours=1)
    answers: dict[str, JobResult] = {"done": Done(), "again": Again(later), "kept": Kept()}

    async def run(job: Claimed) -> JobResult:
        return answers[job.object_id]

    await ground.put(*answers)
    async with ground.working(run):
        await until(lambda: sum(map(ground.counted, answers)) == 3)
    rows = await ground.rows()
    assert set(rows) == {"again", "kept"}
    assert rows["again"] == (later, 1)
    assert rows["kept"][0] > ground.clock.now() + timedelta(seconds=30), "leased as it was"


#: What a handler raises, failures in a row before it, seconds to the next look, the level it is logged at, what more.
FAILURES = [
    (Unavailable(), 0, 1, "warning", {"code": "unavailable"}),
    (Unavailable(), 2, 5, "warning", {"code": "unavailable"}),
    (Unavailable(), 9, 60, "warning", {"code": "unavailable"}),
    (Unavailable(), 20, 3_600, "error", {"code": "unavailable", "attempt": 21}),
    (ValueError("4242424242424242"), 0, 1, "error", {"error_class": "ValueError"}),
]


@pytest.mark.parametrize(("error", "failures", "seconds", "level", "said"), FAILURES)
async def test_a_handler_that_fails_is_logged_and_tried_again(
    databases: Databases,
    error: Exception,
    failures: int,
    seconds: int,
    level: str,
    said: dict[str, object],
) -> None:
    await databases.run(Domain.CORE, "truncate jobs.job")
    ground = Ground(databases, await databases.open(Domain.CORE, Login.WORKER), SteppedClock(START))

    async def run(_job: Claimed) -> JobResult:
        raise error

    await ground.put("one")
    await databases.run(Domain.CORE, f"update jobs.job set tries = 700, failures = {failures}")
    async with ground.working(run):
        await until(lambda: ground.counted("failed") == 1)
    assert await ground.rows() == {"one": (START + timedelta(seconds=seconds), 701)}
    (line,) = ground.logged("jobs.job_failed")
    assert (line["level"], line["job"], line["merchant_id"]) == (level, "lookup", ground.merchant)
    assert said.items() <= line.items()
    assert "4242" not in b"".join(ground.lines.lines).decode().replace(ground.merchant, "")


async def test_a_handler_that_outlives_its_lease_is_cut_off(ground: Ground) -> None:
    cut = asyncio.Event()

    async def run(_job: Claimed) -> JobResult:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cut.set()
            raise
        return Done()

    await ground.put("one")
    async with ground.working(run, lease_seconds=0.05):
        await asyncio.wait_for(cut.wait(), DEADLINE_SECONDS)
        await until(lambda: ground.counted("lost") >= 1)


async def test_who_is_woken_looks_at_once(ground: Ground) -> None:
    seen = asyncio.Event()

    async def run(_job: Claimed) -> JobResult:
        seen.set()
        return Done()

    async with ground.working(run, poll_seconds=3_600) as worker:
        await until(lambda: ground.looks == 1)  # it has looked and found nothing
        await ground.put("one")
        worker.wake("a kind that is not served here")
        assert not seen.is_set()
        worker.wake("lookup")
        await asyncio.wait_for(seen.wait(), DEADLINE_SECONDS)


async def test_kinds_that_have_nothing_to_do_are_asked_for_together(ground: Ground) -> None:
    asked: list[list[str]] = []
    seen = asyncio.Event()

    class Queue(JobQueue):
        async def due(self, kinds: Sequence[str]) -> Sequence[str]:
            asked.append(sorted(kinds))
            return await super().due(kinds)

        async def claim(self, kind: str, limit: int, lease_seconds: float) -> list[Claimed]:
            ground.looks += 1
            return await super().claim(kind, limit, lease_seconds)

    async def run(_job: Claimed) -> JobResult:
        seen.set()
        return Done()

    worker = Worker(
        Queue(ground.database, ground.clock),
        {kind: Handler(run) for kind in ("hold", "lookup", "notice")},
        log=Log(ground.lines, clock=ground.clock),
        metrics=ground.metrics.jobs,
        poll_seconds=0.02,
    )
    worker.start()
    try:
        await until(lambda: len(asked) >= 3)
        assert asked[-1] == ["hold", "lookup", "notice"]
        assert ground.looks == 3, "each kind was looked at once, and then left alone"
        await ground.put("one")
        await asyncio.wait_for(seen.wait(), DEADLINE_SECONDS)
    finally:
        await worker.stop()


async def test_a_look_that_hangs_stops_no_kind_of_job(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "LOOK_SECONDS_MAX", 0.05)
    seen = asyncio.Event()

    class Queue(JobQueue):
        async def due(self, kinds: Sequence[str]) -> Sequence[str]:
            await asyncio.Event().wait()
            return kinds

    async def run(_job: Claimed) -> JobResult:
        seen.set()
        return Done()

    worker = Worker(
        Queue(ground.database, ground.clock),
        {"lookup": Handler(run)},
        log=Log(ground.lines, clock=ground.clock),
        metrics=ground.metrics.jobs,
        poll_seconds=0.02,
    )
    worker.start()
    try:
        await until(lambda: bool(ground.logged("jobs.look_failed")))
        await ground.put("one")
        await asyncio.wait_for(seen.wait(), DEADLINE_SECONDS)
    finally:
        await asyncio.wait_for(worker.stop(), DEADLINE_SECONDS)
    assert len(ground.logged("jobs.look_failed")) == 1, "it is said once"


async def test_a_database_that_is_away_is_waited_for(ground: Ground) -> None:
    seen: list[str] = []

    async def run(job: Claimed) -> JobResult:
        seen.append(job.object_id)
        return Done()

    async with ground.working(run):
        await ground.put("before")
        await until(ground.none_left)
        async with ground.databases.server.away(ground.databases.names[Domain.CORE]):
            await until(lambda: len(ground.logged("jobs.claim_failed")) == 1)
        await ground.put("after")
        await until(ground.none_left)
    assert seen == ["before", "after"]
    assert len(ground.logged("jobs.claim_failed")) == 1, "said once an outage"


async def test_what_was_finished_during_an_outage_is_given_back_after_it(ground: Ground) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    runs: list[str] = []

    async def run(job: Claimed) -> JobResult:
        runs.append(job.object_id)
        begun.set()
        await go_on.wait()
        return Done()

    await ground.put("one")
    async with ground.working(run):
        await asyncio.wait_for(begun.wait(), DEADLINE_SECONDS)
        async with ground.databases.server.away(ground.databases.names[Domain.CORE]):
            go_on.set()
            await until(lambda: len(ground.logged("jobs.finish_failed")) >= 1)
        await until(ground.none_left)
    assert runs == ["one"]


async def test_a_worker_that_stops_lets_its_handlers_end_and_takes_nothing_new(
    ground: Ground,
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def run(_job: Claimed) -> JobResult:
        begun.set()
        await go_on.wait()
        return Done()

    await ground.put("one")
    worker = ground.worker(run)
    worker.start()
    await asyncio.wait_for(begun.wait(), DEADLINE_SECONDS)
    stopping = asyncio.create_task(worker.stop())
    await until(worker._stop.is_set)
    await ground.put("two")
    assert not stopping.done()
    go_on.set()
    await asyncio.wait_for(stopping, DEADLINE_SECONDS)
    assert {name: tries for name, (_, tries) in (await ground.rows()).items()} == {"two": 0}


async def test_how_much_waits_is_measured(ground: Ground) -> None:
    async def run(_job: Claimed) -> JobResult:
        return Kept()

    def waiting() -> float | None:
        return ground.metrics.registry.get_sample_value(
            "strongroom_jobs_waiting", {"kind": "lookup"}
        )

    async with ground.working(run):
        await until(lambda: waiting() is not None)
    assert waiting() == 0
