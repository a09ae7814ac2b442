# SPDX-License-Identifier: Apache-2.0
"""The edge: what every request of a listener passes, in this order, and what every answer carries.

1. Name the request.            5. Rate.
2. Bound target and headers.    6. Read the body, bounded in size and time.
3. No card number in a URL.     7. On listeners that never carry one: no card number at all.
4. Authenticate.                8. The lean lane, or Litestar; then log and count.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final, Protocol, TypeAlias

from strongroom.http import limits
from strongroom.http.auth import Authenticator, Unauthenticated, credential_of
from strongroom.http.problems import internal_answer, problem_answer
from strongroom.http.rate_limit import RateLimiter, TooMany
from strongroom.http.request import JSON, Answer, Request
from strongroom.http.requires import Requires, permit
from strongroom.kernel.cardlike import has_cardlike, has_cardlike_bytes
from strongroom.kernel.errors import Denied, Refused, StrongroomError, Unavailable
from strongroom.kernel.principal import KeyKind
from strongroom.telemetry.trace import new_request_id, trace_hash

Scope: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]

_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
#: On every answer (OWASP ASVS 5.0 V3.4, V14.3). No version, no server name.
SECURITY_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
    (b"x-content-type-options", b"nosniff"),
)


class TargetRefused(Refused):
    """The request's target or headers are larger than this takes."""

    code = "target_too_long"
    status = 414


class HeadersRefused(Refused):
    """The request's headers are larger than this takes."""

    code = "headers_too_large"
    status = 431


class BodyTooLarge(Refused):
    """The body is larger than this route takes."""

    code = "body_too_large"
    status = 413


class BodyTooSlow(Refused):
    """The body did not arrive in time."""

    code = "body_too_slow"
    status = 408


class BodyNotJson(Refused):
    """This route takes application/json."""

    code = "content_type_wrong"
    status = 415


class CardNumberRefused(Refused):
    """This looks like a card number, and card numbers are taken by the vault's `card.number` only."""

    code = "card_number_refused"
    status = 422


class ClientLeft(Exception):
    """The client went away before its request was whole: there is nobody to answer."""


class Busy(Unavailable):
    """This process serves as many requests as it will at once."""

    code = "busy"


class Watcher(Protocol):
    """Who logs and counts. Must not raise."""

    def answered(
        self, request: Request, status: int, seconds: float, facts: Mapping[str, object]
    ) -> None:
        """A request was answered."""

    def denied(self, request: Request, reason: str) -> None:
        """A request was refused for who sent it."""

    def failed(self, request: Request, error: BaseException) -> None:
        """A request met an error that is not ours."""


@dataclass(frozen=True, slots=True)
class LeanRoute:
    """A route that the edge calls itself, past Litestar; the same function stands behind Litestar's route."""

    route: str
    requires: Requires
    handle: Callable[[Request], Awaitable[Answer]]
    body_bytes_max: int = limits.BODY_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Rates:
    """The limiters of a listener."""

    public: RateLimiter
    secret: RateLimiter
    stranger: RateLimiter


