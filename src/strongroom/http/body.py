# SPDX-License-Identifier: Apache-2.0
"""Reads request bodies, bounded in size and in time, from both interfaces that a server may speak."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from time import perf_counter
from typing import Any, Final, Protocol, TypeAlias
from urllib.parse import parse_qsl

from strongroom.http.problems import MalformedForm
from strongroom.kernel.errors import Refused
from strongroom.kernel.invariant import Bug

FORM: Final = "application/x-www-form-urlencoded"
_FORM_FIELDS_MAX: Final = 32
Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]


class BodyTooLarge(Refused):
    """The body is larger than this route takes."""

    code = "body_too_large"
    status = 413


class BodyTooSlow(Refused):
    """The body did not arrive in time."""

    code = "body_too_slow"
    status = 408


class ClientLeft(Exception):
    """The client went away before its request was whole: there is nobody to answer."""


class Body(Protocol):
    """A body that has not been read yet."""

    def read(
        self,
        bytes_max: int,
        declared: bool,  # noqa: FBT001 - two implementations, one caller
    ) -> Coroutine[Any, Any, bytes]:
        """Return the whole body. Raises BodyTooLarge, or ClientLeft."""


class Patience:
    """Bounds how long bodies may take to arrive.

    One look every half second at all that are being read: a timer a request costs more than decoding it.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._reading: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._looking = False

    async def bounded(self, reading: Coroutine[Any, Any, bytes]) -> bytes:
        """Await a body. Raises BodyTooSlow when its time is over."""
        task = asyncio.current_task()
        if task is None:
            raise Bug("a request is served outside a task")
        self._reading[task] = perf_counter() + self._seconds
        if not self._looking:
            self._looking = True
            asyncio.get_running_loop().call_later(min(0.5, self._seconds), self._look)
        try:
            return await reading
        except asyncio.CancelledError:
            if task in self._late:
                task.uncancel()
                raise BodyTooSlow from None
            raise
        finally:
            self._reading.pop(task, None)
            self._late.discard(task)

    def _look(self) -> None:
        now = perf_counter()
        for task in [task for task, until in self._reading.items() if until < now]:
            del self._reading[task]
            self._late.add(task)
            task.cancel()
        self._looking = bool(self._reading)
        if self._looking:
            asyncio.get_running_loop().call_later(min(0.5, self._seconds), self._look)


class AsgiBody:
    """A body that comes in ASGI messages."""

    __slots__ = ("_receive",)

    def __init__(self, receive: Receive) -> None:
        self._receive = receive

    async def read(self, bytes_max: int, declared: bool) -> bytes:  # noqa: ARG002, FBT001 - the protocol's
        """Return the whole body."""
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > bytes_max:
                raise BodyTooLarge
            chunks.append(chunk)
            if not message.get("more_body", False):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)


class RsgiBody:
    """A body that granian hands over: at once where its length is declared, else in chunks."""

    __slots__ = ("_protocol",)

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    async def read(self, bytes_max: int, declared: bool) -> bytes:  # noqa: FBT001 - the protocol's
        """Return the whole body."""
        try:
            if declared:  # and found small enough; the server reads no more than was declared
                return bytes(await self._protocol())
            chunks = bytearray()
            async for chunk in self._protocol:
                chunks.extend(chunk)
                if len(chunks) > bytes_max:
                    raise BodyTooLarge
            return bytes(chunks)
        except RuntimeError:  # granian's word for a connection that broke
            raise ClientLeft from None


def is_form(headers: Mapping[str, str]) -> bool:
    """Tell whether a body is a form as it stands: not compressed."""
    given = headers.get("content-type", "").partition(";")[0].strip().lower()
    return given == FORM and "content-encoding" not in headers


def form_fields(body: bytes) -> dict[str, str]:
    """Read a form (RFC 6749 appendix B). A field without a value counts as left out (§3.1), and none stands twice.

    Raises:
        MalformedForm: it is not one.
    """
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_FORM_FIELDS_MAX,
        )
    except ValueError:
        raise MalformedForm from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedForm
    return {name: value for name, value in found.items() if value}
