# SPDX-License-Identifier: Apache-2.0
"""Joins the keys of the core database: who seals which columns anew, and what each act on a key is recorded as."""

from collections.abc import Sequence
from typing import Final

from strongroom.audit import Action, Origin, Recorder
from strongroom.compose.process import Process
from strongroom.db.pool import Database, Transaction
from strongroom.identity.columns import COLUMNS as IDENTITY_COLUMNS
from strongroom.jobs import Task
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.keys import SealedColumn
from strongroom.keys.keyring import LOOK_SECONDS, Keyring
from strongroom.keys.reseal.model import Reseal
from strongroom.keys.reseal.runner import ROUND_EVERY_SECONDS, Ended, Resealer
from strongroom.keys.reseal.service import CoreKeys, KeyOf, Record, What
from strongroom.keys.store import PostgresDataKeyTable
from strongroom.payments.customers.columns import COLUMNS as CUSTOMER_COLUMNS
from strongroom.webhooks.columns import GATEWAY_COLUMNS, WORKER_COLUMNS

#: Every column of the core database that holds what is sealed. A test compares it with the schema.
CORE_COLUMNS: Final = (
    *IDENTITY_COLUMNS,
    *CUSTOMER_COLUMNS,
    *GATEWAY_COLUMNS,
    *WORKER_COLUMNS,
)
_ACTIONS: Final = {
    What.ROTATED: Action.KEYS_DATA_KEY_ROTATED,
    What.RESEAL_STARTED: Action.KEYS_RESEAL_STARTED,
    What.DESTROYED: Action.KEYS_DATA_KEY_DESTROYED,
}


def core_keys_of(
    process: Process,
    database: Database,
    keyring: Keyring,
    columns: Sequence[SealedColumn] = CORE_COLUMNS,
) -> CoreKeys:
    """Compose rotation and destruction of the keys that seal what lasts in the core database."""
    clock = process.site.clock
    table = PostgresDataKeyTable(database, clock)
    return CoreKeys(database, keyring, table, columns, clock)


def recorded(recorder: Recorder, clock: Clock, of: KeyOf, actor: str) -> Record:
    """Return what records acts on a tenant's key, in the tenant's log."""

    async def record(tx: Transaction, what: What, version: int) -> None:
        made = recorder.make(
            _ACTIONS[what],
            actor=actor,
            merchant=MerchantId(of.merchant),
            mode=Mode(of.mode) if of.mode else None,
            thing=of.merchant or None,
            origin=Origin(),
            now=clock.now(),
            details={"key_version": version, "purpose": of.name.value},
        )
        await recorder.insert(tx, made)

    return record


def reseal_ended(recorder: Recorder) -> Ended:
    """Return what records the end of a column's re-seal."""

    async def ended(tx: Transaction, at: Reseal) -> None:
        made = recorder.make(
            Action.KEYS_RESEAL_ENDED,
            actor=at.created_by,
            merchant=MerchantId(at.merchant),
            mode=Mode(at.mode) if at.mode else None,
            thing=f"column:{at.part}",
            origin=Origin(),
            now=at.updated_at,
            details={
                "count": at.resealed,
                "key_version": at.version,
                "purpose": at.name,
                "refused": at.unread,
            },
        )
        await recorder.insert(tx, made)

    return ended


def watch_keys(process: Process, role: str, keyring: Keyring) -> None:
    """Have a role know of every rotation within two seconds."""
    process.periodic([Task(f"key-changes-{role}", LOOK_SECONDS, keyring.look)])


def reseal_in(
    process: Process,
    role: str,
    database: Database,
    keyring: Keyring,
    recorder: Recorder,
    columns: Sequence[SealedColumn],
) -> None:
    """Have a role know of rotations, and seal its own columns anew."""
    site = process.site
    resealer = Resealer(
        database, keyring, columns, site.clock, site.log, ended=reseal_ended(recorder)
    )
    watch_keys(process, role, keyring)
    process.periodic([Task(f"reseal-{role}", ROUND_EVERY_SECONDS, resealer.run)])
