# SPDX-License-Identifier: Apache-2.0
"""The edge: what every request of a listener passes, in this order, and what every answer carries.

1. Name the request.            5. Allow-lists, rate.
2. Bound target and headers.    6. Read the body, bounded in size and time.
3. No card number in a URL.     7. On listeners that never carry one: no card number at all.
4. Identify, authenticate.      8. The lean lane, or Litestar; then log and count.

A listener without keys has public routes only: there, (4) is left out and (5) goes by address.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final, Protocol, TypeAlias
from urllib.parse import quote, unquote_plus

from strongroom.http import limits
from strongroom.http.auth import Authenticator, Unrecognized, credential_of
from strongroom.http.body import (
    AsgiBody,
    Body,
    BodyTooLarge,
    ClientLeft,
    Patience,
    Receive,
    RsgiBody,
    is_form,
)
from strongroom.http.bounds import (
    BodyNotJson,
    CardNumberRefused,
    HeaderItems,
    carries_cardlike,
    has_body,
    is_json,
    require_bounded,
    require_reached_from,
)
from strongroom.http.callers import Callers
from strongroom.http.client_address import host_of
from strongroom.http.gate import AddressGate, RouteGroup
from strongroom.http.path_table import PathTable
from strongroom.http.problems import internal_answer, problem_answer
from strongroom.http.rate_limit import RateLimiter, TooMany
from strongroom.http.relay import Relay
from strongroom.http.request import JSON, Answer, Request
from strongroom.http.requires import Requires, permit
from strongroom.kernel.addresses import Networks
from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.errors import Denied, StrongroomError, Unavailable
from strongroom.kernel.invariant import invariant
from strongroom.kernel.principal import CallerKind
from strongroom.telemetry.trace import new_request_id, trace_hash

Scope: TypeAlias = dict[str, Any]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]

_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
#: On every answer (OWASP ASVS 5.0 V3.4, V14.3). No version, no server name.
SECURITY_HEADERS: Final[tuple[tuple[str, str], ...]] = (
    ("cache-control", "no-store"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("server", "strongroom"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ("x-content-type-options", "nosniff"),
)
_NONE: Final[frozenset[str]] = frozenset()
_POLICY: Final = "content-security-policy"
#: On an answer that brings a policy of its own (`http.pages`): two would both hold, and let nothing in.
_WITHOUT_POLICY: Final = tuple(each for each in SECURITY_HEADERS if each[0] != _POLICY)


#: Routes of those who run a listener: they have a rule of their own about networks.
OPERATIONS_PATHS: Final = frozenset({"/livez", "/readyz", "/metrics"})


class Busy(Unavailable):
    """This process serves as many requests as it will at once."""

    code = "busy"


class HandlerTooSlow(Unavailable):
    """What was asked for took too long and was stopped; ask again with the same Idempotency-Key."""

    code = "handler_too_slow"


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
    #: Takes a body of any media type as it is, and looks for card numbers itself.
    exact_body: bool = False
    #: For allow-lists.
    groups: tuple[RouteGroup, ...] = ()


@dataclass(frozen=True, slots=True)
class Rates:
    """The limiters of a listener."""

    public: RateLimiter
    secret: RateLimiter
    stranger: RateLimiter
    #: Where there are no keys: every address.
    visitor: RateLimiter | None = None


class Edge:
    """A listener: wraps the Litestar app that holds its routes.

    Speaks RSGI, granian's own interface, whose requests and answers cost half of ASGI's; and ASGI, for any other
    server. Both ways pass the same steps.
    """

    def __init__(
        self,
        app: AsgiApp,
        *,
        listener: str,
        authenticator: Authenticator | None,
        public_paths: frozenset[str],
        rates: Rates,
        watcher: Watcher,
        carries_cards: bool,
        lean: Mapping[tuple[str, str], LeanRoute],
        body_bytes_max: Mapping[str, int],
        body_seconds_max: float = limits.BODY_SECONDS_MAX,
        exact_bodies: Mapping[tuple[str, str], int] | None = None,
        callers: Callers | None = None,
        gate: AddressGate | None = None,
        reached_from: Networks | None = None,
        form_paths: frozenset[str] = frozenset(),
    ) -> None:
        invariant(
            authenticator is not None or rates.visitor is not None, "every caller has a limit"
        )
        self._app = app
        self._listener = listener
        self._authenticator = authenticator
        self._public_paths = public_paths
        self._rates = rates
        self._watcher = watcher
        self._carries_cards = carries_cards
        self._lean = PathTable(lean)
        self._body_bytes_max = body_bytes_max
        #: By method and path: how many bytes of whatever media type a route takes as they are.
        self._exact_bodies = PathTable(exact_bodies or {})
        self._callers = callers
        self._gate = gate
        self._reached_from = reached_from
        #: Where a form is taken as well as JSON.
        self._form_paths = form_paths
        self._at_once = 0
        self._patience = Patience(body_seconds_max)

    @property
    def relay(self) -> Relay | None:
        """What stands before this listener to read the PROXY protocol, if that is spoken there."""
        return None if self._callers is None else self._callers.relay

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Serve one request that came by RSGI."""
        if scope.proto != "http":
            return
        items = scope.headers.items()
        client = scope.client
        request = self._named(scope.method, scope.path, scope.query_string, items, client)
        answer = await self._served(request, client, items, RsgiBody(protocol))
        if answer is not None:
            protocol.response_bytes(answer.status, _headers(answer, request), answer.body)
            self._answered(request, answer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request that came by ASGI."""
        if scope["type"] != "http":
            return
        items = [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
        ]
        peer = scope.get("client")
        client = _client(*peer) if peer else "local:0"
        query = scope.get("query_string", b"").decode("latin-1")
        request = self._named(scope["method"], scope["path"], query, items, client)
        answer = await self._served(request, client, items, AsgiBody(receive))
        if answer is not None:
            headers = [
                (n.encode("latin-1"), v.encode("latin-1")) for n, v in _headers(answer, request)
            ]
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            await send({"type": "http.response.body", "body": answer.body, "more_body": False})
            self._answered(request, answer)

    def _answered(self, request: Request, answer: Answer) -> None:
        self._watcher.answered(request, answer.status, perf_counter() - request.started, answer.log)

    def _named(
        self, method: str, path: str, query: str, items: HeaderItems, client: str
    ) -> Request:
        request_id = new_request_id()
        headers = dict(items)
        return Request(  # (1)
            listener=self._listener,
            method=method,
            path=path,
            query=query,
            headers=headers,
            repeated=_NONE if len(headers) == len(items) else _repeated(items),
            address=host_of(client),
            request_id=request_id,
            trace_hash=trace_hash(request_id),
            started=perf_counter(),
        )

    async def _served(
        self, request: Request, client: str, items: HeaderItems, body: Body
    ) -> Answer | None:
        """Return the answer, whatever happens; None when there is nobody to answer."""
        self._at_once += 1
        try:
            return await self._answer(request, client, items, body)
        except ClientLeft:
            return None
        except StrongroomError as error:
            if isinstance(error, (Unrecognized, Denied, TooMany)):
                self._watcher.denied(request, getattr(error, "reason", error.code))
            if error.is_internal:
                self._watcher.failed(request, error)
                return internal_answer(request.request_id)
            return problem_answer(error, request.request_id)
        except Exception as error:  # noqa: BLE001 - the last line: nothing of it reaches the caller
            self._watcher.failed(request, error)
            return internal_answer(request.request_id)
        finally:
            self._at_once -= 1

    async def _answer(
        self, request: Request, client: str, items: HeaderItems, body: Body
    ) -> Answer:
        if self._at_once > limits.REQUESTS_AT_ONCE_MAX:
            raise Busy
        require_bounded(request, items)  # (2) (3)
        if self._callers is not None:
            self._callers.identify(request, client, items)
        if self._reached_from is not None and request.path not in OPERATIONS_PATHS:
            require_reached_from(request, self._reached_from)
        lean = self._lean.find(request.method, request.path)
        if lean is not None:
            request.route = lean.route
        try:
            if request.path not in self._public_paths:
                await self._authenticate(request)  # (4) (5)
            if lean is not None:
                permit(lean.requires, request.principal)
                if self._gate is not None and request.principal is not None:
                    self._gate.admit_route(request, lean.groups)
                await self._read(request, body, lean.body_bytes_max, exact=lean.exact_body)
                return await lean.handle(request)  # (8)
            if request.method in _WITH_BODY and has_body(request):
                bound = self._body_bytes_max.get(request.path, limits.BODY_BYTES_MAX)
                exact = self._exact_bodies.find(request.method, request.path)
                await self._read(request, body, exact or bound, exact=exact is not None)
            return await self._through_litestar(request, items)  # (8)
        except Unrecognized:
            # Only those who fail are slowed down: behind one address (a proxy's) there may be others, who do not.
            self._rates.stranger.take(request.address, request.started)
            raise

    async def _authenticate(self, request: Request) -> None:
        if self._authenticator is None:
            if self._rates.visitor is not None:
                self._rates.visitor.take(request.address, request.started)
            return
        credential = credential_of(request.headers.get("authorization"))
        principal = self._authenticator.recent(request, credential)
        if principal is None:
            principal = await self._authenticator.authenticate(request, credential)
        request.principal = principal
        gate = self._gate
        if gate is not None:
            if not gate.is_fresh():
                await gate.fresh()
            # Before the rate: whoever took a key elsewhere does not use up what its owner may ask for.
            gate.admit_caller(request)
        limiter = self._rates.public if principal.kind is CallerKind.PUBLIC else self._rates.secret
        limiter.take(principal.subject, request.started)

    async def _read(self, request: Request, body: Body, bytes_max: int, *, exact: bool) -> None:
        declared = request.headers.get("content-length")
        if declared is not None and declared.isdigit() and int(declared) > bytes_max:
            raise BodyTooLarge
        form = request.path in self._form_paths and is_form(request.headers)
        if not exact and not form and not is_json(request.headers):
            raise BodyNotJson
        request.body = await self._patience.bounded(  # (6)
            body.read(bytes_max, declared is not None)
        )
        if not self._carries_cards and not exact and carries_cardlike(request.body):  # (7)
            raise CardNumberRefused
        if form and has_cardlike(unquote_plus(request.body.decode("latin-1"))):
            raise CardNumberRefused

    async def _through_litestar(self, request: Request, items: HeaderItems) -> Answer:
        """Let Litestar route and handle, with the body we read; collect what it sends.

        Raises:
            HandlerTooSlow: it was stopped.
        """
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "https",
            # Both interfaces have read the escapes: to read them again would be another path.
            "path": request.path,
            "raw_path": quote(request.path).encode("ascii"),
            "root_path": "",
            "query_string": request.query.encode("latin-1"),
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in items],
            "client": (request.address, 0),
            "server": None,
            "extensions": {},
            "state": {"request": request, "gate": self._gate},
        }
        collected = Answer(500, b"", JSON)
        body = bytearray()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": request.body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                collected.status = message["status"]
                for raw_name, raw_value in message["headers"]:
                    name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
                    if name == "content-type":
                        collected.content_type = value
                    elif name != "content-length":
                        collected.headers.append((name, value))
            else:
                body.extend(message.get("body", b""))

        try:
            async with asyncio.timeout(limits.HANDLER_SECONDS_MAX):
                await self._app(scope, receive, send)
        except TimeoutError:
            raise HandlerTooSlow from None
        collected.body = bytes(body)
        facts = scope["state"].get("log")
        if isinstance(facts, dict):
            collected.log.update(facts)
        return collected


def _client(host: str, port: int) -> str:
    """Print a peer as granian does."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _repeated(items: HeaderItems) -> frozenset[str]:
    counted = Counter(name for name, _ in items)
    return frozenset(name for name, times in counted.items() if times > 1)


def _headers(answer: Answer, request: Request) -> list[tuple[str, str]]:
    fixed = SECURITY_HEADERS
    if answer.headers and any(name == _POLICY for name, _ in answer.headers):
        fixed = _WITHOUT_POLICY
    return [
        ("content-type", answer.content_type),
        ("content-length", str(len(answer.body))),
        ("request-id", request.request_id),
        *fixed,
        *answer.headers,
    ]
