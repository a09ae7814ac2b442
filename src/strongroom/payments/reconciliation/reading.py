# SPDX-License-Identifier: Apache-2.0
"""Reads a settlement report from a stream of bytes, in bounded memory: pieces in, lines out. Keeps and calls nothing.

CSV is RFC 4180's: commas, quotes that double, lines that end in LF or CRLF, UTF-8 with or without a byte order mark.
Money is never a float: an amount's digits become whole minor units.
"""

import codecs
import csv
import io
import re
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol, final

from strongroom.kernel.cardlike import has_cardlike, has_cardlike_bytes
from strongroom.kernel.money import CURRENCIES, Money
from strongroom.payments.reconciliation.model import Line, ReportRefused

#: A row of a report has some hundred; one that is longer is a quote that was never closed.
ROW_CHARACTERS_MAX: Final = 64 * 1024
#: What such a row takes at most: four bytes a character, and a comma or two quotes a cell.
ROW_BYTES_MAX: Final = 5 * ROW_CHARACTERS_MAX
COLUMNS_MAX: Final = 200
HEADER_CHARACTERS_MAX: Final = 100
TEXT_CHARACTERS_MAX: Final = 255
#: A piece that is bigger is cut: what is held is at most one of these and one row.
PIECE_BYTES_MAX: Final = 256 * 1024
#: Smaller pieces wait for each other: what is held is looked at once for so many bytes that came.
LOOK_BYTES: Final = 16 * 1024

#: At most thirteen digits before the point: with four decimals it still is a 64-bit number.
_AMOUNT: Final = re.compile(r"(?P<sign>-?)(?P<whole>[0-9]{1,13})(?:\.(?P<cents>[0-9]{1,6}))?")
_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
    r"(?P<offset>Z|[+-][0-9]{2}:[0-9]{2})?"
)
_TOO_LONG: Final = f"more than {ROW_CHARACTERS_MAX} characters in a row, or quotes that do not pair"
#: CSV as RFC 4180 has it: a quote begins and ends a cell, or is doubled inside it.
_CSV: Final = re.compile(rb'(?:(?:"(?:[^"]|"")*+"|[^",\r\n]*+)(?:,|\r?\n|\Z))*+')
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_HEADER: Final = re.compile(r"[\x20-\x7e]*")
_EXPONENTS: Final[Mapping[str, int]] = {
    currency: Money(0, currency).exponent for currency in CURRENCIES
}


