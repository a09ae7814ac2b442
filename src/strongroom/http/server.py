# SPDX-License-Identifier: Apache-2.0
"""Serves the edges of a process on granian, in one event loop, over TLS 1.2 and up. Plain HTTP only when told."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import Server

from strongroom.http import limits
from strongroom.http.relay import Relay
from strongroom.kernel.errors import StrongroomError


class PortTaken(StrongroomError):
    """Another program listens there."""

    code = "port_taken"


@dataclass(frozen=True, slots=True)
class Tls:
    """The server's certificate chain and key, PEM files."""

    certificate: Path
    key: Path


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


def _server(endpoint: Endpoint, host: str, port: int) -> Server:
    return Server(
        endpoint.app,
        address=host,
        port=port,
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
    )


class Servers:
    """The servers of a process. `start` returns once every port accepts; `stop` lets requests finish."""

    def __init__(self, endpoints: list[Endpoint]) -> None:
        self._endpoints = endpoints
        #: Where each server itself listens: at the public port, or behind a relay.
        self._inner = [
            (each.host, each.port) if each.relay is None else ("127.0.0.1", _loopback_port())
            for each in endpoints
        ]
        self._servers = [
            _server(endpoint, *inner)
            for endpoint, inner in zip(endpoints, self._inner, strict=True)
        ]
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, deadline_seconds: float = 10) -> None:
        """Listen, and wait until each port takes a connection."""
        loop = asyncio.get_running_loop()
        for endpoint, inner, server in zip(
            self._endpoints, self._inner, self._servers, strict=True
        ):
            require_free(endpoint.host, endpoint.port)
            require_free(*inner)
            self._tasks.append(loop.create_task(server.serve(), name=f"serve-{endpoint.name}"))
        end = loop.time() + deadline_seconds
        for endpoint, (host, port) in zip(self._endpoints, self._inner, strict=True):
            while not await _accepts(host, port):
                if loop.time() > end or any(task.done() for task in self._tasks):
                    raise PortTaken(f"{host}:{port} does not accept connections")
                await asyncio.sleep(0.01)
            if endpoint.relay is not None:
                await endpoint.relay.start(endpoint.host, endpoint.port, port)

    async def stop(self) -> None:
        """Take no new requests, finish those that are under way."""
        relays = [each.relay for each in self._endpoints if each.relay is not None]
        for relay in relays:
            relay.refuse_new()
        for server in self._servers:
            server.stop()  # type: ignore[no-untyped-call]
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(relay.stop() for relay in relays))


async def _accepts(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True
