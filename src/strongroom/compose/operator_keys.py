# SPDX-License-Identifier: Apache-2.0
"""Keys for the operators' commands: the inventory of both databases, rotation, destruction, and the roots."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from strongroom.audit import PLATFORM, Action, Origin
from strongroom.audit.recorder import EventRecorder
from strongroom.compose.core_keys import core_keys_of, recorded
from strongroom.compose.process import Process
from strongroom.compose.vault_work import VaultWork, periods_of, rotation_of
from strongroom.crypto import Algorithm
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database, Transaction
from strongroom.kernel.clock import rfc3339
from strongroom.kernel.errors import Conflict, FieldError, Invalid
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.keys import (
    INSTEAD,
    PLATFORM_MERCHANT,
    PLATFORM_MODE,
    ROTATING,
    DataKeyRow,
    KeyInUse,
    KeyName,
    KeyNotRotated,
    KeyState,
    KeyVersionUnknown,
    Purpose,
    Rotating,
)
from strongroom.keys.keyring import Keyring
from strongroom.keys.reseal.model import Reseal
from strongroom.keys.reseal.service import CoreKeys, KeyOf, Record, What
from strongroom.keys.store import FROM_THE_BEGINNING, Past, PostgresDataKeyTable
from strongroom.keys.stores.file import FileKeyStore
from strongroom.vault.canary import reseal_canary
from strongroom.vault.rotation.model import MOVED, ROTATABLE
from strongroom.vault.rotation.periods import algorithm_of_key
from strongroom.vault.rotation.service import By, KeyRotation, Stored, require_choice

#: Whose roots wrap keys of which database, and which login may wrap them anew.
_LOGINS: Final = {Domain.VAULT: Login.VAULT, Domain.CORE: Login.CONSOLE}
_PURPOSES: Final = {
    Domain.VAULT: (Purpose.CARD, Purpose.CREDENTIAL, Purpose.AUDIT),
    Domain.CORE: (Purpose.IDENTITY, Purpose.WEBHOOK, Purpose.AUDIT),
}


#: A walk that wraps anew notes where it is after so many keys.
NOTED_EVERY: Final = 20


class RootNotRotatedHere(Conflict):
    """This key store rotates its roots itself: rotate it there, and then wrap the data keys anew (`--rewrap-only`)."""

    code = "root_not_rotated_here"


@dataclass(frozen=True, slots=True)
class ListedKey:
    """One line of the inventory."""

    kind: str
    where: str
    merchant: str
    mode: str
    name: str
    version: int | None
    state: str
    algorithm: str
    made_at: datetime
    rotates_at: datetime | None
    overdue: bool
    #: Since when it seals nothing new: when the next version was made. None: it is the newest, or a root.
    retired_at: datetime | None
    #: How many values are sealed under a version that seals nothing new; None: it is current, or seals nothing.
    uses: int | None = None
    #: What stored cards are found to be sealed with under a version of their key; None: it has no choice of algorithm.
    algorithms: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class _Part:
    database: Database
    keyring: Keyring
    table: PostgresDataKeyTable
    recorder: EventRecorder


class OperatorKeys:
    """What an operator sees of keys and does to them."""

    def __init__(
        self, process: Process, parts: dict[Domain, _Part], rotation: KeyRotation, core: CoreKeys
    ) -> None:
        self._process = process
        self._parts = parts
        self._core = core
        self.rotation = rotation

    async def inventory(self, *, counted: bool = True) -> Sequence[ListedKey]:
        """Return every root and every version of every data key; `counted`: with what is found sealed under them."""
        now, periods = self._process.site.clock.now(), periods_of(self._process)
        found = []
        for root in await (await self._process.key_store()).describe():
            due = periods.root_rotates_at(root)
            found.append(
                ListedKey(
                    "root",
                    root.key_id,
                    "",
                    "",
                    root.purpose.value,
                    None,
                    "enabled" if root.enabled else "disabled",
                    root.algorithm,
                    root.created,
                    due,
                    due <= now,
                    None,
                )
            )
        stored: dict[tuple[str, str], Mapping[int, Stored]] = {}
        for domain, part in self._parts.items():
            async for row, retired_at in _retired(part.table.everybodys(_PURPOSES[domain])):
                due_at = periods.rotates_at(row)
                found.append(
                    ListedKey(
                        "data_key",
                        domain.value,
                        row.merchant,
                        row.mode,
                        row.name,
                        row.version,
                        row.state.value,
                        algorithm_of_key(row.name, self.rotation.algorithm),
                        row.made_at,
                        due_at,
                        due_at is not None and due_at <= now,
                        retired_at,
                        await self._uses(domain, row) if counted else None,
                        await self._algorithms(domain, row, stored) if counted else None,
                    )
                )
        return found

    async def _uses(self, domain: Domain, row: DataKeyRow) -> int | None:
        """Count what a version that retires still seals."""
        if row.state is not KeyState.RETIRING or row.name not in set(KeyName):
            return None
        name = KeyName(row.name)
        if domain is Domain.CORE and name in self._core.names:
            return await self._core.uses(KeyOf(row.merchant, row.mode, name), row.version)
        if domain is Domain.VAULT and name in ROTATABLE and row.merchant:
            if ROTATING[name] is not Rotating.MOVES:
                return None
            merchant, mode = MerchantId(row.merchant), Mode(row.mode)
            found = (await self.rotation.stored(merchant, mode, name)).get(row.version)
            return 0 if found is None else found.rows
        return None

    async def _algorithms(
        self,
        domain: Domain,
        row: DataKeyRow,
        stored: dict[tuple[str, str], Mapping[int, Stored]],
    ) -> Sequence[str] | None:
        """Find what cards are sealed with under a version; each tenant's are looked at once (`stored`)."""
        if domain is not Domain.VAULT or row.name != KeyName.CARD or not row.merchant:
            return None
        tenant = (row.merchant, row.mode)
        if tenant not in stored:
            merchant, mode = MerchantId(row.merchant), Mode(row.mode)
            stored[tenant] = await self.rotation.stored(merchant, mode, KeyName.CARD)
        found = stored[tenant].get(row.version)
        return () if found is None else found.algorithms

    async def rotate(
        self, merchant: str, mode: Mode, name: str, rate: int | None, actor: str
    ) -> tuple[int, str | None]:
        """Rotate a key, of a merchant or, without one, of the platform; return (version, the vault's job).

        What the core database holds is sealed anew by the roles that serve it (`progress`).

        Raises:
            KeyNotRotated: says what to do instead.
            Invalid: a rate where no job of the vault begins.
        """
        key = _rotated(name)
        _require_rated(merchant, key, rate)
        if not merchant:
            return await self._rotate_platform(key, actor), None
        if key in ROTATABLE:
            rotated = await self.rotation.rotate(
                By(MerchantId(merchant), mode, actor, Origin()), key, rate=rate
            )
            return rotated.version, rotated.job_id
        of = _core_key(merchant, mode, key)
        version, _ = await self._core.rotate(of, actor, self._recorded(of, actor))
        return version, None

    async def reseal(
        self,
        merchant: str,
        mode: Mode,
        name: str,
        algorithm: str | None,
        rate: int | None,
        actor: str,
    ) -> tuple[int, str | None]:
        """Move what is sealed under older versions or another algorithm; return (version, the vault's job).

        Raises:
            KeyNotRotated: nothing that lasts is sealed under it.
            Invalid: a rate where no job of the vault begins, or an algorithm for what is no card.
        """
        key = _rotated(name)
        if ROTATING[key] is not Rotating.MOVES or not merchant:
            raise KeyNotRotated("nothing that lasts is sealed under it")
        chosen = None if algorithm is None else Algorithm(algorithm)
        require_choice(key, chosen)
        _require_rated(merchant, key, rate)
        if key not in ROTATABLE:
            of = _core_key(merchant, mode, key)
            version, _ = await self._core.reseal(of, actor, self._recorded(of, actor))
            return version, None
        rotated = await self.rotation.reseal(
            By(MerchantId(merchant), mode, actor, Origin()),
            key,
            algorithm=chosen,
            rate=rate,
        )
        return rotated.version, rotated.job_id

    async def destroy(self, merchant: str, mode: Mode, name: str, version: int, actor: str) -> None:
        """Destroy a version that nothing is sealed under. Raises as `KeyRotation.destroy` and `CoreKeys.destroy`."""
        key = _rotated(name)
        if not merchant and key is KeyName.RECEIPT_SIGNING_SEED:
            of = KeyOf(PLATFORM, "", key)
            await self._withdraw_receipt_key(version, self._recorded(of, actor))
            return
        if not merchant:
            raise KeyInUse("older versions of the platform's keys go on verifying")
        if key in ROTATABLE:
            by = By(MerchantId(merchant), mode, actor, Origin())
            await self.rotation.destroy(by, key, version)
            return
        of = _core_key(merchant, mode, key)
        await self._core.destroy(of, version, self._recorded(of, actor))

    async def progress(self) -> Sequence[Reseal]:
        """Return how far each column of the core database is sealed anew, of every tenant."""
        return await self._core.progress()

    async def _rotate_platform(self, name: KeyName, actor: str) -> int:
        """Rotate a key of the installation itself, in each database that has one; return the newest version."""
        if name is not KeyName.CARD and ROTATING[name] is not Rotating.VERIFIES:
            raise KeyNotRotated("it is a merchant's: name the merchant")
        newest = 0
        for part in self._parts.values():
            if not await part.table.versions(PLATFORM_MERCHANT, PLATFORM_MODE, name):
                continue
            record = recorded(
                part.recorder, self._process.site.clock, KeyOf(PLATFORM, "", name), actor
            )

            async def within(tx: Transaction, row: DataKeyRow, record: Record = record) -> None:
                await record(tx, What.ROTATED, row.version)

            key = await part.keyring.rotate(PLATFORM_MERCHANT, PLATFORM_MODE, name, within)
            newest = max(newest, key.version)
        if not newest:
            raise KeyVersionUnknown("it was not made yet: it is made at its first use")
        if name is KeyName.CARD:
            vault = self._parts[Domain.VAULT]
            await reseal_canary(vault.database, vault.keyring)
        return newest

    async def _withdraw_receipt_key(self, version: int, record: Record) -> None:
        """Publish a receipt key no more, and let nobody sign with it: what it has signed is not believed from now on.

        Raises:
            KeyInUse: it is the newest, which signs, or will.
            KeyVersionUnknown: there is none of that number.
        """
        name, part = KeyName.RECEIPT_SIGNING_SEED, self._parts[Domain.CORE]
        rows = await part.table.versions(PLATFORM_MERCHANT, PLATFORM_MODE, name)
        if version not in {row.version for row in rows}:
            raise KeyVersionUnknown
        if version == max(row.version for row in rows):
            raise KeyInUse("it is the newest version: rotate it first")

        async def within(tx: Transaction, row: DataKeyRow) -> None:
            await record(tx, What.DESTROYED, row.version)

        await part.keyring.destroy(PLATFORM_MERCHANT, PLATFORM_MODE, name, version, within)

    def _recorded(self, of: KeyOf, actor: str) -> Record:
        recorder = self._parts[Domain.CORE].recorder
        return recorded(recorder, self._process.site.clock, of, actor)

    async def new_root(self, purpose: Purpose) -> None:
        """Make a new version of a root where the store is a file.

        Raises:
            RootNotRotatedHere: the store is none.
        """
        store = await self._process.opened_key_store()
        if not isinstance(store, FileKeyStore):
            raise RootNotRotatedHere
        store.rotate_root(purpose, self._process.site.clock.now())

    async def rewrap(
        self, purpose: Purpose, actor: str, told: Callable[[int], None], *, resume: bool = False
    ) -> int:
        """Wrap every data key of a root anew, under its newest version; return how many, and tell `told` meanwhile.

        Safe to repeat, and to be cut off: what was not reached is wrapped under the version before, which stays.
        `resume`: go on where the last one was cut off, unless the root is of another version by now.
        """
        root = await self._root(purpose)
        total = 0
        for domain, part in self._parts.items():
            if purpose not in _PURPOSES[domain]:
                continue
            past, done = FROM_THE_BEGINNING, 0
            if resume:
                past, done = await part.table.rewrapped_to(purpose, root)
            unnoted = 0
            async for row in part.table.everybodys((purpose,), past):
                # Crash here: those since the last note are wrapped once more, which changes nothing.
                done, unnoted = done + await self._rewrapped(part, row), unnoted + 1
                told(total + done)
                if unnoted == NOTED_EVERY:
                    past, unnoted = Past(row.merchant, row.mode, row.name, row.version), 0
                    await part.table.note_rewrap(purpose, root, past, done)
            await self._record(part, purpose, done, actor)
            await part.table.end_rewrap(purpose)
            total += done
        return total

    async def _root(self, purpose: Purpose) -> str:
        """Say which root it is, and of when, as far as the store tells."""
        for root in await (await self._process.key_store()).describe():
            if root.purpose is purpose:
                return f"{root.key_id} {rfc3339(root.created)}"
        return ""

    async def _rewrapped(self, part: _Part, row: DataKeyRow) -> int:
        """Wrap one anew; one that was changed under our hands is read again."""
        fresh: DataKeyRow | None = row
        while fresh is not None and fresh.state is not KeyState.DESTROYED:
            if await part.keyring.rewrap(fresh):
                return 1
            fresh = await part.table.version(row.merchant, row.mode, row.name, row.version)
        return 0

    async def _record(self, part: _Part, purpose: Purpose, count: int, actor: str) -> None:
        record = part.recorder.make(
            Action.KEYS_ROOT_ROTATED,
            actor=actor,
            merchant=PLATFORM,
            mode=None,
            thing=None,
            origin=Origin(),
            now=self._process.site.clock.now(),
            details={"count": count, "purpose": purpose.value},
        )
        async with part.database.transaction([PLATFORM]) as tx:
            await part.recorder.insert(tx, record)


