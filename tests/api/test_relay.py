# SPDX-License-Identifier: Apache-2.0
"""The PROXY protocol over real connections: whose request it is, what is refused, and how a connection ends."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from api.listener import KEY, Notebook, edge, listening
from polling import until
from service import Service, free_ports
from strongroom.config import ForwardedHeader
from strongroom.http.callers import Callers
from strongroom.http.relay import Relay
from strongroom.http.relayed import RelayedPeers
from strongroom.http.server import Endpoint, Servers, Tls
from strongroom.kernel.addresses import Networks

LOOPBACK = Networks.parse(["127.0.0.1"])
HEADER = b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n"
SECONDS_MAX = 10


class Ground:
    """A small listener behind a relay."""

    def __init__(self, port: int, relay: Relay, notebook: Notebook, refused: list[str]) -> None:
        self.port = port
        self.relay = relay
        self.notebook = notebook
        self.refused = refused

    @asynccontextmanager
    async def connection(
        self,
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Lend a connection to the public port."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    async def ask(self, first: bytes, path: str = "/whence", *headers: str) -> str:
        """Send a header and a request, and return what the answer's body says; "" when the connection was closed."""
        async with self.connection() as (reader, writer):
            writer.write(first + request(path, *headers))
            try:
                return body_of(await asyncio.wait_for(reader.read(-1), SECONDS_MAX))
            except ConnectionError:
                return ""


def request(path: str, *headers: str, close: bool = True) -> bytes:
    more = "".join(f"{each}\r\n" for each in (*headers, *(("connection: close",) if close else ())))
    return f"GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {KEY}\r\n{more}\r\n".encode()


def body_of(answer: bytes) -> str:
    return answer.partition(b"\r\n\r\n")[2].decode()


@asynccontextmanager
async def relayed(
    *,
    proxies: Networks = LOOPBACK,
    header: ForwardedHeader = ForwardedHeader.NONE,
    tls: Tls | None = None,
    **bounds: Any,
) -> AsyncIterator[Ground]:
    notebook, refused = Notebook(), list[str]()
    relay = Relay(
        RelayedPeers(), proxies, on_refused=lambda reason, _: refused.append(reason), **bounds
    )
    small = edge(notebook, callers=Callers(proxies, header, None, relay))
    (port,) = free_ports(1)
    servers = Servers([Endpoint("small", small, "127.0.0.1", port, tls, relay=relay)])
    await servers.start()
    try:
        yield Ground(port, relay, notebook, refused)
    finally:
        await servers.stop()


@pytest.mark.parametrize(
    ("first", "caller"),
    [
        (HEADER, "203.0.113.7"),
        (b"PROXY TCP6 2001:db8::7 fd00::1 4711 443\r\n", "2001:db8::7"),
        (b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00", "127.0.0.1"),
        (b"", ""),
        (b"PROXY UNKNOWN\r\n", ""),
        (b"PROXY TCP4 nobody 10.0.0.1 4711 443\r\n", ""),
    ],
)
async def test_a_request_has_the_address_that_the_header_says(first: bytes, caller: str) -> None:
    async with relayed() as ground:
        assert await ground.ask(first) == caller
        assert ground.refused == ([] if caller else ["proxy_header_malformed"])


async def test_each_connection_has_its_own_address() -> None:
    async with relayed() as ground:
        addresses = [f"198.51.100.{number}" for number in range(60)]
        said = await asyncio.gather(
            *(
                ground.ask(f"PROXY TCP4 {address} 10.0.0.1 4711 443\r\n".encode())
                for address in addresses
            )
        )
        assert list(said) == addresses
        assert len(ground.relay.peers) == 0


async def test_whoever_is_no_proxy_is_refused() -> None:
    async with relayed(proxies=Networks.parse(["10.0.0.0/8"])) as ground:
        assert await ground.ask(HEADER) == ""
        assert ground.refused == ["proxy_not_trusted"]


async def test_a_way_past_the_relay_leads_nowhere() -> None:
    async with relayed() as ground:
        ground.port = ground.relay.upstream[1]
        assert "proxy_header_missing" in await ground.ask(b"")


async def test_a_header_of_http_counts_only_behind_a_proxy_of_ours() -> None:
    async with relayed(header=ForwardedHeader.X_FORWARDED_FOR) as ground:
        lie = "x-forwarded-for: 6.6.6.6"
        assert await ground.ask(HEADER, "/whence", lie) == "203.0.113.7"
        local = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
        assert await ground.ask(local, "/whence", "x-forwarded-for: 198.51.100.7") == "198.51.100.7"


async def test_a_header_may_come_slowly_but_not_for_ever() -> None:
    async with relayed(header_seconds_max=0.5) as ground:
        async with ground.connection() as (reader, writer):
            for at in range(0, len(HEADER), 7):
                writer.write(HEADER[at : at + 7])
                await writer.drain()
                await asyncio.sleep(0)
            writer.write(request("/whence"))
            assert body_of(await reader.read(-1)) == "203.0.113.7"
        async with ground.connection() as (reader, writer):
            writer.write(HEADER[:5])
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(-1), SECONDS_MAX) == b""
        assert ground.refused == ["proxy_header_slow"]


