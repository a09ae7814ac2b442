# SPDX-License-Identifier: Apache-2.0
"""A tap on the line between Strongroom and PostgreSQL: keeps every byte that either sends."""

import asyncio
import ssl
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


# --- between processes --------------------------------------------------------------------------------


@dataclass(slots=True)
class Line:
    """A tap, and where it listens."""

    tap: Tap
    place: str


async def _pumped(
    tap: Tap,
    near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    """Pass everything on both ways, and keep it, until either side ends."""

    async def pump(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                kept.extend(data)
                writer.write(data)
                await writer.drain()
        writer.close()

    await asyncio.gather(
        pump(near[0], far[1], tap.sent), pump(far[0], near[1], tap.received), return_exceptions=True
    )


@asynccontextmanager
async def tapped_database(real: Address, folder: Path) -> AsyncIterator[Line]:
    """Listen on a socket in the folder in the place of a database's, and pass everything on."""
    tap = Tap()
    name = f".s.PGSQL.{real.port}"
    open_writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far = await asyncio.open_unix_connection(f"{real.host}/{name}")
        open_writers.update((writer, far[1]))
        await _pumped(tap, (reader, writer), far)

    server = await asyncio.start_unix_server(serve, f"{folder}/{name}")
    dsn = f"postgresql:///{real.database}?host={folder}&port={real.port}"
    try:
        yield Line(tap, dsn)
    finally:
        server.close()
        for writer in open_writers:
            writer.close()


@asynccontextmanager
async def tapped_port(folder: Path, real: int) -> AsyncIterator[Line]:
    """Listen in the place of the vault's internal port, behind TLS: with its own certificate towards the callers, and a
    caller's towards it. What is kept is what is said inside.
    """
    tap = Tap()
    near = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    near.load_cert_chain(folder / "server.pem", folder / "server.key")
    near.load_verify_locations(folder / "authorities.pem")
    near.verify_mode = ssl.CERT_REQUIRED
    far = ssl.create_default_context(cafile=str(folder / "authorities.pem"))
    far.load_cert_chain(folder / "gateway.pem", folder / "gateway.key")
    open_writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", real, ssl=far)
        open_writers.update((writer, there[1]))
        await _pumped(tap, (reader, writer), there)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=near)
    try:
        yield Line(tap, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    finally:
        server.close()
        for writer in open_writers:
            writer.close()
