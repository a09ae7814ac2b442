# SPDX-License-Identifier: Apache-2.0
"""Calls another process of this installation over mutual TLS, once a request. No general address gets here.

Both sides show a certificate of the port's own authority: the certificate is the caller's role, and no other authority
of the world is trusted. What a request came to is told as strictly as `egress.client` tells it: `NotSent` is said only
where nothing of the request can have been read.
"""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Final, Protocol

import aiohttp
from yarl import URL

from strongroom.egress.model import Answered, NotSent, Reason, Reply, Unknown
from strongroom.kernel.errors import StrongroomError

#: The whole of it: name, connection, handshake; a second try of it included.
CONNECT_SECONDS: Final = 3.0
#: Shorter than what the server waits for idle connections before it ends them, for a new certificate or for good.
KEEP_ALIVE_SECONDS: Final = 5.0
CONNECTIONS_MAX: Final = 256
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
#: A server that takes a new certificate may drop connections that it has not accepted yet: nothing was sent on those.
CONNECT_TRIES: Final = 3


class CertificateMissing(StrongroomError):
    """There is no certificate of the vault's internal port: run `strongroom pki init` or set STRONGROOM_INTERNAL_*."""

    code = "internal_certificate_missing"


class InternalUrlRefused(StrongroomError):
    """The address of another role is https://HOST:PORT and nothing else."""

    code = "internal_url_refused"


class Identity(Protocol):
    """PEM files: who we are to a port, and whose certificate the port must show."""

    @property
    def authorities(self) -> Path:
        """Whose certificates are taken."""

    @property
    def certificate(self) -> Path:
        """What we show."""

    @property
    def key(self) -> Path:
        """Its private key."""


class InternalSender(Protocol):
    """Sends a request to another role."""

    async def post(self, path: str, body: bytes, *, timeout_seconds: float) -> Reply:
        """Send JSON once and say what came of it."""


@dataclass(slots=True)
class _Progress:
    connected: bool = False


class _TooLarge(Exception):
    """The answer is beyond its bound."""


@dataclass(slots=True)
class _Loaded:
    """A context, and the state of the files that it was made from."""

    context: ssl.SSLContext
    state: tuple[tuple[int, int, int], ...] = field(repr=False)


