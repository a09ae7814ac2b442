# SPDX-License-Identifier: Apache-2.0
"""Rows ↔ values of the audit log. Believes nothing of what the database returns: `seal` and the verifiers check."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from strongroom.audit.merkle import HASH_BYTES
from strongroom.audit.tiles import Tile
from strongroom.db.errors import QueryFailed
from strongroom.db.pool import ReadOnly, Transaction
from strongroom.db.queries import load_queries
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode

QUERIES: Final = load_queries("strongroom.audit")
#: Every id is greater than this, and smaller than that.
BEFORE_EVERY_ID: Final = "aud_"
AFTER_EVERY_ID: Final = "aud_~"
#: insufficient_privilege: what the tables' own triggers answer a change with that they do not allow.
_REFUSED_BY_TRIGGER: Final = "42501"


class UnsealedRow(NamedTuple):
    """A record that is to be sealed, as it stands in its row."""

    event_id: str
    merchant: str
    mode: str
    payload: bytes
    leaf_hash: bytes
    row_mac: bytes
    xid: int


class KeptRow(NamedTuple):
    """A record as its tenant reads it."""

    event_id: str
    payload: bytes
    leaf_hash: bytes


class Cursor(NamedTuple):
    """Every record up to this (transaction, id) has been taken. Transactions are counted per cluster."""

    xid: int
    event_id: str


@dataclass(frozen=True, slots=True)
class TreeRow:
    """How far the sealer is."""

    origin: str
    origin_mac: bytes
    size: int
    frontier: tuple[bytes, ...]
    cursor: Cursor
    cluster: str


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """A head that was signed."""

    size: int
    origin: str
    root: bytes
    note: bytes
    sealed_at: datetime


@dataclass(frozen=True, slots=True)
class Horizon:
    """Transactions below it have ended; which cluster counts them."""

    xid: int
    cluster: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is committed and not sealed: how much (at most ten thousand are counted), and the oldest."""

    count: int
    oldest: str | None


@dataclass(frozen=True, slots=True)
class LeafTile:
    """A tile of level 0, and whose hashes it holds."""

    tile: Tile
    event_ids: tuple[str, ...]

    def leaf_hash(self, place: int) -> bytes:
        """Return one of its hashes."""
        return self.tile.hashes[place * HASH_BYTES : (place + 1) * HASH_BYTES]


def _unsealed(row: Mapping[str, Any]) -> UnsealedRow:
    return UnsealedRow(
        row["event_id"],
        row["merchant_id"],
        row["mode"],
        row["payload"],
        row["leaf_hash"],
        row["row_mac"],
        int(row["transaction"]),
    )


def _kept(row: Mapping[str, Any]) -> KeptRow:
    return KeptRow(row["event_id"], row["payload"], row["leaf_hash"])


def _checkpoint(row: Mapping[str, Any]) -> CheckpointRow:
    return CheckpointRow(
        row["size"], row["origin"], row["root"], row["note"].encode(), row["sealed_at"]
    )


def _tree(row: Mapping[str, Any]) -> TreeRow:
    return TreeRow(
        row["origin"],
        row["origin_mac"],
        row["size"],
        tuple(row["frontier"]),
        Cursor(int(row["sealed_xid"]), row["sealed_event"]),
        row["cluster"],
    )


# --- the tree ----------------------------------------------------------------------------------------


async def tree(read: ReadOnly) -> TreeRow | None:
    """Return how far the sealer is; None before the first start."""
    row = await read.row(QUERIES["read_tree"])
    return None if row is None else _tree(row)


async def start_tree(
    tx: Transaction, *, origin: str, origin_mac: bytes, cluster: str, now: datetime
) -> bool:
    """Make a tree's row; tell whether there was none."""
    start = Cursor(0, "")
    return (
        await tx.run(QUERIES["start_tree"], origin, origin_mac, str(start.xid), cluster, now) == 1
    )


async def rename_tree(
    tx: Transaction, old: str, new: str, *, origin_mac: bytes, now: datetime
) -> bool:
    """Let the tree go on under another origin; tell whether it had the old one."""
    return await tx.run(QUERIES["rename_tree"], old, new, origin_mac, now) == 1


async def move_tree(
    tx: Transaction,
    old_size: int,
    *,
    origin: str,
    size: int,
    frontier: Sequence[bytes],
    cursor: Cursor,
    now: datetime,
) -> bool:
    """Say how far the sealer is now; tell whether it was at `old_size` of that origin."""
    moved = await tx.run(
        QUERIES["move_tree"],
        old_size,
        origin,
        size,
        list(frontier),
        str(cursor.xid),
        cursor.event_id,
        now,
    )
    return moved == 1


async def move_cluster(tx: Transaction, horizon: Horizon, now: datetime) -> None:
    """Say that the database's transactions are now counted by this cluster."""
    await tx.run(QUERIES["move_cluster"], str(horizon.xid), horizon.cluster, now)


async def horizon(read: ReadOnly) -> Horizon:
    """Return which transactions have ended."""
    row = await read.row(QUERIES["seal_horizon"])
    if row is None:
        raise AssertionError("a select without a table returns a row")
    return Horizon(int(row["horizon"]), row["cluster"])


# --- records -----------------------------------------------------------------------------------------


