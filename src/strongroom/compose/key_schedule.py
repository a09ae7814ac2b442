# SPDX-License-Identifier: Apache-2.0
"""Rotates keys that are past their cryptoperiod, where the settings say so (PCI DSS 3.7.4). Destroys nothing.

Each rotation is recorded with an actor of its own, and begins the same job that a person's does.
"""

from collections.abc import Awaitable, Callable, Collection
from typing import Final, final

from strongroom.audit import Origin
from strongroom.audit.recorder import EventRecorder
from strongroom.compose.core_keys import recorded
from strongroom.compose.process import Process
from strongroom.compose.vault_work import periods_of
from strongroom.jobs import Task
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.keys import DataKeyRow, KeyName, KeyRotatedMeanwhile, Purpose
from strongroom.keys.reseal.service import CoreKeys, KeyOf
from strongroom.keys.store import PostgresDataKeyTable
from strongroom.vault.rotation.service import By, KeyRotation

ACTOR: Final = "system:key_schedule"
EVERY_SECONDS: Final = 900.0
#: So many rotations a round: ten thousand tenants whose keys are of one day are no ten thousand jobs at once.
AT_ONCE_MAX: Final = 20

#: Rotates a key, unless a version newer than the row's is there already (KeyRotatedMeanwhile).
Rotate = Callable[[DataKeyRow], Awaitable[object]]


@final
class KeySchedule:
    """The keys of one database that are rotated when their period is over."""

    def __init__(
        self,
        process: Process,
        table: PostgresDataKeyTable,
        purposes: Collection[Purpose],
        names: Collection[KeyName],
        rotate: Rotate,
    ) -> None:
        self._process = process
        self._table = table
        self._purposes = purposes
        self._names = names
        self._rotate = rotate

    async def look(self) -> int:
        """Rotate what is due, and return how many. Several processes may look at once: each key is rotated once."""
        periods, now = periods_of(self._process), self._process.site.clock.now()
        done = 0
        async for row in self._table.everybodys(self._purposes):
            due = periods.rotates_at(row)
            if due is None or due > now or row.name not in self._names or not row.merchant:
                continue
            try:
                await self._rotate(row)
            except KeyRotatedMeanwhile:
                continue
            except StrongroomError as error:
                # The others' turn; this one is tried again in the next round, and is alerted as overdue meanwhile.
                fields = {"key_purpose": row.name, "code": error.code}
                self._process.site.log.emit("warning", "keys.rotation_failed", fields)
                continue
            done += 1
            if done == AT_ONCE_MAX:
                break
        return done


def vault_schedule(
    process: Process, table: PostgresDataKeyTable, purposes: Collection[Purpose], keys: KeyRotation
) -> KeySchedule:
    """Compose the schedule of merchants' keys in the vault's database."""

    async def rotate(row: DataKeyRow) -> object:
        by = By(MerchantId(row.merchant), Mode(row.mode), ACTOR, Origin())
        return await keys.rotate(by, KeyName(row.name), after=row.version)

    return KeySchedule(process, table, purposes, keys.names, rotate)


def core_schedule(
    process: Process,
    table: PostgresDataKeyTable,
    purposes: Collection[Purpose],
    keys: CoreKeys,
    recorder: EventRecorder,
) -> KeySchedule:
    """Compose the schedule of the keys that seal what lasts in the core database."""

    async def rotate(row: DataKeyRow) -> object:
        of = KeyOf(row.merchant, row.mode, KeyName(row.name))
        record = recorded(recorder, process.site.clock, of, ACTOR)
        return await keys.rotate(of, ACTOR, record, after=row.version)

    return KeySchedule(process, table, purposes, keys.names, rotate)


def on_schedule(process: Process, role: str, schedule: KeySchedule) -> None:
    """Follow a schedule from here on, where the settings say so."""
    if process.site.settings.key_rotation_automatic:
        process.periodic([Task(f"key-schedule-{role}", EVERY_SECONDS, schedule.look)])