class Row:
    """A row's cells by the header's names. What is wrong with one is refused with its line and column."""

    __slots__ = ("_cells", "_places", "number")

    def __init__(self, number: int, cells: Sequence[str], places: Mapping[str, int]) -> None:
        self.number = number
        self._cells = cells
        self._places = places

    def refused(self, column: str | None, because: str) -> ReportRefused:
        """Return the error of a cell, or of the whole row."""
        return ReportRefused(self.number, column, because)

    def text(self, column: str) -> str | None:
        """Return a cell's text; None where it is empty or the report has no such column.

        Raises:
            ReportRefused: it is too long, or has control characters.
        """
        place = self._places.get(column)
        cell = "" if place is None else self._cells[place].strip()
        if not cell:
            return None
        if len(cell) > TEXT_CHARACTERS_MAX:
            raise self.refused(column, f"longer than {TEXT_CHARACTERS_MAX} characters")
        if not cell.isprintable() and _CONTROL.search(cell):
            raise self.refused(column, "has control characters")
        return cell

    def required(self, column: str) -> str:
        """Return a cell's text. Raises ReportRefused: see `text`, and where it is empty."""
        cell = self.text(column)
        if cell is None:
            raise self.refused(column, "is empty")
        return cell

    def currency(self, column: str) -> str:
        """Return a currency, upper case. Raises ReportRefused: not one of ISO 4217."""
        currency = self.required(column).upper()
        if currency not in CURRENCIES:
            raise self.refused(column, "not an ISO 4217 currency")
        return currency

    def amount(self, column: str, currency: str) -> int | None:
        """Return an amount of major units in whole minor units; None where the cell is empty.

        Raises:
            ReportRefused: not a number with a decimal point, or finer than the currency is.
        """
        cell = self.text(column)
        if cell is None:
            return None
        found = _AMOUNT.fullmatch(cell)
        if found is None:
            raise self.refused(column, "not an amount such as 1050 or -10.50")
        exponent = _EXPONENTS[currency]
        cents = (found["cents"] or "").ljust(exponent, "0")
        if cents[exponent:].strip("0"):
            raise self.refused(
                column, f"finer than the currency is: {currency} has {exponent} decimals"
            )
        minor = int(found["whole"] + cents[:exponent])
        return -minor if found["sign"] else minor

    def money(self, column: str, currency: str) -> int:
        """Return an amount. Raises ReportRefused: see `amount`, and where it is empty."""
        amount = self.amount(column, currency)
        if amount is None:
            raise self.refused(column, "is empty")
        return amount

    def presented(self, column: str, currency_column: str, settled: Money) -> Money | None:
        """Return what the customer paid or got; None where it is not said.

        It is compared with what we know in the place of what moved on the balance, so it has to go the same way.

        Args:
            column: where its amount stands.
            currency_column: where its currency stands.
            settled: what moved on the balance: its gross.

        Raises:
            ReportRefused: see `money` and `currency`; it is not the gross in the same currency, or has the other sign.
        """
        if self.text(column) is None:
            return None
        currency = self.currency(currency_column)
        presented = Money(self.money(column, currency), currency)
        if currency == settled.currency and presented != settled:
            raise self.refused(column, "is not gross, in the same currency")
        if presented.minor_units * settled.minor_units < 0:
            raise self.refused(column, "has another sign than gross")
        return presented

    def instant(self, column: str, *, offset: timedelta | None = None) -> datetime:
        """Return a time in UTC.

        Args:
            column: where it stands.
            offset: how far ahead of UTC the report's times are, where they do not say so themselves (RFC 3339).

        Raises:
            ReportRefused: it is no time, or says its offset where it should not, or the other way round.
        """
        cell = self.required(column)
        found = _TIME.fullmatch(cell)
        try:
            if found is None:
                raise ValueError
            instant = datetime.fromisoformat(cell)
            if found["offset"] is None:
                if offset is None:
                    raise self.refused(column, "does not say its offset from UTC")
                return instant.replace(tzinfo=UTC) - offset
            if offset is not None:
                raise self.refused(column, "says an offset where none is published")
            return instant.astimezone(UTC)
        except (OverflowError, ValueError):
            raise self.refused(column, "not a time such as 2026-11-20T09:30:00Z") from None


class Format(Protocol):
    """A report's published form."""

    @property
    def required(self) -> frozenset[str]:
        """Columns without which it is not this report. Others are passed over."""

    def line(self, row: Row) -> Line | None:
        """Return a row as a line; None for one that moves nothing. Raises ReportRefused."""


