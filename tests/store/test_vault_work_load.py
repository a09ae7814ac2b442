# SPDX-License-Identifier: Apache-2.0
"""How much a vault process says there is to do: the gauges of its registry, and what a job says of itself."""

import pytest

from database import Databases
from polling import until
from store.work_ground import Counting, Ground, ground_of
from strongroom.vault.work.model import Job, JobKind, JobState
from strongroom.vault.work.wire import job_out


def open_jobs(ground: Ground, state: JobState) -> float | None:
    labels = {"kind": "import", "state": state.value}
    return ground.metrics.registry.get_sample_value("strongroom_vault_jobs", labels)


def seconds_left(ground: Ground) -> float | None:
    labels = {"kind": "import"}
    return ground.metrics.registry.get_sample_value("strongroom_vault_job_seconds_left", labels)


async def test_what_there_is_to_do_reaches_the_registry_of_a_runner(databases: Databases) -> None:
    ground = await ground_of(databases)
    long, short = await ground.begin(200_000), await ground.begin(100_000)
    assert job_out(long).seconds_left is None, "it did nothing yet"

    async def begun() -> bool:
        return (await ground.read(long)).done > 0 and (await ground.read(short)).done > 0

    async with ground.running():
        await until(begun)

    # Nobody moves them on from here: the runner below has a handler of another kind.
    def expected(job: Job) -> float:
        assert (job.state, job.rate) == (JobState.RUNNING, None)
        assert job.total is not None
        assert job.items_a_second is not None
        return (job.total - job.done) / job.items_a_second

    stands = [await ground.read(each) for each in (long, short)]
    left = [expected(each) for each in stands]
    assert [job_out(each).seconds_left for each in stands] == [round(each) for each in left]
    paused = await ground.begin(10)
    paused = await ground.jobs.pause(ground.caller, paused.job_id)
    assert job_out(paused).seconds_left is None
    waiting = await ground.begin(10)
    async with ground.running(Counting(ground.recorder, kind=JobKind.EXPORT)):
        await until(lambda: seconds_left(ground) == pytest.approx(max(left)))
        states = (JobState.RUNNING, JobState.PAUSED, JobState.WAITING)
        assert [open_jobs(ground, state) for state in states] == [2, 1, 1]
        for job in (long, short, paused, waiting):
            await ground.jobs.cancel(ground.caller, job.job_id)
        # It goes on measuring, and says of what has ended that there is none.
        await until(lambda: seconds_left(ground) == 0)
        assert [open_jobs(ground, state) for state in states] == [0, 0, 0]
