# SPDX-License-Identifier: Apache-2.0
"""What every table of data keys must do. A new one is done when this suite is green over it."""

import asyncio
import dataclasses
from datetime import UTC, datetime

import pytest

from strongroom.keys import DataKeyRow, DataKeyTable, KeyState

FIRST = DataKeyRow(
    merchant="mer_01J00000000000000000000001",
    mode="test",
    name="card",
    purpose="card",
    version=1,
    state=KeyState.ACTIVE,
    wrapped=b"wrapped 1",
    mac=bytes(32),
    made_at=datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC),
)
SECOND = dataclasses.replace(FIRST, version=2, wrapped=b"wrapped 2", mac=b"2" * 32)
THIRD = dataclasses.replace(FIRST, version=3, wrapped=b"wrapped 3", mac=b"3" * 32)

ELSEWHERE = [
    dataclasses.replace(FIRST, merchant="mer_01J00000000000000000000002"),
    dataclasses.replace(FIRST, mode="live"),
    dataclasses.replace(FIRST, name="fingerprint"),
    dataclasses.replace(FIRST, merchant="", mode="", name="keyring_mac_card"),
]


def retired(row: DataKeyRow) -> DataKeyRow:
    return dataclasses.replace(row, state=KeyState.RETIRING, mac=b"r" * 32)


def destroyed(row: DataKeyRow) -> DataKeyRow:
    return dataclasses.replace(row, state=KeyState.DESTROYED, wrapped=b"", mac=b"d" * 32)


class DataKeyTableContract:
    """Subclass it, and override `table` with a fixture of an empty table."""

    @pytest.fixture
    def table(self) -> DataKeyTable:
        raise NotImplementedError

    async def current(self, table: DataKeyTable, row: DataKeyRow = FIRST) -> DataKeyRow | None:
        return await table.current(row.merchant, row.mode, row.name)

    async def version(self, table: DataKeyTable, row: DataKeyRow) -> DataKeyRow | None:
        return await table.version(row.merchant, row.mode, row.name, row.version)

    async def test_an_empty_table_has_nothing(self, table: DataKeyTable) -> None:
        assert await self.current(table) is None
        assert await self.version(table, FIRST) is None

    async def test_a_row_comes_back_column_by_column(self, table: DataKeyTable) -> None:
        assert await table.add(FIRST) == FIRST
        assert await self.current(table) == FIRST
        found = await self.version(table, FIRST)
        assert found == FIRST
        assert found is not None
        assert found.state is KeyState.ACTIVE
        assert found.made_at.utcoffset() is not None

    @pytest.mark.parametrize("other", ELSEWHERE, ids=["merchant", "mode", "name", "platform"])
    async def test_rows_are_apart(self, table: DataKeyTable, other: DataKeyRow) -> None:
        await table.add(FIRST)
        assert await self.current(table, other) is None
        assert await self.version(table, other) is None
        assert await table.add(other) == other
        assert await self.current(table, other) == other
        assert await self.current(table) == FIRST

    async def test_the_highest_active_version_is_current(self, table: DataKeyTable) -> None:
        await table.add(SECOND)
        await table.add(FIRST)
        assert await self.current(table) == SECOND
        await table.destroy(destroyed(SECOND))
        assert await self.current(table) == FIRST
        assert await table.replace(THIRD, retired(FIRST), FIRST.mac) == THIRD
        assert await self.current(table) == THIRD
        await table.destroy(destroyed(THIRD))
        assert await self.current(table) is None, "the first is retiring"

    async def test_a_version_is_made_once(self, table: DataKeyTable) -> None:
        await table.add(FIRST)
        late = dataclasses.replace(FIRST, wrapped=b"late", mac=b"l" * 32)
        assert await table.add(late) == FIRST
        assert await self.version(table, FIRST) == FIRST

    async def test_all_who_race_get_the_same_row(self, table: DataKeyTable) -> None:
        rows = [dataclasses.replace(FIRST, wrapped=b"racer %d" % number) for number in range(8)]
        won = await asyncio.gather(*(table.add(row) for row in rows))
        assert len({row.wrapped for row in won}) == 1
        assert await self.current(table) == won[0]

    async def test_state_wrapped_and_mac_of_one_version_can_be_put(
        self, table: DataKeyTable
    ) -> None:
        await table.add(FIRST)
        await table.add(SECOND)
        await table.replace(THIRD, retired(SECOND), SECOND.mac)
        assert await self.version(table, SECOND) == retired(SECOND)
        assert await self.version(table, FIRST) == FIRST
        await table.destroy(destroyed(FIRST))
        assert await self.version(table, FIRST) == destroyed(FIRST)
        assert await self.version(table, SECOND) == retired(SECOND)
        assert await self.version(table, THIRD) == THIRD

    async def test_a_destroyed_row_stays_and_stays_destroyed(self, table: DataKeyTable) -> None:
        await table.add(FIRST)
        await table.destroy(destroyed(FIRST))
        await table.destroy(FIRST)  # even by a row that says it is active
        assert not await table.rewrap(FIRST, destroyed(FIRST).mac)
        assert await table.add(FIRST) == destroyed(FIRST)
        assert await self.version(table, FIRST) == destroyed(FIRST)
        assert await self.current(table) is None

    async def test_an_unknown_row_is_not_made_by_putting_it(self, table: DataKeyTable) -> None:
        await table.destroy(destroyed(FIRST))
        assert not await table.rewrap(FIRST, FIRST.mac)
        assert await self.version(table, FIRST) is None

    async def test_a_version_follows_the_one_that_was_read(self, table: DataKeyTable) -> None:
        await table.add(FIRST)
        assert await table.replace(SECOND, retired(FIRST), FIRST.mac) == SECOND
        assert await self.version(table, FIRST) == retired(FIRST)
        late = dataclasses.replace(SECOND, wrapped=b"late", mac=b"l" * 32)
        assert await table.replace(late, retired(FIRST), FIRST.mac) == SECOND, "the first stays"
        assert await self.version(table, FIRST) == retired(FIRST)

    async def test_nothing_follows_what_was_destroyed_meanwhile(self, table: DataKeyTable) -> None:
        await table.add(FIRST)
        await table.destroy(destroyed(FIRST))
        assert await table.replace(SECOND, retired(FIRST), FIRST.mac) is None
        assert await self.version(table, FIRST) == destroyed(FIRST)
        assert await self.current(table) is None

    async def test_what_was_wrapped_anew_meanwhile_stays(self, table: DataKeyTable) -> None:
        await table.add(FIRST)
        anew = dataclasses.replace(FIRST, wrapped=b"anew", mac=b"a" * 32)
        assert await table.rewrap(anew, FIRST.mac)
        assert await table.replace(SECOND, retired(FIRST), FIRST.mac) is None
        assert await self.version(table, FIRST) == anew
