# SPDX-License-Identifier: Apache-2.0
"""Chapter 5: thousands of synthetic cards, one a request and many a request, and how fast each was.

Client, server and database share this machine, so these are figures of a whole installation on one.
"""

import asyncio
import json
import os
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Final

from rich.progress import Progress

from strongroom.cli.scenario.client import trust
from strongroom.cli.scenario.lanes import Lane, Reply, Requests, open_lanes, quantile
from strongroom.cli.scenario.story import Story

TITLE: Final = "5 · {cards:,} synthetic cards"
SINGLE_SHARE: Final = 0.3
SINGLE_LANES: Final = 32
BULK_LANES: Final = 4
BULK_CARDS: Final = 500
_CREATED: Final = 201
_OK: Final = 200

Prepared = tuple[bytes, Sequence[str]]


async def play(story: Story) -> None:
    """Play it."""
    story.report.note("client, server and database share this machine; TLS, fsync and audit are on")
    context = trust(story.authority)
    lanes = await open_lanes(story.vault, context, SINGLE_LANES)
    single = max(1, int(story.cards * SINGLE_SHARE))
    try:
        with story.report.progress() as progress:
            await _singles(story, lanes, single, progress)
            await _bulks(story, lanes[:BULK_LANES], story.cards - single, progress)
    finally:
        for lane in lanes:
            lane.close()


async def _singles(story: Story, lanes: Sequence[Lane], count: int, progress: Progress) -> None:
    """One card a request, a request in flight on every connection."""
    requests = _requests(story, "/v1/tokens")

    def prepared() -> Iterator[Prepared]:
        for number in range(count):
            card = story.card()
            yield requests.make(number, b'{"card":%s}' % _card(card)), (card,)

    task = progress.add_task(f"one a request, {len(lanes)} at once", total=count)
    replies, seconds = await _drive(lanes, prepared(), lambda _: progress.advance(task))
    differences: list[str] = []
    tokens: set[str] = set()
    for reply, cards in replies:
        body = json.loads(reply.body)
        if reply.status != _CREATED or not _is_of(body, cards[0]):
            differences.append(f"{reply.status} {body.get('code', 'not the card that was sent')}")
        tokens.add(str(body.get("id")))
    _judge(story, "one a request", len(lanes), count, tokens, differences, replies, seconds)


async def _bulks(story: Story, lanes: Sequence[Lane], count: int, progress: Progress) -> None:
    """Many cards a request."""
    requests = _requests(story, "/v1/tokens/bulk")

    def prepared() -> Iterator[Prepared]:
        for number, first in enumerate(range(0, count, BULK_CARDS)):
            cards = [story.card() for _ in range(min(BULK_CARDS, count - first))]
            wishes = b",".join(b'{"card":%s}' % _card(card) for card in cards)
            yield requests.make(number, b'{"tokens":[%s]}' % wishes), cards

    task = progress.add_task(f"{BULK_CARDS} a request, {len(lanes)} at once", total=count)
    replies, seconds = await _drive(lanes, prepared(), lambda sent: progress.advance(task, sent))
    differences: list[str] = []
    tokens: set[str] = set()
    for reply, cards in replies:
        body = json.loads(reply.body)
        items = body.get("data", [])
        if reply.status != _OK or body.get("created") != len(cards) or len(items) != len(cards):
            differences.append(f"{reply.status}: {body.get('created')} of {len(cards)} made")
        for card, item in zip(cards, items, strict=False):
            if not _is_of(item.get("token") or {}, card):
                differences.append(f"item {item.get('index')} is not the card that was sent")
            tokens.add(str((item.get("token") or {}).get("id")))
    what = f"{BULK_CARDS} a request"
    _judge(story, what, len(lanes), count, tokens, differences, replies, seconds)


def _judge(
    story: Story,
    what: str,
    lanes: int,
    count: int,
    tokens: set[str],
    differences: list[str],
    replies: Sequence[tuple[Reply, Sequence[str]]],
    seconds: float,
) -> None:
    story.ledger.made |= tokens
    for reply, cards in replies:
        story.ledger.numbers.update(cards)
        story.ledger.keep(reply.head, reply.body)
    if len(tokens) != count:
        differences.append(f"expected {count} different tokens, got {len(tokens)}")
    times = sorted(reply.seconds for reply, _ in replies)
    half, most = quantile(times, 0.5), quantile(times, 0.99)
    story.report.check(
        f"{count:,} cards, {what}, {lanes} connections",
        f"{count / seconds:,.0f} cards/s  p50 {half * 1000:.1f} ms  p99 {most * 1000:.1f} ms",
        differences,
    )
    report = story.report
    report.figure(f"cards, {what}, {lanes} connections", count / seconds, "/s")
    report.figure(f"request, {what}, p50", half * 1000, "ms")
    report.figure(f"request, {what}, p99", most * 1000, "ms")


async def _drive(
    lanes: Sequence[Lane], prepared: Iterator[Prepared], done: Callable[[int], object]
) -> tuple[list[tuple[Reply, Sequence[str]]], float]:
    """Send everything, each lane its next request as soon as its last was answered."""
    replies: list[tuple[Reply, Sequence[str]]] = []

    async def drive(lane: Lane) -> None:
        for request, cards in prepared:
            reply = await lane.ask(request)
            replies.append((reply, cards))
            done(len(cards))

    begun = perf_counter()
    async with asyncio.TaskGroup() as group:
        for lane in lanes:
            group.create_task(drive(lane))
    return replies, perf_counter() - begun


def _requests(story: Story, route: str) -> Requests:
    key = story.shop.secret.key or ""
    return Requests(story.vault, route, key, f"load-{os.urandom(6).hex()}")


def _card(number: str) -> bytes:
    return b'{"number":"%s","exp_month":11,"exp_year":2033}' % number.encode()


def _is_of(token: dict[str, object], number: str) -> bool:
    return (token.get("brand"), token.get("bin"), token.get("last4"), token.get("exp_year")) == (
        "synthetic",
        number[:6],
        number[-4:],
        2033,
    )
