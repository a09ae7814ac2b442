# SPDX-License-Identifier: Apache-2.0
"""Carries erasures to their end: the key is rotated, what is left moves, what sealed the erased cards is destroyed.

May run in several processes at once: each step is one that tolerates being done twice.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, final

from strongroom.audit import Action, Origin, Recorder
from strongroom.db.pool import Database, Transaction
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.events import EventType
from strongroom.keys import (
    DataKeyRow,
    DataKeyTable,
    KeyInUse,
    KeyName,
    KeyState,
    KeyStillServes,
    WatchedKeys,
)
from strongroom.telemetry.log import Log
from strongroom.vault.erasure import store
from strongroom.vault.erasure.model import (
    LOOK,
    LOOK_HELD,
    RESEAL_AGAIN,
    UNREADABLE,
    Erasure,
    ErasureState,
    Scope,
)
from strongroom.vault.erasure.store import QUERIES
from strongroom.vault.erasure.wire import ErasureEvent, erasure_out
from strongroom.vault.outbox.store import tell
from strongroom.vault.rotation.service import By, KeyRotation
from strongroom.vault.work.model import JobKind
from strongroom.vault.work.ports import Jobs

ACTOR: Final = "system:erasure"
AT_ONCE_MAX: Final = 100
RETENTION_EVERY: Final = timedelta(hours=20)
#: All that is sealed, hashed or looked up of a merchant in the vault.
_OF_A_MERCHANT: Final = (
    KeyName.CARD,
    KeyName.CREDENTIALS,
    KeyName.FINGERPRINT,
    KeyName.IDEMPOTENCY,
    KeyName.TRANSFER,
)


@final
class ErasureDriver:
    """Looks after the erasures of every tenant."""

    def __init__(
        self,
        *,
        database: Database,
        rotation: KeyRotation,
        keyring: WatchedKeys,
        table: DataKeyTable,
        jobs: Jobs,
        recorder: Recorder,
        clock: Clock,
        log: Log,
        key_backup_days: int,
    ) -> None:
        self._database = database
        self._rotation = rotation
        self._keyring = keyring
        self._table = table
        self._jobs = jobs
        self._recorder = recorder
        self._clock = clock
        self._log = log
        self._key_backups = timedelta(days=key_backup_days)

    async def advance(self) -> int:
        """Take each erasure that is due a step further; return how many were looked at.

        What fails is told on the erasure itself and looked at again.
        """
        async with self._database.transaction() as tx:
            found = await store.due(tx, self._clock.now(), AT_ONCE_MAX)
        for erasure in found:
            try:
                await self._step(erasure)
            except StrongroomError as error:
                await self._put_off(erasure, error.code)
        return len(found)

    async def begin_retention(self) -> int:
        """Put a job for each container whose tokens go by time, about once a day; return how many."""
        now = self._clock.now()
        async with self._database.transaction() as tx:
            await tx.row(QUERIES["be_eraser"])
            due = await tx.rows(QUERIES["retentions_due"], now - RETENTION_EVERY)
        for row in due:
            async with self._database.transaction([row["merchant_id"]]) as tx:
                await self._jobs.begin(
                    tx,
                    row["merchant_id"],
                    row["mode"],
                    JobKind.RETENTION,
                    {"container": row["name"], "days": row["retention_days"]},
                    created_by="system:retention",
                )
        return len(due)

    async def _step(self, erasure: Erasure) -> None:
        # To erase what was deleted:
        #  1. Rotate the card key, unless that was done since: from then on nothing is sealed under the old versions.
        #  2. Let the re-seal move the survivors; where its job was ended, begin another, but not at once where it left
        #     what does not open: it would leave it again.
        #  3. Destroy each old version. The database looks whether anything is left under it, in that transaction.
        #  4. Say on which day the last backup of the key is gone.
        # A merchant has no survivors: (3) for every key at once.
        if erasure.scope is Scope.MERCHANT:
            await self._destroy_all(erasure)
            return
        by = By(erasure.merchant_id, erasure.mode, ACTOR, Origin())
        rows = await self._table.versions(erasure.merchant_id, erasure.mode, KeyName.CARD)
        if all(row.state is KeyState.DESTROYED for row in rows):
            await self._end(
                erasure
            )  # the merchant was erased meanwhile: there is nothing to rotate
            return
        current = max((row.version for row in rows if row.state is KeyState.ACTIVE), default=0)
        if current <= erasure.key_version:
            await self._rotation.rotate(by, KeyName.CARD)  # (1)
        try:
            for row in rows:
                if row.version <= erasure.key_version and row.state is not KeyState.DESTROYED:
                    await self._rotation.destroy(by, KeyName.CARD, row.version)  # (3)
        except KeyStillServes:
            await self._put_off(erasure, None)
        except KeyInUse:
            await self._reseal(erasure, by)  # (2)
        else:
            await self._end(erasure)  # (4)

    async def _reseal(self, erasure: Erasure, by: By) -> None:
        """Wait for the re-seal that moves the survivors, or begin one."""
        async with self._database.transaction([by.merchant]) as tx:
            running = await tx.rows(QUERIES["open_reseals"], by.merchant, by.mode)
            last = await tx.row(QUERIES["last_reseal"], by.merchant, by.mode, erasure.key_version)
        if running:
            await self._put_off(erasure, KeyInUse.code)
            return
        unreadable = 0 if last is None else last["unreadable"]
        if last is not None and unreadable and self._clock.now() < last["ended_at"] + RESEAL_AGAIN:
            if erasure.problem != UNREADABLE:
                self._alert(erasure, last["job_id"], unreadable)
            await self._put_off(erasure, UNREADABLE, LOOK_HELD)
            return
        await self._rotation.reseal(by, KeyName.CARD)
        await self._put_off(erasure, KeyInUse.code)

    def _alert(self, erasure: Erasure, job: str, unreadable: int) -> None:
        """Say, once a re-seal, that an erasure does not go on before somebody has looked at what does not open."""
        fields = {
            "merchant_id": erasure.merchant_id,
            "mode": erasure.mode.value,
            "object_id": erasure.erasure_id,
            "key_version": erasure.key_version,
            "job": job,
            "rows": unreadable,
            "code": UNREADABLE,
        }
        self._log.emit("error", "vault.erasure.held", fields)

    async def _destroy_all(self, erasure: Erasure) -> None:
        """Destroy every key of a merchant in a mode; what is sealed under them does not open from here on."""

        async def within(tx: Transaction, row: DataKeyRow) -> None:
            await self._record(
                tx,
                erasure,
                Action.KEYS_DATA_KEY_DESTROYED,
                erasure.merchant_id,
                {"key_version": row.version, "purpose": row.name},
            )

        for name in _OF_A_MERCHANT:
            # Again, until a look finds none: a rotation may have made one while these were destroyed. From a destroyed
            # version none is made.
            while living := [
                row
                for row in await self._table.versions(erasure.merchant_id, erasure.mode, name)
                if row.state is not KeyState.DESTROYED
            ]:
                for row in living:
                    await self._keyring.destroy(
                        erasure.merchant_id, erasure.mode, name, row.version, within
                    )
        await self._end(erasure)

    async def _put_off(self, erasure: Erasure, problem: str | None, wait: timedelta = LOOK) -> None:
        async with self._database.transaction([erasure.merchant_id]) as tx:
            await store.move(
                tx,
                erasure,
                ErasureState.ROTATING,
                look_at=self._clock.now() + wait,
                problem=problem,
            )

    async def _end(self, erasure: Erasure) -> None:
        now = self._clock.now()
        async with self._database.transaction([erasure.merchant_id]) as tx:
            moved = await store.move(
                tx,
                erasure,
                ErasureState.DESTROYED,
                look_at=now,
                destroyed_at=now,
                complete_at=self._complete_at(now),
            )
            if moved:
                details: dict[str, str | int] = {
                    "count": erasure.tokens,
                    "key_version": erasure.key_version,
                    "operation": erasure.scope.value,
                }
                await self._record(
                    tx, erasure, Action.VAULT_ERASURE_COMPLETED, erasure.erasure_id, details
                )
                await self._tell(tx, erasure, now)

    async def _tell(self, tx: Transaction, erasure: Erasure, now: datetime) -> None:
        """Let the merchant hear that no key opens what was erased, and when no backup of one is left."""
        ended = replace(
            erasure,
            state=ErasureState.DESTROYED,
            destroyed_at=now,
            complete_at=self._complete_at(now),
            problem=None,
        )
        await tell(
            tx,
            erasure.merchant_id,
            erasure.mode,
            EventType.ERASURE_COMPLETED,
            erasure.erasure_id,
            ErasureEvent(erasure_out(ended, now)),
            now,
        )

    def _complete_at(self, destroyed_at: datetime) -> datetime:
        """Return the day on which the last backup that holds the key is gone."""
        return destroyed_at + self._key_backups

    async def _record(
        self,
        tx: Transaction,
        erasure: Erasure,
        action: Action,
        thing: str,
        details: dict[str, str | int],
    ) -> None:
        record = self._recorder.make(
            action,
            actor=ACTOR,
            merchant=erasure.merchant_id,
            mode=erasure.mode,
            thing=thing,
            origin=Origin(),
            now=self._clock.now(),
            details=details,
        )
        await self._recorder.insert(tx, record)
