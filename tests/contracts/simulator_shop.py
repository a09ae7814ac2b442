# SPDX-License-Identifier: Apache-2.0
"""A shop at a running simulator, and an endpoint that keeps the webhooks it gets, for the tests of the simulator."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web

from strongroom.simulator import (
    Simulated,
    SimulatorControl,
    running_simulator,
)

GOOD = "4242424242424242"
CARD = {"number": GOOD, "exp_month": 12, "exp_year": 2034}
SECONDS_MAX = 5.0
_numbers = itertools.count(1)
#: Webhooks are repeated quickly here, and pending payments wait to be told.
QUICK = {"pending_seconds": None, "retry_seconds": (0.02, 0.05)}


@dataclass
class Receiver:
    """An endpoint that keeps what it gets; `statuses` are answered first, then 200."""

    url: str = ""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    async def handle(self, request: web.BaseRequest) -> web.Response:
        self.got.append(({k.lower(): v for k, v in request.headers.items()}, await request.read()))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = web.Server(receiver.handle, access_log=None)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/hook"
    try:
        yield receiver
    finally:
        listener.close()
        await server.shutdown(0.1)


@dataclass
class Shop:
    """A merchant's account and its client."""

    http: httpx.AsyncClient
    control: SimulatorControl
    name: str
    numbers: int = 0

    def fresh(self, word: str = "att") -> str:
        self.numbers += 1
        return f"{word}_{self.name}_{self.numbers}"

    async def post(self, path: str, key: str | None = None, **body: Any) -> httpx.Response:
        sent = {"Idempotency-Key": key or self.fresh("key")}
        return await self.http.post(path, json=body, headers=sent)

    async def pay(
        self, number: str = GOOD, amount: int = 1000, key: str | None = None, **more: Any
    ) -> httpx.Response:
        body = {
            "reference": self.fresh(),
            "amount": amount,
            "currency": "AED",
            "capture": False,
            "card": {"number": number, "exp_month": 12, "exp_year": 2034, "cvc": "123"},
            **more,
        }
        return await self.post("/v1/payments", key, **body)

    async def paid(self, number: str = GOOD, amount: int = 1000, **more: Any) -> dict[str, Any]:
        answer = await self.pay(number, amount, **more)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def find(self, reference: str) -> list[dict[str, Any]]:
        answer = await self.http.get("/v1/operations", params={"reference": reference})
        assert answer.status_code == 200
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    async def kinds(self) -> list[str]:
        return [entry.kind for entry in await self.control.journal(account=self.name)]


@asynccontextmanager
async def shop_at(simulated: Simulated, name: str, **account: Any) -> AsyncIterator[Shop]:
    made = await simulated.control.account(name, **account)
    headers = {"Authorization": f"Bearer {made.api_key}"}
    async with httpx.AsyncClient(base_url=simulated.url, headers=headers, timeout=5) as http:
        yield Shop(http, simulated.control, name)


async def answered(ask: Callable[[], Any]) -> httpx.Response:
    """Ask until the first request with the key is through."""
    end = time.monotonic() + SECONDS_MAX
    while (answer := await ask()).status_code == 409:
        assert time.monotonic() < end
    assert isinstance(answer, httpx.Response)
    return answer


@asynccontextmanager
async def simulating(folder: Path) -> AsyncIterator[Simulated]:
    """Run a simulator whose webhooks are repeated quickly and whose pending payments wait to be told."""
    async with running_simulator(folder, **QUICK) as running:  # type: ignore[arg-type]
        yield running


@asynccontextmanager
async def shopping(simulated: Simulated) -> AsyncIterator[Shop]:
    """Lend a new account there, with nothing going wrong yet."""
    await simulated.control.no_faults()
    async with shop_at(simulated, f"acct_{next(_numbers)}") as made:
        yield made
