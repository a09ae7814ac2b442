# SPDX-License-Identifier: Apache-2.0
"""Rows ↔ imports, their results and what rests of their files."""

import dataclasses
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from strongroom.db.pool import ReadOnly, Transaction
from strongroom.db.queries import load_queries
from strongroom.kernel.ids import ImportId, JobId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.vault.transfer.model import (
    Columns,
    Counts,
    Encryption,
    Format,
    Import,
    ImportState,
    ImportWish,
)

QUERIES: Final = load_queries("strongroom.vault.transfer")
#: The fastest: what is stored is repetitive, and 25,000 rows a second pass here.
_COMPRESSION: Final = 1
#: A chunk's results in clear. Two thousand rows have a tenth of it.
_RESULTS_BYTES_MAX: Final = 32 * 1024 * 1024
_SELDOM: Final = ("beside", "whole_metadata")


class RowResult(msgspec.Struct, frozen=True, array_like=True):
    """What became of one row. Masked."""

    #: created, duplicate or refused
    status: str
    token: str = ""
    brand: str = ""
    last4: str = ""
    external_id: str = ""
    problem: str = ""
    #: What the problem is of, as a JSON pointer into `POST /v1/tokens`; nothing where that is the card or the row.
    field: str = ""


_encode_results: Final = msgspec.json.Encoder().encode
_decode_results: Final = msgspec.json.Decoder(list[RowResult]).decode


class Part(NamedTuple):
    """The results of rows that committed together."""

    first_row: int
    results: Sequence[RowResult]


def _wish(text: str) -> ImportWish:
    found = msgspec.json.decode(text)
    return ImportWish(
        Format(found["file_format"]),
        Encryption(found["encryption"]),
        Columns(**found["columns"]),
        found["delimiter"],
        found["container"],
        deduplicate=found["deduplicate"],
        take_expired=found["take_expired"],
        dry_run=found["dry_run"],
    )


def _import(row: Mapping[str, Any]) -> Import:
    return Import(
        MerchantId(row["merchant_id"]),
        Mode(row["mode"]),
        ImportId(row["import_id"]),
        ImportState(row["state"]),
        _wish(row["wish"]),
        row["received"],
        row["consumed"],
        None if row["layout"] is None else tuple(row["layout"]),
        Counts(row["rows"], row["created"], row["duplicates"], row["refused"]),
        row["digest"],
        row["problem"],
        None if row["job_id"] is None else JobId(row["job_id"]),
        row["created_by"],
        row["created_at"],
        row["updated_at"],
        row["ended_at"],
    )


async def insert(tx: Transaction, made: Import) -> None:
    """Add an import."""
    asked = dataclasses.asdict(made.wish)
    # What is not asked for is not said: a process of the release before reads the others' imports, too.
    asked["columns"] = {
        name: column for name, column in asked["columns"].items() if column or name not in _SELDOM
    }
    wish = msgspec.json.encode(asked, order="sorted").decode()
    await tx.run(
        QUERIES["insert_import"],
        made.merchant_id,
        made.mode,
        made.import_id,
        wish,
        made.created_by,
        made.created_at,
    )


async def remember_seen(tx: Transaction, of: Import) -> None:
    """Say that a dry run remembers its cards, which are forgotten once it has ended."""
    await tx.run(QUERIES["remember_seen"], of.merchant_id, of.mode, of.import_id)


async def by_id(
    read: ReadOnly, merchant: MerchantId, mode: Mode, import_id: str, *, lock: bool = False
) -> Import | None:
    """Return one; with `lock`, nobody else changes it until the transaction ends."""
    query = QUERIES["lock_import" if lock else "import_by_id"]
    row = await read.row(query, merchant, mode, import_id)
    return None if row is None else _import(row)


async def page(
    read: ReadOnly, merchant: MerchantId, mode: Mode, before: str, limit: int
) -> Sequence[Import]:
    """Return a page, newest first."""
    rows = await read.rows(QUERIES["list_imports"], merchant, mode, before, limit)
    return [_import(row) for row in rows]


async def open_ones(
    tx: Transaction, merchant: MerchantId, mode: Mode, limit: int
) -> Sequence[Import]:
    """Return some that go on, locked, oldest first."""
    rows = await tx.rows(QUERIES["lock_open_imports"], merchant, mode, limit)
    return [_import(row) for row in rows]


async def save(tx: Transaction, after: Import) -> None:
    """Keep how far an import is."""
    counts = after.counts
    await tx.run(
        QUERIES["save_import"],
        after.merchant_id,
        after.mode,
        after.import_id,
        after.state,
        after.received,
        after.consumed,
        None if after.layout is None else list(after.layout),
        counts.rows,
        counts.created,
        counts.duplicates,
        counts.refused,
        after.digest,
        after.problem,
        after.job_id,
        after.updated_at,
        after.ended_at,
    )


async def insert_part(
    tx: Transaction, of: Import, first_row: int, results: Sequence[RowResult], made_at: datetime
) -> None:
    """Keep what became of rows. Their tokens were made at that very moment, by which they are known as the import's."""
    await tx.run(
        QUERIES["insert_part"],
        of.merchant_id,
        of.mode,
        of.import_id,
        first_row,
        len(results),
        zlib.compress(_encode_results(results), _COMPRESSION),
        made_at,
    )


async def part_from(read: ReadOnly, of: Import, row: int) -> Part | None:
    """Return the results of the chunk that has a row, or of the next one; None behind the last."""
    found = await read.row(QUERIES["part_from"], of.merchant_id, of.mode, of.import_id, row)
    if found is None:
        return None
    clear = zlib.decompressobj().decompress(found["results"], _RESULTS_BYTES_MAX)
    return Part(found["first_row"], _decode_results(clear))


async def hold_container(tx: Transaction, merchant: MerchantId, mode: Mode, container: str) -> bool:
    """Keep a container until this transaction ends; False: it is not there."""
    return await tx.row(QUERIES["hold_container"], merchant, mode, container) is not None


async def put_piece(tx: Transaction, of: Import, sealed: bytes, key_version: int) -> None:
    """Keep the next piece of a file that waits."""
    await tx.run(
        QUERIES["insert_piece"],
        of.merchant_id,
        of.mode,
        of.import_id,
        of.received,
        sealed,
        key_version,
    )


class Piece(NamedTuple):
    """A sealed piece of a file that waits."""

    begins: int
    sealed: bytes
    key_version: int


async def piece_at(read: ReadOnly, of: Import, begins: int) -> Piece | None:
    """Return the piece that begins there, or the next one."""
    row = await read.row(QUERIES["piece_at"], of.merchant_id, of.mode, of.import_id, begins)
    return None if row is None else Piece(row["begins"], row["sealed"], row["key_version"])


async def drop_pieces(tx: Transaction, of: Import) -> None:
    """Remove what rested of a file."""
    await tx.run(QUERIES["drop_pieces"], of.merchant_id, of.mode, of.import_id)