async def test_a_half_close_is_passed_on_and_ends_as_without_a_relay() -> None:
    """The server takes it for the caller's leaving, which looks the same: what was answered before still arrives."""
    async with relayed() as ground, ground.connection() as (reader, writer):
        writer.write(HEADER + request("/whence", close=False))
        answer = await asyncio.wait_for(reader.readuntil(b"203.0.113.7"), SECONDS_MAX)
        assert answer.startswith(b"HTTP/1.1 200")
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(-1), SECONDS_MAX) == b""
        await until_none(ground.relay)
    async with listening(Notebook()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request("/whence", close=False))
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(-1), SECONDS_MAX) == b""
        writer.close()


@pytest.mark.parametrize("path", ["/slow", "/open"])
async def test_a_caller_who_leaves_leaves_nothing_behind(path: str) -> None:
    async with relayed() as ground, ground.connection() as (_, writer):
        writer.write(HEADER + request(path, close=False))
        await until(lambda: len(ground.relay.peers) == 1)
        writer.transport.abort()
        await until_none(ground.relay)


async def until_none(relay: Relay) -> None:
    await until(lambda: not relay.connections and not len(relay.peers))


async def test_one_connection_too_many_is_refused_and_the_others_go_on() -> None:
    async with relayed(connections_max=2) as ground, ground.connection() as (reader, writer):
        async with ground.connection() as other:
            for each, ours in ((reader, writer), other):
                ours.write(HEADER + request("/open", close=False))
                assert (await each.readuntil(b"open")).startswith(b"HTTP/1.1 200")
            assert await ground.ask(HEADER) == ""
            assert ground.refused == ["proxy_connections_full"]
        await until(lambda: ground.relay.connections == 1)
        assert await ground.ask(HEADER) == "203.0.113.7"


def posted(body: bytes) -> bytes:
    """A request whose answer is how long the one value of its body is."""
    return (
        "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    ).encode() + body


async def test_shutting_down_lets_a_request_finish_and_takes_no_more() -> None:
    async with relayed() as ground, ground.connection() as (reader, writer):
        whole = posted(b'{"a": "b"}')
        writer.write(HEADER + whole[:-3])
        await until(lambda: len(ground.relay.peers) == 1)
        ground.relay.refuse_new()
        with pytest.raises(ConnectionError):
            async with ground.connection():
                pass
        writer.write(whole[-3:])
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SECONDS_MAX)
        assert answer.startswith(b"HTTP/1.1 201")


async def test_a_server_that_stops_ends_what_is_open() -> None:
    async with relayed() as ground, ground.connection() as (reader, writer):
        writer.write(HEADER + request("/open", close=False))
        await reader.readuntil(b"open")
        await ground.relay.stop(linger_seconds=0.05)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(-1), SECONDS_MAX) == b""


async def test_bodies_pass_whole() -> None:
    text = "a" * 15_000
    async with relayed() as ground, ground.connection() as (reader, writer):
        writer.write(HEADER)
        for _ in range(50):
            writer.write(posted(f'{{"a": "{text}"}}'.encode()))
            await asyncio.wait_for(reader.readuntil(str(len(text)).encode()), SECONDS_MAX)


async def test_tls_comes_behind_the_header(service: Service) -> None:
    folder = service.settings.state / "tls"
    trusted = ssl.create_default_context(cafile=str(service.authority))
    async with (
        relayed(tls=Tls(folder / "server.pem", folder / "server.key")) as ground,
        ground.connection() as (reader, writer),
    ):
        writer.write(HEADER)
        await writer.start_tls(trusted, server_hostname="localhost")
        writer.write(request("/whence"))
        assert body_of(await asyncio.wait_for(reader.read(-1), SECONDS_MAX)) == "203.0.113.7"
