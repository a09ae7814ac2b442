# SPDX-License-Identifier: Apache-2.0
"""Rows ↔ what merchants are to be told."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from strongroom.crypto.ids import new_id
from strongroom.db.pool import Transaction
from strongroom.db.queries import load_queries
from strongroom.kernel.events import EventType, Happened
from strongroom.kernel.ids import MerchantId, OutboxId
from strongroom.kernel.mode import Mode

_QUERIES: Final = load_queries("strongroom.vault.outbox")
_encode: Final = msgspec.json.Encoder().encode


async def tell(
    tx: Transaction,
    merchant: MerchantId,
    mode: Mode,
    event_type: EventType,
    object_id: str,
    data: msgspec.Struct,
    at: datetime,
) -> None:
    """Let a merchant be told of something, if this transaction commits.

    Args:
        tx: in which it becomes true.
        merchant: whose it is.
        mode: likewise.
        event_type: the word.
        object_id: of what it happened to.
        data: of the shape that the type has; never card data.
        at: when it happened.
    """
    await tx.run(
        _QUERIES["insert_happened"],
        merchant,
        mode,
        new_id("obx"),
        event_type.value,
        object_id,
        _encode(data).decode(),
        at,
    )


async def waiting(tx: Transaction, after: str, limit: int) -> Sequence[Happened]:
    """Return what waits, of every tenant, behind an id."""
    await tx.row(_QUERIES["be_relay"])
    return [
        Happened(
            OutboxId(row["outbox_id"]),
            MerchantId(row["merchant_id"]),
            Mode(row["mode"]),
            row["type"],
            row["object_id"],
            row["data"],
            row["happened_at"],
        )
        for row in await tx.rows(_QUERIES["waiting_to_be_told"], after, limit)
    ]


async def forget(tx: Transaction, taken: Sequence[OutboxId]) -> int:
    """Forget what was taken; return how many of them were there."""
    await tx.row(_QUERIES["be_relay"])
    return await tx.run(_QUERIES["forget_told"], list(taken))