async def operator_keys_of(process: Process) -> OperatorKeys:
    """Compose keys for the operators' commands: the vault's login on its database, the console's on the core."""
    parts: dict[Domain, _Part] = {}
    for domain, login in _LOGINS.items():
        database = await process.database(domain, login, connections_max=2)
        keyring = await process.keyring(database, *_PURPOSES[domain])
        table = PostgresDataKeyTable(database, process.site.clock)
        parts[domain] = _Part(database, keyring, table, await process.recorder(database, keyring))
    vault = parts[Domain.VAULT]
    work = VaultWork(process, vault.database, vault.recorder)
    rotation = rotation_of(process, vault.database, vault.keyring, vault.recorder, work)
    core = core_keys_of(process, parts[Domain.CORE].database, parts[Domain.CORE].keyring)
    return OperatorKeys(process, parts, rotation, core)


def _rotated(name: str) -> KeyName:
    """Return a key that is rotated by command. Raises KeyNotRotated, which says what to do instead."""
    key = KeyName(name)
    if ROTATING[key] not in (Rotating.MOVES, Rotating.VERIFIES):
        raise KeyNotRotated(f"{name} is not rotated by itself: {INSTEAD[key]}")
    return key


def _require_rated(merchant: str, name: KeyName, rate: int | None) -> None:
    """Refuse a rate that no job would keep: what lies in the core database is sealed anew at a pace of its own."""
    if rate is not None and not (merchant and name in MOVED):
        raise Invalid(
            FieldError(
                "/rate",
                "rate_not_taken",
                "--rate is for a merchant's card, credentials, fingerprint and transfer: no job of the vault "
                "moves what other keys have sealed",
            )
        )


async def _retired(
    rows: AsyncIterator[DataKeyRow],
) -> AsyncIterator[tuple[DataKeyRow, datetime | None]]:
    """Yield each row of a walk, in which a key's versions follow one another, and when the next version was made."""
    before: DataKeyRow | None = None
    async for row in rows:
        if before is not None:
            same = (before.merchant, before.mode, before.name) == (row.merchant, row.mode, row.name)
            yield before, row.made_at if same else None
        before = row
    if before is not None:
        yield before, None


def _core_key(merchant: str, mode: Mode, name: KeyName) -> KeyOf:
    """Return whose key is meant: what belongs to no mode has none, and providers are those of live."""
    if name is KeyName.TOTP_SECRETS:
        return KeyOf(merchant, PLATFORM_MODE, name)
    return KeyOf(merchant, Mode.LIVE if name is KeyName.PROVIDER_SECRETS else mode, name)