@final
class Reading:
    """Reads one report. `feed` it pieces in order, then `end` it."""

    def __init__(self, form: Format, *, look_bytes: int = LOOK_BYTES) -> None:
        self._form = form
        self._rest = b""
        self._look_bytes = look_bytes
        self._look_at = look_bytes
        self._places: Mapping[str, int] | None = None
        self._columns: Sequence[str] = ()
        #: The physical line with which the rest begins.
        self._next = 1
        self._first = True

    def feed(self, piece: bytes) -> Iterator[Line]:
        """Yield lines that are whole by now; a few may wait for the next piece.

        Raises:
            ReportRefused: see there. Nothing that follows is read.
        """
        for begin in range(0, len(piece), PIECE_BYTES_MAX):
            self._rest += piece[begin : begin + PIECE_BYTES_MAX]
            if self._first and len(self._rest) >= len(codecs.BOM_UTF8):
                self._rest = self._rest.removeprefix(codecs.BOM_UTF8)
                self._first = False
            if len(self._rest) < self._look_at:
                continue
            end = whole_rows(self._rest)
            if end:
                whole, self._rest = self._rest[:end], self._rest[end:]
                yield from self._lines(whole)
            self._look_at = len(self._rest) + self._look_bytes
            if len(self._rest) > ROW_BYTES_MAX:
                raise ReportRefused(self._next, None, _TOO_LONG)

    def end(self) -> Iterator[Line]:
        """Yield what is left: a last row without a line feed.

        Raises:
            ReportRefused: see there; likewise for a report without a header.
        """
        whole, self._rest = self._rest.removeprefix(codecs.BOM_UTF8 if self._first else b""), b""
        if whole:
            yield from self._lines(whole)
        if self._places is None:
            raise ReportRefused(1, None, "the report is empty")

    def flush(self) -> Iterator[Line]:
        """Yield what is left where the caller knows that a row ends here. Raises ReportRefused: see there."""
        whole, self._rest = self._rest.removeprefix(codecs.BOM_UTF8 if self._first else b""), b""
        self._first = False
        self._look_at = self._look_bytes
        if whole:
            yield from self._lines(whole)

    @property
    def columns(self) -> Sequence[str]:
        """What the header calls its columns; none where it was not read yet."""
        return self._columns

    @property
    def next_line(self) -> int:
        """Return the physical line with which what was not yielded yet begins."""
        return self._next

    def go_on(self, columns: Sequence[str], line: int) -> None:
        """Begin behind a header that another reading has read: what is fed begins with this physical line.

        Raises:
            ReportRefused: it is no header of this form.
        """
        self._places = self._header(1, columns)
        self._columns = columns
        self._next = line
        self._first = False

    def _lines(self, whole: bytes) -> Iterator[Line]:
        begin = self._next
        try:
            text = whole.decode()
        except UnicodeDecodeError as error:
            at = begin + whole.count(b"\n", 0, error.start)
            raise ReportRefused(at, None, "not UTF-8") from None
        if b'"' in whole or b"\r" in whole:
            # Anything else would be read in one way or another, depending on where the pieces were cut.
            sound = _CSV.match(whole)
            end = 0 if sound is None else sound.end()
            if end < len(whole):
                at = begin + whole.count(b"\n", 0, end)
                raise ReportRefused(at, None, "not CSV: a quote or a carriage return stands alone")
        # Rows are looked at one by one only where a piece is worth it.
        suspicious = has_cardlike_bytes(whole)
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        while True:
            number = begin + rows.line_num
            cells = next(rows, None)
            self._next = begin + rows.line_num
            if cells is None:
                return
            if cells:
                line = self._line(number, cells, suspicious=suspicious)
                if line is not None:
                    yield line

    def _line(self, number: int, cells: Sequence[str], *, suspicious: bool) -> Line | None:
        if self._places is None:
            self._places = self._header(number, cells)
            self._columns = [name.strip() for name in cells]
            return None
        if len(cells) != len(self._columns):
            raise ReportRefused(
                number, None, f"{len(cells)} cells under a header of {len(self._columns)}"
            )
        if sum(map(len, cells)) > ROW_CHARACTERS_MAX:
            raise ReportRefused(number, None, _TOO_LONG)
        if suspicious:
            for name, cell in zip(self._columns, cells, strict=True):
                if has_cardlike(cell):
                    raise ReportRefused(number, name, "holds what looks like a card number")
        return self._form.line(Row(number, cells, self._places))

    def _header(self, number: int, cells: Sequence[str]) -> Mapping[str, int]:
        if len(cells) > COLUMNS_MAX:
            raise ReportRefused(number, None, f"more than {COLUMNS_MAX} columns")
        places: dict[str, int] = {}
        for place, cell in enumerate(cells):
            name = cell.strip()
            # A name is repeated in errors, so it is looked at first.
            if len(name) > HEADER_CHARACTERS_MAX or _HEADER.fullmatch(name) is None:
                raise ReportRefused(
                    number, None, f"column {place + 1} has no name that can be read"
                )
            if has_cardlike(name):
                raise ReportRefused(number, None, "the header holds what looks like a card number")
            if name and name in places:
                raise ReportRefused(number, name, "stands there twice")
            places[name] = place
        for name in sorted(self._form.required):
            if name not in places:
                raise ReportRefused(number, name, "is missing")
        return places


def read(form: Format, content: Iterable[bytes]) -> Iterator[Line]:
    """Yield a report's lines, one at a time. Raises ReportRefused."""
    reading = Reading(form)
    for piece in content:
        yield from reading.feed(piece)
    yield from reading.end()


async def read_stream(form: Format, content: AsyncIterable[bytes]) -> AsyncIterator[Line]:
    """Yield a report's lines as they arrive. Raises ReportRefused."""
    reading = Reading(form)
    async for piece in content:
        for line in reading.feed(piece):
            yield line
    for line in reading.end():
        yield line


def whole_rows(content: bytes) -> int:
    """Return where the last row ends that is whole: behind a line feed before which quotes pair. 0: none is."""
    end = content.rfind(b"\n")
    quotes = content.count(b'"', 0, max(end, 0))
    while end >= 0 and quotes % 2:
        # The last quote opened what is not closed: no line feed behind it ends a row. Each byte is counted once.
        before = content.rfind(b"\n", 0, content.rfind(b'"', 0, end))
        quotes -= content.count(b'"', before + 1, end)
        end = before
    return end + 1
