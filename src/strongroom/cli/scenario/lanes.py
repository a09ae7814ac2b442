# SPDX-License-Identifier: Apache-2.0
"""A lean HTTP/1.1 client for the load: one request at a time on each of many kept connections, over TLS.

httpx spends more on a request than the server does, and would measure itself. This one sends prepared bytes and
reads a status, a length and a body; it refuses whatever else an HTTP/1.1 server might say.
"""

import asyncio
import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final, cast, final
from urllib.parse import urlsplit

from strongroom.kernel.errors import StrongroomError

_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"
_BODY_BYTES_MAX: Final = 4 * 1024 * 1024


class LaneBroke(StrongroomError):
    """The server closed a connection of the load, or said something that is not HTTP/1.1 with a length."""

    code = "lane_broke"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the load."""

    status: int
    head: bytes
    body: bytes
    seconds: float

    @property
    def json(self) -> dict[str, Any]:
        """The body, decoded; empty where it is no JSON object."""
        try:
            decoded = json.loads(self.body)
        except ValueError:
            return {}
        return decoded if isinstance(decoded, dict) else {}


@final
class Lane(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._buffer = bytearray()
        self._waiting: asyncio.Future[tuple[int, bytes, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # Not asked by isinstance: uvloop's transports are of classes of their own.
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Fail the request that waits."""
        self._transport = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(LaneBroke())

    def data_received(self, data: bytes) -> None:
        """Collect an answer."""
        self._buffer += data
        end = self._buffer.find(_HEAD_END)
        if end < 0 or self._waiting is None or self._waiting.done():
            return
        head = bytes(self._buffer[:end])
        lower = head.lower()
        at = lower.find(_LENGTH)
        length = lower[at + len(_LENGTH) :].partition(b"\r\n")[0].strip() if at >= 0 else b""
        if not head.startswith(b"HTTP/1.1 ") or not length.isdigit():
            self._waiting.set_exception(LaneBroke())
            return
        whole = end + len(_HEAD_END) + int(length)
        if int(length) > _BODY_BYTES_MAX:
            self._waiting.set_exception(LaneBroke("an answer is larger than the load expects"))
        elif len(self._buffer) >= whole:
            body = bytes(self._buffer[end + len(_HEAD_END) : whole])
            del self._buffer[:whole]
            self._waiting.set_result((int(head[9:12]), head, body))

    async def ask(self, request: bytes) -> Reply:
        """Send a request and return its answer.

        Raises:
            LaneBroke: see there.
        """
        if self._transport is None:
            raise LaneBroke
        self._waiting = asyncio.get_running_loop().create_future()
        begun = perf_counter()
        self._transport.write(request)
        status, head, body = await self._waiting
        return Reply(status, head, body, perf_counter() - begun)

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()


async def open_lanes(url: str, context: ssl.SSLContext, count: int) -> list[Lane]:
    """Open that many connections."""
    parts = urlsplit(url)
    host, port = parts.hostname or "localhost", parts.port or 443
    loop = asyncio.get_running_loop()
    opened = await asyncio.gather(
        *(loop.create_connection(Lane, host, port, ssl=context) for _ in range(count))
    )
    return [lane for _, lane in opened]


@final
class Requests:
    """Prints the requests of one route with one key."""

    def __init__(self, url: str, route: str, key: str, run: str) -> None:
        host = urlsplit(url).netloc
        self._head = (
            f"POST {route} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n"
            f"content-type: application/json\r\nidempotency-key: {run}-"
        ).encode()

    def make(self, number: int, body: bytes) -> bytes:
        """Return the bytes of one request."""
        return b"%s%d\r\ncontent-length: %d\r\n\r\n%s" % (self._head, number, len(body), body)


def printed(
    url: str, method: str, path: str, key: str, *, name: str = "", body: bytes = b""
) -> bytes:
    """Return the bytes of a request whose path is not always the same; `name` is its Idempotency-Key."""
    named = f"idempotency-key: {name}\r\n" if name else ""
    typed = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n" if body else ""
    head = (
        f"{method} {path} HTTP/1.1\r\nhost: {urlsplit(url).netloc}\r\n"
        f"authorization: Bearer {key}\r\n{named}{typed}\r\n"
    )
    return head.encode() + body


def quantile(times: Sequence[float], share: float) -> float:
    """Return the value below which that share of sorted values lies; 0 if there are none."""
    return times[min(len(times) - 1, int(len(times) * share))] if times else 0.0
