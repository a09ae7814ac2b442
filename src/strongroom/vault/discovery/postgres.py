# SPDX-License-Identifier: Apache-2.0
"""Searches a PostgreSQL database: every column that a login can read, streamed, in one snapshot."""

import io
from collections.abc import Callable, Iterator
from typing import Final

from strongroom.db.address import Address
from strongroom.db.reading import ROWS_HELD, Reading, Table, reading
from strongroom.kernel.cardlike import redact
from strongroom.kernel.errors import StrongroomError
from strongroom.vault.discovery.batches import search_values
from strongroom.vault.discovery.bounds import Limits
from strongroom.vault.discovery.files import Progress, Tell
from strongroom.vault.discovery.model import Finding, Report
from strongroom.vault.discovery.search import Searcher
from strongroom.vault.discovery.unpack import Unpacker, is_packed

#: How much of a column is searched at once, in bytes.
_HELD_BYTES: Final = 4 * 1024**2
Values = list[tuple[int, bytes]]


class DatabaseSearch:
    """One search of a database, and what it came to."""

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        tell: Tell = lambda _: None,
        wanted: Callable[[Finding], bool] = lambda _: True,
    ) -> None:
        self.report = Report(wanted=wanted)
        self._searcher = Searcher()
        self._tell = tell
        self._unpacker = Unpacker(self._searcher, self.report, limits)
        self._rows = self._expected = 0

    async def run(self, address: Address) -> Report:
        """Search all tables; what cannot be read is in the report.

        Raises:
            DatabaseAway: nobody answers there, or the login is refused.
        """
        async with reading(address) as source:
            tables = await source.tables()
            self._expected = sum(table.rows for table in tables)
            for table in tables:
                place = redact(f"{table.schema}.{table.name}")
                for column in table.withheld:
                    self.report.not_read(f"{place}.{redact(column)}", "no_permission")
                if table.filtered:
                    self.report.not_read(place, "row_security")
                try:
                    await self._table(source, table, place)
                except StrongroomError as error:
                    self.report.not_read(place, error.code)
        return self.report

    async def _table(self, source: Reading, table: Table, place: str) -> None:
        held: list[Values] = [[] for _ in table.columns]
        size = number = 0
        async for row in source.rows(table):
            number += 1
            for column in row.cut:
                self.report.not_read(f"{place}.{redact(column)} row {number}", "value_too_long")
            for values, value in zip(held, row.values, strict=True):
                if value:
                    data = value if isinstance(value, bytes) else value.encode()
                    values.append((number, data))
                    size += len(data)
            if number % ROWS_HELD == 0 or size > _HELD_BYTES:
                self._search(table, place, held, size)
                size = 0
            self._seen(place)
        self._search(table, place, held, size)

    def _seen(self, place: str) -> None:
        self.report.rows += 1
        self._rows += 1
        if self._rows % ROWS_HELD == 0:
            self._tell(Progress(self._rows, max(self._rows, self._expected), place))

    def _search(self, table: Table, place: str, held: list[Values], size: int) -> None:
        self.report.bytes += size
        for (column, is_bytes), values in zip(table.columns, held, strict=True):
            for finding in self._found(
                f"{place}.{redact(column)}", column, values, is_bytes=is_bytes
            ):
                self.report.add(finding)
            values.clear()

    def _found(
        self, place: str, column: str, values: Values, *, is_bytes: bool
    ) -> Iterator[Finding]:
        plain = values
        if is_bytes:
            plain = [(number, value) for number, value in values if not is_packed(value)]
            for number, value in values:
                if is_packed(value):
                    yield from self._unpacker.stream(io.BytesIO(value), f"{place} row {number}")
        yield from search_values(self._searcher, plain, place, column)