class Edge:
    """The ASGI app of a listener: wraps the Litestar app that holds its routes."""

    def __init__(
        self,
        app: AsgiApp,
        *,
        listener: str,
        authenticator: Authenticator,
        public_paths: frozenset[str],
        rates: Rates,
        watcher: Watcher,
        carries_cards: bool,
        lean: Mapping[tuple[str, str], LeanRoute],
        body_bytes_max: Mapping[str, int],
    ) -> None:
        self._app = app
        self._listener = listener
        self._authenticator = authenticator
        self._public_paths = public_paths
        self._rates = rates
        self._watcher = watcher
        self._carries_cards = carries_cards
        self._lean = lean
        self._body_bytes_max = body_bytes_max
        self._at_once = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        request = self._named(scope)  # (1)
        self._at_once += 1
        try:
            answer = await self._answer(scope, receive, request)
        except ClientLeft:
            return
        except StrongroomError as error:
            if isinstance(error, (Unauthenticated, Denied, TooMany)):
                self._watcher.denied(request, getattr(error, "reason", error.code))
            answer = problem_answer(error, request.request_id)
        except Exception as error:  # noqa: BLE001 - the last line: nothing of it reaches the caller
            self._watcher.failed(request, error)
            answer = internal_answer(request.request_id)
        finally:
            self._at_once -= 1
        await _send(send, answer, request)
        self._watcher.answered(request, answer.status, perf_counter() - request.started, answer.log)

    def _named(self, scope: Scope) -> Request:
        request_id = new_request_id()
        client = scope.get("client")
        return Request(
            listener=self._listener,
            method=scope["method"],
            path=scope["path"],
            headers=dict(scope["headers"]),
            address=client[0] if client else "local",
            request_id=request_id,
            trace_hash=trace_hash(request_id),
            started=perf_counter(),
        )

    async def _answer(self, scope: Scope, receive: Receive, request: Request) -> Answer:
        if self._at_once > limits.REQUESTS_AT_ONCE_MAX:
            raise Busy
        self._bound(scope, request)  # (2) (3)
        lean = self._lean.get((request.method, request.path))
        if lean is not None:
            request.route = lean.route
        if request.path not in self._public_paths:
            await self._authenticate(request)  # (4) (5)
        if lean is not None:
            permit(lean.requires, request.principal)
            await self._read(receive, request, lean.body_bytes_max)  # (6)
            return await lean.handle(request)  # (8)
        if request.method in _WITH_BODY and _has_body(request):
            bound = self._body_bytes_max.get(request.path, limits.BODY_BYTES_MAX)
            await self._read(receive, request, bound)  # (6)
            if not self._carries_cards and has_cardlike_bytes(request.body):  # (7)
                raise CardNumberRefused
        return await self._through_litestar(scope, request)  # (8)

    def _bound(self, scope: Scope, request: Request) -> None:
        query = scope.get("query_string", b"")
        if len(request.path) + len(query) > limits.TARGET_BYTES_MAX:
            raise TargetRefused
        headers = scope["headers"]
        if (
            len(headers) > limits.HEADERS_MAX
            or sum(len(name) + len(value) for name, value in headers) > limits.HEADER_BYTES_MAX
        ):
            raise HeadersRefused
        if has_cardlike(request.path) or (query and has_cardlike_bytes(query)):
            raise CardNumberRefused

    async def _authenticate(self, request: Request) -> None:
        header = request.headers.get(b"authorization")
        try:
            credential = credential_of(header)
            principal = self._authenticator.recent(credential)
            if principal is None:
                principal = await self._authenticator.authenticate(
                    credential, request.headers.get(b"origin")
                )
        except Unauthenticated:
            self._rates.stranger.take(request.address, request.started)
            raise
        request.principal = principal
        limiter = self._rates.public if principal.kind is KeyKind.PUBLIC else self._rates.secret
        limiter.take(principal.key_id, request.started)

    async def _read(self, receive: Receive, request: Request, bytes_max: int) -> None:
        declared = request.headers.get(b"content-length")
        if declared is not None and declared.isdigit() and int(declared) > bytes_max:
            raise BodyTooLarge
        if not request.headers.get(b"content-type", b"").startswith(JSON):
            raise BodyNotJson
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(limits.BODY_SECONDS_MAX):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientLeft
                    chunk = message.get("body", b"")
                    size += len(chunk)
                    if size > bytes_max:
                        raise BodyTooLarge
                    chunks.append(chunk)
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            raise BodyTooSlow from None
        request.body = chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def _through_litestar(self, scope: Scope, request: Request) -> Answer:
        """Let Litestar route and handle, with the body we read; collect what it sends."""
        scope = {**scope, "state": {**scope.get("state", {}), "request": request}}
        collected = Answer(500, b"", JSON)
        body = bytearray()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": request.body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                collected.status = message["status"]
                for name, value in message["headers"]:
                    lower = bytes(name).lower()
                    if lower == b"content-type":
                        collected.content_type = bytes(value)
                    elif lower != b"content-length":
                        collected.headers.append((lower, bytes(value)))
            else:
                body.extend(message.get("body", b""))

        async with asyncio.timeout(limits.HANDLER_SECONDS_MAX):
            await self._app(scope, receive, send)
        collected.body = bytes(body)
        facts = scope["state"].get("log")
        if isinstance(facts, dict):
            collected.log.update(facts)
        return collected


def _has_body(request: Request) -> bool:
    """A POST without a body (RFC 9112 §6: neither length nor coding) needs no content type."""
    length = request.headers.get(b"content-length", b"0")
    return length != b"0" or b"transfer-encoding" in request.headers


async def _send(send: Send, answer: Answer, request: Request) -> None:
    headers = [
        (b"content-type", answer.content_type),
        (b"content-length", b"%d" % len(answer.body)),
        (b"request-id", request.request_id.encode()),
        *SECURITY_HEADERS,
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})
