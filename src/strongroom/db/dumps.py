# SPDX-License-Identifier: Apache-2.0
"""Dumps a database in three parts with PostgreSQL's own tools, and puts them back: data, wrapped keys, audit log.

One snapshot for the parts of a database, so that they agree. What opens a CVC is in none (promise 2).
"""

import enum
import os
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import asyncpg

from strongroom.db.address import Address
from strongroom.db.embedded.binaries import candidates
from strongroom.db.errors import translated
from strongroom.db.pool import connect, connected
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.invariant import Bug


class DumpPart(enum.StrEnum):
    """What is dumped apart, in the order in which it is put back."""

    #: Everything else: sealed cards, payments, people, the history of the schema.
    DATA = "data"
    #: Data keys, wrapped: worth nothing without the roots, and the cards nothing without them.
    KEYS = "keys"
    AUDIT = "audit"


_PARTS: Final[Mapping[DumpPart, Sequence[str]]] = {
    DumpPart.DATA: (
        "--exclude-schema=keys",
        "--exclude-schema=audit",
        "--exclude-table-data=vault.cvc_epoch*",
    ),
    DumpPart.KEYS: ("--schema=keys",),
    DumpPart.AUDIT: ("--schema=audit",),
}
_COUNTED: Final = """
select n.nspname || '.' || c.relname as name, format('%I.%I', n.nspname, c.relname) as quoted
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind = 'r' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
   and c.relname !~ '^cvc_epoch'
 order by 1
"""
_LOST: Final = """
select coalesce(sum(t.cards), 0)
  from (select merchant_id, mode, key_version, count(*) as cards from vault.token group by 1, 2, 3) t
 where not exists (select from keys.data_key k
                    where k.merchant_id = t.merchant_id and k.mode = t.mode and k.name = 'card'
                      and k.version = t.key_version and k.state <> 'destroyed')
"""
_SCHEMAS: Final = """
select format('%I', n.nspname) as quoted from pg_namespace n
 where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'public') order by 1
"""


class ToolMissing(StrongroomError):
    """`pg_dump` and `pg_restore` are not found: install PostgreSQL's client, or name STRONGROOM_POSTGRES_BINARIES."""

    code = "postgresql_tools_missing"


