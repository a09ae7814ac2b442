# SPDX-License-Identifier: Apache-2.0
"""The vault's runner on the real database: each step once, whoever is killed, paused, canceled, throttled or late."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import pytest_asyncio

from database import Databases
from polling import until
from store.work_ground import Counting, Ground, ground_of
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain, Login
from strongroom.kernel.clock import SteppedClock
from strongroom.kernel.errors import Conflict, Unavailable
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.vault.work import store
from strongroom.vault.work.errors import JobEnded, JobUnknown
from strongroom.vault.work.model import Job, JobState

START = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


class Away(Unavailable):
    """Something does not answer."""

    code = "something_away"


class Hopeless(Conflict):
    """It will not get better."""

    code = "hopeless"


@pytest_asyncio.fixture(loop_scope="session")
async def ground(databases: Databases) -> Ground:
    return await ground_of(databases)


async def test_one_lane_looks_for_work_and_the_others_wait_for_their_turn(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking, most = 0, 0
    claim = store.claim

    async def counted(*arguments: Any) -> Any:
        nonlocal looking, most
        looking += 1
        most = max(most, looking)
        try:
            return await claim(*arguments)
        finally:
            looking -= 1

    monkeypatch.setattr(store, "claim", counted)
    async with ground.running(lanes=4, poll_seconds=3_600) as runner:
        await until(lambda: most >= 1)
        jobs = [await ground.begin(20) for _ in range(3)]
        runner.wake()
        for job in jobs:
            await ground.ended(job)
    assert most == 1


async def test_a_job_is_done_step_by_step_and_says_how_far_it_is(ground: Ground) -> None:
    job = await ground.begin(95)
    assert (await ground.read(job)).state is JobState.WAITING
    async with ground.running():
        done = await ground.ended(job)
    assert (done.done, done.refused, done.total, done.cursor) == (95, 0, 95, "95")
    assert done.result == {"last": 95}
    assert await ground.written(job) == 95
    assert done.started_at is not None
    assert done.ended_at is not None
    assert (done.items_a_second or 0) > 0
    (record,) = await ground.records(job)
    assert record["action"] == "vault.reseal.ended"
    assert record["details"] == {"count": 95, "state": "done"}


async def test_what_a_step_did_and_where_the_job_is_commit_together(ground: Ground) -> None:
    async def breaks(job: Job) -> None:
        if job.done == 20:
            raise Away

    ground.handler.after = breaks
    job = await ground.begin(50)
    async with ground.running():
        await until(lambda: len(ground.logged("vault.jobs.step_failed")) > 0)

        async def put_off() -> bool:
            return await ground.is_in(job, JobState.WAITING)

        await until(put_off)
        assert await ground.written(job) == 20, "what the broken step wrote is undone"
        ground.handler.after = None
        await ground.ended(job)
    assert await ground.written(job) == 50


async def test_what_will_not_get_better_fails_for_ever(ground: Ground) -> None:
    async def breaks(job: Job) -> None:
        if job.done == 20:
            raise Hopeless

    ground.handler.after = breaks
    job = await ground.begin(50)
    async with ground.running():
        failed = await ground.ended(job, JobState.FAILED)
    assert (failed.done, failed.problem) == (20, "hopeless")
    assert await ground.written(job) == 20
    (record,) = await ground.records(job)
    assert (record["outcome"], record["details"]["state"]) == ("failed", "failed")
    with pytest.raises(JobEnded):
        await ground.jobs.resume(ground.caller, job.job_id)


async def test_a_bug_is_tried_again_and_then_is_a_failure(databases: Databases) -> None:
    clock = SteppedClock(START)
    ground = await ground_of(databases, clock)

    async def breaks(job: Job) -> None:
        raise RuntimeError(job.job_id)

    ground.handler.before = breaks
    job = await ground.begin(50)
    async with ground.running():

        async def failed() -> bool:
            clock.step(timedelta(seconds=61))
            return await ground.is_in(job, JobState.FAILED)

        await until(failed)
    assert (await ground.read(job)).problem == "internal_error"
    assert len(ground.handler.steps) >= 10  # more where the clock ran past a lease
    assert all("message" not in line for line in ground.logged("vault.jobs.step_failed"))


async def test_pause_holds_at_once_and_resume_goes_on_where_it_was(ground: Ground) -> None:
    inside, go = asyncio.Event(), asyncio.Event()

    async def waits(job: Job) -> None:
        if job.done == 30:
            inside.set()
            await go.wait()

    ground.handler.after = waits
    job = await ground.begin(60)
    async with ground.running():
        await inside.wait()
        paused = await ground.jobs.pause(ground.caller, job.job_id)
        assert (paused.state, paused.done) == (JobState.PAUSED, 30)
        go.set()  # the step that was under way comes back to a paused job
        await until(lambda: ground.metrics.vault_jobs.lost._value.get() == 1)
        assert await ground.written(job) == 30, "it is undone"
        again = await ground.jobs.pause(ground.caller, job.job_id)
        assert again.state is JobState.PAUSED
        ground.handler.after = None
        assert (await ground.jobs.resume(ground.caller, job.job_id)).state is JobState.WAITING
        await ground.ended(job)
    assert await ground.written(job) == 60
    results = [each["details"].get("result") for each in await ground.records(job)]
    assert results == ["paused", "resumed", None]


async def test_cancel_ends_it_where_it_is_with_the_handlers_record(ground: Ground) -> None:
    inside, go = asyncio.Event(), asyncio.Event()

    async def waits(job: Job) -> None:
        if job.done == 30:
            inside.set()
            await go.wait()

    ground.handler.after = waits
    job = await ground.begin(60)
    async with ground.running():
        await inside.wait()
        assert (await ground.jobs.cancel(ground.caller, job.job_id)).ended_at is not None
        go.set()
        await until(lambda: ground.metrics.vault_jobs.lost._value.get() == 1)
    assert (await ground.read(job)).done == 30 == await ground.written(job)
    assert [each["action"] for each in await ground.records(job)] == [
        "vault.job.changed",
        "vault.reseal.ended",
    ]
    for change in (ground.jobs.pause, ground.jobs.resume, ground.jobs.cancel):
        with pytest.raises(JobEnded):
            await change(ground.caller, job.job_id)


async def test_a_runner_that_lost_its_lease_changes_nothing(ground: Ground) -> None:
    job = await ground.begin(40)
    inside, go = asyncio.Event(), asyncio.Event()

    async def stalls(_: Job) -> None:
        inside.set()
        await go.wait()

    # It stalls before it writes: the other one is not kept waiting by its rows.
    late = Counting(ground.recorder, before=stalls, mark="late")
    async with ground.running(late, lease_seconds=0.2, lanes=1):
        await inside.wait()
        async with ground.running():
            await ground.ended(job)
        go.set()
        await until(lambda: ground.metrics.vault_jobs.lost._value.get() == 1)
    assert await ground.written(job) == 40
    assert (await ground.read(job)).done == 40


async def test_two_runners_share_a_job_and_no_step_is_done_twice(ground: Ground) -> None:
    jobs = [await ground.begin(200) for _ in range(3)]
    other = Counting(ground.recorder)
    async with ground.running(turn_seconds=0.02), ground.running(other, turn_seconds=0.02):
        for job in jobs:
            await ground.ended(job)
    assert [await ground.written(job) for job in jobs] == [200, 200, 200]
    assert ground.handler.steps
    assert other.steps


async def test_jobs_take_turns(ground: Ground) -> None:
    long, short = await ground.begin(100_000), await ground.begin(30)
    async with ground.running(lanes=1, turn_seconds=0.05):
        await ground.ended(short)
        assert await ground.is_in(long, JobState.RUNNING)
        await ground.jobs.cancel(ground.caller, long.job_id)


async def test_a_rate_holds_and_may_change_meanwhile(ground: Ground) -> None:
    job = await ground.begin(60, rate=50)
    begun = monotonic()
    async with ground.running():
        await ground.ended(job)
    # A bucket lets the first second's worth through at once at most.
    assert monotonic() - begun > (60 - 10) / 50 - 0.1
    slow = await ground.begin(1_000, rate=10)
    async with ground.running():

        async def begun_it() -> bool:
            return (await ground.read(slow)).done > 0

        await until(begun_it)
        assert (await ground.jobs.put_rate(ground.caller, slow.job_id, None)).rate is None
        await ground.ended(slow)
    assert [each["details"].get("result") for each in await ground.records(slow)] == ["rated", None]


async def test_a_step_is_told_how_late_it_is_and_does_what_was_due(ground: Ground) -> None:
    ground.handler.most = 1_000
    job = await ground.begin(10_000, rate=100)
    await ground.databases.run(
        Domain.VAULT,
        f"update vault.job set run_at = now() - interval '10 s' where job_id = '{job.job_id}'",
    )
    seen: list[tuple[float, int]] = []

    async def look(at: Job) -> None:
        seen.append((at.late_seconds, at.done))

    ground.handler.before = look
    async with ground.running():
        await until(lambda: len(seen) > 1)
        await ground.jobs.cancel(ground.caller, job.job_id)
    (late, done), (_, done_after) = seen[:2]
    assert late >= 10
    assert (done, done_after) == (0, 60), "what is due in a step, and two fifths of a second more"


async def test_a_stopped_runner_gives_its_job_back(ground: Ground) -> None:
    job = await ground.begin(100_000)
    async with ground.running():

        async def begun() -> bool:
            return (await ground.read(job)).done > 0

        await until(begun)
    stood = await ground.read(job)
    assert await ground.written(job) == stood.done
    ((claim,),) = await ground.look("select claim from vault.job where job_id = $1", job.job_id)
    assert claim is None, "the next runner need not wait for a lease"
    async with ground.running():

        async def goes_on() -> bool:
            return (await ground.read(job)).done > stood.done

        await until(goes_on)
        await ground.jobs.cancel(ground.caller, job.job_id)


@asynccontextmanager
async def process(databases: Databases) -> AsyncIterator["subprocess.Popen[str]"]:
    """A runner in a process of its own, which is killed when this ends."""
    address = databases.address(Domain.VAULT, Login.VAULT)
    assert address.password is not None
    told = {
        "host": str(address.host),
        "port": address.port,
        "database": address.database,
        "user": str(address.user),
        "password": address.password.expose(),
    }
    running = subprocess.Popen(  # noqa: ASYNC220 - it only starts
        [sys.executable, str(Path(__file__).parent / "work_process.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdin is not None
    running.stdin.write(json.dumps(told) + "\n")
    running.stdin.flush()
    try:
        yield running
    finally:
        running.kill()
        running.wait()
        for pipe in (running.stdin, running.stdout):
            if pipe is not None:
                pipe.close()


async def test_a_process_killed_in_mid_job_loses_and_doubles_nothing(ground: Ground) -> None:
    """Killed with SIGKILL inside a step, three times, and then finished by another."""
    job = await ground.begin(1_000)
    for steps in (3, 1, 5):
        async with process(ground.databases) as running:
            for _ in range(steps):
                assert running.stdout is not None
                assert await asyncio.to_thread(running.stdout.readline)

        # The server notices that its client is gone, and undoes what was not committed.
        async def consistent() -> bool:
            return (await ground.read(job)).done == await ground.written(job)

        await until(consistent)
    assert 0 < (await ground.read(job)).done < 1_000
    async with ground.running():
        done = await ground.ended(job)
    assert done.done == 1_000 == await ground.written(job)


async def test_a_job_is_its_tenants(ground: Ground) -> None:
    job = await ground.begin(1)
    other = MerchantId(new_id("mer"))
    for merchant, mode, name in (
        (other, Mode.TEST, job.job_id),
        (ground.merchant, Mode.LIVE, job.job_id),
        (ground.merchant, Mode.TEST, new_id("job")),
        (ground.merchant, Mode.TEST, "job_1"),
    ):
        with pytest.raises(JobUnknown):
            await ground.jobs.read(merchant, mode, name)
    assert await ground.jobs.list(other, Mode.TEST, None, 10) == ([], None)


async def test_a_page_is_newest_first(ground: Ground) -> None:
    made = [(await ground.begin(1)).job_id for _ in range(5)]
    first, cursor = await ground.jobs.list(ground.merchant, Mode.TEST, None, 3)
    rest, end = await ground.jobs.list(ground.merchant, Mode.TEST, cursor, 3)
    assert [each.job_id for each in (*first, *rest)] == sorted(made, reverse=True)
    assert end is None


async def test_the_load_is_measured(ground: Ground) -> None:
    job = await ground.begin(100_000)
    async with ground.running():

        async def begun() -> bool:
            return (await ground.read(job)).done > 0

        await until(begun)
        async with ground.database.transaction() as tx:
            (load,) = await store.load(tx)
        assert (load.kind, load.state, load.jobs) == ("import", "running", 1)
        assert (load.seconds_left or 0) > 0
        await ground.jobs.cancel(ground.caller, job.job_id)
    text = ground.metrics.exposition().decode()
    assert 'strongroom_vault_job_items_total{kind="import",outcome="done"}' in text
