# SPDX-License-Identifier: Apache-2.0
"""The merchant's own server: hears events, and believes none that `standardwebhooks` does not verify.

That package is not ours and shares no code with us: what it accepts, any merchant's receiver accepts.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Final

from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from strongroom.config import Listener
from strongroom.kernel.errors import StrongroomError

EVENTS_PATH: Final = "/events"
THANKS_PATH: Final = "/thanks"
WAIT_SECONDS_MAX: Final = 15.0
_THANKS: Final = "Thank you. Your order is on its way."


class NotHeard(StrongroomError):
    """The merchant's listener did not hear of what happened in time."""

    code = "not_heard"


@dataclass(frozen=True, slots=True)
class Heard:
    """An event that was verified: its body, and at which try it was taken."""

    event: Mapping[str, Any]
    attempt: int

    @property
    def type(self) -> str:
        """What happened."""
        return str(self.event["type"])

    @property
    def data(self) -> Mapping[str, Any]:
        """What it happened to."""
        data: Mapping[str, Any] = self.event["data"]
        return data

    @property
    def payment(self) -> str:
        """The payment that it is about, or nothing."""
        return str((self.data.get("payment") or {}).get("id", ""))

    def __str__(self) -> str:
        return f"{self.type} {self.payment}".strip()


@dataclass(slots=True)
class Shop:
    """What the merchant's server knows."""

    url: str
    #: Every event once, by its id, in the order of arrival.
    heard: dict[str, Heard] = field(default_factory=dict)
    #: Everything that came, as it came, for the search.
    received: list[bytes] = field(default_factory=list)
    deliveries: int = 0
    #: Deliveries that did not verify.
    refused: int = 0
    #: Deliveries of an event that was heard before.
    again: int = 0
    customers: int = 0
    #: The delivery that was verified last: its headers and its body.
    last: tuple[dict[str, str], bytes] = field(default=({}, b""), repr=False)
    #: Is told of each event, the first time that it is heard.
    told: Callable[[Heard], object] | None = field(default=None, repr=False)
    _verify: Callable[[str, dict[str, str]], Any] | None = field(default=None, repr=False)
    _tries: Counter[str] = field(default_factory=Counter)
    _unwell: int = 0
    _news: asyncio.Condition = field(default_factory=asyncio.Condition, repr=False)

    @property
    def events_url(self) -> str:
        """Where events are to be sent."""
        return self.url + EVENTS_PATH

    @property
    def thanks_url(self) -> str:
        """Where customers go on to."""
        return self.url + THANKS_PATH

    def trust(self, secret: str) -> None:
        """Believe what this secret signs, from now on."""
        self._verify = Webhook(secret).verify

    def fall_ill(self, deliveries: int) -> None:
        """Answer the next deliveries with 503, as a server does that is being restarted."""
        self._unwell = deliveries

    def tries(self, event_id: str) -> int:
        """Return how often an event was delivered, verified or not."""
        return self._tries[event_id]

    def of(self, payment: object) -> list[Heard]:
        """Return what was heard of a payment."""
        return [each for each in self.heard.values() if each.payment == payment]

    async def until(self, holds: Callable[[], bool], *, seconds: float = WAIT_SECONDS_MAX) -> float:
        """Wait until something holds of what was heard; return how long that took.

        Raises:
            NotHeard: it does not yet when the time is over.
        """
        begun = perf_counter()
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(holds)
        except TimeoutError:
            raise NotHeard from None
        return perf_counter() - begun

    async def hears(self, payment: object, event_type: str) -> Heard:
        """Wait for the event of a payment.

        Raises:
            NotHeard: it does not come.
        """

        def found() -> list[Heard]:
            return [each for each in self.of(payment) if each.type == event_type]

        await self.until(lambda: bool(found()))
        return found()[0]

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        body = await request.read()
        if request.path == THANKS_PATH:
            self.customers += 1
            return web.Response(text=_THANKS)
        if request.path != EVENTS_PATH or request.method != "POST":
            return web.Response(status=404)
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received += (repr(sorted(headers.items())).encode(), body)
        status = self._judge(headers, body)
        async with self._news:
            self._news.notify_all()
        return web.Response(status=status)

    def _judge(self, headers: dict[str, str], body: bytes) -> int:
        self.deliveries += 1
        event_id = headers.get("webhook-id", "")
        self._tries[event_id] += 1
        if self._unwell:
            self._unwell -= 1
            return 503
        try:
            if self._verify is None:
                raise WebhookVerificationError
            event = self._verify(body.decode(), headers)
        except (WebhookVerificationError, ValueError):
            self.refused += 1
            return 401
        self.last = (headers, body)
        if event_id in self.heard:
            self.again += 1
        else:
            self.heard[event_id] = heard = Heard(event, self._tries[event_id])
            if self.told is not None:
                self.told(heard)
        return 204


@asynccontextmanager
async def open_shop(listener: Listener) -> AsyncIterator[Shop]:
    """Run the merchant's server in this process."""
    shop = Shop(f"http://{listener}")
    server = web.Server(shop.handle, access_log=None)
    listening = await asyncio.get_running_loop().create_server(server, listener.host, listener.port)
    try:
        yield shop
    finally:
        listening.close()
        server.pre_shutdown()
        await server.shutdown(0.2)
        await listening.wait_closed()
