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
    )


class Servers:
    """The servers of a process. `start` returns once every port accepts; `stop` lets requests finish."""

    def __init__(self, endpoints: list[Endpoint]) -> None:
        self._endpoints = endpoints
        self._servers = [_server(endpoint) for endpoint in endpoints]
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, deadline_seconds: float = 10) -> None:
        """Listen, and wait until each port takes a connection."""
        loop = asyncio.get_running_loop()
        for endpoint, server in zip(self._endpoints, self._servers, strict=True):
            require_free(endpoint.host, endpoint.port)
            self._tasks.append(loop.create_task(server.serve(), name=f"serve-{endpoint.name}"))
        end = loop.time() + deadline_seconds
        for endpoint in self._endpoints:
            while not await _accepts(endpoint.host, endpoint.port):
                if loop.time() > end or any(task.done() for task in self._tasks):
                    raise PortTaken(f"{endpoint.host}:{endpoint.port} does not accept connections")
                await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Take no new requests, finish those that are under way."""
        for server in self._servers:
            server.stop()  # type: ignore[no-untyped-call]
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _accepts(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True
