# SPDX-License-Identifier: Apache-2.0
"""Rows ↔ what is to be revealed, what was, and who was stopped."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Final, TypeAlias

from strongroom.db.pool import ReadOnly, Record, Transaction
from strongroom.db.queries import load_queries
from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.invariant import Bug
from strongroom.kernel.mode import Mode
from strongroom.vault.aliases import present_id
from strongroom.vault.details import SealedDetail
from strongroom.vault.reveal.burst import Bounds
from strongroom.vault.reveal.model import Kept, Stop
from strongroom.vault.writes import QUERIES

_QUERIES: Final = load_queries("strongroom.vault.reveal")
#: After every id, so that the first page begins with the newest.
_AFTER_EVERY_ID: Final = "aud_~"

Scope: TypeAlias = tuple[MerchantId, Mode]


@dataclass(frozen=True, slots=True)
class SealedCard:
    """A token's card as its row has it."""

    container: str
    sealed_number: bytes = field(repr=False)
    key_version: int
    brand: str
    last4: str
    exp_month: int
    exp_year: int
    single_use: bool


@dataclass(frozen=True, slots=True)
class Begun:
    """What is decided by before a card is shown."""

    #: The id that the token has now, by whichever it was asked for.
    token: TokenId
    #: None: the token is not there, or it has expired.
    card: SealedCard | None
    stop: Stop | None
    #: How many the caller was shown within the window, and since their stop was over; at most the bound.
    recent: int


async def begin(
    tx: ReadOnly, scope: Scope, token: str, caller: str, now: datetime, bounds: Bounds
) -> Begun:
    """Wait until no other reveal of this caller is under way, in whichever process, and look.

    A token that is not found is looked for by what its id stands for since a retokenization: in this order, so that one
    that is getting another id just now is found.
    """
    found = await _begin(tx, scope, token, caller, now, bounds)
    if found.card is None and (present := await present_id(tx, *scope, token, now)):
        found = await _begin(tx, scope, present, caller, now, bounds)
    return found


async def _begin(
    tx: ReadOnly, scope: Scope, token: str, caller: str, now: datetime, bounds: Bounds
) -> Begun:
    row = await tx.row(
        _QUERIES["begin_reveal"], *scope, token, caller, now, bounds.window, bounds.count
    )
    if row is None:
        raise Bug("a function that returns one row returned none")
    card = None
    if row["sealed_number"] is not None:
        card = SealedCard(*(row[each.name] for each in fields(SealedCard)))
    stop = None
    if row["stopped_at"] is not None:
        stop = Stop(
            caller,
            row["stop_count"],
            row["stopped_at"],
            row["ends_at"],
            row["lifted_at"],
            row["lifted_by"],
        )
    return Begun(TokenId(token), card, stop, row["recent"])


async def details(read: ReadOnly, scope: Scope, token: str) -> Sequence[SealedDetail]:
    """Return what is sealed beside a number."""
    rows = await read.rows(QUERIES["details_of_token"], *scope, token)
    return [SealedDetail(row["field"], row["sealed"], row["key_version"]) for row in rows]


async def insert(tx: Transaction, scope: Scope, kept: Kept) -> None:
    """Keep that something is revealed."""
    await tx.run(
        _QUERIES["insert_reveal"],
        *scope,
        kept.event_id,
        kept.token_id,
        kept.caller,
        kept.purpose,
        kept.note,
        kept.revealed_at,
    )


async def put_stop(tx: Transaction, scope: Scope, stop: Stop) -> None:
    """Stop a caller."""
    await tx.run(
        _QUERIES["put_stop"], *scope, stop.caller, stop.count, stop.stopped_at, stop.ends_at
    )


async def lift(tx: Transaction, scope: Scope, caller: str, now: datetime, by: str) -> Stop | None:
    """Let a caller go on; None when they are not stopped."""
    row = await tx.row(_QUERIES["lift_stop"], *scope, caller, now, by)
    return None if row is None else _stop(row)


async def stops(read: ReadOnly, scope: Scope, now: datetime, limit: int) -> Sequence[Stop]:
    """Return who reveals nothing now, the newest first."""
    return [_stop(row) for row in await read.rows(_QUERIES["list_stops"], *scope, now, limit)]


async def reveals(read: ReadOnly, scope: Scope, before: str | None, limit: int) -> Sequence[Kept]:
    """Return what was revealed, newest first."""
    rows = await read.rows(_QUERIES["list_reveals"], *scope, before or _AFTER_EVERY_ID, limit)
    return [Kept(**dict(row)) for row in rows]


async def forget(tx: Transaction) -> int:
    """Remove what is older than alarms and reviews need, of every tenant."""
    await tx.row(QUERIES["be_expiry_job"])
    return await tx.run(_QUERIES["forget_reveals"])


def _stop(row: Record) -> Stop:
    return Stop(**dict(row))
