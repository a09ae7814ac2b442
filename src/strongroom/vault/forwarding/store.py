# SPDX-License-Identifier: Apache-2.0
"""Rows ↔ destinations, and the three calls that a forward makes to the database, each one round trip."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import msgspec

from strongroom.audit import NewRecord
from strongroom.db.errors import LockTaken, QueryFailed, translated
from strongroom.db.pool import Database, ReadOnly, Record, Transaction
from strongroom.db.queries import Query, load_queries
from strongroom.http.idempotency import IdempotencyInFlight
from strongroom.kernel.ids import DestinationId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.vault.details import SealedDetail
from strongroom.vault.forwarding.errors import CannotReadDestination
from strongroom.vault.forwarding.model import Config, Destination
from strongroom.vault.forwarding.values import CardFacts
from strongroom.vault.writes import QUERIES as VAULT
from strongroom.vault.writes import record_columns

_QUERIES: Final = load_queries("strongroom.vault.forwarding")
#: After every id, so that the first page begins with the newest.
_AFTER_EVERY_ID: Final = "dst_~"
#: What `vault.begin_forward` raises, so that all of it is undone (migration 0027).
_CVC_USED: Final = "SR001"

_encode: Final = msgspec.json.Encoder(order="sorted").encode
_decode: Final = msgspec.json.Decoder(Config).decode


@dataclass(frozen=True, slots=True)
class Row:
    """A destination and what is sealed of it."""

    destination: Destination
    #: The configuration as the row has it, letter by letter.
    config: str
    sealed: bytes
    key_version: int


@dataclass(frozen=True, slots=True)
class Begun:
    """A forward that was begun under a key, now or before."""

    claim: str
    fingerprint: bytes
    destination: str
    cvc_state: str
    lease_until: datetime
    outcome: str | None
    status: int
    reason: str
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Look:
    """What is known before a forward is begun."""

    begun: Begun | None
    #: By the ids that were asked for; each names the id that its token has now.
    cards: Mapping[str, CardFacts]
    #: The oldest id of the token of each that was asked for: the same for every id that it ever had.
    first: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Wish:
    """A forward that is to be begun."""

    merchant: MerchantId
    mode: Mode
    key: str
    claim: str
    fingerprint: bytes
    destination: str
    now: datetime
    lease_until: datetime
    cards: Sequence[CardFacts]
    #: The ids of sealed CVCs, in hexadecimal.
    cvcs: Sequence[str]


@dataclass(frozen=True, slots=True, repr=False)
class Sealed:
    """A number that may be opened now: its use is recorded."""

    token: str
    number: bytes
    key_version: int


Verdict = Literal["key_taken", "token_unknown", "cvc_used"]


def config_text(config: Config) -> str:
    """Print a configuration in its one form."""
    return _encode(config).decode()


async def insert(tx: Transaction, row: Row) -> None:
    """Keep a new destination."""
    made = row.destination
    await tx.run(
        _QUERIES["insert_destination"],
        made.merchant_id,
        made.mode,
        made.destination_id,
        made.name,
        row.config,
        row.sealed,
        row.key_version,
        made.created_by,
        made.created_at,
    )


async def change(tx: Transaction, row: Row) -> None:
    """Keep a destination as it is now."""
    now = row.destination
    await tx.row(
        _QUERIES["change_destination"],
        now.merchant_id,
        now.mode,
        now.destination_id,
        now.name,
        row.config,
        row.sealed,
        row.key_version,
        now.status,
        now.updated_at,
        now.credentials_changed_at,
    )


async def count(read: ReadOnly, merchant: MerchantId, mode: Mode) -> int:
    """Return how many destinations a merchant has."""
    row = await read.row(_QUERIES["count_destinations"], merchant, mode)
    return 0 if row is None else int(row["count"])


async def find(
    read: ReadOnly, merchant: MerchantId, mode: Mode, destination: str, *, for_change: bool = False
) -> Row | None:
    """Return a destination; `for_change` holds it for this transaction."""
    query = _QUERIES["destination_for_change" if for_change else "destination_by_id"]
    row = await read.row(query, merchant, mode, destination)
    return None if row is None else _row(row)


async def page(
    read: ReadOnly, merchant: MerchantId, mode: Mode, before: str | None, limit: int
) -> Sequence[Row]:
    """Return destinations, newest first, one more than the limit where there is one."""
    rows = await read.rows(
        _QUERIES["list_destinations"], merchant, mode, before or _AFTER_EVERY_ID, limit + 1
    )
    return [_row(row) for row in rows]


async def look(
    database: Database,
    merchant: MerchantId,
    mode: Mode,
    key: str,
    names: Sequence[str],
    now: datetime,
) -> Look:
    """Return whether a key was used, and what may be shown of tokens that are there, by whichever of their ids."""
    rows = await _call(database, _QUERIES["look_to_forward"], merchant, mode, key, list(names), now)
    begun, first = None, {}
    cards: dict[str, CardFacts] = {}
    for row in rows:
        if row["kind"] == "forward":
            begun = Begun(
                row["claim"],
                bytes(row["fingerprint"]),
                row["destination_id"],
                row["cvc_state"],
                row["lease_until"],
                row["outcome"],
                row["status"],
                row["reason"],
                row["duration_ms"],
            )
            continue
        first[row["asked"]] = row["first_id"]
        if row["token_id"] is not None:
            cards[row["asked"]] = CardFacts(
                row["token_id"],
                row["brand"],
                row["bin"],
                row["last4"],
                row["exp_month"],
                row["exp_year"],
                row["container"],
            )
    return Look(begun, cards, first)


async def sealed_beside(
    read: ReadOnly,
    merchant: MerchantId,
    mode: Mode,
    tokens: Collection[str],
    fields: Collection[str],
) -> Mapping[str, Sequence[SealedDetail]]:
    """Return what is sealed beside the numbers of tokens, of the fields that are wanted."""
    rows = await read.rows(_QUERIES["sealed_beside"], merchant, mode, list(tokens), list(fields))
    found: dict[str, list[SealedDetail]] = {}
    for row in rows:
        detail = SealedDetail(row["field"], row["sealed"], row["key_version"])
        found.setdefault(row["token_id"], []).append(detail)
    return found


async def begin(
    database: Database, wish: Wish, records: Sequence[NewRecord]
) -> Sequence[Sealed] | Verdict:
    """Record a forward and the use of its cards; return what is sealed, or why nothing was recorded.

    Raises:
        IdempotencyInFlight: another transaction is beginning under this key.
    """
    try:
        rows = await _call(
            database,
            _QUERIES["begin_forward"],
            wish.merchant,
            wish.mode,
            wish.key,
            wish.claim,
            wish.fingerprint,
            wish.destination,
            wish.now,
            wish.lease_until,
            [card.token for card in wish.cards],
            [card.container for card in wish.cards],
            list(wish.cvcs),
            *record_columns(records),
        )
    except LockTaken:
        raise IdempotencyInFlight from None
    except QueryFailed as failed:
        if failed.sqlstate == _CVC_USED:
            return "cvc_used"
        raise
    verdict: Verdict | Literal["begun"] = rows[0]["verdict"]
    if verdict != "begun":
        return verdict
    return [Sealed(row["token_id"], row["sealed_number"], row["key_version"]) for row in rows]


async def end(
    database: Database, wish: Wish, outcome: str, status: int, reason: str, duration_ms: int
) -> bool:
    """Save what came of a forward; tell whether it was this one's to save."""
    rows = await _call(
        database,
        _QUERIES["end_forward"],
        wish.merchant,
        wish.mode,
        wish.key,
        wish.claim,
        outcome,
        status,
        reason,
        duration_ms,
    )
    return bool(rows[0]["saved"])


async def forget_past(database: Database) -> int:
    """Forget keys of forwards that are two days old, of every tenant; return how many."""
    async with database.transaction() as tx:
        await tx.row(VAULT["be_expiry_job"])
        return await tx.run(_QUERIES["forget_forwards"])


async def _call(database: Database, query: Query, *values: object) -> Sequence[Record]:
    """Call one of the vault's functions, which states its merchant itself: a transaction of one round trip."""
    async with database.connection() as connection:
        try:
            return list(await connection.fetch(query.text, *values))
        except Exception as error:  # noqa: BLE001 - every driver error is translated, and its text cut off
            raise translated(error) from None


def _row(row: Record) -> Row:
    try:
        config = _decode(row["config"])
    except msgspec.MsgspecError:  # altered in the database
        raise CannotReadDestination from None
    return Row(
        Destination(
            MerchantId(row["merchant_id"]),
            Mode(row["mode"]),
            DestinationId(row["destination_id"]),
            row["name"],
            config,
            row["status"],
            row["created_by"],
            row["created_at"],
            row["updated_at"],
            row["credentials_changed_at"],
        ),
        row["config"],
        row["sealed"],
        row["key_version"],
    )
