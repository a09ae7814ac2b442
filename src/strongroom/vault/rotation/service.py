# SPDX-License-Identifier: Apache-2.0
"""Rotates a merchant's data keys and destroys versions that nothing needs any more, each with its audit record."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, final

from strongroom.audit import Action, Origin, Recorder
from strongroom.crypto import Algorithm
from strongroom.db.pool import Database, Transaction
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import JobId, MerchantId
from strongroom.kernel.invariant import invariant
from strongroom.kernel.mode import Mode
from strongroom.keys import (
    REPEATS,
    DataKeyRow,
    DataKeyTable,
    KeyInUse,
    KeyIsCurrent,
    KeyName,
    KeyRotatedMeanwhile,
    KeyState,
    KeyStillServes,
    KeyVersionUnknown,
    WatchedKeys,
)
from strongroom.vault.rotation.columns import QUERIES, SealedColumn
from strongroom.vault.rotation.model import MOVED, RETIREMENT, ROTATABLE, Rotated
from strongroom.vault.rotation.periods import algorithm_of_key, algorithm_stored
from strongroom.vault.work.model import JobKind
from strongroom.vault.work.ports import Jobs

#: So many rows at most are counted for what is said of a key's uses.
USES_COUNTED_MAX: Final = 100_000
_OTHERS: Final = Algorithm.A256CBC_HS512
_USES: Final = {
    KeyName.CARD: QUERIES["uses_of_card_keys"],
    KeyName.CREDENTIALS: QUERIES["uses_of_credentials_keys"],
    KeyName.FINGERPRINT: QUERIES["uses_of_fingerprint_keys"],
    KeyName.TRANSFER: QUERIES["uses_of_transfer_keys"],
}


@dataclass(frozen=True, slots=True)
class By:
    """Who changes whose keys, and whence."""

    merchant: MerchantId
    mode: Mode
    actor: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class KeyView:
    """One version of a merchant's key, and how much is sealed under it (None: not counted)."""

    row: DataKeyRow
    retired_at: datetime | None
    uses: int | None
    #: Whether `uses` is all there is; else only the newest rows were counted.
    counted_all: bool
    #: What is found to be sealed under it, sorted; whatever the settings say.
    algorithms: Sequence[str]


class Stored(NamedTuple):
    """What is sealed under one version of a key."""

    rows: int
    algorithms: Sequence[str]


_NOTHING: Final = Stored(0, ())


