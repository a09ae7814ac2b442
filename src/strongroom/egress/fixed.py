# SPDX-License-Identifier: Apache-2.0
"""Calls one service at an address that the operator set: a key store, a source of credentials. One attempt a call.

The guard of `egress.client` does not stand here, for such a service lies where that guard refuses (a private address,
a cloud's metadata address); so no address that comes from data may ever get here. No redirect is followed: one would
take a credential elsewhere. Nothing here logs.
"""

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import aiohttp
from yarl import URL

from strongroom import __version__
from strongroom.egress.model import Answered
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.tasks import is_being_cancelled

CONNECT_TIMEOUT_SECONDS: Final = 2.0
#: For the whole of a call: a free connection, the handshake, and an answer that comes in drips.
CALL_TIMEOUT_SECONDS: Final = 6.0
CALLS_AT_ONCE: Final = 16
#: Shorter than what servers usually keep, so that few calls meet a connection that has just been ended.
KEEP_ALIVE_SECONDS: Final = 15.0
ANSWER_BYTES_MAX: Final = 256 * 1024


class ServiceAway(StrongroomError):
    """The service did not answer, or not whole. What it made of the request is not known."""

    code = "service_away"


class ServiceUrlRefused(StrongroomError):
    """A service's address is scheme, host and perhaps a port, and nothing else."""

    code = "service_url_refused"


class _Disconnected(aiohttp.ClientError):
    """A connection died under a request. Not one of the errors after which the client would try again."""


class FixedService:
    """The client of one service, for one process and event loop."""

    def __init__(
        self,
        url: str,
        *,
        authorities: Path | None = None,
        call_timeout_seconds: float = CALL_TIMEOUT_SECONDS,
        calls_at_once: int = CALLS_AT_ONCE,
    ) -> None:
        """Check the address and read the authorities.

        Args:
            url: scheme, host and port; `https` verifies certificate and name (TLS 1.2 or later, PCI DSS 4.2.1).
            authorities: PEM file whose authorities are trusted instead of the machine's.
            call_timeout_seconds: for the whole of one call.
            calls_at_once: who comes later waits, within its own time.

        Raises:
            ServiceUrlRefused: it is no such address, or the authorities cannot be read.
        """
        try:
            target = URL(url)
            plain = (
                target.scheme in ("http", "https")
                and target.host is not None
                and target.path in ("", "/")
                and not (target.query_string or target.fragment or target.user or target.password)
            )
        except ValueError:
            plain = False
        if not plain:
            raise ServiceUrlRefused
        self._url = f"{target.scheme}://{target.authority}"
        self._tls = _tls(authorities)
        self._timeout = aiohttp.ClientTimeout(
            total=call_timeout_seconds, connect=min(CONNECT_TIMEOUT_SECONDS, call_timeout_seconds)
        )
        self._calls_at_once = calls_at_once
        self._opened: aiohttp.ClientSession | None = None
        self._closed = False

    async def close(self) -> None:
        """Close every connection. What is called afterwards is away."""
        self._closed = True
        if self._opened is not None:
            session, self._opened = self._opened, None
            await session.close()

    async def call(
        self, method: str, path: str, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> Answered:
        """Send once and return the answer, whatever its status.

        Raises:
            ServiceAway: there was none, or it was longer than ANSWER_BYTES_MAX.
        """
        if self._closed:
            raise ServiceAway
        try:
            response = await self._session().request(
                method,
                URL(self._url + path, encoded=True),
                headers=headers,
                data=body,
                allow_redirects=False,
            )
            try:
                content = await _read(response)
            finally:
                response.close()  # a connection whose answer was read to its end is in the pool by now, and stays
        # RuntimeError: the session was closed before this call had a connection.
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RuntimeError) as error:
            raise ServiceAway from error
        except asyncio.CancelledError:
            if is_being_cancelled():
                raise
            raise ServiceAway from None  # closed while this call waited for a connection
        received = {name.lower(): value for name, value in response.headers.items()}
        return Answered(response.status, received, content, 0.0)

    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            self._opened = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._calls_at_once,
                    keepalive_timeout=KEEP_ALIVE_SECONDS,
                    ssl=self._tls,
                ),
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                headers={"accept-encoding": "identity", "user-agent": f"Strongroom/{__version__}"},
                middlewares=(_once,),
            )
        return self._opened


def _tls(authorities: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=authorities)
    except OSError as error:  # an ssl.SSLError is one
        raise ServiceUrlRefused("the authorities of a service cannot be read") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


async def _once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Hide from the client that a connection died: it would send what it takes for idempotent a second time."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
        raise _Disconnected from None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    pieces = []
    size = 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > ANSWER_BYTES_MAX:
            raise ValueError("the answer is beyond its bound")
        pieces.append(piece)
    return b"".join(pieces)
