# SPDX-License-Identifier: Apache-2.0
"""Rows ↔ wrapped data keys, in PostgreSQL. Implements `DataKeyTable`."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from strongroom.db.pool import Database
from strongroom.db.queries import load_queries
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.invariant import Bug
from strongroom.keys.model import DataKeyRow, KeyState

_QUERIES: Final = load_queries("strongroom.keys")


class PostgresDataKeyTable:
    """The data keys of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

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
        async with self._database.transaction([MerchantId(row.merchant)]) as tx:
            await tx.run(
                _QUERIES["add_data_key"],
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

    async def update(self, row: DataKeyRow) -> None:
        """Put state, wrapped and mac of an existing row. Does nothing to a row that is destroyed."""
        async with self._database.transaction([MerchantId(row.merchant)]) as tx:
            await tx.run(
                _QUERIES["update_data_key"],
                row.merchant,
                row.mode,
                row.name,
                row.version,
                row.state,
                row.wrapped,
                row.mac,
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