async def unsealed(read: ReadOnly, cursor: Cursor, limit: int) -> Sequence[UnsealedRow]:
    """Return records of ended transactions after the cursor, in its order."""
    rows = await read.rows(QUERIES["unsealed_events"], str(cursor.xid), cursor.event_id, limit)
    return [_unsealed(row) for row in rows]


async def waiting(read: ReadOnly, cursor: Cursor) -> Waiting:
    """Return what is committed and not sealed."""
    row = await read.row(QUERIES["count_unsealed"], str(cursor.xid), cursor.event_id)
    return Waiting(row["waiting"], row["oldest"]) if row is not None else Waiting(0, None)


async def missed(
    read: ReadOnly, after: str, rows: int, cursor: Cursor
) -> tuple[str | None, Sequence[str]]:
    """Look at a page of all records: its last id (None: no page is left), and which were never sealed."""
    row = await read.row(QUERIES["missed_events"], after, rows, str(cursor.xid), cursor.event_id)
    return (None, ()) if row is None else (row["last"], row["missed"])


async def rows_by_id(read: ReadOnly, event_ids: Sequence[str]) -> Sequence[UnsealedRow]:
    """Return these records, in the order of their ids."""
    return [_unsealed(row) for row in await read.rows(QUERIES["events_by_ids"], list(event_ids))]


async def sealed_among(read: ReadOnly, event_ids: Sequence[str]) -> frozenset[str]:
    """Return those of these records that are in the tree."""
    rows = await read.rows(QUERIES["sealed_among"], list(event_ids), min(event_ids), max(event_ids))
    return frozenset(row["event_id"] for row in rows)


async def payloads(read: ReadOnly, event_ids: Sequence[str]) -> Mapping[str, bytes]:
    """Return records' exact bytes."""
    rows = await read.rows(QUERIES["payloads_of_events"], list(event_ids))
    return {row["event_id"]: row["payload"] for row in rows}


async def places(read: ReadOnly, event_ids: Sequence[str]) -> Mapping[str, int]:
    """Return the index in the tree of each of these records that is sealed."""
    if not event_ids:
        return {}
    rows = await read.rows(QUERIES["places_of_events"], list(event_ids))
    return {row["event_id"]: row["n"] * 256 + row["place"] for row in rows}


async def tenant_records(
    read: ReadOnly, merchant: MerchantId, mode: Mode, before: str, limit: int
) -> Sequence[KeptRow]:
    """Return a tenant's records of one mode, newest first."""
    rows = await read.rows(QUERIES["list_events"], merchant, mode.value, before, limit)
    return [_kept(row) for row in rows]


async def tenant_record(
    read: ReadOnly, merchant: MerchantId, mode: Mode, event_id: str
) -> KeptRow | None:
    """Return one of a tenant's records."""
    row = await read.row(QUERIES["event_by_id"], merchant, mode.value, event_id)
    return None if row is None else _kept(row)


async def merchant_ids(
    read: ReadOnly, merchant: MerchantId, after: str, limit: int
) -> Sequence[str]:
    """Return the ids of a tenant's records of both modes."""
    rows = await read.rows(QUERIES["events_of_merchant"], merchant, after, limit)
    return [row["event_id"] for row in rows]


# --- tiles and checkpoints ---------------------------------------------------------------------------


async def tile_hashes(read: ReadOnly, level: int, number: int) -> bytes:
    """Return the widest tile there, or no bytes (the form that `tiles.TileSource` asks in)."""
    row = await read.row(QUERIES["read_tile"], level, number)
    return b"" if row is None else row["hashes"]


async def leaf_tiles(read: ReadOnly, start: int, end: int) -> Sequence[LeafTile]:
    """Return the tiles of level 0 with numbers from `start` to below `end`."""
    rows = await read.rows(QUERIES["list_tiles"], start, end)
    return [LeafTile(Tile(0, row["n"], row["hashes"]), tuple(row["event_ids"])) for row in rows]


async def put_tile(tx: Transaction, tile: Tile, event_ids: Sequence[str]) -> bool:
    """Write a tile; tell whether it is new or extends what stood there. `event_ids` are level 0's."""
    try:
        changed = await tx.run(
            QUERIES["put_tile"],
            tile.level,
            tile.number,
            tile.width,
            tile.hashes,
            list(event_ids),
            min(event_ids, default=None),
            max(event_ids, default=None),
        )
    except QueryFailed as error:
        if error.sqlstate == _REFUSED_BY_TRIGGER:
            return False
        raise
    return changed == 1


async def insert_checkpoint(tx: Transaction, checkpoint: CheckpointRow) -> None:
    """Keep a signed head."""
    await tx.run(
        QUERIES["insert_checkpoint"],
        checkpoint.size,
        checkpoint.origin,
        checkpoint.root,
        checkpoint.note.decode(),
        checkpoint.sealed_at,
    )


async def latest_checkpoint(read: ReadOnly) -> CheckpointRow | None:
    """Return the newest signed head."""
    row = await read.row(QUERIES["latest_checkpoint"])
    return None if row is None else _checkpoint(row)


async def checkpoints(
    read: ReadOnly, origin: str, after: int, limit: int
) -> Sequence[CheckpointRow]:
    """Return the heads that were signed for one origin and are larger than `after`, in order."""
    rows = await read.rows(QUERIES["list_checkpoints"], origin, after, limit)
    return [_checkpoint(row) for row in rows]
