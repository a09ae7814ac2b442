# SPDX-License-Identifier: Apache-2.0
"""Jobs on the real database: claimed once, leased, given back by whoever has them, whoever's they are."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from database import Databases
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database, connect
from strongroom.jobs import Claimed, JobQueue, PutOff
from strongroom.kernel.clock import SteppedClock

START = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
LEASE = 60.0


@dataclass
class Ground:
    """A queue under the worker's login, on a clock that moves when told to."""

    databases: Databases
    database: Database
    clock: SteppedClock
    queue: JobQueue
    merchants: list[str] = field(default_factory=lambda: [new_id("mer") for _ in range(3)])

    def step(self, seconds: float) -> None:
        self.clock.step(timedelta(seconds=seconds))

    async def put(self, name: str, *, at: float = 0, merchant: int = 0) -> None:
        """Put a job as whoever makes it necessary does: as its merchant, in a transaction."""
        due = self.clock.now() + timedelta(seconds=at)
        await self.databases.run(
            Domain.CORE,
            f"select jobs.put('{self.merchants[merchant]}', 'test', 'lookup', '{name}', '{due}', '{due}')",
        )

    async def rows(self) -> dict[str, tuple[float, int]]:
        """Return object → (seconds until it is due, tries)."""
        connection = await connect(self.databases.administrator(Domain.CORE))
        try:
            found = await connection.fetch("select object_id, run_at, tries from jobs.job")
        finally:
            await connection.close()
        now = self.clock.now()
        return {
            row["object_id"]: ((row["run_at"] - now).total_seconds(), row["tries"]) for row in found
        }

    async def claim(self, limit: int = 10) -> list[Claimed]:
        return await self.queue.claim("lookup", limit, LEASE)


@pytest_asyncio.fixture(loop_scope="session")
async def ground(databases: Databases) -> AsyncIterator[Ground]:
    database = await databases.open(Domain.CORE, Login.WORKER)
    await databases.run(Domain.CORE, "truncate jobs.job")
    clock = SteppedClock(START)
    yield Ground(databases, database, clock, JobQueue(database, clock))


def names(jobs: list[Claimed]) -> list[str]:
    return sorted(job.object_id for job in jobs)


async def test_what_is_due_is_taken_oldest_first_and_what_is_not_stays(ground: Ground) -> None:
    for name, at in (("late", 5), ("old", -9), ("new", 0), ("older", -10)):
        await ground.put(name, at=at)
    assert names(await ground.claim(2)) == ["old", "older"]
    assert names(await ground.claim(2)) == ["new"]
    assert await ground.claim() == []
    ground.step(5)
    (late,) = await ground.claim()
    assert (late.object_id, late.tries, late.due_at) == ("late", 1, ground.clock.now())
    assert late.lease_until == ground.clock.now() + timedelta(seconds=LEASE)


async def test_every_tenants_jobs_are_seen_and_keep_whose_they_are(ground: Ground) -> None:
    for merchant in range(3):
        await ground.put(f"of-{merchant}", merchant=merchant)
    claimed = await ground.claim()
    assert {job.object_id: job.merchant for job in claimed} == {
        f"of-{n}": merchant for n, merchant in enumerate(ground.merchants)
    }


async def test_no_two_claimers_get_the_same_job(ground: Ground, databases: Databases) -> None:
    for number in range(60):
        await ground.put(f"job-{number}")
    second = JobQueue(await databases.open(Domain.CORE, Login.WORKER), ground.clock)
    taken = await asyncio.gather(
        *[queue.claim("lookup", 7, LEASE) for _ in range(6) for queue in (ground.queue, second)]
    )
    objects = [job.object_id for jobs in taken for job in jobs]
    assert len(objects) == len(set(objects)) == 60


async def test_a_lease_that_ended_is_followed_and_who_comes_late_changes_nothing(
    ground: Ground,
) -> None:
    await ground.put("one")
    (first,) = await ground.claim()
    assert await ground.claim() == []
    ground.step(LEASE)
    (second,) = await ground.claim()
    assert (second.tries, second.due_at) == (2, first.lease_until)
    await ground.queue.done([first])
    await ground.queue.again([PutOff(first, START + timedelta(days=9))])
    assert await ground.rows() == {"one": (LEASE, 2)}
    await ground.queue.done([second])
    assert await ground.rows() == {}
    await ground.queue.done([second])  # again is no error


async def test_what_is_put_off_comes_back_with_its_tries(ground: Ground) -> None:
    await ground.put("a")
    await ground.put("b")
    claimed = {job.object_id: job for job in await ground.claim()}
    now = ground.clock.now()
    await ground.queue.again(
        [
            PutOff(claimed["a"], now + timedelta(seconds=3), failures=4),
            PutOff(claimed["b"], now + timedelta(seconds=9)),
        ]
    )
    ground.step(3)
    (again,) = await ground.claim()
    assert (again.object_id, again.tries, again.failures) == ("a", 2, 4)
    await ground.queue.again([PutOff(again, ground.clock.now())])
    (once_more,) = await ground.claim()
    assert (once_more.tries, once_more.failures) == (3, 0), "a look that went well forgets failures"


async def test_a_look_that_somebody_asked_for_meanwhile_is_not_lost(ground: Ground) -> None:
    for name in ("done", "put_off", "later"):
        await ground.put(name)
    claimed = {job.object_id: job for job in await ground.claim()}
    for name in ("done", "put_off"):
        await ground.put(name)  # its object changed while it was being looked at
    await ground.put("later", at=3_600)  # asks for no earlier a look than the lease's end
    await ground.queue.done([claimed["done"], claimed["later"]])
    await ground.queue.again([PutOff(claimed["put_off"], ground.clock.now() + timedelta(hours=1))])
    assert await ground.rows() == {"done": (0, 1), "put_off": (0, 1)}


async def test_how_far_behind_it_is(ground: Ground) -> None:
    for name, at in (("a", -4), ("b", -2), ("c", 7)):
        await ground.put(name, at=at)
    lag = await ground.queue.lag(["delivery", "lookup"])
    assert lag == {"delivery": (0, 0.0), "lookup": (2, 4.0)}
    await ground.claim()
    assert (await ground.queue.lag(["lookup"]))["lookup"] == (0, 0.0), "leased is not waiting"


@pytest.mark.parametrize(
    ("login", "seen"),
    [(Login.WORKER, 3), (Login.GATEWAY, 1), (Login.WEBHOOKS, 1)],
)
async def test_only_the_worker_sees_every_tenants_jobs(
    ground: Ground, databases: Databases, login: Login, seen: int
) -> None:
    for merchant in range(3):
        await ground.put(f"of-{merchant}", merchant=merchant)
    connection: Any = await connect(databases.address(Domain.CORE, login))
    try:
        await connection.execute(
            "select set_config('strongroom.merchants', $1, false)", ground.merchants[0]
        )
        assert await connection.fetchval("select count(*) from jobs.job") == seen
    finally:
        await connection.close()
