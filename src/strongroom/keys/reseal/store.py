# SPDX-License-Identifier: Apache-2.0
"""Rows ↔ re-seals of the core database's columns. Whoever changes one says under which claim."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from strongroom.db.pool import ReadOnly, Transaction
from strongroom.db.queries import load_queries
from strongroom.keys.reseal.model import Reseal

QUERIES: Final = load_queries("strongroom.keys.reseal")


class Claim(NamedTuple):
    """A re-seal that this process has, until its lease ends, under a name that nobody else has."""

    merchant: str
    mode: str
    name: str
    part: str
    claim: str


async def begin(
    tx: Transaction,
    of: tuple[str, str, str, str],
    version: int,
    *,
    run_at: datetime,
    created_by: str,
    now: datetime,
) -> None:
    """Have a column (merchant, mode, name, part) sealed anew from its beginning, no earlier than that time."""
    await tx.run(QUERIES["begin_reseal"], *of, version, run_at, created_by, now)


async def claim(
    tx: Transaction, parts: Collection[str], name: str, now: datetime, until: datetime
) -> Claim | None:
    """Lease one that is due, of these columns, whoever's it is."""
    await tx.row(QUERIES["be_resealer"])
    row = await tx.row(QUERIES["claim_reseal"], list(parts), name, now, until)
    if row is None:
        return None
    return Claim(row["merchant_id"], row["mode"], row["name"], row["part"], name)


async def held(tx: Transaction, claimed: Claim) -> Reseal | None:
    """Return one whose claim still stands, and keep it from everybody else until this transaction ends."""
    row = await tx.row(QUERIES["held_reseal"], *claimed)
    return None if row is None else _reseal(row)


async def step(tx: Transaction, after: Reseal) -> None:
    """Save how far one is, in the transaction that did it."""
    await tx.run(
        QUERIES["step_reseal"],
        after.merchant,
        after.mode,
        after.name,
        after.part,
        after.cursor,
        after.total,
        after.looked,
        after.resealed,
        after.unread,
        after.state,
        after.run_at,
        after.updated_at,
        after.ended_at,
    )


async def give_back(
    tx: Transaction, claimed: Claim, run_at: datetime, problem: str | None, failures: int
) -> None:
    """Let another process, or this one later, go on with it."""
    await tx.run(QUERIES["put_off_reseal"], *claimed, problem, failures, run_at)


async def listed(read: ReadOnly, parts: Collection[str]) -> Sequence[Reseal]:
    """Return where each of these columns is, of every tenant that the transaction sees."""
    return [_reseal(row) for row in await read.rows(QUERIES["list_reseals"], list(parts))]


async def everybodys(read: ReadOnly, parts: Collection[str]) -> Sequence[Reseal]:
    """Likewise, of every tenant."""
    await read.row(QUERIES["be_resealer"])
    return await listed(read, parts)


def _reseal(row: Mapping[str, Any]) -> Reseal:
    return Reseal(
        row["merchant_id"],
        row["mode"],
        row["name"],
        row["part"],
        row["version"],
        row["state"],
        row["cursor"],
        row["total"],
        row["looked"],
        row["resealed"],
        row["unread"],
        row["problem"],
        row["failures"],
        row["run_at"],
        row["created_by"],
        row["created_at"],
        row["updated_at"],
        row["ended_at"],
    )
