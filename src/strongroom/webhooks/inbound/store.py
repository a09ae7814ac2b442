# SPDX-License-Identifier: Apache-2.0
"""The rows of the inbox and the sink that commits a batch of them: each event once, with the job that looks at it.

All verification is done before a row comes here.
"""

from collections.abc import Hashable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from strongroom.db.errors import (
    ConnectionLost,
    ConstraintBroken,
    DatabaseAway,
    LockTaken,
    translated,
)
from strongroom.db.pool import Database
from strongroom.db.queries import load_queries
from strongroom.kernel.ids import ConnectionId, MerchantId, NoticeId
from strongroom.kernel.mode import Mode
from strongroom.webhooks.inbound.sealing import Sealed

_QUERIES: Final = load_queries("strongroom.webhooks.inbound")
#: About what a notice adds to a statement besides what is sealed.
ROW_BYTES: Final = 400
#: A processor waits for seconds; so long a notice waits for others, and for the answer that it repeats to be saved
#: (ADR-0025).
GATHER_SECONDS: Final = 0.02


class NoticeRow(NamedTuple):
    """One verified notice to be kept, sealed."""

    merchant: MerchantId
    mode: Mode
    notice_id: NoticeId
    connection_id: ConnectionId
    event_key: str
    sealed: Sealed
    received_at: datetime


class NoticeSink:
    """Commits batches of notices. Implements `db.group_commit.Sink`; the result is whether the notice was new."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def size_bytes(self, row: NoticeRow) -> int:
        """Return about how many bytes the row adds to a statement."""
        return ROW_BYTES + len(row.sealed.value)

    def fold_keys(self, row: NoticeRow) -> Sequence[Hashable]:
        """A batch holds an event once: who comes second waits, and then finds the first."""
        return ((row.merchant, row.mode, row.connection_id, row.event_key),)

    async def write(self, rows: Sequence[NoticeRow]) -> Sequence[bool]:
        """Keep the rows in one transaction, and say which were new. See `db.group_commit.Sink.write`."""
        async with self._database.connection() as connection:
            try:
                new = await connection.fetch(_QUERIES["keep_notices"].text, *_arguments(rows))
            except Exception as error:  # noqa: BLE001 - every driver error is translated
                ours = translated(error)
                if isinstance(ours, DatabaseAway):
                    raise ConnectionLost from None
                if isinstance(ours, LockTaken) and len(rows) > 1:
                    # Another process is keeping one of these events and does not come to an end.
                    raise ConstraintBroken("a lock") from None
                raise ours from None
        kept = {each["notice_id"] for each in new}
        return [row.notice_id in kept for row in rows]

    async def find(self, row: NoticeRow) -> bool | None:
        """Tell what became of a notice whose connection broke at the commit: new, known, or not kept (None)."""
        async with self._database.transaction([row.merchant]) as read:
            found = await read.row(
                _QUERIES["notice_by_event"],
                row.merchant,
                row.mode,
                row.connection_id,
                row.event_key,
            )
        return None if found is None else found["notice_id"] == row.notice_id


class NoticeName(NamedTuple):
    """Which notice."""

    merchant: MerchantId
    mode: Mode
    notice_id: str


class NoticeRecord(NamedTuple):
    """A notice's row."""

    connection_id: str
    event_key: str
    sealed: Sealed
    state: str
    received_at: datetime


class NoticeRows:
    """Reads the rows of notices, many at once (a `db.group_commit.Sink` that writes nothing)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def size_bytes(self, row: NoticeName) -> int:  # noqa: ARG002 - the port's
        """Return about how many bytes the row adds to a statement."""
        return ROW_BYTES

    def fold_keys(self, row: NoticeName) -> Sequence[Hashable]:  # noqa: ARG002 - the port's
        """Any number of rows may be read at once."""
        return ()

    async def write(self, rows: Sequence[NoticeName]) -> Sequence[NoticeRecord | None]:
        """Return each notice's row; None where there is none."""
        async with self._database.connection() as connection:
            try:
                found = await connection.fetch(
                    _QUERIES["notices_by_id"].text,
                    ",".join({row.merchant for row in rows}),
                    [row.merchant for row in rows],
                    [row.mode for row in rows],
                    [row.notice_id for row in rows],
                )
            except Exception as error:  # noqa: BLE001 - every driver error is translated
                raise translated(error) from None
        records: list[NoticeRecord | None] = [None] * len(rows)
        for n, connection_id, event_key, sealed, key_version, state, received_at in found:
            records[n - 1] = NoticeRecord(
                connection_id, event_key, Sealed(sealed, key_version), state, received_at
            )
        return records

    async def find(self, row: NoticeName) -> NoticeRecord | None:
        """Read one alone."""
        (found,) = await self.write([row])
        return found


def _arguments(rows: Sequence[NoticeRow]) -> list[object]:
    return [
        ",".join({row.merchant for row in rows}),
        [row.merchant for row in rows],
        [row.mode for row in rows],
        [row.notice_id for row in rows],
        [row.connection_id for row in rows],
        [row.event_key for row in rows],
        [row.sealed.value for row in rows],
        [row.sealed.key_version for row in rows],
        [row.received_at for row in rows],
    ]
