# SPDX-License-Identifier: Apache-2.0
"""Settlement reports in the core database: rows to values and back, and the statements that compare."""

import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from strongroom.db.pool import ReadOnly, Transaction
from strongroom.db.queries import load_queries
from strongroom.kernel.ids import MerchantId, ReportId
from strongroom.kernel.mode import Mode
from strongroom.payments.settlement.columns import Columns
from strongroom.payments.settlement.model import (
    ATTEMPTS_LOOKED_AT,
    BEHIND_ALL_LINES,
    ComparedLine,
    Report,
    Result,
    Sum,
)
from strongroom.webhooks import NewEvent

QUERIES: Final = load_queries("strongroom.payments.settlement")
#: A third of the size for a hundredth of a second; more would cost more than it saves.
_LEVEL: Final = 1

#: Pieces that a transaction removes.
PIECES_DROPPED: Final = 100

_report: Final = msgspec.json.Decoder(Report).decode
_line: Final = msgspec.json.Decoder(ComparedLine).decode
_encode: Final = msgspec.json.Encoder().encode


class Piece(NamedTuple):
    """Some whole lines of a file."""

    number: int
    #: The physical line with which they begin.
    line: int
    content: bytes


class Found(NamedTuple):
    """What some lines were found to be."""

    counts: Mapping[Result, int]
    totals: Mapping[str, Mapping[str, Sum]]
    #: Of our attempts that they name, the oldest and the newest.
    first_attempt: str | None
    last_attempt: str | None


def key_of(report: Report) -> tuple[MerchantId, Mode, ReportId]:
    """Return where a report stands."""
    return report.merchant_id, report.mode, report.report_id


async def insert(tx: Transaction, report: Report) -> bool:
    """Put a new report; tell whether its file is not one of the connection's already."""
    count = await tx.run(
        QUERIES["insert_report"],
        *key_of(report),
        report.connection_id,
        report.format,
        report.sha256,
        report.period_from,
        report.period_to,
        report.created_by,
        report.created_at,
    )
    return count == 1


async def by_digest(read: ReadOnly, report: Report) -> Report | None:
    """Return the report that a file is already."""
    row = await read.row(
        QUERIES["report_by_digest"],
        report.merchant_id,
        report.mode,
        report.connection_id,
        report.sha256,
    )
    return None if row is None else _report(row["row"])


async def by_id(
    read: ReadOnly, merchant: MerchantId, mode: Mode, report: str, *, lock: bool = False
) -> Report | None:
    """Return a report, locked until the transaction ends if wanted."""
    query = QUERIES["lock_report" if lock else "report_by_id"]
    row = await read.row(query, merchant, mode, report)
    return None if row is None else _report(row["row"])


async def page(
    read: ReadOnly,
    merchant: MerchantId,
    mode: Mode,
    before: str,
    connection: str | None,
    limit: int,
) -> Sequence[Report]:
    """Return some reports, newest first."""
    rows = await read.rows(QUERIES["list_reports"], merchant, mode, before, connection, limit)
    return [_report(row["row"]) for row in rows]


async def put_piece(tx: Transaction, report: Report, piece: Piece) -> None:
    """Keep some lines of a file."""
    await tx.run(
        QUERIES["insert_piece"],
        *key_of(report),
        piece.number,
        piece.line,
        len(piece.content),
        zlib.compress(piece.content, _LEVEL),
    )


async def taken(tx: Transaction, report: Report, now: datetime) -> None:
    """Say how much of a file is there."""
    await tx.run(
        QUERIES["report_taken"],
        *key_of(report),
        report.received,
        report.next_line,
        report.pieces,
        report.header,
        report.state,
        now,
    )


async def pieces(read: ReadOnly, report: Report, number: int, bytes_max: int) -> Sequence[Piece]:
    """Return the pieces from one on, one at least, and more while they are within a bound together."""
    found: list[Piece] = []
    size = 0
    while size < bytes_max:
        row = await read.row(QUERIES["pieces_from"], *key_of(report), number + len(found), 1)
        if row is None or (found and size + row["bytes"] > bytes_max):
            break
        size += row["bytes"]
        found.append(Piece(row["number"], row["line"], zlib.decompress(row["content"])))
    return found


async def drop_pieces(tx: Transaction, report: Report) -> int:
    """Remove some pieces of a file; return how many."""
    return await tx.run(QUERIES["drop_pieces"], *key_of(report), PIECES_DROPPED)


