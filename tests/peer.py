# SPDX-License-Identifier: Apache-2.0
"""A raw HTTP/1.1 peer for tests: says exactly the bytes it is told to, and writes down every request it was sent."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec


@dataclass(frozen=True, slots=True)
class Sent:
    """One request as it came over the wire."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


#: What the peer does once it has read a request: the bytes to answer with, or None when it said what it had to say.
Behaviour = Callable[[Sent, asyncio.StreamWriter], Awaitable[bytes | None]]


def answer(
    body: bytes = b"{}", status: int = 200, headers: str = "content-type: application/json\r\n"
) -> bytes:
    """A whole answer."""
    head = f"HTTP/1.1 {status} Something\r\n{headers}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def says(*answers: bytes) -> Behaviour:
    """Answer with these in turn; the last one repeats."""
    left = list(answers)

    async def behave(_sent: Sent, _writer: asyncio.StreamWriter) -> bytes:
        return left.pop(0) if len(left) > 1 else left[0]

    return behave


def cut(before: bytes = b"") -> Behaviour:
    """Say something, or nothing, and close the connection."""

    async def behave(_sent: Sent, writer: asyncio.StreamWriter) -> None:
        writer.write(before)
        writer.close()

    return behave


def reset() -> Behaviour:
    """Reset the connection."""

    async def behave(_sent: Sent, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    return behave


def silent(before: bytes = b"") -> Behaviour:
    """Say something, or nothing, and keep the connection open."""

    async def behave(_sent: Sent, writer: asyncio.StreamWriter) -> None:
        writer.write(before)

    return behave


@dataclass(slots=True)
class Peer:
    """A listening peer. `behaviour` may be changed between requests."""

    behaviour: Behaviour
    port: int = 0
    secure: bool = False
    requests: list[Sent] = field(default_factory=list)
    connections: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{'https' if self.secure else 'http'}://127.0.0.1:{self.port}"

    def hang_up(self) -> None:
        """Close every connection now, as a server does whose patience with an idle one ended."""
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        try:
            while (sent := await _read(reader)) is not None:
                self.requests.append(sent)
                said = await self.behaviour(sent, writer)
                if said is not None:
                    writer.write(said)
                    await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


_LONGEST: Final = 1024 * 1024


async def _read(reader: asyncio.StreamReader) -> Sent | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head[:-4].split("\r\n")
    method, target, _version = first.split(" ")
    headers = {}
    for line in lines:
        name, _, value = line.partition(": ")
        assert name.lower() not in headers, name
        headers[name.lower()] = value
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Sent(method, target, headers, body)


@asynccontextmanager
async def peer(behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    """Lend a peer on a free loopback port."""
    listening = Peer(behaviour, secure=tls is not None)
    server = await asyncio.start_server(
        listening.serve, "127.0.0.1", 0, ssl=tls, limit=_LONGEST, start_serving=True
    )
    listening.port = server.sockets[0].getsockname()[1]
    try:
        yield listening
    finally:
        server.close()
        listening.hang_up()
        await asyncio.wait_for(server.wait_closed(), timeout=10)
