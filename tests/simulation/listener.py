# SPDX-License-Identifier: Apache-2.0
"""A merchant's listener: verifies each event with the independent `standardwebhooks` package; at times it is unwell."""

import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError


@dataclass(slots=True)
class Listener:
    """What arrived at each of its paths."""

    chance: random.Random
    url: str = ""
    secrets: dict[str, str] = field(default_factory=dict)
    taken: dict[str, Counter[str]] = field(default_factory=dict)
    #: Texts by event, to see that a repeated delivery says the same.
    texts: dict[str, bytes] = field(default_factory=dict)
    surprises: list[str] = field(default_factory=list)
    #: How often it answers 503 although it is there.
    unwell: float = 0.05

    async def handle(self, request: web.Request) -> web.Response:
        path = request.match_info["name"]
        body = await request.read()
        if self.chance.random() < self.unwell:
            return web.Response(status=503)
        try:
            Webhook(self.secrets[path]).verify(body, dict(request.headers))
        except WebhookVerificationError as error:
            self.surprises.append(f"an event at {path} does not verify: {error}")
            return web.Response(status=400)
        event = json.loads(body)["id"]
        if self.texts.setdefault(event, body) != body:
            self.surprises.append(f"{event} was told in two ways")
        self.taken.setdefault(path, Counter())[event] += 1
        return web.Response(status=204)


@asynccontextmanager
async def listening(seed: int) -> AsyncIterator[Listener]:
    """Run a listener on loopback."""
    listener = Listener(random.Random(f"{seed} listener"))
    app = web.Application()
    app.router.add_post("/{name}", listener.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        listener.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield listener
    finally:
        await runner.cleanup()
