# SPDX-License-Identifier: Apache-2.0
"""Cuts a file's bytes into rows. Pure: bytes in, rows and how many bytes they took out.

A row ends with a line feed, before which a carriage return may stand. In CSV (RFC 4180 §2.6) a quoted field may hold
line feeds: a row is the fewest lines whose quotes pair.
"""

import codecs
from collections.abc import Iterator
from typing import Final, NamedTuple

from strongroom.vault.transfer.model import ROW_BYTES_MAX, Format

_LINE: Final = b"\n"
_QUOTE: Final = b'"'


class RowTooLong(Exception):
    """A row is longer than any row is."""


class RawRow(NamedTuple):
    """A row's bytes without its end, and where in the content its end is (the next row's first byte)."""

    content: bytes
    end: int


def split_rows(content: bytes, file_format: Format, *, last: bool, first: bool) -> Iterator[RawRow]:
    """Yield the rows that are whole.

    Args:
        content: bytes of the file, from the beginning of a row on.
        file_format: CSV rows may span lines.
        last: nothing follows, so that a row without a line feed is one too.
        first: the content is the file's beginning, where a byte order mark may stand.

    Raises:
        RowTooLong: a row has more bytes than `ROW_BYTES_MAX`.
    """
    quoted = file_format is Format.CSV and _QUOTE in content
    begin = len(codecs.BOM_UTF8) if first and content.startswith(codecs.BOM_UTF8) else 0
    size = len(content)
    while begin < size:
        end = _row_end(content, begin, quoted=quoted)
        if end < 0:
            if size - begin > ROW_BYTES_MAX:
                raise RowTooLong
            if last:
                yield RawRow(content[begin:], size)
            return
        if end - begin > ROW_BYTES_MAX:
            raise RowTooLong
        row = content[begin:end]
        yield RawRow(row[:-1] if row.endswith(b"\r") else row, end + 1)
        begin = end + 1


def _row_end(content: bytes, begin: int, *, quoted: bool) -> int:
    """Return where the line feed stands that ends the row, or -1."""
    end = content.find(_LINE, begin)
    if not quoted:
        return end
    quotes = 0
    at = begin
    while end >= 0:
        quotes += content.count(_QUOTE, at, end)
        if quotes % 2 == 0 or end - begin > ROW_BYTES_MAX:
            return end
        at = end + 1
        end = content.find(_LINE, at)
    return -1
