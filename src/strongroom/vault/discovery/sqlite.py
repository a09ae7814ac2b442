# SPDX-License-Identifier: Apache-2.0
"""Reads files of SQLite: every value of every table. What was deleted is found in the file as it is (`unpack`)."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import quote

from strongroom.vault.discovery.batches import search_values
from strongroom.vault.discovery.model import Finding, Report
from strongroom.vault.discovery.search import Searcher

MAGIC: Final = b"SQLite format 3\x00"
ROWS: Final = 500
#: A value that is longer is looked at up to here, and noted.
VALUE_BYTES_MAX: Final = 16 * 1024**2
_INTEGER_DIGITS_MIN: Final = 13
#: Looks into a value that is packed, under the name it is given; None for a value that is not.
Inside = Callable[[bytes, str], Iterator[Finding] | None]


def opened(source: Path | bytes) -> sqlite3.Connection:
    """Open a database for reading only, and make nothing beside it. Raises sqlite3.Error."""
    if isinstance(source, bytes):
        connection = sqlite3.connect(":memory:")
        connection.deserialize(source)
    else:
        beside = source.with_name(source.name + "-wal")
        # Without a write-ahead log, nobody else's changes are waited for; with one, they are read too.
        mode = "mode=ro" if beside.exists() else "mode=ro&immutable=1"
        connection = sqlite3.connect(f"file:{quote(str(source))}?{mode}", uri=True)
    connection.execute("pragma query_only = on")
    # Values are read as the bytes they are stored as: text need not be what its encoding says.
    connection.text_factory = bytes
    return connection


def search_sqlite(
    source: Path | bytes, place: str, searcher: Searcher, report: Report, inside: Inside
) -> Iterator[Finding]:
    """Yield what is in the rows of a database; what cannot be read is noted in the report.

    Raises sqlite3.Error where it cannot be opened at all.
    """
    with closing(opened(source)) as connection:
        encoding = bytes(connection.execute("pragma encoding").fetchone()[0]).decode("ascii")
        names = [
            (bytes(row[0]).decode("utf-8", "replace"))
            for row in connection.execute(
                "select name from sqlite_master where type = 'table' and rootpage > 0 order by name"
            )
        ]
        for table in names:
            try:
                found = _in_table(connection, table, place, encoding, searcher, report, inside)
                yield from found
            except sqlite3.Error as error:
                report.not_read(f"{place}:{table}", type(error).__name__)


def _in_table(
    connection: sqlite3.Connection,
    table: str,
    place: str,
    encoding: str,
    searcher: Searcher,
    report: Report,
    inside: Inside,
) -> Iterator[Finding]:
    cursor = connection.execute(f"select * from {_quoted(table)}")  # noqa: S608 - a name of its own catalogue
    columns = [each[0] for each in cursor.description]
    begins = 1
    while rows := cursor.fetchmany(ROWS):
        for index, column in enumerate(columns):
            values = [
                (begins + number, text)
                for number, row in enumerate(rows)
                if (text := _bytes(row[index], encoding))
            ]
            name = f"{place}:{table}.{column}"
            plain = []
            for number, value in values:
                if len(value) > VALUE_BYTES_MAX:
                    report.not_read(f"{name} row {number}", "value_too_long")
                packed = inside(value, f"{name} row {number}")
                if packed is not None:
                    yield from packed
                else:
                    plain.append((number, value[:VALUE_BYTES_MAX]))
            yield from search_values(searcher, plain, name, column)
        begins += len(rows)
        report.rows += len(rows)


def _bytes(value: object, encoding: str) -> bytes:
    """Return a value as bytes to search; nothing of one in which no number can be."""
    if isinstance(value, bytes):
        return value.decode(encoding, "replace").encode() if _wide(encoding, value) else value
    if isinstance(value, int):
        text = b"%d" % abs(value)
        return text if len(text) >= _INTEGER_DIGITS_MIN else b""
    if isinstance(value, float) and value.is_integer() and value > 0:
        return b"%d" % int(value)
    return b""


def _wide(encoding: str, value: bytes) -> bool:
    return encoding != "UTF-8" and value[:2] != b"\x1f\x8b" and b"\x00" in value


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
