# SPDX-License-Identifier: Apache-2.0
"""Seals the columns of a role anew, a page a step: what was written and how far it is commit together.

A killed process leaves a column where its last page was; its lease ends, and the next claimer goes on from there. What
was deleted or changed since it was read is left as it is. What does not open is counted and left.
"""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from time import perf_counter
from typing import Final, NamedTuple, final

from strongroom.crypto import Algorithm, CannotOpen, random_bytes
from strongroom.db.pool import Database, Rows, Transaction
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import StrongroomError, Unavailable
from strongroom.kernel.ids import MerchantId
from strongroom.keys.errors import KeysBroken
from strongroom.keys.model import DataKey
from strongroom.keys.ports import WatchedKeys
from strongroom.keys.purposes import KeyName
from strongroom.keys.reseal import store
from strongroom.keys.reseal.model import Reseal, Row, SealedColumn
from strongroom.keys.reseal.store import Claim
from strongroom.telemetry.log import Log

#: Everything in the core database is sealed with this one.
ALGORITHM: Final = Algorithm.A256CBC_HS512
PAGE_ROWS: Final = 200
LEASE_SECONDS: Final = 20.0
#: A page that takes longer is undone and tried again later.
STEP_SECONDS_MAX: Final = 8.0
#: A round ends after so long; what is left waits for the next one, in whichever process.
ROUND_SECONDS: Final = 2.0
ROUND_EVERY_SECONDS: Final = 1.0
#: After the first failure, the second …; the last one repeats.
FAILED_DELAYS_SECONDS: Final = (1, 5, 15, 60)
TOTAL_COUNTED_MAX: Final = 1_000_000
BROKEN: Final = "internal_error"

#: Awaited in the transaction that ends one: its audit record.
Ended = Callable[[Transaction, Reseal], Awaitable[None]]


class NotRotatedHere(Unavailable):
    """This process does not know the key's new version yet."""

    code = "key_not_known_here"


class _Lost(Exception):
    """The claim stands no more: what this step did is undone."""


class _Anew(NamedTuple):
    """A value that was sealed anew, beside what was read."""

    object_id: str
    part: str
    old: bytes
    new: bytes


