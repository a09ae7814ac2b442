# SPDX-License-Identifier: Apache-2.0
"""Numbered migrations: `NNNN_<both|core|vault>_<expand|contract>_<what>.sql`, one history table a database.

Each runs in a transaction of its own under one advisory lock. A database that is newer than this code is refused.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final, Literal

import asyncpg

from strongroom import __version__
from strongroom.crypto.digest import sha256
from strongroom.db.address import Address
from strongroom.db.errors import (
    MigrationChanged,
    SchemaAhead,
    SchemaBehind,
    translated,
)
from strongroom.db.logins import Domain, grants_sql
from strongroom.db.pool import Database, connect
from strongroom.kernel.invariant import invariant

_NAME: Final = re.compile(
    r"(?P<number>\d{4})_(?P<domain>both|core|vault)_(?P<kind>expand|contract)_[a-z_]+\.sql"
)
_ADVISORY_LOCK: Final = 2_081_201
_LOCK_TIMEOUT: Final = (
    "4s"  # a migration that cannot get its lock gives way to the traffic, and is run again
)
PARTITION_DAYS_AHEAD: Final = 14
IDEMPOTENCY_DAYS_KEPT: Final = 3
PARTITION_MONTHS_AHEAD: Final = 3

_HISTORY: Final = """
create schema if not exists strongroom;
create table if not exists strongroom.migration (
    number integer primary key, name text not null, digest text not null,
    release text not null, applied_at timestamptz not null default now()
);
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of `db/migrations`."""

    number: int
    name: str
    kind: Literal["expand", "contract"]
    domain: str
    sql: str

    @property
    def digest(self) -> str:
        """Return the file's SHA-256, so that a changed file is noticed."""
        return sha256(self.sql.encode()).hex()


def migrations(domain: Domain) -> Sequence[Migration]:
    """Return the migrations of a domain in order."""
    found: list[Migration] = []
    for file in resources.files("strongroom.db").joinpath("migrations").iterdir():
        if not file.name.endswith(".sql"):
            continue
        match = _NAME.fullmatch(file.name)
        if match is None:
            raise AssertionError(f"{file.name} is not named as a migration")
        if match["domain"] in ("both", domain.value):
            kind: Literal["expand", "contract"] = (
                "expand" if match["kind"] == "expand" else "contract"
            )
            found.append(
                Migration(
                    int(match["number"]), file.name, kind, match["domain"], file.read_text("utf-8")
                )
            )
    found.sort(key=lambda migration: migration.number)
    numbers = [migration.number for migration in found]
    invariant(len(numbers) == len(set(numbers)), "a migration's number is used once")
    return found


def pending(known: Sequence[Migration], applied: dict[int, str]) -> Sequence[Migration]:
    """Say which migrations are to be applied to a database with this history (number → digest).

    Raises:
        SchemaAhead: the database has a migration that this code does not know.
        MigrationChanged: an applied file is not the one in this release.
    """
    by_number = {migration.number: migration for migration in known}
    if unknown := sorted(set(applied) - set(by_number)):
        raise SchemaAhead(
            f"the database has migration {unknown[-1]:04d}, this release ends with "
            f"{max(by_number, default=0):04d}: start a newer release"
        )
    for number, digest in applied.items():
        if by_number[number].digest != digest:
            raise MigrationChanged(
                f"{by_number[number].name} is not the file that was applied here"
            )
    return [migration for migration in known if migration.number not in applied]


async def migrate(
    owner: Address, domain: Domain, progress: Callable[[str], None] = lambda _name: None
) -> int:
    """Bring a database to this release's schema, grants and partitions; return how many migrations ran."""
    connection = await connect(owner)
    try:
        await connection.execute(f"set lock_timeout = '{_LOCK_TIMEOUT}'")
        await connection.execute("select pg_advisory_lock($1)", _ADVISORY_LOCK)
        await connection.execute(_HISTORY)
        todo = pending(migrations(domain), await _history(connection))
        for migration in todo:
            progress(migration.name)
            async with connection.transaction():
                await connection.execute(migration.sql)
                await connection.execute(
                    "insert into strongroom.migration (number, name, digest, release) values ($1, $2, $3, $4)",
                    migration.number,
                    migration.name,
                    migration.digest,
                    __version__,
                )
        async with connection.transaction():
            await connection.execute(grants_sql(domain))
        await connection.fetchval(
            "select idempotency.keep_partitions($1, $2)",
            PARTITION_DAYS_AHEAD,
            IDEMPOTENCY_DAYS_KEPT,
        )
        await connection.fetchval("select audit.keep_partitions($1)", PARTITION_MONTHS_AHEAD)
        await connection.fetchval("select strongroom.let_backup_read()")
    except Exception as error:
        raise translated(error) from None
    finally:
        await connection.close()
    return len(todo)


async def require_current(database: Database, domain: Domain) -> None:
    """Refuse to start on a schema that is not this release's.

    Raises:
        SchemaBehind, SchemaAhead, MigrationChanged: see each.
    """
    async with database.connection() as connection:
        try:
            applied = await _history(connection)
        except asyncpg.UndefinedTableError:
            raise SchemaBehind(
                "this database has no schema yet: run `strongroom migrate`"
            ) from None
        except asyncpg.InsufficientPrivilegeError:
            raise SchemaBehind(
                "this login has no rights here yet: run `strongroom migrate`"
            ) from None
    if missing := pending(migrations(domain), applied):
        raise SchemaBehind(
            f"the {domain} database lacks {len(missing)} migrations, first {missing[0].name}: "
            "run `strongroom migrate`"
        )


async def _history(connection: asyncpg.Connection) -> dict[int, str]:
    rows = await connection.fetch("select number, digest from strongroom.migration order by number")
    return {row["number"]: row["digest"] for row in rows}
