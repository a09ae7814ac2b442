# SPDX-License-Identifier: Apache-2.0
"""Sends a request once and says what came of it. Never twice: the transport retries nothing.

Connects only to addresses that the guard was asked about, verifies TLS, follows no redirect, keeps no cookie, takes no
proxy from the environment. Nothing here logs, and no reply carries a URL, a header or a body of the request.
"""

import asyncio
import re
import socket
import ssl
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from types import SimpleNamespace
from typing import Final, TypeAlias

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from strongroom import __version__
from strongroom.egress.errors import DestinationRefused, IdentityUnusable
from strongroom.egress.guard import EgressPolicy, check_address, check_url
from strongroom.egress.identity import TlsIdentity, with_identity
from strongroom.egress.model import Answered, NotSent, Outgoing, Reason, Reply, Unknown

CONNECTIONS_MAX: Final = 512
CONNECTIONS_PER_HOST_MAX: Final = 256
#: Includes the wait for a free connection, the name's resolution and the TLS handshake.
CONNECT_TIMEOUT_SECONDS: Final = 5.0
#: Shorter than what servers usually keep: a connection that dies under a request makes its outcome unknown.
KEEP_ALIVE_SECONDS: Final = 15.0
#: How long a name's checked addresses are used without asking again.
DNS_SECONDS: Final = 10
REQUEST_BODY_BYTES_MAX: Final = 512 * 1024
METHODS: Final = frozenset("DELETE GET HEAD PATCH POST PUT".split())

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token (RFC 9110 §5.6.2)
_HEADER_VALUE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?|")
#: What frames a message or chooses its way is the client's alone to say.
_OURS: Final = frozenset(
    "accept-encoding connection content-length expect host keep-alive proxy-authorization proxy-connection te trailer "
    "transfer-encoding upgrade".split()
)
_DEFAULTS: Final = {"accept-encoding": "identity", "user-agent": f"Strongroom/{__version__}"}

OutcomeObserver: TypeAlias = Callable[[str, float], None]
#: From a name and a port to its addresses; raises OSError when it has none.
Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]


@dataclass(slots=True)
class _Progress:
    """How far one request came. A connection in hand means that bytes may have left."""

    connected: bool = False


class _AddressRefused(OSError):
    """The guard refused what a name resolves to; an OSError, for that is what the client expects of a resolver."""


class _NoSecondTime(aiohttp.ClientError):
    """A connection died under the request. Not one of the errors after which the client would try again."""


class _TooLarge(Exception):
    """The answer is beyond its bound."""


class _Encoded(Exception):
    """The answer is compressed, which nobody asked for and which has no bound."""


class _RequestRefused(Exception):
    """The request could not be sent as it is."""


class Egress:
    """The client of one process and event loop: one pool of connections, kept alive between requests."""

    def __init__(
        self,
        policy: EgressPolicy,
        observer: OutcomeObserver | None = None,
        *,
        resolve: Resolve | None = None,
    ) -> None:
        self._policy = policy
        self._observer = observer
        self._resolve = resolve or _system_addresses
        self._tls = _tls(policy)
        #: A context an identity, as long as somebody holds that: connections are pooled by context.
        self._shown: weakref.WeakKeyDictionary[TlsIdentity, ssl.SSLContext] = (
            weakref.WeakKeyDictionary()
        )
        self._opened: aiohttp.ClientSession | None = None
        self._closed = False

    async def close(self) -> None:
        """Close every connection. What is sent afterwards is `NotSent`."""
        self._closed = True
        if self._opened is not None:
            session, self._opened = self._opened, None
            await session.close()

    async def send(self, request: Outgoing) -> Reply:
        """Send once and say what came of it. Nothing but a cancellation escapes."""
        started = perf_counter()
        reply = await self._sent(request, started)
        if self._observer is not None:
            self._observer(reply.outcome, reply.seconds)
        return reply

    async def _sent(self, request: Outgoing, started: float) -> Reply:
        progress = _Progress()
        try:
            if self._closed:
                raise _RequestRefused
            target = check_url(request.url, self._policy, port=request.port)
            headers = _headers(request)
            response = await self._session().request(
                request.method,
                URL(
                    target.url, encoded=True
                ),  # as it was checked, not as another reader would spell it
                headers=headers,
                data=request.body,
                allow_redirects=False,
                ssl=self._context(request.identity),
                timeout=aiohttp.ClientTimeout(
                    total=request.timeout_seconds, connect=CONNECT_TIMEOUT_SECONDS
                ),
                trace_request_ctx=progress,
            )
            try:
                body = await _read(response, request.answer_bytes_max)
            finally:
                response.close()  # a connection whose answer was read to its end is in the pool by now, and stays
            return Answered(response.status, _received(response), body, perf_counter() - started)
        except Exception as error:  # noqa: BLE001 - whatever it was, the caller is told which outcome it is
            seconds = perf_counter() - started
            if progress.connected:
                return Unknown(_why_unknown(error), seconds)
            return NotSent(_why_not_sent(error), seconds)

    def _context(self, identity: TlsIdentity | None) -> ssl.SSLContext:
        """Return what verifies a destination, and what it is shown."""
        if identity is None:
            return self._tls
        context = self._shown.get(identity)
        if context is None:
            context = _tls(self._policy)
            with_identity(context, identity)
            self._shown[identity] = context
        return context

    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            connector = aiohttp.TCPConnector(
                limit=CONNECTIONS_MAX,
                limit_per_host=CONNECTIONS_PER_HOST_MAX,
                keepalive_timeout=KEEP_ALIVE_SECONDS,
                ttl_dns_cache=DNS_SECONDS,
                resolver=_GuardedResolver(self._policy, self._resolve),
                socket_factory=self._socket,
                ssl=self._tls,
            )
            self._opened = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                headers=_DEFAULTS,
                skip_auto_headers=("Content-Type",),
                middlewares=(_never_again,),
                trace_configs=[_tracing()],
            )
        return self._opened

    def _socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        """Make the socket for an address, asking the guard a last time: nothing is connected to but by this way."""
        family, kind, protocol, _, address = info
        try:
            check_address(str(address[0]), self._policy, int(address[1]))
        except DestinationRefused:
            raise _AddressRefused from None
        return socket.socket(family, kind, protocol)


