# SPDX-License-Identifier: Apache-2.0
"""Data keys in clear, for a bounded time and number of uses. Implements `DataKeys`.

A key that ran out is unwrapped again or not at all: when the store is away, nothing stale is served.
One keyring belongs to one event loop.
"""

import asyncio
import dataclasses
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from strongroom.crypto import encode_parts, equal, hmac_sha256
from strongroom.kernel.clock import Clock, rfc3339
from strongroom.kernel.invariant import Bug
from strongroom.kernel.secret import Secret
from strongroom.keys.errors import DataKeyDestroyed, DataKeyUnknown, KeyRowAltered
from strongroom.keys.model import (
    CACHE_SECONDS,
    PLATFORM_CONTEXT,
    PLATFORM_MERCHANT,
    PLATFORM_MODE,
    DataKey,
    DataKeyRow,
    KeyChange,
    KeyState,
)
from strongroom.keys.ports import DataKeyTable, KeyStore, Within
from strongroom.keys.purposes import KEYRING_MAC, KeyName, Purpose

CACHE_ENTRIES: Final = 10_000
CACHE_USES: Final = 1_000_000
#: A rotation that meets somebody wrapping or destroying the version before begins anew, so often.
ROTATE_TRIES_MAX: Final = 5
#: How often a process that watches looks for changes of keys.
LOOK_SECONDS: Final = 1.0
#: A process that watches and has not looked for so long believes no cached key to be the current one.
STALE_SECONDS: Final = 5.0
#: How far back a look reads: beyond this, every cache has run out by itself.
LOOK_BACK: Final = timedelta(seconds=2 * CACHE_SECONDS)


class _Slot(NamedTuple):
    """Where a key is cached; version None is whichever is current."""

    merchant: str
    mode: str
    name: KeyName
    version: int | None


@dataclass(slots=True)
class _Entry:
    key: DataKey
    made_at: datetime
    expires_at: datetime
    uses_left: int
    #: When it was last known to be the current one, where that was asked.
    confirmed_at: datetime


