# SPDX-License-Identifier: Apache-2.0
"""A tap on the line between Strongroom and PostgreSQL: keeps every byte that either sends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from database import Databases
from strongroom.db.address import Address
from strongroom.db.logins import Domain, Login


@dataclass(slots=True)
class Tap:
    """What went over the line."""

    sent: bytearray = field(default_factory=bytearray)
    received: bytearray = field(default_factory=bytearray)


class TappedDatabases(Databases):
    """The same databases, reached through another socket."""

    folder: Path

    def address(self, domain: Domain, login: Login) -> Address:
        return replace(Databases.address(self, domain, login), host=str(self.folder))


@asynccontextmanager
async def tapped(databases: Databases, folder: Path) -> AsyncIterator[tuple[TappedDatabases, Tap]]:
    """Listen on a socket in the folder, and pass everything on to the real one."""
    real = databases.administrator(Domain.VAULT)
    name = f".s.PGSQL.{real.port}"
    tap = Tap()
    open_writers: set[asyncio.StreamWriter] = set()

    async def pump(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                kept.extend(data)
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_unix_connection(f"{real.host}/{name}")
        open_writers.update((writer, forth))
        await asyncio.gather(pump(reader, forth, tap.sent), pump(back, writer, tap.received))
        open_writers.difference_update((writer, forth))

    server = await asyncio.start_unix_server(serve, f"{folder}/{name}")
    through = TappedDatabases(databases.server, databases.names)
    through.folder = folder
    try:
        yield through, tap
    finally:
        server.close()
        for writer in open_writers:
            writer.close()
