# SPDX-License-Identifier: Apache-2.0
"""Rotates the keys of the core database that seal what lasts, begins their re-seals, and destroys what nothing needs.

Makes no audit record itself: whoever asks gives what commits with each act, and may refuse it.
"""

import enum
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, final

from strongroom.db.pool import Database, Transaction
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import MerchantId
from strongroom.keys.errors import (
    KeyInUse,
    KeyIsCurrent,
    KeyNotRotated,
    KeyRotatedMeanwhile,
    KeyStillServes,
    KeyVersionUnknown,
)
from strongroom.keys.model import DataKeyRow, KeyState
from strongroom.keys.ports import DataKeyTable, WatchedKeys
from strongroom.keys.purposes import KeyName
from strongroom.keys.reseal import store
from strongroom.keys.reseal.model import (
    RETIREMENT,
    SETTLING,
    USES_COUNTED_MAX,
    Reseal,
    SealedColumn,
)
from strongroom.keys.reseal.runner import counted
from strongroom.keys.rotating import REPEATS

#: Rotated here, and nothing is moved: what older versions have hashed is known by them for `REPEATS`.
_VERIFYING: Final = frozenset({KeyName.REQUEST_FINGERPRINT})


class What(enum.StrEnum):
    """What was done to a key."""

    ROTATED = "rotated"
    RESEAL_STARTED = "reseal_started"
    DESTROYED = "destroyed"


#: Commits with an act: its audit record. Raising undoes it.
Record = Callable[[Transaction, What, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class KeyOf:
    """A key of a tenant; the mode is empty where what it seals belongs to none."""

    merchant: str
    mode: str
    name: KeyName


@final
class CoreKeys:
    """The keys that seal what lasts in the core database."""

    def __init__(
        self,
        database: Database,
        keyring: WatchedKeys,
        table: DataKeyTable,
        columns: Sequence[SealedColumn],
        clock: Clock,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._table = table
        self._columns = columns
        self._clock = clock
        #: What is sealed anew, and what goes on verifying without.
        self.names: Final = frozenset(column.key for column in columns)

    async def rotate(
        self, of: KeyOf, created_by: str, record: Record, *, after: int | None = None
    ) -> tuple[int, Sequence[str]]:
        """Make a new version, which seals from now on, and begin to seal anew; return it, and the columns that move.

        Of two at once one rotates, and both are told the same version. `after`: only if that version seals now.

        Raises:
            KeyNotRotated: it seals nothing that lasts here.
            KeyRotatedMeanwhile: another version seals now than `after`.
            KeyStoreUnavailable, Unavailable: nothing was changed.
        """
        self._require_ours(of.name)
        begun: list[str] = []
        made: list[int] = []

        async def within(tx: Transaction, row: DataKeyRow) -> None:
            made.append(row.version)
            if after is not None and row.version != after + 1:
                raise KeyRotatedMeanwhile
            await _lock(tx, of)
            await record(tx, What.ROTATED, row.version)
            if of.name in self.names:
                parts = await self._begin(tx, of, row.version, row.made_at, created_by, record)
                begun.extend(parts)

        key = await self._keyring.rotate(of.merchant, of.mode, of.name, within)
        if after is not None and not made:
            raise KeyRotatedMeanwhile  # another process was first
        return key.version, begun

    async def reseal(self, of: KeyOf, created_by: str, record: Record) -> tuple[int, Sequence[str]]:
        """Seal anew under the current version whatever is sealed under older ones, without a new one.

        Raises:
            KeyNotRotated: it seals nothing that lasts here.
        """
        if of.name not in self.names:
            raise KeyNotRotated("nothing that lasts is sealed under it")
        key = await self._keyring.current(of.merchant, of.mode, of.name)
        async with self._database.transaction([MerchantId(of.merchant)]) as tx:
            await _lock(tx, of)
            made_at = key.made_at or self._clock.now()
            begun = await self._begin(tx, of, key.version, made_at, created_by, record)
        return key.version, begun

    async def destroy(self, of: KeyOf, version: int, record: Record) -> None:
        """Destroy a version: what it sealed, in whatever copy, does not open again. Doing it twice is doing it once.

        Whether anything is still sealed under it is looked for in the transaction that destroys it.

        Raises:
            KeyVersionUnknown, KeyNotRotated, KeyIsCurrent, KeyStillServes, KeyInUse: see each.
        """
        self._require_ours(of.name)
        rows = await self._table.versions(of.merchant, of.mode, of.name)
        found = next((row for row in rows if row.version == version), None)
        if found is None:
            raise KeyVersionUnknown
        if found.state is KeyState.DESTROYED:
            return
        if version >= max((row.version for row in rows if row.state is KeyState.ACTIVE), default=0):
            raise KeyIsCurrent
        retired = next(row.made_at for row in rows if row.version == version + 1)
        if self._clock.now() < retired + (RETIREMENT if of.name in self.names else REPEATS):
            raise KeyStillServes

        async def within(tx: Transaction, row: DataKeyRow) -> None:
            await _lock(tx, of)
            await tx.row(store.QUERIES["take_time"])
            if await self._used(tx, of, row.version, 1):
                raise KeyInUse
            await record(tx, What.DESTROYED, row.version)

        await self._keyring.destroy(of.merchant, of.mode, of.name, version, within)

    async def uses(self, of: KeyOf, version: int) -> int:
        """Return how many values are sealed under a version, at most `USES_COUNTED_MAX` of each column."""
        async with self._database.transaction([MerchantId(of.merchant)]) as tx:
            return await self._used(tx, of, version, USES_COUNTED_MAX)

    async def progress(self) -> Sequence[Reseal]:
        """Return where each column of every tenant is."""
        async with self._database.transaction() as read:
            return await store.everybodys(read, [column.name for column in self._columns])

    async def _begin(
        self,
        tx: Transaction,
        of: KeyOf,
        version: int,
        made_at: datetime,
        created_by: str,
        record: Record,
    ) -> Sequence[str]:
        now = self._clock.now()
        parts = [column.name for column in self._columns if column.key is of.name]
        for part in parts:
            await store.begin(
                tx,
                (of.merchant, of.mode, of.name.value, part),
                version,
                run_at=max(now, made_at + SETTLING),
                created_by=created_by,
                now=now,
            )
        await record(tx, What.RESEAL_STARTED, version)
        return parts

    async def _used(self, tx: Transaction, of: KeyOf, version: int, most: int) -> int:
        found = 0
        for column in self._columns:
            if column.key is of.name:
                found += await counted(tx, column, of.merchant, of.mode, version, most)
        return found

    def _require_ours(self, name: KeyName) -> None:
        if name not in self.names | _VERIFYING:
            raise KeyNotRotated


async def _lock(tx: Transaction, of: KeyOf) -> None:
    await tx.row(store.QUERIES["lock_key"], f"{of.merchant} {of.mode} {of.name}")
