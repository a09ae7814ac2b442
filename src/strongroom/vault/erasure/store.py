# SPDX-License-Identifier: Apache-2.0
"""Rows ↔ erasures."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from strongroom.db.pool import ReadOnly, Record, Transaction
from strongroom.db.queries import load_queries
from strongroom.kernel.ids import ErasureId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.vault.erasure.model import Erasure, ErasureState, Scope

QUERIES: Final = load_queries("strongroom.vault.erasure")


def erasure_of(row: Record) -> Erasure:
    """Read a row."""
    return Erasure(
        MerchantId(row["merchant_id"]),
        Mode(row["mode"]),
        ErasureId(row["erasure_id"]),
        Scope(row["scope"]),
        ErasureState(row["state"]),
        row["tokens"],
        row["key_version"],
        row["requested_by"],
        row["requested_at"],
        row["rotate_at"],
        row["destroyed_at"],
        row["complete_at"],
        row["problem"],
    )


async def add(tx: Transaction, erasure: Erasure) -> None:
    """Keep a new one."""
    await tx.run(
        QUERIES["add_erasure"],
        erasure.merchant_id,
        erasure.mode,
        erasure.erasure_id,
        erasure.scope,
        erasure.state,
        erasure.tokens,
        erasure.key_version,
        erasure.requested_by,
        erasure.requested_at,
        erasure.rotate_at,
        erasure.complete_at,
    )


async def by_id(read: ReadOnly, merchant: MerchantId, mode: Mode, erasure: str) -> Erasure | None:
    """Return one, or None."""
    row = await read.row(QUERIES["erasure_by_id"], merchant, mode, erasure)
    return None if row is None else erasure_of(row)


async def page(
    read: ReadOnly, merchant: MerchantId, mode: Mode, before: str, limit: int
) -> Sequence[Erasure]:
    """Return a tenant's, newest first."""
    return [
        erasure_of(row)
        for row in await read.rows(QUERIES["list_erasures"], merchant, mode, before, limit)
    ]


async def due(tx: Transaction, now: datetime, limit: int) -> Sequence[Erasure]:
    """Return those of every tenant that are to be looked at."""
    await tx.row(QUERIES["be_eraser"])
    return [erasure_of(row) for row in await tx.rows(QUERIES["due_erasures"], now, limit)]


async def erase(
    tx: Transaction, merchant: MerchantId, mode: Mode, tokens: Sequence[str]
) -> Sequence[Record]:
    """Delete tokens and the identities of their cards; return what the record of each says."""
    if not tokens:
        return ()
    await tx.rows(QUERIES["hold_tokens"], merchant, mode, tokens)
    return await tx.rows(QUERIES["erase_tokens"], merchant, mode, tokens)


async def move(
    tx: Transaction,
    erasure: Erasure,
    to: ErasureState,
    *,
    look_at: datetime,
    destroyed_at: datetime | None = None,
    complete_at: datetime | None = None,
    problem: str | None = None,
) -> bool:
    """Say how far one is; False: another process was faster, or it is about a newer key by now. Look again."""
    row = await tx.row(
        QUERIES["move_erasure"],
        erasure.merchant_id,
        erasure.mode,
        erasure.erasure_id,
        erasure.state,
        to,
        look_at,
        destroyed_at,
        complete_at,
        problem,
        erasure.key_version,
    )
    return row is not None