@final
class KeyRotation:
    """The data keys of merchants in the vault's database."""

    def __init__(
        self,
        *,
        database: Database,
        keyring: WatchedKeys,
        table: DataKeyTable,
        recorder: Recorder,
        clock: Clock,
        jobs: Jobs,
        columns: Sequence[SealedColumn],
        algorithm: Algorithm = Algorithm.A256CBC_HS512,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._table = table
        self._recorder = recorder
        self._jobs = jobs
        self._columns = columns
        self.algorithm = algorithm
        self.clock = clock
        self.names: Final = ROTATABLE

    async def rotate(
        self,
        by: By,
        name: KeyName,
        *,
        algorithm: Algorithm | None = None,
        rate: int | None = None,
        after: int | None = None,
    ) -> Rotated:
        """Make a new version, which seals from now on, and begin to move what older ones have sealed.

        Of two at once, one rotates, and both are told the same version. Algorithm and rate are the job's. `after`: only
        if that version seals now.

        Raises:
            KeyRotatedMeanwhile: another version seals now than `after`.
            Invalid: an algorithm for what is no card, or a rate where no job begins.
            KeyStoreUnavailable, Unavailable: nothing was changed.
        """
        invariant(name in ROTATABLE, "only these are a merchant's to rotate")
        require_choice(name, algorithm)
        _require_moved(name, rate)
        begun: list[JobId] = []
        made: list[int] = []

        async def within(tx: Transaction, row: DataKeyRow) -> None:
            made.append(row.version)
            if after is not None and row.version != after + 1:
                raise KeyRotatedMeanwhile
            await tx.row(QUERIES["lock_key"], f"{by.merchant} {by.mode} {name}")
            await self._record(
                tx,
                by,
                Action.KEYS_DATA_KEY_ROTATED,
                by.merchant,
                {"key_version": row.version, "purpose": name.value},
            )
            if name in MOVED:
                begun.append(await self._begin(tx, by, name, row.version, algorithm, rate))

        key = await self._keyring.rotate(by.merchant, by.mode, name, within)
        if after is not None and not made:
            raise KeyRotatedMeanwhile  # another process was first
        return Rotated(name, key.version, begun[0] if begun else None)

    async def reseal(
        self,
        by: By,
        name: KeyName,
        *,
        algorithm: Algorithm | None = None,
        rate: int | None = None,
    ) -> Rotated:
        """Move what older versions or another algorithm have sealed to the current version, without a new one.

        Raises:
            Invalid: an algorithm for what is no card.
        """
        invariant(name in MOVED, "only what is sealed is moved")
        require_choice(name, algorithm)
        key = await self._keyring.current(by.merchant, by.mode, name)
        async with self._database.transaction([by.merchant]) as tx:
            job = await self._begin(tx, by, name, key.version, algorithm, rate)
        return Rotated(name, key.version, job)

    async def destroy(self, by: By, name: KeyName, version: int) -> None:
        """Destroy a version: what it sealed, in whatever copy, does not open again. Doing it twice is doing it once.

        Whether anything is still sealed under it is looked for in the transaction that destroys it.

        Raises:
            KeyVersionUnknown, KeyIsCurrent, KeyStillServes, KeyInUse: see each.
        """
        rows = await self._table.versions(by.merchant, by.mode, name)
        found = next((row for row in rows if row.version == version), None)
        if found is None or name not in ROTATABLE:
            raise KeyVersionUnknown
        if found.state is KeyState.DESTROYED:
            return
        current = max((row.version for row in rows if row.state is KeyState.ACTIVE), default=0)
        if version >= current:
            raise KeyIsCurrent
        retired = next(row.made_at for row in rows if row.version == version + 1)
        if self.clock.now() < retired + (RETIREMENT if name in MOVED else REPEATS):
            raise KeyStillServes

        async def within(tx: Transaction, row: DataKeyRow) -> None:
            await tx.row(QUERIES["lock_key"], f"{by.merchant} {by.mode} {name}")
            await self._require_unused(tx, by, name, version)
            await self._record(
                tx,
                by,
                Action.KEYS_DATA_KEY_DESTROYED,
                by.merchant,
                {"key_version": row.version, "purpose": name.value},
            )

        await self._keyring.destroy(by.merchant, by.mode, name, version, within)

    async def inventory(self, merchant: MerchantId, mode: Mode) -> Sequence[KeyView]:
        """Return every version of a tenant's keys that the vault rotates, with how much is sealed under each."""
        found: list[KeyView] = []
        for name in sorted(ROTATABLE):
            rows = await self._table.versions(merchant, mode, name)
            stored = await self.stored(merchant, mode, name)
            counted_all = sum(each.rows for each in stored.values()) < USES_COUNTED_MAX
            for row, following in zip(rows, (*rows[1:], None), strict=False):
                under = stored.get(row.version, _NOTHING)
                found.append(
                    KeyView(
                        row,
                        None if following is None else following.made_at,
                        under.rows if name in _USES else None,
                        counted_all,
                        under.algorithms,
                    )
                )
        return found

    async def stored(self, merchant: MerchantId, mode: Mode, name: KeyName) -> dict[int, Stored]:
        """Return what is sealed under each version, of so many rows; nothing where nothing that lasts is."""
        query = _USES.get(name)
        if query is None:
            return {}
        async with self._database.transaction([merchant]) as read:
            rows = await read.rows(query, merchant, mode, USES_COUNTED_MAX)
        found: dict[int, Stored] = {}
        for row in rows:
            # Cards alone have a choice: of them each row says it.
            algorithm = (
                algorithm_stored(row["algorithm"])
                if name is KeyName.CARD
                else algorithm_of_key(name, self.algorithm)
            )
            before = found.get(row["version"], _NOTHING)
            found[row["version"]] = Stored(
                before.rows + row["rows"], sorted({*before.algorithms, algorithm})
            )
        return found

    async def _begin(
        self,
        tx: Transaction,
        by: By,
        name: KeyName,
        version: int,
        algorithm: Algorithm | None,
        rate: int | None,
    ) -> JobId:
        algorithm = (algorithm or self.algorithm) if name is KeyName.CARD else _OTHERS
        job = await self._jobs.begin(
            tx,
            by.merchant,
            by.mode,
            JobKind.RESEAL,
            {"algorithm": algorithm.value, "name": name.value, "to": version},
            created_by=by.actor,
            rate=rate,
        )
        details: dict[str, str | int] = {
            "algorithm": algorithm.value,
            "key_version": version,
            "purpose": name.value,
        }
        await self._record(tx, by, Action.VAULT_RESEAL_STARTED, job.job_id, details)
        return job.job_id

    async def _require_unused(self, tx: Transaction, by: By, name: KeyName, version: int) -> None:
        await tx.row(QUERIES["take_time"])
        queries = [column.in_use for column in self._columns if column.key is name]
        if name is KeyName.FINGERPRINT:
            queries.append(QUERIES["fingerprint_key_in_use"])
        if name is KeyName.TRANSFER:
            queries.append(QUERIES["digest_key_in_use"])
        for query in queries:
            row = await tx.row(query, by.merchant, by.mode, version)
            if row is None or row["used"]:
                raise KeyInUse

    async def _record(
        self, tx: Transaction, by: By, action: Action, thing: str, details: dict[str, str | int]
    ) -> None:
        record = self._recorder.make(
            action,
            actor=by.actor,
            merchant=by.merchant,
            mode=by.mode,
            thing=thing,
            origin=by.origin,
            now=self.clock.now(),
            details=details,
        )
        await self._recorder.insert(tx, record)


def require_choice(name: KeyName, algorithm: Algorithm | None) -> None:
    """Refuse an algorithm for what is read with one only."""
    if algorithm is not None and name is not KeyName.CARD:
        raise Invalid(
            FieldError(
                "/algorithm", "algorithm_not_chosen", "only cards have a choice of algorithm"
            )
        )


def _require_moved(name: KeyName, rate: int | None) -> None:
    """Refuse a rate for what no job moves."""
    if rate is not None and name not in MOVED:
        raise Invalid(
            FieldError(
                "/rate",
                "rate_not_taken",
                "a rate is for what a job moves: card, credentials, fingerprint and transfer",
            )
        )
