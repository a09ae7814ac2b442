# SPDX-License-Identifier: Apache-2.0
"""Rows ↔ jobs. Whoever changes a job says under which claim: one who came back late changes nothing."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from strongroom.db.pool import ReadOnly, Transaction
from strongroom.db.queries import load_queries
from strongroom.kernel.ids import JobId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.vault.work.model import Facts, Job, JobKind, JobState

_QUERIES: Final = load_queries("strongroom.vault.work")
_FACTS: Final = msgspec.json.Decoder(dict[str, str | int | bool | None])


class Claim(NamedTuple):
    """A job that this process has, until its lease ends, under a name that nobody else has."""

    merchant: MerchantId
    mode: Mode
    job_id: JobId
    claim: str


@dataclass(frozen=True, slots=True)
class Held:
    """A job as it is under a claim, with what only its runner needs of it."""

    job: Job
    #: From when on the next step may begin.
    run_at: datetime
    #: How often in a row it was put off by something that does not answer.
    failures: int


class Load(NamedTuple):
    """How many jobs of a kind are in a state, and how long the longest of them will take; None: not known."""

    kind: str
    state: str
    jobs: int
    seconds_left: float | None


def _job(row: Mapping[str, Any]) -> Job:
    return Job(
        merchant_id=MerchantId(row["merchant_id"]),
        mode=Mode(row["mode"]),
        job_id=JobId(row["job_id"]),
        kind=JobKind(row["kind"]),
        state=JobState(row["state"]),
        params=_FACTS.decode(row["params"]),
        cursor=row["cursor"],
        total=row["total"],
        done=row["done"],
        refused=row["refused"],
        rate=row["rate"],
        problem=row["problem"],
        result=_FACTS.decode(row["result"]),
        created_by=row["created_by"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        updated_at=row["updated_at"],
        ended_at=row["ended_at"],
        items_a_second=row["items_a_second"],
    )


def _text(facts: Facts) -> str:
    return msgspec.json.encode(facts, order="sorted").decode()


async def insert(tx: Transaction, job: Job) -> None:
    """Add a job that is due at once."""
    await tx.run(
        _QUERIES["insert_job"],
        job.merchant_id,
        job.mode,
        job.job_id,
        job.kind,
        _text(job.params),
        job.total,
        job.rate,
        job.created_by,
        job.created_at,
    )


async def by_id(read: ReadOnly, merchant: MerchantId, mode: Mode, job: str) -> Job | None:
    """Return one."""
    row = await read.row(_QUERIES["job_by_id"], merchant, mode, job)
    return None if row is None else _job(row)


async def page(
    read: ReadOnly, merchant: MerchantId, mode: Mode, before: str, limit: int
) -> Sequence[Job]:
    """Return a page, newest first."""
    return [
        _job(row) for row in await read.rows(_QUERIES["list_jobs"], merchant, mode, before, limit)
    ]


async def claim(
    tx: Transaction, kinds: Collection[JobKind], name: str, now: datetime, until: datetime
) -> Claim | None:
    """Lease the job that has waited longest for its turn, of whichever tenant. No two claimers get the same one."""
    await tx.row(_QUERIES["be_worker"])
    row = await tx.row(_QUERIES["claim_job"], [kind.value for kind in kinds], now, name, until)
    if row is None:
        return None
    return Claim(MerchantId(row["merchant_id"]), Mode(row["mode"]), JobId(row["job_id"]), name)


async def held(read: ReadOnly, claim: Claim) -> Held | None:
    """Return the job as it is now, or None where the claim stands no more."""
    row = await read.row(_QUERIES["claimed_job"], *claim)
    return None if row is None else Held(_job(row), row["run_at"], row["failures"])


async def save(
    tx: Transaction, claim: Claim, after: Job, run_at: datetime, lease_until: datetime
) -> bool:
    """Keep what a step did; tell whether the claim still stood. If it did not, undo the step."""
    touched = await tx.run(
        _QUERIES["save_step"],
        *claim,
        after.state,
        after.cursor,
        after.total,
        after.done,
        after.refused,
        _text(after.result),
        after.problem,
        after.items_a_second,
        run_at,
        None if after.ended_at else lease_until,
        after.ended_at,
        after.updated_at,
    )
    return touched == 1


async def release(
    tx: Transaction, claim: Claim, state: JobState, run_at: datetime, failures: int
) -> bool:
    """Give a job back; tell whether the claim still stood."""
    return await tx.run(_QUERIES["release_job"], *claim, state, run_at, failures) == 1


async def fail(tx: Transaction, claim: Claim, problem: str, now: datetime) -> bool:
    """End a job that cannot go on; tell whether the claim still stood."""
    return await tx.run(_QUERIES["fail_job"], *claim, problem, now) == 1


async def pause(tx: Transaction, job: Job, now: datetime) -> bool:
    """Let a job stand still; tell whether it did not already."""
    return await tx.run(_QUERIES["pause_job"], job.merchant_id, job.mode, job.job_id, now) == 1


async def resume(tx: Transaction, job: Job, now: datetime) -> bool:
    """Let a paused job go on; tell whether it was one."""
    return await tx.run(_QUERIES["resume_job"], job.merchant_id, job.mode, job.job_id, now) == 1


async def cancel(tx: Transaction, job: Job, now: datetime) -> bool:
    """End a job where it is; tell whether it was open."""
    return await tx.run(_QUERIES["cancel_job"], job.merchant_id, job.mode, job.job_id, now) == 1


async def put_rate(tx: Transaction, job: Job, rate: int | None, now: datetime) -> bool:
    """Put how many items a second at most; tell whether the job was open."""
    touched = await tx.run(_QUERIES["put_rate"], job.merchant_id, job.mode, job.job_id, rate, now)
    return touched == 1


async def load(read: ReadOnly) -> Sequence[Load]:
    """Return how much there is to do, over all tenants."""
    await read.row(_QUERIES["be_worker"])
    return [
        Load(
            row["kind"],
            row["state"],
            row["jobs"],
            None if row["seconds_left"] is None else max(0.0, float(row["seconds_left"])),
        )
        for row in await read.rows(_QUERIES["job_load"])
    ]
