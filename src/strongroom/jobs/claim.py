# SPDX-License-Identifier: Apache-2.0
"""Takes jobs out of their table and gives them back: a claim is a lease, and who comes back late changes nothing.

One statement each, under the worker's login, which sees every tenant's jobs and nothing of what they are about.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from strongroom.db.errors import translated
from strongroom.db.pool import Database, Rows
from strongroom.db.queries import Query, load_queries
from strongroom.jobs.model import Claimed
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode

#: No more than this are counted.
LAG_ROWS_MAX: Final = 10_000
_QUERIES: Final = load_queries("strongroom.jobs")
_MODES: Final = {mode.value: mode for mode in Mode}


class Lag(NamedTuple):
    """How many jobs of a kind are due and not taken, and for how many seconds the oldest of them has been."""

    waiting: int
    oldest_seconds: float


class PutOff(NamedTuple):
    """A job that is to be looked at again, and how often in a row it has failed by now."""

    job: Claimed
    at: datetime
    failures: int = 0


class JobQueue:
    """The jobs of every tenant, as a worker sees them.

    Raises:
        Unavailable: nothing was taken or given back, or it is not known; leases end by themselves.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self.clock = clock

    async def claim(self, kind: str, limit: int, lease_seconds: float) -> list[Claimed]:
        """Lease up to so many jobs that are due, the oldest first. No two claimers get the same one."""
        now = self.clock.now()
        until = now + timedelta(seconds=lease_seconds)
        # Crash after this: the lease ends, and the next claimer follows.
        rows = await self._run(_QUERIES["claim_jobs"], kind, limit, now, until)
        return [
            Claimed(
                MerchantId(merchant),
                _MODES[mode],
                kind,
                object_id,
                tries,
                failures,
                due_at,
                lease_until=until,
            )
            for merchant, mode, object_id, tries, failures, due_at in rows
        ]

    async def due(self, kinds: Sequence[str]) -> Sequence[str]:
        """Return of which kinds something is due: one question for all of those that have nothing to do."""
        rows = await self._run(_QUERIES["due_kinds"], list(kinds), self.clock.now())
        return [row["kind"] for row in rows]

    async def done(self, jobs: Sequence[Claimed]) -> None:
        """Remove jobs, where the claim still stands."""
        if jobs:
            await self._run(_QUERIES["remove_jobs"], *_columns(jobs))

    async def again(self, jobs: Sequence[PutOff]) -> None:
        """Put jobs off until a time each, where the claim still stands."""
        if jobs:
            await self._run(
                _QUERIES["put_off_jobs"],
                *_columns([each.job for each in jobs]),
                [each.at for each in jobs],
                [each.failures for each in jobs],
            )

    async def lag(self, kinds: Sequence[str]) -> Mapping[str, Lag]:
        """Return how far behind each kind is."""
        now = self.clock.now()
        rows = await self._run(_QUERIES["job_lag"], list(kinds), now, LAG_ROWS_MAX)
        return {
            row["kind"]: Lag(
                row["waiting"],
                0.0 if row["oldest"] is None else (now - row["oldest"]).total_seconds(),
            )
            for row in rows
        }

    async def _run(self, query: Query, *values: object) -> Rows:
        """Run one statement by itself: no tenant is stated, because jobs say nothing of what they are about."""
        async with self._database.connection() as connection:
            try:
                return await connection.fetch(query.text, *values)  # type: ignore[no-any-return]
            except Exception as error:  # noqa: BLE001 - every driver error is translated
                raise translated(error) from None


def _columns(jobs: Sequence[Claimed]) -> tuple[Sequence[object], ...]:
    return (
        [job.merchant for job in jobs],
        [job.mode.value for job in jobs],
        [job.kind for job in jobs],
        [job.object_id for job in jobs],
        [job.tries for job in jobs],
        [job.lease_until for job in jobs],
    )
