# SPDX-License-Identifier: Apache-2.0
"""Real databases for tests: one embedded server a session, both schemas migrated once, a copy of each a module.

Copies are made from templates (about 25 ms each) and dropped with their module.
"""

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from strongroom.crypto.random import random_bytes
from strongroom.db.address import Address
from strongroom.db.embedded import Embedded
from strongroom.db.logins import LOGINS, Domain, Login, prepare
from strongroom.db.migrate import migrate
from strongroom.db.pool import Database, connect
from strongroom.kernel.secret import Secret

#: Sizes for a small machine that runs other tests beside these.
SIZES: Final = {"shared_buffers": "64MB", "max_connections": "200", "autovacuum_naptime": "5s"}
_numbers: Final = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server with one migrated template a domain."""

    embedded: Embedded
    secrets: Mapping[Login, Secret[str]]
    folder: Path

    def administrator(self, database: str = "postgres") -> Address:
        """Where to log in as the superuser."""
        return self.embedded.bootstrap_address(database)

    def address(self, database: str, login: Login) -> Address:
        """Where to log in as one of ours."""
        return self.embedded.connection(
            database, user=login.value, password=Secret(self.secrets[login].expose())
        )

    async def run(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the superuser."""
        connection = await connect(self.administrator(database))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def blank(self, domain: Domain) -> str:
        """Make a prepared database without a schema, and return its name."""
        name = f"{domain}_{next(_numbers)}"
        await prepare(self.administrator(), domain, name, self.secrets)
        return name

    async def copy(self, domain: Domain, template: str | None = None) -> str:
        """Make a migrated database, and return its name. Rights on a database are not copied with it."""
        name = f"{domain}_{next(_numbers)}"
        template = template or f"template_{domain}"
        await self.run(
            f"create database {name} owner {Login.OWNER} template {template}",
            f"revoke all on database {name} from public",
            f"grant connect on database {name} to {', '.join(sorted(LOGINS[domain]))}",
        )
        return name

    @asynccontextmanager
    async def away(self, name: str) -> AsyncIterator[None]:
        """Cut everybody off from a database, and let nobody in while the block runs."""
        await self.run(
            f"alter database {name} with connection limit 0",
            f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'",
        )
        try:
            yield
        finally:
            await self.run(f"alter database {name} with connection limit -1")

    async def drop(self, name: str) -> None:
        """Drop a database, whoever is still connected."""
        await self.run(f"drop database if exists {name} with (force)")


@dataclass(slots=True)
class Databases:
    """A fresh `vault` and a fresh `core` database."""

    server: Server
    names: Mapping[Domain, str]
    _opened: list[Database] = field(default_factory=list)

    def address(self, domain: Domain, login: Login) -> Address:
        """Where to log in as one of ours."""
        return self.server.address(self.names[domain], login)

    def administrator(self, domain: Domain) -> Address:
        """Where to log in as the superuser, to do what no login of ours may."""
        return replace(self.server.administrator(), database=self.names[domain])

    async def open(self, domain: Domain, login: Login, *, connections_max: int = 4) -> Database:
        """Open a pool; it is closed with these databases."""
        database = Database(self.address(domain, login), connections_max=connections_max)
        await database.open()
        self._opened.append(database)
        return database

    async def run(self, domain: Domain, *statements: str) -> None:
        """Run statements as the superuser."""
        await self.server.run(*statements, database=self.names[domain])

    async def close(self) -> None:
        """Close every pool that `open` opened."""
        for database in self._opened:
            await database.close()
        self._opened.clear()


@contextmanager
def running_server(
    sizes: Mapping[str, str] = SIZES, below: Path = Path("/var/tmp")
) -> Iterator[tuple[Embedded, Path]]:
    """Start a server below a folder that its account reaches; stop it and remove the folder in the end."""
    folder = Path(tempfile.mkdtemp(prefix="strongroom-db-", dir=below)).resolve()
    folder.chmod(0o711)
    embedded = Embedded(folder / "state", settings=sizes)
    try:
        embedded.attach()
        yield embedded, folder
    finally:
        embedded.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def migrated_server(
    sizes: Mapping[str, str] = SIZES, below: Path = Path("/var/tmp")
) -> AsyncIterator[Server]:
    """Lend a server with both templates."""
    with running_server(sizes, below) as (embedded, folder):
        secrets = {login: Secret(random_bytes(24).hex()) for login in Login}
        server = Server(embedded, secrets, folder)
        for domain in Domain:
            name = f"template_{domain}"
            await prepare(server.administrator(), domain, name, secrets)
            await migrate(server.address(name, Login.OWNER), domain)
        yield server


@asynccontextmanager
async def fresh_databases(
    server: Server, domains: Iterable[Domain] = Domain
) -> AsyncIterator[Databases]:
    """Lend a copy of each template."""
    databases = Databases(server, {domain: await server.copy(domain) for domain in domains})
    try:
        yield databases
    finally:
        await databases.close()
        await asyncio.gather(*(server.drop(name) for name in databases.names.values()))
