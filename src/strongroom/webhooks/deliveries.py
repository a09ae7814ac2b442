# SPDX-License-Identifier: Apache-2.0
"""The worker's side of the store: what is claimed together is loaded in one query, and what came of it written in one.

Both are functions (migration 0009) that state the merchants of their batch, so that each is one round trip.
"""

from collections.abc import Hashable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from strongroom.db.errors import ConnectionLost, DatabaseAway, translated
from strongroom.db.pool import Database, Rows
from strongroom.db.queries import Query
from strongroom.jobs import Claimed
from strongroom.kernel.ids import EndpointId, EventId
from strongroom.webhooks.retry import Verdict
from strongroom.webhooks.secrets import Sealed
from strongroom.webhooks.store import QUERIES

#: About what a row adds to a statement.
_ROW_BYTES: Final = 300


class Load(NamedTuple):
    """What it takes to deliver."""

    status: str
    tries: int
    event_id: EventId
    payload: str
    published_at: datetime
    endpoint_id: EndpointId
    url: str
    endpoint_status: str
    sealed: Sealed

    def __repr__(self) -> str:
        return f"Load({self.event_id} to {self.endpoint_id})"


class Tried(NamedTuple):
    """A try that was made, under which claim, and what it came to."""

    job: Claimed
    at: datetime
    duration_ms: int
    verdict: Verdict


class Loads:
    """Reads what claimed deliveries need (a `group_commit.Sink` that writes nothing)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def size_bytes(self, row: Claimed) -> int:  # noqa: ARG002 - the port's
        """Return about how many bytes the row adds to a statement."""
        return _ROW_BYTES

    def fold_keys(self, row: Claimed) -> Sequence[Hashable]:  # noqa: ARG002 - the port's
        """Any number of rows may be read at once."""
        return ()

    async def write(self, rows: Sequence[Claimed]) -> Sequence[Load | None]:
        """Return what each job needs; None where there is no such delivery."""
        found = await _call(
            self._database,
            QUERIES["load_deliveries"],
            [job.merchant for job in rows],
            [job.mode.value for job in rows],
            [job.object_id for job in rows],
        )
        loads: list[Load | None] = [None] * len(rows)
        for n, status, tries, event, payload, published, endpoint, url, active, *sealed in found:
            loads[n - 1] = Load(
                status, tries, event, payload, published, endpoint, url, active, Sealed(*sealed)
            )
        return loads

    async def find(self, row: Claimed) -> Load | None:
        """Read one alone, after the connection broke."""
        (load,) = await self.write([row])
        return load


class Tries:
    """Writes down what tries came to."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def size_bytes(self, row: Tried) -> int:  # noqa: ARG002 - the port's
        """Return about how many bytes the row adds to a statement."""
        return _ROW_BYTES

    def fold_keys(self, row: Tried) -> Sequence[Hashable]:
        """A batch moves a delivery once."""
        return (row.job.object_id,)

    async def write(self, rows: Sequence[Tried]) -> Sequence[Tried]:
        """Write log, delivery and job of each, in one transaction and in an order that every process has."""
        ordered = sorted(rows, key=lambda row: row.job.object_id)
        await _call(
            self._database,
            QUERIES["record_tries"],
            [row.job.merchant for row in ordered],
            [row.job.mode.value for row in ordered],
            [row.job.object_id for row in ordered],
            [row.at for row in ordered],
            [row.verdict.status for row in ordered],
            [row.verdict.reason for row in ordered],
            [row.duration_ms for row in ordered],
            [row.verdict.outcome.value for row in ordered],
            [row.verdict.next_at for row in ordered],
            [row.job.tries for row in ordered],
            [row.job.lease_until for row in ordered],
        )
        return rows

    async def find(self, row: Tried) -> Tried | None:
        """Tell whether a try whose connection broke was written: the log has its moment."""
        job = row.job
        async with self._database.transaction([job.merchant]) as read:
            found = await read.row(
                QUERIES["try_is_there"], job.merchant, job.mode, job.object_id, row.at
            )
        return None if found is None else row


async def _call(database: Database, query: Query, *values: object) -> Rows:
    """Call one of our functions, which is a transaction by itself and states its merchants."""
    async with database.connection() as connection:
        try:
            return await connection.fetch(query.text, *values)  # type: ignore[no-any-return]
        except Exception as error:  # noqa: BLE001 - every driver error is translated
            ours = translated(error)
            if isinstance(ours, DatabaseAway):
                raise ConnectionLost from None
            raise ours from None
