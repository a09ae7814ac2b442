# SPDX-License-Identifier: Apache-2.0
"""Rows ↔ honeytokens and their uses."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from strongroom.db.pool import Database, ReadOnly, Transaction
from strongroom.db.queries import load_queries
from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.vault.honey.model import Due, Honeytoken, Known
from strongroom.vault.watching import Scope, Way

_QUERIES: Final = load_queries("strongroom.vault.honey")


class TokenValues(NamedTuple):
    """A row of `vault.token`, in the order of `insert_token`."""

    merchant: MerchantId
    mode: Mode
    token: TokenId
    sealed: bytes
    key_version: int
    brand: str
    bin: str
    last4: str
    exp_month: int
    exp_year: int
    metadata: str | None
    created_by: str
    created_at: datetime
    container: str


async def known(database: Database) -> Mapping[str, Known]:
    """Return every tenant's honeytokens, by every id that each has had."""
    async with database.transaction() as read:
        await read.row(_QUERIES["be_watch"])
        rows = await read.rows(_QUERIES["known"])
    return {
        row["token_id"]: Known(
            MerchantId(row["merchant_id"]), Mode(row["mode"]), TokenId(row["made_as"])
        )
        for row in rows
    }


async def count(read: ReadOnly, scope: Scope) -> int:
    """Return how many a tenant has."""
    row = await read.row(_QUERIES["count_honeytokens"], *scope)
    return 0 if row is None else int(row["count"])


async def insert(tx: Transaction, values: TokenValues) -> None:
    """Add a token, and what makes it honey."""
    await tx.run(_QUERIES["insert_token"], *values)
    await tx.run(
        _QUERIES["insert_honeytoken"],
        values.merchant,
        values.mode,
        values.token,
        values.created_by,
        values.created_at,
    )


async def page(read: ReadOnly, scope: Scope) -> Sequence[Honeytoken]:
    """Return a tenant's honeytokens, newest first."""
    return [
        Honeytoken(**dict(row)) for row in await read.rows(_QUERIES["list_honeytokens"], *scope)
    ]


async def insert_use(
    tx: Transaction,
    of: Known,
    event: str,
    way: Way,
    actor: str,
    now: datetime,
    *,
    contain: bool,
) -> None:
    """Keep that one was named."""
    await tx.run(
        _QUERIES["insert_use"], of.merchant, of.mode, event, of.made_as, way, actor, now, contain
    )


async def due(database: Database) -> Sequence[Due]:
    """Return the keys that are to be ended, of every tenant."""
    async with database.transaction() as read:
        await read.row(_QUERIES["be_watch"])
        rows = await read.rows(_QUERIES["due"])
    return [Due(MerchantId(row["merchant_id"]), Mode(row["mode"]), row["actor"]) for row in rows]


async def contained(database: Database, ended: Due, now: datetime) -> None:
    """Note that a key was ended."""
    async with database.transaction([ended.merchant]) as tx:
        await tx.run(_QUERIES["contained"], ended.merchant, ended.mode, ended.key, now)
