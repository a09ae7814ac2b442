# SPDX-License-Identifier: Apache-2.0
"""How fast a job goes and may go: pure sums over times. Speed is remembered over about ten seconds."""

from datetime import datetime, timedelta
from math import exp
from typing import Final

from strongroom.vault.work.model import Job, JobState

#: After so many seconds, what was before counts for a third of what is said of a job's speed.
MEMORY_SECONDS: Final = 10.0
#: A job that was kept from its rate (others' turns, a slow database) may make up for this much of it.
BURST_SECONDS: Final = 1.0
_SHORTEST_SECONDS: Final = 0.001
#: A rate is kept in steps of about so long: longer ones are bursts, shorter ones are all overhead.
_STEP_SECONDS: Final = 0.2
#: What a step that begins late does more: where steps take longer than they may, fewer and larger ones keep the rate.
_CATCH_UP_SECONDS: Final = 0.4


def batch(job: Job, most: int) -> int:
    """Return how many items a step should do: as many as it can, or what its rate allows since the step before."""
    if job.rate is None:
        return most
    seconds = _STEP_SECONDS + min(max(0.0, job.late_seconds), _CATCH_UP_SECONDS)
    return max(1, min(most, int(job.rate * seconds)))


def speed(before: float | None, items: int, since: datetime, now: datetime) -> float:
    """Return how many items a second a job does, by what it did since its last step and what was said before."""
    seconds = max((now - since).total_seconds(), _SHORTEST_SECONDS)
    latest = items / seconds
    if before is None:
        return latest
    weight = 1 - exp(-seconds / MEMORY_SECONDS)
    return before + weight * (latest - before)


def next_at(job: Job, items: int, due: datetime, begun: datetime, now: datetime) -> datetime:
    """Return when the step after one of so many items may begin, by the job's rate (a bucket that holds a second)."""
    if job.rate is None:
        return now
    start = max(due, begun - timedelta(seconds=BURST_SECONDS))
    return start + timedelta(seconds=items / job.rate)


def seconds_left(job: Job) -> float | None:
    """Return how long a job will take at the speed it has; None where nobody can know.

    A job that was given another rate goes by that from now on.
    """
    if job.state not in (JobState.RUNNING, JobState.WAITING) or job.total is None:
        return None
    left = max(0, job.total - job.done - job.refused)
    if left == 0:
        return 0.0
    pace = job.items_a_second
    if pace is not None and job.rate is not None:
        pace = min(pace, float(job.rate))
    return None if not pace else left / pace
