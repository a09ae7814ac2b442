# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of jobs."""

from typing import Annotated

import msgspec
from msgspec import Meta

from strongroom.kernel.clock import rfc3339
from strongroom.vault.work.model import Job
from strongroom.vault.work.pace import seconds_left
from strongroom.vault.work.service import RATE_MAX


class JobOut(msgspec.Struct, frozen=True):
    """A job, and how far it is."""

    id: str
    object: str
    mode: str
    kind: str
    #: waiting, running, paused, done, failed or canceled
    state: str
    params: dict[str, str | int | bool | None]
    #: Items in all, where that is known.
    total: int | None
    done: int
    refused: int
    #: Items a second at most; null: as fast as it goes.
    rate: int | None
    #: Items a second as of late.
    items_per_second: float | None
    #: At the speed it has.
    seconds_left: int | None
    #: Why it failed.
    problem: str | None
    result: dict[str, str | int | bool | None]
    created_by: str
    created_at: str
    started_at: str | None
    updated_at: str
    ended_at: str | None


class JobPage(msgspec.Struct, frozen=True):
    """A page of jobs, newest first."""

    data: list[JobOut]
    has_more: bool
    next_cursor: str | None


class RateIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How fast a job may go."""

    rate: Annotated[int, Meta(ge=1, le=RATE_MAX, description="Items a second at most")] | None


def job_out(job: Job) -> JobOut:
    """Print a job."""
    left = seconds_left(job)
    return JobOut(
        id=job.job_id,
        object="job",
        mode=job.mode,
        kind=job.kind,
        state=job.state,
        params=dict(job.params),
        total=job.total,
        done=job.done,
        refused=job.refused,
        rate=job.rate,
        items_per_second=None if job.items_a_second is None else round(job.items_a_second, 1),
        seconds_left=None if left is None else round(left),
        problem=job.problem,
        result=dict(job.result),
        created_by=job.created_by,
        created_at=rfc3339(job.created_at),
        started_at=rfc3339(job.started_at) if job.started_at else None,
        updated_at=rfc3339(job.updated_at),
        ended_at=rfc3339(job.ended_at) if job.ended_at else None,
    )
