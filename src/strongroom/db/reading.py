# SPDX-License-Identifier: Apache-2.0
"""Reads every table that a login can read, row by row, in one transaction that can change nothing.

For a search of databases that need not be ours: no schema is assumed, and what the login cannot see is named.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg

from strongroom.db.address import Address
from strongroom.db.errors import translated
from strongroom.db.pool import connect

#: So many rows are held at a time.
ROWS_HELD: Final = 200
#: A value is read up to here, in characters or bytes.
VALUE_LENGTH_MAX: Final = 4 * 1024**2
# Types in which no number of thirteen digits is, or only a moment or an address.
_LEFT_OUT: Final = (
    "bool date time timetz timestamp timestamptz interval uuid int2 int4 oid float4 inet cidr macaddr macaddr8 point"
    " line lseg box path polygon circle bit tsvector xid cid tid regclass"
).split()
_COLUMNS: Final = """
select n.nspname as schema, c.relname as name, c.oid::bigint as oid, a.attname as column,
       coalesce(nullif(b.typname, ''), t.typname) as type,
       has_schema_privilege(n.oid, 'usage') and has_column_privilege(c.oid, a.attnum, 'select') as readable,
       row_security_active(c.oid) as filtered, greatest(c.reltuples, 0)::bigint as rows
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_type t on t.oid = a.atttypid
left join pg_type b on b.oid = t.typbasetype
where c.relkind in ('r', 'm', 'f') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
order by n.nspname, c.relname, a.attnum
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table, a materialized view or a foreign table, with the columns that may be read and can hold a number."""

    schema: str
    name: str
    #: Each with whether it is bytes.
    columns: tuple[tuple[str, bool], ...]
    #: Columns that this login may not read.
    withheld: tuple[str, ...]
    #: Policies keep rows from this login.
    filtered: bool
    #: What the planner thinks.
    rows: int


@dataclass(frozen=True, slots=True)
class Row:
    """A row's values, in the order of the table's columns; None for null."""

    values: Sequence[str | bytes | None]
    #: Columns whose values are longer than what was read.
    cut: tuple[str, ...]


class Reading:
    """A database that is read."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def tables(self) -> Sequence[Table]:
        """Return all tables but the server's own, by schema and name. Raises what the driver's errors are here."""
        try:
            found = await self._connection.fetch(_COLUMNS)
        except Exception as error:
            raise translated(error) from None
        by_table: dict[tuple[str, str], list[asyncpg.Record]] = {}
        for row in found:
            by_table.setdefault((row["schema"], row["name"]), []).append(row)
        return [_table(*key, rows) for key, rows in by_table.items()]

    async def rows(self, table: Table) -> AsyncIterator[Row]:
        """Yield a table's rows, streamed. Raises what the driver's errors are here: the next table may do."""
        if not table.columns:
            return
        try:
            # A table that cannot be read leaves the transaction usable for the next.
            async with self._connection.transaction():
                async for row in self._connection.cursor(_select(table), prefetch=ROWS_HELD):
                    yield _row(table, row)
        except asyncpg.PostgresError as error:
            raise translated(error) from None


@asynccontextmanager
async def reading(address: Address) -> AsyncIterator[Reading]:
    """Open a database for reading: one snapshot, nothing can be written, and no limit on how long it takes.

    Raises:
        DatabaseAway: nobody answers there, or the login is refused.
    """
    connection = await connect(address)
    try:
        await connection.execute("set statement_timeout = 0; set bytea_output = 'hex'")
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield Reading(connection)
    finally:
        await connection.close()


def _table(schema: str, name: str, rows: Sequence[asyncpg.Record]) -> Table:
    wanted = [row for row in rows if row["type"] not in _LEFT_OUT]
    return Table(
        schema,
        name,
        tuple((row["column"], row["type"] == "bytea") for row in wanted if row["readable"]),
        tuple(row["column"] for row in wanted if not row["readable"]),
        any(row["filtered"] for row in rows),
        rows[0]["rows"],
    )


def _select(table: Table) -> str:
    columns = []
    for column, is_bytes in table.columns:
        value = _quoted(column) if is_bytes else f"{_quoted(column)}::text"
        # One more than is looked at tells that there was more.
        columns.append(f"substring({value} from 1 for {VALUE_LENGTH_MAX + 1})")
    return f"select {', '.join(columns)} from {_quoted(table.schema)}.{_quoted(table.name)}"


def _row(table: Table, row: asyncpg.Record) -> Row:
    cut = tuple(
        column
        for (column, _), value in zip(table.columns, row, strict=True)
        if value is not None and len(value) > VALUE_LENGTH_MAX
    )
    return Row(tuple(row), cut)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
