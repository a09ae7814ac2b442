# SPDX-License-Identifier: Apache-2.0
"""Serves the edges of a process on granian, in one event loop, over TLS 1.2 and up. Plain HTTP only when told."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import Server

from strongroom.http import limits
from strongroom.http.relay import Relay
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.invariant import Bug

#: A server that cannot take its port ends at once.
BINDING_SECONDS: Final = 0.05


class AuthorityMissing(StrongroomError):
    """An internal port has no authority whose clients it would take, and is not opened."""

    code = "internal_authority_missing"


class PortTaken(StrongroomError):
    """Another program listens there."""

    code = "port_taken"


@dataclass(frozen=True, slots=True)
class Tls:
    """The server's certificate chain and key, PEM files."""

    certificate: Path
    key: Path
    #: Where set, only clients with a certificate of one of these authorities are let in (mutual TLS).
    clients: Path | None = None
    #: Lists of revoked certificates, one of each authority; without any, none is looked for.
    revoked: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One listener: its app and where it listens."""

    name: str
    app: Callable[..., Any]
    host: str
    port: int
    tls: Tls | None
    header_seconds_max: float = limits.HEADER_SECONDS_MAX
    #: Stands at the public port and reads the PROXY protocol; the server itself is then at a loopback port.
    relay: Relay | None = None

    @property
    def url(self) -> str:
        """Where it is reached."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self.tls is None else 'https'}://{host}:{self.port}"


def require_free(host: str, port: int) -> None:
    """Refuse a port that somebody has, with its name, before anything else starts.

    Raises:
        PortTaken: bind failed.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(f"{host}:{port}: {error.strerror}") from None


def _loopback_port() -> int:
    """Return a port of the loopback address that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _server(endpoint: Endpoint) -> Server:
    return Server(
        endpoint.app,
        address=endpoint.host,
        port=endpoint.port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=limits.CONNECTIONS_WAITING_MAX,
        http1_settings=HTTP1Settings(
            header_read_timeout=int(endpoint.header_seconds_max * 1000),
            max_buffer_size=8192 + 4096 * 100,
        ),
        log_enabled=False,
        log_level=LogLevels.error,
        ssl_cert=endpoint.tls.certificate if endpoint.tls else None,
        ssl_key=endpoint.tls.key if endpoint.tls else None,
        ssl_protocol_min=SSLProtocols.tls12,
        ssl_ca=endpoint.tls.clients if endpoint.tls else None,
        ssl_crl=list(endpoint.tls.revoked) if endpoint.tls else [],
        ssl_client_verify=endpoint.tls is not None and endpoint.tls.clients is not None,
    )


class _Draining:
    """Hands requests on, and asks each caller to end its connection after the answer."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self._handle: Callable[[Any, Any], Awaitable[None]] = getattr(app, "__rsgi__", app)
        self.ending = False

    def serve(self, scope: Any, protocol: Any) -> Awaitable[None]:
        """Serve one request."""
        return self._handle(scope, _Ending(protocol) if self.ending else protocol)


class _Ending:
    """granian's protocol of one request, whose answer ends the connection (RFC 9112 §9.6)."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    async def __call__(self) -> bytes:
        body: bytes = await self._protocol()
        return body

    def __aiter__(self) -> Any:
        return self._protocol.__aiter__()

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Answer, and end."""
        self._protocol.response_bytes(status, [*headers, ("connection", "close")], body)


class _Generation:
    """One server on a port; another takes its place when the certificate is another."""

    def __init__(self, endpoint: Endpoint) -> None:
        tls = endpoint.tls
        if tls is not None and tls.clients is not None and not tls.clients.is_file():
            # The server would leave out the look at certificates, and say so in a log that nobody reads.
            raise AuthorityMissing(f"{endpoint.name}: {tls.clients} is not there")
        self._name = endpoint.name
        #: Where it listens.
        self.place = (endpoint.host, endpoint.port)
        self._draining = _Draining(endpoint.app)
        self._server = _server(replace(endpoint, app=self._draining.serve))
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._server.serve(), name=f"serve-{self._name}")

    @property
    def ended(self) -> bool:
        return self._task is not None and self._task.done()

    async def drain(self, seconds: float) -> None:
        """Let callers leave: who asks is told to connect anew, and who is idle ends the connection himself."""
        self._draining.ending = True
        try:
            await asyncio.sleep(seconds)
        finally:
            await self.stop()

    async def stop(self) -> None:
        self._server.stop()  # type: ignore[no-untyped-call]
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)


class Servers:
    """The servers of a process. `start` returns once every port accepts; `stop` lets requests finish."""

    def __init__(self, endpoints: list[Endpoint]) -> None:
        self._endpoints = {endpoint.name: endpoint for endpoint in endpoints}
        #: Each server itself listens at the public port, or at a loopback port behind a relay.
        self._current = {
            endpoint.name: _Generation(
                endpoint
                if endpoint.relay is None
                else replace(endpoint, host="127.0.0.1", port=_loopback_port())
            )
            for endpoint in endpoints
        }
        self._leaving: set[asyncio.Task[None]] = set()

    async def start(self, deadline_seconds: float = 10) -> None:
        """Listen, and wait until each port takes a connection."""
        loop = asyncio.get_running_loop()
        for name, endpoint in self._endpoints.items():
            require_free(endpoint.host, endpoint.port)
            self._current[name].start()
        end = loop.time() + deadline_seconds
        for name, endpoint in self._endpoints.items():
            host, port = self._current[name].place
            while not await _accepts(host, port):
                if loop.time() > end or any(each.ended for each in self._current.values()):
                    raise PortTaken(f"{host}:{port} does not accept connections")
                await asyncio.sleep(0.01)
            if endpoint.relay is not None:
                await endpoint.relay.start(endpoint.host, endpoint.port, port)

    async def renew(
        self, name: str, drain_seconds: float, clients: Path, revoked: tuple[Path, ...]
    ) -> None:
        """Serve an internal port with its certificate files as they are now, and lose no request.

        A second server takes the port beside the first. For so long the first one answers what comes to it and tells
        each caller to connect anew; then it is stopped. A connection that it has not accepted by then is dropped
        before anything can be sent on it.

        Raises:
            AuthorityMissing, PortTaken: the first goes on.
            OSError: a file is no certificate or key (`ssl.SSLError`); likewise.
        """
        endpoint = self._endpoints[name]
        if endpoint.tls is None:
            raise Bug("a port without TLS has no certificate to renew")
        tls = replace(endpoint.tls, clients=clients, revoked=revoked)
        following = _Generation(replace(endpoint, tls=tls))
        following.start()
        await asyncio.sleep(BINDING_SECONDS)
        if following.ended:
            raise PortTaken(f"{name}: a second server could not take the port")
        before, self._current[name] = self._current[name], following
        task = asyncio.get_running_loop().create_task(before.drain(drain_seconds))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    @property
    def leaving(self) -> int:
        """How many servers still answer beside their successors."""
        return len(self._leaving)

    async def stop(self) -> None:
        """Take no new requests, finish those that are under way."""
        relays = [each.relay for each in self._endpoints.values() if each.relay is not None]
        for relay in relays:
            relay.refuse_new()
        for task in self._leaving:
            task.cancel()
        await asyncio.gather(*self._leaving, return_exceptions=True)
        await asyncio.gather(*(each.stop() for each in self._current.values()))
        await asyncio.gather(*(relay.stop() for relay in relays))


async def _accepts(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True