class DumpFailed(StrongroomError):
    """PostgreSQL's tool did not end well."""

    code = "database_tool_failed"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment of a database: what the parts are dumped from, and how many rows each table has in it."""

    name: str
    server: str
    rows: Mapping[str, int]


def tool(name: str, folder: Path | None = None) -> Path:
    """Return where a tool of PostgreSQL is: in the folder named, in the wheel, or in the system's places.

    Raises:
        ToolMissing: nowhere.
    """
    for place in [folder] if folder else candidates():
        if (place / name).is_file():
            return place / name
    raise ToolMissing


async def rows_of(address: Address) -> Mapping[str, int]:
    """Return how many rows each table has now. Raises as `snapshot`."""
    async with snapshot(address) as now:
        return now.rows


@asynccontextmanager
async def snapshot(address: Address) -> AsyncIterator[Snapshot]:
    """Hold one moment of a database for as long as the context lasts.

    Raises:
        DatabaseAway: it does not answer.
    """
    connection = await connect(address)
    try:
        # What is raised in the context is not the driver's, and is not translated.
        yield await _prepared(connection)
    finally:
        await connection.close()


async def _prepared(connection: asyncpg.Connection) -> Snapshot:
    try:
        await connection.execute("set statement_timeout = 0")
        await connection.execute("set idle_in_transaction_session_timeout = 0")
        await connection.execute("select strongroom.let_backup_read()")
        await connection.execute("begin isolation level repeatable read read only")
        name = await connection.fetchval("select pg_export_snapshot()")
        server = await connection.fetchval("show server_version")
        rows = {
            row["name"]: await connection.fetchval(f"select count(*) from {row['quoted']}")
            for row in await connection.fetch(_COUNTED)
        }
    except Exception as error:
        raise translated(error) from None
    return Snapshot(name, server, rows)


def dump(program: Path, address: Address, part: DumpPart, moment: Snapshot) -> "Tool":
    """Begin to dump a part in PostgreSQL's own format; read `stdout`, then `finish`.

    Row-level security stays on: the backup's login sees all rows by its policies, and a table without one would be
    refused rather than dumped in part.
    """
    options = [
        "--format=custom",
        "--compress=6",
        "--enable-row-security",
        f"--snapshot={moment.name}",
        *_PARTS[part],
    ]
    return Tool([str(program), *options], address, reads=True)


def restore(program: Path, address: Address) -> "Tool":
    """Begin to put a part back, as the owner, all or nothing; write to `stdin`, then `finish`."""
    options = [
        "--exit-on-error",
        "--single-transaction",
        "--no-owner",
        "--no-privileges",
        f"--dbname={address.database}",
    ]
    return Tool([str(program), *options], address, reads=False)


class Tool:
    """A program of PostgreSQL that runs. Where it connects, and its password, stand in its environment alone."""

    def __init__(self, command: Sequence[str], address: Address, *, reads: bool) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - a program of the installation, and words of ours
            command,
            env=_environment(address),
            stdin=subprocess.DEVNULL if reads else subprocess.PIPE,
            stdout=subprocess.PIPE if reads else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    @property
    def stdout(self) -> IO[bytes]:
        """What a dump gives."""
        return _pipe(self._process.stdout)

    @property
    def stdin(self) -> IO[bytes]:
        """What a restore takes."""
        return _pipe(self._process.stdin)

    def finish(self) -> None:
        """Wait for its end.

        Raises:
            DumpFailed: with the first line of what it said, which quotes no row.
        """
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        said = _pipe(self._process.stderr).read().decode("utf-8", "replace")
        if self._process.wait() != 0:
            first = next((line for line in said.splitlines() if "error:" in line), "")
            raise DumpFailed(first or "PostgreSQL's tool ended with an error")

    def kill(self) -> None:
        """End it at once, and wait; nothing happens to one that has ended."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()


def _environment(address: Address) -> Mapping[str, str]:
    """Return how libpq finds the database, and nothing else of ours."""
    given = {
        "LC_ALL": "C",
        "PGHOST": address.host,
        "PGPORT": str(address.port),
        "PGDATABASE": address.database,
        "PGUSER": str(address.user),
        "PGSSLMODE": address.tls,
        "PGAPPNAME": "strongroom",
        "PGPASSFILE": os.devnull,
    }
    if address.password is not None:
        given["PGPASSWORD"] = address.password.expose()
    if address.ca_file is not None:
        given["PGSSLROOTCERT"] = str(address.ca_file)
    elif address.tls == "verify-full":
        given["PGSSLROOTCERT"] = "system"
    return given


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise Bug("a dump is read, and a restore is written to")
    return pipe


async def lost_cards(reader: Address) -> int:
    """Return how many cards of a vault are sealed under a key that is not there or was destroyed.

    Raises:
        DatabaseAway: it does not answer.
    """
    async with connected(reader) as connection:
        await connection.execute("set statement_timeout = 0")
        return int(await connection.fetchval(_LOST))


async def is_empty(owner: Address) -> bool:
    """Tell whether a database has no schema but the server's own.

    Raises:
        DatabaseAway: it does not answer.
    """
    return not await _schemas(owner)


async def empty(owner: Address) -> None:
    """Take everything that the owner has out of a database: what a restore that failed leaves. Raises likewise."""
    names = await _schemas(owner)
    async with connected(owner) as connection:
        for name in names:
            await connection.execute(f"drop schema if exists {name} cascade")


async def _schemas(owner: Address) -> Sequence[str]:
    async with connected(owner) as connection:
        rows = await connection.fetch(_SCHEMAS)
    return [row["quoted"] for row in rows]