class Keyring:
    """Makes, unwraps and caches data keys. `start` it before use."""

    def __init__(
        self,
        store: KeyStore,
        table: DataKeyTable,
        clock: Clock,
        *,
        cache_entries: int = CACHE_ENTRIES,
        cache_uses: int = CACHE_USES,
    ) -> None:
        self._store = store
        self._table = table
        self._clock = clock
        self._cache_entries = cache_entries
        self._cache_uses = cache_uses
        self._entries: OrderedDict[_Slot, _Entry] = OrderedDict()
        self._flights: dict[_Slot, asyncio.Task[DataKey]] = {}
        self._row_mac_keys: dict[Purpose, Secret[bytes]] = {}
        self._older: OrderedDict[_Slot, tuple[datetime, tuple[DataKey, ...]]] = OrderedDict()
        #: When the last look for changes began that was answered; None: this keyring does not watch.
        self._looked_at: datetime | None = None
        self._seen: frozenset[KeyChange] = frozenset()
        #: Counts rotations and destructions: what was being fetched meanwhile is not kept.
        self._changes = 0

    async def start(self, purposes: Iterable[Purpose]) -> None:
        """Unwrap the keys that MAC the rows, for the roots that this role is granted. Raises as `DataKeys`."""
        for purpose in purposes:
            self._row_mac_keys[purpose] = await self._row_mac_key(purpose)

    async def close(self) -> None:
        """Forget every key and stop what is under way."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        self._entries.clear()
        self._older.clear()
        self._row_mac_keys.clear()

    def cached(self, merchant: str, mode: str, name: KeyName) -> DataKey | None:
        """Return the current key if it is at hand, without waiting, and count one use."""
        return self._at_hand(_Slot(merchant, mode, name, None))

    async def current(self, merchant: str, mode: str, name: KeyName) -> DataKey:
        """Return the key that seals now; its first version is made at first use."""
        slot, now = _Slot(merchant, mode, name, None), self._clock.now()
        entry = self._live(slot, now)
        if entry is not None and self._is_stale(now, entry.confirmed_at):
            # Not known whether it was rotated: the table says, and the store is not asked for what is open already.
            row = await self._table.current(merchant, mode, name)
            if row is not None and row.version == entry.key.version:
                self._check_row(row, merchant, mode, name)
                entry.confirmed_at = now
        return await self._get(slot, lambda: self._fetch_current(merchant, mode, name))

    async def version(self, merchant: str, mode: str, name: KeyName, version: int) -> DataKey:
        """Return the key that sealed then."""
        return await self._get(
            _Slot(merchant, mode, name, version),
            lambda: self._fetch_version(merchant, mode, name, version),
        )

    def cached_older(self, merchant: str, mode: str, name: KeyName) -> Sequence[DataKey] | None:
        """Return the versions before the current one that still open, if they are at hand, without waiting."""
        slot, now = _Slot(merchant, mode, name, None), self._clock.now()
        kept = self._older.get(slot)
        if kept is None or self._is_stale(now, kept[0]):
            return None
        if not kept[0] <= now < kept[0] + timedelta(seconds=CACHE_SECONDS):
            del self._older[slot]
            return None
        return kept[1]

    async def older(self, merchant: str, mode: str, name: KeyName) -> Sequence[DataKey]:
        """Return the versions before the current one that still open, newest first; hardly ever any."""
        kept = self.cached_older(merchant, mode, name)
        if kept is not None:
            return kept
        changes, now = self._changes, self._clock.now()
        rows = await self._table.versions(merchant, mode, name)
        current = max((row.version for row in rows if row.state is KeyState.ACTIVE), default=0)
        found = []
        for row in reversed(rows):
            if row.version < current and row.state is not KeyState.DESTROYED:
                self._check_row(row, merchant, mode, name)
                found.append(await self._unwrapped(row, seals=False))
        if changes == self._changes:
            self._older[_Slot(merchant, mode, name, None)] = (now, tuple(found))
            while len(self._older) > self._cache_entries:
                self._older.popitem(last=False)
        return found

    async def look(self) -> None:
        """Forget what another process rotated or destroyed. From the first call on, this keyring watches.

        Raises:
            Unavailable: the database does not answer; after `STALE_SECONDS` no cached key passes for the current one.
        """
        begun = self._clock.now()
        if self._looked_at is None:
            self._looked_at = begun
        found = frozenset(await self._table.changes(begun - LOOK_BACK))
        for change in found - self._seen:
            try:
                name = KeyName(change.name)
            except ValueError:
                continue  # of a later release
            self._forget(
                _Slot(change.merchant, change.mode, name, None),
                _Slot(change.merchant, change.mode, name, change.version),
            )
        self._seen = found
        self._looked_at = begun

    def _is_stale(self, now: datetime, confirmed_at: datetime) -> bool:
        """Tell whether a key that was current at a moment may have been rotated since, unnoticed."""
        if self._looked_at is None:
            return False
        known_at = max(self._looked_at, confirmed_at)
        return not known_at <= now < known_at + timedelta(seconds=STALE_SECONDS)

    async def rotate(
        self, merchant: str, mode: str, name: KeyName, within: Within | None = None
    ) -> DataKey:
        """Make the next version, which seals from now on. Of two at once, both return the same version.

        `within` commits with the new version, and is left out for whoever finds it made already.
        """
        for _ in range(ROTATE_TRIES_MAX):
            before = await self._table.current(merchant, mode, name)
            if before is None:
                # Not made yet, or destroyed: what is cached does not say which.
                self._forget(_Slot(merchant, mode, name, None))
                return await self.current(merchant, mode, name)
            self._check_row(before, merchant, mode, name)
            key = await self._replaced(before, name, within)
            if key is not None:
                break
        else:
            raise DataKeyUnknown("the active version changed at every try")
        self._forget(_Slot(merchant, mode, name, None))
        self._keep(_Slot(merchant, mode, name, None), key)
        return key

    async def _replaced(
        self, before: DataKeyRow, name: KeyName, within: Within | None
    ) -> DataKey | None:
        """Make the version after one; None: that one was wrapped anew or destroyed meanwhile."""
        merchant, mode, version = before.merchant, before.mode, before.version + 1
        new = await self._store.generate(name.purpose, _context(merchant, mode, name, version))
        # Crash here: the store remembers nothing, and nothing was sealed. The next call starts anew.
        asked = self._signed(self._row(merchant, mode, name, version, new.wrapped))
        row = await self._table.replace(
            asked,
            self._signed(before, state=KeyState.RETIRING),
            before.mac,
            within,
        )
        return None if row is None else await self._kept(asked, row, new.plaintext)

    async def destroy(
        self, merchant: str, mode: str, name: KeyName, version: int, within: Within | None = None
    ) -> None:
        """Destroy one version: what it sealed does not open again. Doing it twice is doing it once.

        `within` comes first, in the same transaction, and may refuse.
        """
        row = await self._table.version(merchant, mode, name, version)
        if row is None:
            raise DataKeyUnknown
        self._check_row(row, merchant, mode, name, version)
        await self._table.destroy(self._signed(row, state=KeyState.DESTROYED, wrapped=b""), within)
        self._forget(_Slot(merchant, mode, name, version), _Slot(merchant, mode, name, None))

    async def rewrap(self, row: DataKeyRow) -> bool:
        """Wrap a version under the root as it is now, which touches nothing that it sealed; the key stays the same.

        Tells whether it was done: not for what is destroyed, or was changed since it was read (read it again). Doing
        it twice is doing it once more.
        """
        if row.state is KeyState.DESTROYED:
            return False
        name = KeyName(row.name)
        self._check_row(row, row.merchant, row.mode, name)
        context = _context(row.merchant, row.mode, name, row.version)
        clear = await self._store.unwrap(name.purpose, row.wrapped, context)
        wrapped = await self._store.wrap(name.purpose, clear.expose(), context)
        # Crash here: the row is as it was, and opens as it did.
        return await self._table.rewrap(self._signed(row, wrapped=wrapped), row.mac)

    # --- the cache ---------------------------------------------------------------------------------

    def _at_hand(self, slot: _Slot) -> DataKey | None:
        now = self._clock.now()
        entry = self._live(slot, now)
        if entry is None:
            return None
        if slot.version is None and self._is_stale(now, entry.confirmed_at):
            return None  # it may have been rotated: ask
        entry.uses_left -= 1
        self._entries.move_to_end(slot)
        return entry.key

    def _live(self, slot: _Slot, now: datetime) -> _Entry | None:
        entry = self._entries.get(slot)
        if entry is None:
            return None
        # A clock set back must not lengthen a key's stay, hence the first bound.
        if entry.uses_left <= 0 or not entry.made_at <= now < entry.expires_at:
            del self._entries[slot]
            return None
        return entry

    async def _get(self, slot: _Slot, fetch: Callable[[], Awaitable[DataKey]]) -> DataKey:
        key = self._at_hand(slot)
        if key is not None:
            return key
        flight = self._flights.get(slot)
        if flight is None:
            flight = asyncio.create_task(self._fly(slot, fetch))
            self._flights[slot] = flight
            flight.add_done_callback(lambda done: self._landed(slot, done))
        # Shielded: a caller that gives up does not take the others' key away.
        key = await asyncio.shield(flight)
        entry = self._entries.get(slot)
        if entry is not None and entry.key is key:
            entry.uses_left -= 1
        return key

    async def _fly(self, slot: _Slot, fetch: Callable[[], Awaitable[DataKey]]) -> DataKey:
        changes = self._changes
        key = await fetch()
        if changes == self._changes:
            self._keep(slot, key)
        return key

    def _landed(self, slot: _Slot, flight: "asyncio.Task[DataKey]") -> None:
        if self._flights.get(slot) is flight:
            del self._flights[slot]

    def _keep(self, slot: _Slot, key: DataKey) -> None:
        now = self._clock.now()
        expires_at = now + timedelta(seconds=CACHE_SECONDS)
        entry = _Entry(key, now, expires_at, self._cache_uses, now)
        for at in dict.fromkeys((slot, slot._replace(version=key.version))):
            self._entries[at] = entry
            self._entries.move_to_end(at)
        while len(self._entries) > self._cache_entries:
            self._entries.popitem(last=False)

    def _forget(self, *slots: _Slot) -> None:
        self._changes += 1
        for slot in slots:
            self._entries.pop(slot, None)
            self._older.pop(slot, None)
            self._flights.pop(slot, None)  # who asks from now on is answered anew

    # --- rows and keys -----------------------------------------------------------------------------

    async def _fetch_current(self, merchant: str, mode: str, name: KeyName) -> DataKey:
        row = await self._table.current(merchant, mode, name)
        if row is None:
            return await self._make_first(merchant, mode, name)
        self._check_row(row, merchant, mode, name)
        return await self._unwrapped(row, seals=True)

    async def _fetch_version(
        self, merchant: str, mode: str, name: KeyName, version: int
    ) -> DataKey:
        row = await self._table.version(merchant, mode, name, version)
        if row is None:
            raise DataKeyUnknown
        self._check_row(row, merchant, mode, name, version)
        return await self._unwrapped(row, seals=False)

    async def _make_first(self, merchant: str, mode: str, name: KeyName) -> DataKey:
        new = await self._store.generate(name.purpose, _context(merchant, mode, name, 1))
        # Crash here: the store remembers nothing, and nothing was sealed. The next call starts anew.
        asked = self._signed(self._row(merchant, mode, name, 1, new.wrapped))
        return await self._kept(asked, await self._table.add(asked), new.plaintext)

    async def _kept(self, asked: DataKeyRow, row: DataKeyRow, plaintext: Secret[bytes]) -> DataKey:
        """Return the key of a row that the table keeps, where it was asked to keep a new version."""
        self._check_row(row, asked.merchant, asked.mode, KeyName(asked.name), asked.version)
        if row.wrapped == asked.wrapped:
            return DataKey(asked.version, plaintext, row.made_at)
        return await self._unwrapped(row, seals=True)  # another process was first

    async def _unwrapped(self, row: DataKeyRow, *, seals: bool) -> DataKey:
        if row.state == KeyState.DESTROYED:
            raise DataKeyDestroyed
        if seals and row.state != KeyState.ACTIVE:
            raise DataKeyUnknown("the active version of the data key is missing")
        name = KeyName(row.name)
        context = _context(row.merchant, row.mode, name, row.version)
        clear = await self._store.unwrap(name.purpose, row.wrapped, context)
        return DataKey(row.version, clear, row.made_at)

    async def _row_mac_key(self, purpose: Purpose) -> Secret[bytes]:
        # To have the key that MACs the rows of a purpose:
        #  1. Read its row, or make one. Of two processes that start at once, one row wins.
        #  2. Unwrap it: that proves its identity, which is the context, and its bytes.
        #  3. Check the row with the key itself: that proves the rest.
        name = KEYRING_MAC[purpose]
        context = _context(PLATFORM_MERCHANT, PLATFORM_MODE, name, 1)
        row = await self._table.version(PLATFORM_MERCHANT, PLATFORM_MODE, name, 1)  # (1)
        if row is None:
            new = await self._store.generate(purpose, context)
            unsigned = self._row(PLATFORM_MERCHANT, PLATFORM_MODE, name, 1, new.wrapped)
            row = await self._table.add(
                dataclasses.replace(unsigned, mac=_row_mac(new.plaintext, unsigned))
            )
        key = await self._store.unwrap(purpose, row.wrapped, context)  # (2)
        if not equal(row.mac, _row_mac(key, row)):  # (3)
            raise KeyRowAltered
        return key

    def _row(
        self, merchant: str, mode: str, name: KeyName, version: int, wrapped: bytes
    ) -> DataKeyRow:
        return DataKeyRow(
            merchant=merchant,
            mode=mode,
            name=name,
            purpose=name.purpose,
            version=version,
            state=KeyState.ACTIVE,
            wrapped=wrapped,
            mac=b"",
            made_at=self._clock.now(),
        )

    def _signed(
        self, row: DataKeyRow, *, state: KeyState | None = None, wrapped: bytes | None = None
    ) -> DataKeyRow:
        row = dataclasses.replace(
            row,
            state=row.state if state is None else state,
            wrapped=row.wrapped if wrapped is None else wrapped,
        )
        return dataclasses.replace(row, mac=_row_mac(self._key_for(Purpose(row.purpose)), row))

    def _check_row(
        self, row: DataKeyRow, merchant: str, mode: str, name: KeyName, version: int | None = None
    ) -> None:
        """Raise KeyRowAltered unless this is the row that was asked for, as a keyring wrote it."""
        asked = (merchant, mode, name, name.purpose, row.version if version is None else version)
        found = (row.merchant, row.mode, row.name, row.purpose, row.version)
        if asked != found or not equal(row.mac, _row_mac(self._key_for(name.purpose), row)):
            raise KeyRowAltered

    def _key_for(self, purpose: Purpose) -> Secret[bytes]:
        key = self._row_mac_keys.get(purpose)
        if key is None:
            raise Bug(f"the keyring was not started for the {purpose} root")
        return key


def _row_mac(key: Secret[bytes], row: DataKeyRow) -> bytes:
    columns = (
        "strongroom data key row 1",
        row.merchant,
        row.mode,
        row.name,
        row.purpose,
        str(row.version),
        row.state,
        row.wrapped.hex(),
        rfc3339(row.made_at.astimezone(UTC)),
    )
    return hmac_sha256(key.expose(), encode_parts(columns))


def _context(merchant: str, mode: str, name: KeyName, version: int) -> dict[str, str]:
    """Return what a wrapped key is bound to. No value is empty; PLATFORM_CONTEXT is no merchant's id and no mode."""
    return {
        "merchant": merchant or PLATFORM_CONTEXT,
        "mode": mode or PLATFORM_CONTEXT,
        "name": name,
        "version": str(version),
    }
