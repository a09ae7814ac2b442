# SPDX-License-Identifier: Apache-2.0
"""A small listener with routes of its own behind the real edge, for what the product's routes do not show."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from litestar import Request as LitestarRequest
from litestar import get, post

from service import free_ports
from strongroom.crypto.ids import new_id
from strongroom.http import PUBLIC, Credential, Request, Unauthenticated
from strongroom.http.app import build_app
from strongroom.http.callers import Callers
from strongroom.http.edge import Edge, Rates
from strongroom.http.rate_limit import Rate, RateLimiter
from strongroom.http.requires import principal_of, request_of
from strongroom.http.server import Endpoint, Servers
from strongroom.kernel.ids import KeyId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import CallerKind, Principal

#: What breaks, breaks with this in its message.
UNSPEAKABLE: Final = "4242424242424242"
KEY: Final = "a-key"


class OneKey:
    """An authenticator that knows one key and remembers nobody."""

    def __init__(self) -> None:
        self.principal = Principal(
            KeyId(new_id("key")),
            CallerKind.SECRET,
            MerchantId(new_id("mer")),
            Mode.TEST,
            frozenset({Permission.VAULT_TOKEN_READ}),
        )

    def recent(self, request: Request, credential: Credential) -> Principal | None:  # noqa: ARG002
        return None

    async def authenticate(self, request: Request, credential: Credential) -> Principal:  # noqa: ARG002
        if credential.text != KEY:
            raise Unauthenticated("unknown")
        return self.principal


@dataclass
class Notebook:
    """A watcher that writes down what it is told."""

    answers: list[tuple[str, int, float, Mapping[str, object]]] = field(default_factory=list)
    denials: list[tuple[str, str]] = field(default_factory=list)
    failures: list[tuple[str, BaseException]] = field(default_factory=list)

    def answered(
        self, request: Request, status: int, seconds: float, facts: Mapping[str, object]
    ) -> None:
        self.answers.append((request.route, status, seconds, facts))

    def denied(self, request: Request, reason: str) -> None:
        self.denials.append((request.path, reason))

    def failed(self, request: Request, error: BaseException) -> None:
        self.failures.append((request.path, error))


@get("/who", requires=Permission.VAULT_TOKEN_READ)
async def who(request: LitestarRequest[Any, Any, Any]) -> str:
    return principal_of(request).subject


@get("/whence", requires=PUBLIC, media_type="text/plain")
async def whence(request: LitestarRequest[Any, Any, Any]) -> str:
    ours = request_of(request)
    return " ".join(each for each in (ours.address, ours.client_certificate) if each)


@get("/open", requires=PUBLIC)
async def is_open() -> str:
    return "open"


@get("/more", requires=Permission.VAULT_TOKEN_DELETE)
async def more() -> str:
    return "never"


@get("/broken", requires=PUBLIC)
async def broken() -> str:
    raise ValueError(f"the card {UNSPEAKABLE} could not be read")


@get("/slow", requires=PUBLIC)
async def slow() -> str:
    await asyncio.Event().wait()
    return "never"


@post("/echo", requires=PUBLIC)
async def length(data: dict[str, str]) -> int:
    return sum(map(len, data.values()))


ROUTES: Final = (who, whence, is_open, more, broken, slow, length)


def edge(
    notebook: Notebook,
    *,
    body_seconds_max: float = 10,
    carries_cards: bool = False,
    callers: Callers | None = None,
    rates: Rates | None = None,
) -> Edge:
    plenty = Rate(10_000, 10_000)
    return Edge(
        build_app(ROUTES, {}),
        listener="small",
        authenticator=OneKey(),
        public_paths=frozenset({"/whence", "/open", "/broken", "/slow", "/echo"}),
        rates=rates or Rates(RateLimiter(plenty), RateLimiter(plenty), RateLimiter(plenty)),
        watcher=notebook,
        carries_cards=carries_cards,
        lean={},
        body_bytes_max={},
        body_seconds_max=body_seconds_max,
        callers=callers,
    )


@asynccontextmanager
async def listening(
    notebook: Notebook, *, body_seconds_max: float = 10, header_seconds_max: float = 10
) -> AsyncIterator[int]:
    """Serve it without TLS on a free port, and lend the port."""
    (port,) = free_ports(1)
    small = edge(notebook, body_seconds_max=body_seconds_max)
    servers = Servers(
        [Endpoint("small", small, "127.0.0.1", port, None, header_seconds_max=header_seconds_max)]
    )
    await servers.start()
    try:
        yield port
    finally:
        await servers.stop()
