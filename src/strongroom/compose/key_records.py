# SPDX-License-Identifier: Apache-2.0
"""Records data keys that are made at their first use, in the transaction that keeps them (PCI DSS 10.2.1.7).

The record is the platform's, and names the merchant whose key it is. Keys that the audit log itself stands on are made
before anything can be recorded, once an installation.
"""

from strongroom.audit import Action, Origin, Recorder
from strongroom.db.pool import Transaction
from strongroom.kernel.clock import Clock
from strongroom.kernel.mode import Mode
from strongroom.keys import DataKeyRow, Within

_ACTOR = "system:keys"


def key_witness(recorder: Recorder, clock: Clock) -> Within:
    """Return what commits with a new key."""

    async def made(tx: Transaction, row: DataKeyRow) -> None:
        record = recorder.make(
            Action.KEYS_DATA_KEY_CREATED,
            actor=_ACTOR,
            merchant=None,
            mode=Mode(row.mode) if row.mode else None,
            thing=row.merchant or None,
            origin=Origin(),
            now=clock.now(),
            details={"key_version": row.version, "purpose": row.name},
        )
        await recorder.insert(tx, record)

    return made