class InternalClient:
    """The client of one port, for one process and event loop. Implements `InternalSender`."""

    def __init__(
        self, url: str, identity: Identity, *, keep_alive_seconds: float = KEEP_ALIVE_SECONDS
    ) -> None:
        """Read the certificate, and refuse to begin without one.

        A connection that was idle for longer than `keep_alive_seconds` is not used again.

        Raises:
            InternalUrlRefused, CertificateMissing: see each.
        """
        target = URL(url)
        if target.scheme != "https" or not target.host or target.path not in ("", "/"):
            raise InternalUrlRefused
        self._url = f"https://{target.authority}"
        self._identity = identity
        self._keep_alive_seconds = keep_alive_seconds
        self._loaded = self._load()
        self._opened: aiohttp.ClientSession | None = None
        self._closed = False

    async def close(self) -> None:
        """Close every connection. What is sent afterwards is `NotSent`."""
        self._closed = True
        if self._opened is not None:
            session, self._opened = self._opened, None
            await session.close()

    async def post(self, path: str, body: bytes, *, timeout_seconds: float) -> Reply:
        """Send once and say what came of it. Nothing but a cancellation escapes.

        A POST is all there is: what aiohttp takes for idempotent it would send a second time by itself.
        """
        started = perf_counter()
        end = started + CONNECT_SECONDS
        for left in reversed(range(CONNECT_TRIES)):
            progress = _Progress()
            try:
                return await self._sent(path, body, timeout_seconds, progress, started)
            except Exception as error:  # noqa: BLE001 - whatever it was, the caller is told which outcome it is
                seconds = perf_counter() - started
                if progress.connected:
                    return Unknown(_why_unknown(error), seconds)
                # Nothing was sent, so a connection may be tried again; a request never is.
                if not left or not _was_dropped(error) or perf_counter() > end:
                    return NotSent(_why_not_sent(error), seconds)
        return NotSent(Reason.CONNECT_FAILED, perf_counter() - started)

    async def _sent(
        self, path: str, body: bytes, timeout_seconds: float, progress: _Progress, started: float
    ) -> Reply:
        if self._closed:
            raise CertificateMissing("this process is closing")
        response = await self._session().request(
            "POST",
            self._url + path,
            data=body,
            headers={"content-type": "application/json"},
            allow_redirects=False,
            ssl=self._context(),
            timeout=aiohttp.ClientTimeout(total=timeout_seconds, connect=CONNECT_SECONDS),
            trace_request_ctx=progress,
        )
        try:
            content = await _read(response)
        finally:
            response.close()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answered(response.status, headers, content, perf_counter() - started)

    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            self._opened = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=CONNECTIONS_MAX, keepalive_timeout=self._keep_alive_seconds
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                trace_configs=[_tracing()],
            )
        return self._opened

    def _context(self) -> ssl.SSLContext:
        """Return the context for the next connection; another one once the files are others.

        Connections are pooled by context, so that none made with the old certificate is used again. A file that cannot
        be read now (it is being replaced) leaves the present certificate in use.
        """
        try:
            state = self._state()
            if state != self._loaded.state:
                self._loaded = self._load()
        except (OSError, CertificateMissing):
            pass
        return self._loaded.context

    def _state(self) -> tuple[tuple[int, int, int], ...]:
        identity = self._identity
        files = (identity.authorities, identity.certificate, identity.key)
        found = [file.stat() for file in files]
        return tuple((each.st_mtime_ns, each.st_ino, each.st_size) for each in found)

    def _load(self) -> _Loaded:
        identity = self._identity
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificate and name
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # With TLS 1.3 a client may send before the server has looked at its certificate: a refused one would leave
        # the outcome unknown. With 1.2 a handshake that is done was accepted by both.
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ECDHE+AESGCM")
        try:
            state = self._state()
            context.load_verify_locations(cafile=identity.authorities)
            context.load_cert_chain(identity.certificate, identity.key)
        except OSError as error:  # an ssl.SSLError is one
            raise CertificateMissing from error
        return _Loaded(context, state)


def _tracing() -> aiohttp.TraceConfig:
    """Note when a request has a connection in hand: until then nothing of it was sent, whatever failed."""

    async def in_hand(_session: object, context: object, _parameters: object) -> None:
        context.trace_request_ctx.connected = True  # type: ignore[attr-defined]  # a SimpleNamespace

    tracing = aiohttp.TraceConfig()
    tracing.on_connection_create_end.append(in_hand)
    tracing.on_connection_reuseconn.append(in_hand)
    return tracing


async def _read(response: aiohttp.ClientResponse) -> bytes:
    pieces = []
    size = 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > ANSWER_BYTES_MAX:
            raise _TooLarge
        pieces.append(piece)
    return b"".join(pieces)


def _was_dropped(error: Exception) -> bool:
    """Tell whether a connection was dropped before it was one; a port where nobody listens is not asked again."""
    return isinstance(
        error, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError
    ) and isinstance(
        getattr(error, "os_error", error), ConnectionResetError | ConnectionAbortedError
    )


def _why_not_sent(error: Exception) -> Reason:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Reason.DNS_FAILED
    if isinstance(error, aiohttp.ClientSSLError):
        return Reason.TLS_FAILED
    if isinstance(error, TimeoutError):
        return Reason.CONNECT_TIMEOUT
    return Reason.CONNECT_FAILED


def _why_unknown(error: Exception) -> Reason:
    if isinstance(error, TimeoutError):
        return Reason.TIMEOUT
    if isinstance(error, _TooLarge):
        return Reason.ANSWER_TOO_LARGE
    return Reason.CONNECTION_LOST