class _GuardedResolver(AbstractResolver):
    """Resolves names and refuses a name as soon as one of its addresses is not for everybody.

    The client connects to what this returned and does not ask again, so a name cannot answer differently in between.
    The exceptions for loopback are addresses, so that no name leads there.
    """

    def __init__(self, policy: EgressPolicy, resolve: Resolve) -> None:
        self._names = EgressPolicy(ca_file=policy.ca_file, production=policy.production)
        self._resolve = resolve

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - always that
    ) -> list[ResolveResult]:
        addresses = await self._resolve(host, port)
        if not addresses:
            raise OSError("the name has no address")
        for address in addresses:
            try:
                check_address(address, self._names, port)
            except DestinationRefused:
                raise _AddressRefused from None
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""


async def _system_addresses(host: str, port: int) -> Sequence[str]:
    """Ask the machine's resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _tls(policy: EgressPolicy) -> ssl.SSLContext:
    """Verify certificate and name, TLS 1.2 or later (PCI DSS 4.2.1)."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if policy.ca_file is not None:
        context.load_verify_locations(cafile=policy.ca_file)
    return context


def _tracing() -> aiohttp.TraceConfig:
    """Note when a request has a connection in hand: until then nothing of it was sent, whatever failed."""

    async def in_hand(
        _session: aiohttp.ClientSession, context: SimpleNamespace, _parameters: object
    ) -> None:
        context.trace_request_ctx.connected = True

    tracing = aiohttp.TraceConfig()
    tracing.on_connection_create_end.append(in_hand)
    tracing.on_connection_reuseconn.append(in_hand)
    return tracing


async def _never_again(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Hide from the client that a connection died: it would send what it takes for idempotent a second time."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
        raise _NoSecondTime from None


def _headers(request: Outgoing) -> Mapping[str, str]:
    """Return the headers, refusing what would split the request or frame it in another way."""
    if request.method not in METHODS or len(request.body or b"") > REQUEST_BODY_BYTES_MAX:
        raise _RequestRefused
    for name, value in request.headers.items():
        if (
            name.lower() in _OURS
            or _HEADER_NAME.fullmatch(name) is None
            or _HEADER_VALUE.fullmatch(value) is None
        ):
            raise _RequestRefused
    return request.headers


async def _read(response: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise _Encoded
    if (response.content_length or 0) > bytes_max:
        raise _TooLarge
    pieces = []
    size = 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > bytes_max:
            raise _TooLarge
        pieces.append(piece)
    return b"".join(pieces)


def _received(response: aiohttp.ClientResponse) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        lower = name.lower()
        if (
            not value.isascii()
        ):  # bytes that are no UTF-8 would come as what cannot be encoded again
            value = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")  # noqa: PLW2901
        headers[lower] = f"{headers[lower]}, {value}" if lower in headers else value
    return headers


def _why_not_sent(error: Exception) -> Reason:
    if isinstance(error, DestinationRefused):
        return Reason.DESTINATION_REFUSED
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(
        error.os_error, _AddressRefused
    ):
        return Reason.DESTINATION_REFUSED
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Reason.DNS_FAILED
    if isinstance(error, aiohttp.ClientSSLError | IdentityUnusable):
        return Reason.TLS_FAILED
    if isinstance(error, TimeoutError):
        return Reason.CONNECT_TIMEOUT
    if isinstance(error, _RequestRefused):
        return Reason.REQUEST_REFUSED
    return Reason.CONNECT_FAILED


def _why_unknown(error: Exception) -> Reason:
    if isinstance(error, TimeoutError):
        return Reason.TIMEOUT
    if isinstance(error, _TooLarge):
        return Reason.ANSWER_TOO_LARGE
    if isinstance(
        error, (_NoSecondTime, aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)
    ):
        return Reason.CONNECTION_LOST
    return Reason.ANSWER_UNREADABLE
