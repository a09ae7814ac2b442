# SPDX-License-Identifier: Apache-2.0
"""Rows ↔ wrapped data keys, in PostgreSQL. Implements `DataKeyTable`."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from strongroom.db.pool import Database, Transaction
from strongroom.db.queries import load_queries
from strongroom.kernel.clock import Clock, SystemClock
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.invariant import Bug
from strongroom.keys.model import DataKeyRow, KeyChange, KeyState
from strongroom.keys.ports import Within

_QUERIES: Final = load_queries("strongroom.keys")
#: Keys of all tenants are read so many at a time.
PAGE_ROWS: Final = 500


class Past(NamedTuple):
    """The key that a walk over all keys is behind."""

    merchant: str
    mode: str
    name: str
    version: int


FROM_THE_BEGINNING: Final = Past("", "", "", 0)


class PostgresDataKeyTable:
    """The data keys of one database."""

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self._database = database
        self._clock = clock or SystemClock()
        #: Commits with a key that is made at its first use: its audit record, once there is a recorder.
        self.witness: Within | None = None
        #: Whose rows it writes besides those of the key's merchant.
        self.witness_sees: Sequence[MerchantId] = ()

    async def current(self, merchant: str, mode: str, name: str) -> DataKeyRow | None:
        """Return the row with the highest version whose state is active."""
        async with self._database.transaction([MerchantId(merchant)]) as read:
            row = await read.row(_QUERIES["current_data_key"], merchant, mode, name)
        return None if row is None else _data_key(row)

    async def version(self, merchant: str, mode: str, name: str, version: int) -> DataKeyRow | None:
        """Return the row of one version, in any state."""
        async with self._database.transaction([MerchantId(merchant)]) as read:
            row = await read.row(_QUERIES["data_key_version"], merchant, mode, name, version)
        return None if row is None else _data_key(row)

    async def add(self, row: DataKeyRow) -> DataKeyRow:
        """Keep a new row, or return the one that was first."""
        seen = [MerchantId(row.merchant), *self.witness_sees]
        async with self._database.transaction(seen) as tx:
            made = await tx.run(_QUERIES["add_data_key"], *_columns(row))
            if made and self.witness is not None:
                await self.witness(tx, row)
            kept = await tx.row(
                _QUERIES["data_key_version"], row.merchant, row.mode, row.name, row.version
            )
        if kept is None:
            raise Bug("a data key that was just added is not there")
        return _data_key(kept)

    async def living(self) -> Sequence[tuple[str, str, str, int]]:
        """Return (merchant, mode, name, version) of every key that is not destroyed, as far as this login sees."""
        async with self._database.transaction() as tx:
            rows = await tx.rows(_QUERIES["every_data_key"])
        return [(row["merchant_id"], row["mode"], row["name"], row["version"]) for row in rows]

    async def versions(self, merchant: str, mode: str, name: str) -> Sequence[DataKeyRow]:
        """Return every version, oldest first, in any state."""
        async with self._database.transaction([MerchantId(merchant)]) as read:
            rows = await read.rows(_QUERIES["data_key_versions"], merchant, mode, name)
        return [_data_key(row) for row in rows]

    async def replace(
        self,
        new: DataKeyRow,
        before: DataKeyRow,
        mac_before: bytes,
        within: Within | None = None,
    ) -> DataKeyRow | None:
        """Keep a new version and retire the one before. See `DataKeyTable`."""
        seen = [MerchantId(new.merchant), *self.witness_sees]
        async with self._database.transaction(seen) as tx:
            # The one before first: whoever destroys or wraps it waits, or was earlier and is not undone.
            retired = await tx.run(_QUERIES["retire_data_key"], *_changed(before), mac_before)
            if retired and await tx.run(_QUERIES["add_data_key"], *_columns(new)):
                await _note(tx, new, "rotated", new.made_at)
                if within is not None:
                    await within(tx, new)
            elif retired:
                raise Bug("a version of a data key is newer than the current one")
            kept = await tx.row(
                _QUERIES["data_key_version"], new.merchant, new.mode, new.name, new.version
            )
        return None if kept is None else _data_key(kept)

    async def destroy(self, row: DataKeyRow, within: Within | None = None) -> None:
        """Keep a version as destroyed; `within` may refuse before."""
        async with self._database.transaction([MerchantId(row.merchant), *self.witness_sees]) as tx:
            if within is not None:
                await within(tx, row)
            await tx.run(_QUERIES["update_data_key"], *_changed(row))
            await _note(tx, row, "destroyed", self._clock.now())

    async def rewrap(self, row: DataKeyRow, mac_before: bytes) -> bool:
        """Put wrapped and mac of a row that still carries this MAC; tell whether it did."""
        async with self._database.transaction([MerchantId(row.merchant)]) as tx:
            touched = await tx.run(
                _QUERIES["rewrap_data_key"],
                row.merchant,
                row.mode,
                row.name,
                row.version,
                row.wrapped,
                row.mac,
                mac_before,
            )
        return touched == 1

    async def changes(self, since: datetime) -> Sequence[KeyChange]:
        """Return what was rotated or destroyed since then, whoever's it is."""
        async with self._database.transaction() as read:
            await read.row(_QUERIES["be_key_watch"])
            rows = await read.rows(_QUERIES["key_changes"], since)
        return [KeyChange(*row) for row in rows]

    async def everybodys(
        self, purposes: Collection[str], past: Past = FROM_THE_BEGINNING
    ) -> AsyncIterator[DataKeyRow]:
        """Yield every tenant's keys of some roots, for those who look after all of them; pages are read one by one.

        `past`: only those behind this one, in the order of the walk.
        """
        at = past
        while True:
            async with self._database.transaction() as read:
                await read.row(_QUERIES["be_key_watch"])
                rows = await read.rows(_QUERIES["list_data_keys"], list(purposes), *at, PAGE_ROWS)
            for row in map(_data_key, rows):
                yield row
                at = Past(row.merchant, row.mode, row.name, row.version)
            if len(rows) < PAGE_ROWS:
                return

    async def rewrapped_to(self, purpose: str, root: str) -> tuple[Past, int]:
        """Return behind which key a walk that wraps anew under this root was cut off, and how many it had done."""
        async with self._database.transaction() as read:
            await read.row(_QUERIES["be_key_watch"])
            row = await read.row(_QUERIES["rewrap_at"], purpose)
        if row is None or row["root"] != root:
            return FROM_THE_BEGINNING, 0
        past = Past(row["past_owner"], row["past_mode"], row["past_name"], row["past_version"])
        return past, row["done"]

    async def note_rewrap(self, purpose: str, root: str, past: Past, done: int) -> None:
        """Note that a walk is behind this key."""
        async with self._database.transaction() as tx:
            await tx.row(_QUERIES["be_key_watch"])
            await tx.run(_QUERIES["note_rewrap"], purpose, root, *past, done, self._clock.now())

    async def end_rewrap(self, purpose: str) -> None:
        """Note that a walk has come to its end."""
        async with self._database.transaction() as tx:
            await tx.row(_QUERIES["be_key_watch"])
            await tx.run(_QUERIES["end_rewrap"], purpose)


def _columns(row: DataKeyRow) -> tuple[object, ...]:
    return (
        row.merchant,
        row.mode,
        row.name,
        row.purpose,
        row.version,
        row.state,
        row.wrapped,
        row.mac,
        row.made_at,
    )


def _changed(row: DataKeyRow) -> tuple[object, ...]:
    return (row.merchant, row.mode, row.name, row.version, row.state, row.wrapped, row.mac)


async def _note(tx: Transaction, row: DataKeyRow, what: str, at: datetime) -> None:
    await tx.run(
        _QUERIES["note_key_change"], row.merchant, row.mode, row.name, row.version, what, at
    )


def _data_key(row: Mapping[str, Any]) -> DataKeyRow:
    return DataKeyRow(
        row["merchant_id"],
        row["mode"],
        row["name"],
        row["purpose"],
        row["version"],
        KeyState(row["state"]),
        row["wrapped"],
        row["mac"],
        row["made_at"],
    )