async def compare(tx: Transaction, report: Report, columns: Columns) -> Found:
    """Compare some lines, keep them with what they were found to be, and add up what is about one attempt."""
    scope = (*key_of(report), report.run)
    await tx.row(QUERIES["prefer_indexes"])
    rows = await tx.rows(QUERIES["compare_lines"], *scope, report.connection_id, *columns)
    counts: dict[Result, int] = {}
    totals: dict[str, dict[str, Sum]] = {}
    for row in rows:
        result = Result(row["result"])
        counts[result] = counts.get(result, 0) + row["lines"]
        if result is not Result.DOUBLED:
            kinds = totals.setdefault(row["currency"], {})
            more = Sum(row["lines"], int(row["gross"]), int(row["fee"]), int(row["net"]))
            kinds[row["kind"]] = kinds.get(row["kind"], Sum()).plus(more)
    several = rows[0]["several"] if rows else None
    if several:
        for (was, now), places in (await _other_results(tx, scope, several)).items():
            await tx.run(QUERIES["result_is"], *scope, places, now)
            counts[was] = counts.get(was, 0) - len(places)
            counts[now] = counts.get(now, 0) + len(places)
    return Found(
        counts,
        totals,
        min((row["first_attempt"] for row in rows if row["first_attempt"]), default=None),
        max((row["last_attempt"] for row in rows if row["last_attempt"]), default=None),
    )


async def _other_results(
    tx: Transaction, scope: tuple[Any, ...], attempts: Sequence[str]
) -> Mapping[tuple[Result, Result], list[int]]:
    """Return which lines, by what they were thought to be, are something else by the sum of their attempt's lines."""
    found: dict[tuple[Result, Result], list[int]] = {}
    for row in await tx.rows(QUERIES["sums_of_attempts"], *scope, attempts):
        found.setdefault((Result(row["was"]), Result(row["is_now"])), []).append(row["place"])
    return found


async def unnamed(
    tx: Transaction, report: Report, behind: str, last: str
) -> tuple[int, str | None]:
    """Keep those of the next attempts that no line names; return how many, and up to where, or None: to the end."""
    await tx.row(QUERIES["prefer_indexes"])
    row = await tx.row(
        QUERIES["look_for_unnamed"],
        *key_of(report),
        report.run,
        report.connection_id,
        behind,
        last,
        ATTEMPTS_LOOKED_AT,
        BEHIND_ALL_LINES + report.missing_there,
    )
    return (0, None) if row is None else (row["missing"], row["looked_to"])


async def stepped(tx: Transaction, report: Report, now: datetime) -> None:
    """Say how far a comparison is."""
    await tx.run(QUERIES["report_stepped"], *key_of(report), now, _encode(report).decode())


async def failed(tx: Transaction, report: Report, problem: str, now: datetime) -> None:
    """Say why a report is not read any further."""
    await tx.run(QUERIES["report_failed"], *key_of(report), problem, now)


async def again(tx: Transaction, report: Report, now: datetime) -> None:
    """Let a report be compared anew."""
    await tx.run(QUERIES["read_again"], *key_of(report), now)


async def put_job(tx: Transaction, report: Report, now: datetime) -> None:
    """Let a worker go on with a report."""
    await tx.row(QUERIES["put_job"], *key_of(report), now)


async def publish(tx: Transaction, report: Report, event: NewEvent, now: datetime) -> None:
    """Tell whoever listens."""
    await tx.row(
        QUERIES["publish"],
        report.merchant_id,
        report.mode,
        event.id,
        event.type,
        event.object_id,
        event.payload,
        now,
    )


async def lines(
    read: ReadOnly,
    report: Report,
    wanted: Result | None,
    *,
    differing: bool,
    behind: int,
    limit: int,
) -> Sequence[ComparedLine]:
    """Return some lines behind a place: all, those that are one thing, or those that differ."""
    scope: tuple[Any, ...] = (*key_of(report), report.run)
    if wanted is not None:
        rows = await read.rows(QUERIES["lines_that_are"], *scope, wanted, behind, limit)
    elif differing:
        rows = await read.rows(QUERIES["lines_that_differ"], *scope, behind, limit)
    else:
        rows = await read.rows(QUERIES["lines_from"], *scope, behind, limit)
    return [_line(row["row"]) for row in rows]
