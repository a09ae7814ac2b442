# SPDX-License-Identifier: Apache-2.0
"""Chapter 11: pairs of authorization and capture: what the gateway adds to a processor's time, and how many it takes.

Webhooks run in both directions meanwhile, and everything shares this machine: two servers, database, merchant, client.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

from strongroom.cli.scenario.client import trust
from strongroom.cli.scenario.lanes import Lane, Reply, open_lanes, printed, quantile
from strongroom.cli.scenario.paying import until_heard
from strongroom.cli.scenario.story import Story
from strongroom.cli.scenario.till import Till

TITLE: Final = "11 · Authorize and capture, again and again"
TOKENS: Final = 50
#: At this rate, or at half of what the machine does, waiting in queues plays no part.
PACED_PER_SECOND_MAX: Final = 50
PACED_SECONDS: Final = 2
PACED_LANES: Final = 16
PACED_LATENCY_MS: Final = 20
FAST_PAIRS_MAX: Final = 250
#: So many cards of chapter 5 make one pair here.
CARDS_A_PAIR: Final = 80
FAST_LANES: Final = 48
FAST_LATENCY_MS: Final = 100
_AMOUNT: Final = 1_999


@dataclass(slots=True)
class Run:
    """What came back."""

    seconds: float = 0.0
    times: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    pairs: int = 0


async def play(story: Story) -> None:
    """Play it."""
    till, report = story.till, story.report
    report.note(
        "both servers, database, merchant and this client share the machine; TLS and fsync are on"
    )
    tokens = await _tokens(story)
    pairs = max(1, story.cards // CARDS_A_PAIR)
    fast = await _fast(story, till, tokens, min(FAST_PAIRS_MAX, pairs))
    rate = fast.pairs / fast.seconds
    report.check(
        f"{fast.pairs} pairs, {FAST_LANES} at once, the bank takes {FAST_LATENCY_MS} ms",
        f"{rate:,.0f} pairs/s with webhooks both ways",
        fast.wrong,
    )
    report.figure("authorize and capture, with webhooks", rate, "pairs/s")
    with report.busy("waiting until every webhook was delivered …"):
        await until_heard(story)
    pace = max(1, min(PACED_PER_SECOND_MAX, int(rate / 2)))
    paced = await _paced(story, till, tokens, min(pace * PACED_SECONDS, pairs), pace)
    own = sorted(seconds - PACED_LATENCY_MS / 1000 for seconds in paced.times)
    half, most = quantile(own, 0.5) * 1000, quantile(own, 0.99) * 1000
    report.check(
        f"{paced.pairs} pairs at {pace}/s, the bank takes {PACED_LATENCY_MS} ms",
        f"overhead a request: p50 {half:.1f} ms  p99 {most:.1f} ms",
        paced.wrong,
    )
    report.figure(f"overhead a request at {pace} pairs/s, p50", half, "ms")
    report.figure(f"overhead a request at {pace} pairs/s, p99", most, "ms")


async def _tokens(story: Story) -> list[str]:
    shop = story.shop.secret
    wishes = [
        {"card": {"number": story.card(), "exp_month": 11, "exp_year": 2033}} for _ in range(TOKENS)
    ]
    answer = await shop.send("POST", "/v1/tokens/bulk", {"tokens": wishes}, name=shop.name())
    tokens = [str(item["token"]["id"]) for item in answer["data"]]
    story.ledger.made |= set(tokens)
    return tokens


@asynccontextmanager
async def _lanes(
    story: Story, till: Till, count: int, latency_ms: int
) -> AsyncIterator[list[Lane]]:
    """Lend connections while the processor takes its time."""
    await till.control.faults(latency_ms=latency_ms)
    lanes = await open_lanes(story.gateway, trust(story.authority), count)
    try:
        yield lanes
    finally:
        for lane in lanes:
            lane.close()
        await till.control.faults(latency_ms=0)


async def _paced(story: Story, till: Till, tokens: Sequence[str], count: int, pace: int) -> Run:
    """Begin a pair each so often, on whichever connection is free."""
    pairs = _Pairs(story, till, tokens)
    free: asyncio.Queue[Lane] = asyncio.Queue()

    async def pair() -> None:
        lane = await free.get()
        await pairs.one(lane)
        free.put_nowait(lane)
        progress.advance(task)

    async with _lanes(story, till, PACED_LANES, PACED_LATENCY_MS) as lanes:
        for lane in lanes:
            free.put_nowait(lane)
        with story.report.progress() as progress:
            task = progress.add_task(f"{pace} pairs a second", total=count)
            begun = perf_counter()
            async with asyncio.TaskGroup() as group:
                for number in range(count):
                    await asyncio.sleep(max(0.0, begun + number / pace - perf_counter()))
                    group.create_task(pair())
            pairs.run.seconds = perf_counter() - begun
    return pairs.run


async def _fast(story: Story, till: Till, tokens: Sequence[str], count: int) -> Run:
    """Begin the next pair on each connection as soon as its last one ended."""
    pairs = _Pairs(story, till, tokens)
    left = iter(range(count))

    async def drive(lane: Lane, done: Callable[[], None]) -> None:
        for _ in left:
            await pairs.one(lane)
            done()

    async with _lanes(story, till, FAST_LANES, FAST_LATENCY_MS) as lanes:
        with story.report.progress() as progress:
            task = progress.add_task(f"{FAST_LANES} pairs at once", total=count)
            begun = perf_counter()
            async with asyncio.TaskGroup() as group:
                for lane in lanes:
                    group.create_task(drive(lane, lambda: progress.advance(task)))
            pairs.run.seconds = perf_counter() - begun
    return pairs.run


class _Pairs:
    """Makes pairs, and judges each."""

    def __init__(self, story: Story, till: Till, tokens: Sequence[str]) -> None:
        self._story = story
        self._url = story.gateway
        self._key = story.shop.gateway.key or ""
        self._name = f"pairs-{os.urandom(6).hex()}"
        self._bodies = [
            json.dumps(
                {
                    "amount": _AMOUNT,
                    "currency": "AED",
                    "token": token,
                    "confirm": True,
                    "capture_method": "manual",
                    "connection": till.connection,
                }
            ).encode()
            for token in tokens
        ]
        self.run = Run()

    async def one(self, lane: Lane) -> None:
        """Authorize and capture once."""
        number = self.run.pairs
        self.run.pairs += 1
        body = self._bodies[number % len(self._bodies)]
        paid = await self._ask(lane, "/v1/payments", f"{self._name}-a{number}", body)
        made = paid.json
        if made.get("status") != "requires_capture":
            self.run.wrong.append(f"{paid.status} {made.get('code') or made.get('status')}")
            return
        path = f"/v1/payments/{made['id']}/capture"
        captured = await self._ask(lane, path, f"{self._name}-c{number}", b"{}")
        stands = captured.json
        if stands.get("status") != "succeeded" or stands["balances"]["captured"] != _AMOUNT:
            self.run.wrong.append(f"{captured.status} {stands.get('code') or stands.get('status')}")

    async def _ask(self, lane: Lane, path: str, name: str, body: bytes) -> Reply:
        request = printed(self._url, "POST", path, self._key, name=name, body=body)
        reply = await lane.ask(request)
        self.run.times.append(reply.seconds)
        self._story.ledger.keep(reply.head, reply.body)
        return reply