@final
class Resealer:
    """The re-seals of some columns in one process. May run in several processes at once."""

    def __init__(
        self,
        database: Database,
        keyring: WatchedKeys,
        columns: Sequence[SealedColumn],
        clock: Clock,
        log: Log,
        *,
        ended: Ended,
        page_rows: int = PAGE_ROWS,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._columns = {column.name: column for column in columns}
        self._clock = clock
        self._log = log
        self._ended = ended
        self._page_rows = page_rows
        self._lease = timedelta(seconds=lease_seconds)

    async def run(self) -> None:
        """Do what is due, for one round. Raises Unavailable where nothing can be claimed."""
        ends = perf_counter() + ROUND_SECONDS
        while perf_counter() < ends:
            now = self._clock.now()
            async with self._database.transaction() as tx:
                claimed = await store.claim(
                    tx, self._columns, random_bytes(12).hex(), now, now + self._lease
                )
            if claimed is None:
                return
            await self._turn(claimed, ends)

    async def _turn(self, claimed: Claim, ends: float) -> None:
        """Do pages of one until it ends, the round is over, or its claim stands no more."""
        try:
            while True:
                after = await self._step(claimed)
                if after.ended_at is not None:
                    return
                if perf_counter() >= ends:
                    break
            async with self._database.transaction([MerchantId(claimed.merchant)]) as tx:
                await store.give_back(tx, claimed, self._clock.now(), None, 0)
        except _Lost:
            return
        except Exception as error:  # noqa: BLE001 - a bug in one column does not stop the others
            await self._put_off(claimed, error)

    async def _step(self, claimed: Claim) -> Reseal:
        """Seal a page anew, and save how far it is, in one transaction."""
        column = self._columns[claimed.part]
        async with (
            asyncio.timeout(STEP_SECONDS_MAX),
            self._database.transaction([MerchantId(claimed.merchant)]) as tx,
        ):
            at = await store.held(tx, claimed)
            if at is None:
                raise _Lost
            current = await self._current(at)
            total = at.total or await counted(tx, column, at.merchant, at.mode, None)
            rows = await tx.rows(
                column.page, at.merchant, at.mode, at.cursor, self._page_rows, current.version
            )
            wanted = [row for row in rows if row["sealed"] is not None]
            keys = await self._keys(at, column.key, wanted)
            anew = await asyncio.to_thread(_sealed_anew, column, at, wanted, keys, current)
            touched = await _put(tx, column, at, anew, current.version)
            now = self._clock.now()
            last = len(rows) < self._page_rows
            after = dataclasses.replace(
                at,
                cursor=f"{rows[-1]['id']} {rows[-1]['part']}".rstrip() if rows else at.cursor,
                total=total,
                looked=at.looked + len(rows),
                resealed=at.resealed + touched,
                unread=at.unread + len(wanted) - len(anew),
                state="done" if last else "waiting",
                run_at=now + self._lease,
                updated_at=now,
                ended_at=now if last else None,
            )
            # Crash before the commit: the page and the cursor are as they were.
            await store.step(tx, after)
            if last:
                await self._ended(tx, after)
        return after

    async def _current(self, at: Reseal) -> DataKey:
        name = KeyName(at.name)
        key = await self._keyring.current(at.merchant, at.mode, name)
        if key.version < at.version:
            await self._keyring.look()
            key = await self._keyring.current(at.merchant, at.mode, name)
        if key.version < at.version:
            raise NotRotatedHere
        return key

    async def _keys(self, at: Reseal, name: KeyName, rows: Rows) -> Mapping[int, DataKey]:
        keys: dict[int, DataKey] = {}
        for version in {row["key_version"] for row in rows}:
            try:
                keys[version] = await self._keyring.version(at.merchant, at.mode, name, version)
            except KeysBroken:
                continue  # its rows count as unread
        return keys

    async def _put_off(self, claimed: Claim, error: Exception) -> None:
        """Give one back whose page failed; it is tried again later, and says why meanwhile."""
        code = error.code if isinstance(error, StrongroomError) else BROKEN
        level = "warning" if isinstance(error, (Unavailable, TimeoutError)) else "error"
        self._log.emit(
            level, "keys.reseal.step_failed", {"key_purpose": claimed.name, "code": code}
        )
        try:
            async with self._database.transaction([MerchantId(claimed.merchant)]) as tx:
                at = await store.held(tx, claimed)
                if at is None:
                    return
                delay = FAILED_DELAYS_SECONDS[min(at.failures, len(FAILED_DELAYS_SECONDS) - 1)]
                run_at = self._clock.now() + timedelta(seconds=delay)
                await store.give_back(tx, claimed, run_at, code, at.failures + 1)
        except StrongroomError as again:
            # The lease ends, and it is claimed again.
            self._log.emit("warning", "keys.reseal.release_failed", {"code": again.code})


async def counted(
    tx: Transaction,
    column: SealedColumn,
    merchant: str,
    mode: str,
    version: int | None,
    most: int = TOTAL_COUNTED_MAX,
) -> int:
    """Return how many values of a tenant's column are sealed under a version (None: any), at most so many."""
    row = await tx.row(column.count, merchant, mode, version, most)
    return 0 if row is None else int(row["rows"])


def _sealed_anew(
    column: SealedColumn, at: Reseal, rows: Rows, keys: Mapping[int, DataKey], current: DataKey
) -> list[_Anew]:
    """Seal anew what opens; what does not is left out. Runs in a thread: what was in clear is gone when it returns."""
    found = []
    for each in rows:
        row = Row(at.merchant, at.mode, each["id"], each["part"])
        key = keys.get(each["key_version"])
        if key is None:
            continue
        was, will_be = column.place(row, key.version), column.place(row, current.version)
        try:
            clear = key.sealer(ALGORITHM, was.purpose).open(each["sealed"], was)
        except CannotOpen:
            continue
        new = current.sealer(ALGORITHM, will_be.purpose).seal(clear, will_be)
        found.append(_Anew(row.object_id, row.part, each["sealed"], new))
    return found


async def _put(
    tx: Transaction, column: SealedColumn, at: Reseal, anew: Sequence[_Anew], version: int
) -> int:
    if not anew:
        return 0
    row = await tx.row(
        column.put,
        at.merchant,
        at.mode,
        [each.object_id for each in anew],
        [each.part for each in anew],
        [each.old for each in anew],
        [each.new for each in anew],
        version,
    )
    return 0 if row is None else int(row["touched"])
