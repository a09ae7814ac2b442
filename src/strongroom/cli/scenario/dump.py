# SPDX-License-Identifier: Apache-2.0
"""A logical dump of every database of the demo's server, as a stream: nothing of it is written to a disk.

`pg_dump` where PostgreSQL's programs have it, else COPY of every table; both as the bootstrap login, which sees all.
"""

import re
import subprocess
from binascii import unhexlify
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from strongroom.config import Settings
from strongroom.db.address import Address
from strongroom.db.embedded import Embedded
from strongroom.db.embedded.binaries import candidates
from strongroom.db.pool import connect
from strongroom.kernel.errors import StrongroomError

_CHUNK_BYTES: Final = 4 * 1024 * 1024
#: How COPY prints a bytea: a backslash is doubled.
_BYTEA: Final = re.compile(rb"\\\\x((?:[0-9a-f]{2})+)(?=[\t\n,}]|$)")
_DATABASES: Final = (
    "select datname from pg_database where datallowconn and not datistemplate order by 1"
)
_TABLES: Final = """
    select format('%I.%I', n.nspname, c.relname)
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'm') and n.nspname not in ('pg_catalog', 'information_schema')
     order by 1
"""


class DumpFailed(StrongroomError):
    """A database could not be dumped."""

    code = "dump_failed"


def bootstrap(settings: Settings, database: str = "postgres") -> Address:
    """Return where the embedded server's superuser logs in."""
    return Embedded(settings.state / "postgres").bootstrap_address(database)


async def checkpointed(settings: Settings) -> list[str]:
    """Have the server write every page to its files; return the names of its databases."""
    connection = await connect(bootstrap(settings))
    try:
        await connection.execute("checkpoint")
        return [str(row["datname"]) for row in await connection.fetch(_DATABASES)]
    finally:
        await connection.close()


def find_pg_dump(settings: Settings) -> Path | None:
    """Return pg_dump, if it came with the server."""
    folders = [settings.postgres_binaries] if settings.postgres_binaries else candidates()
    programs = (folder / "pg_dump" for folder in folders)
    return next((program for program in programs if program.is_file()), None)


def unpacked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the rows with every bytea as the bytes it holds, so that what lies in it is searched in every form."""
    rest = b""
    for chunk in chunks:
        whole, newline, rest = (rest + chunk).rpartition(b"\n")
        yield _BYTEA.sub(_bytes_of, whole + newline)
    yield _BYTEA.sub(_bytes_of, rest)


def _bytes_of(match: "re.Match[bytes]") -> bytes:
    return b" " + unhexlify(match[1]) + b" "


def dumped(program: Path, address: Address) -> Iterator[bytes]:
    """Yield a database's dump.

    Raises:
        DumpFailed: the program says so; its words are not repeated.
    """
    password = address.password.expose() if address.password else ""
    process = subprocess.Popen(  # noqa: S603 - a list of arguments, no shell; the program is PostgreSQL's own
        [
            str(program),
            "-h",
            address.host,
            "-p",
            str(address.port),
            "-U",
            address.user,
            address.database,
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "PGPASSWORD": password},
    )
    with process:
        if process.stdout is not None:
            while chunk := process.stdout.read(_CHUNK_BYTES):
                yield chunk
    if process.returncode != 0:
        raise DumpFailed(f"pg_dump of {address.database} ended with {process.returncode}")


async def copied(address: Address) -> list[bytes]:
    """Return every row of every table of a database, as COPY prints them."""
    connection = await connect(address)
    chunks: list[bytes] = []

    async def keep(data: bytes) -> None:
        chunks.append(data)

    try:
        for row in await connection.fetch(_TABLES):
            await connection.copy_from_query(f"table {row[0]}", output=keep)
    finally:
        await connection.close()
    return chunks
