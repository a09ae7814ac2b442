# SPDX-License-Identifier: Apache-2.0
"""Load of payments: pairs of an authorization and its capture, begun at a fixed rate whatever the answers do.

A request's time counts from when it should have begun: the pair's turn, or the answer to its authorization. A server
that falls behind is not spared by a client that waits for it.
"""

import asyncio
import json
import os
import ssl
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter

from strongroom.cli.scenario.lanes import Lane, open_lanes, printed, quantile
from strongroom.kernel.schemes import synthetic_number

AMOUNT = 1_999
TOKENS_A_CALL = 500
#: More pairs than this at once: the server is lost, and so is the figure.
LANES_MAX = 600


@dataclass(slots=True)
class Pairs:
    """What a run of pairs came to. Times in milliseconds, from when a request should have begun."""

    pairs: int = 0
    seconds: float = 0.0
    authorize: list[float] = field(default_factory=list)
    capture: list[float] = field(default_factory=list)
    wrong: Counter[str] = field(default_factory=Counter)
    at_once: int = 0

    def quantiles(self, latency_ms: float) -> dict[str, float]:
        """Return medians and p99 of what is left of each request's time without the processor's."""
        found = {}
        for name, times in (
            ("authorize", self.authorize),
            ("capture", self.capture),
            ("request", [*self.authorize, *self.capture]),
        ):
            own = sorted(each - latency_ms for each in times)
            found[f"{name}_p50_ms"] = round(quantile(own, 0.5), 2)
            found[f"{name}_p99_ms"] = round(quantile(own, 0.99), 2)
            found[f"{name}_mean_ms"] = round(statistics.fmean(own or [0.0]), 2)
        return found


class Till:
    """Where pairs are made: the gateway, a key, a connection, tokens."""

    def __init__(
        self,
        gateway: str,
        context: ssl.SSLContext,
        key: str,
        connection: str,
        tokens: Sequence[str],
    ) -> None:
        self._gateway = gateway
        self._context = context
        self._key = key
        self._lanes: list[Lane] = []
        self._free: asyncio.Queue[Lane] = asyncio.Queue()
        self._bodies = [
            json.dumps(
                {
                    "amount": AMOUNT,
                    "currency": "AED",
                    "token": token,
                    "confirm": True,
                    "capture_method": "manual",
                    "connection": connection,
                }
            ).encode()
            for token in tokens
        ]

    async def connect(self, count: int) -> None:
        """Open so many connections anew: the server has closed those that idled since the last run.

        A handshake costs more than a request, and is not what is measured.
        """
        self.close()
        await self._more(count)

    async def _more(self, count: int) -> None:
        for at in range(0, count, 32):
            opened = await open_lanes(self._gateway, self._context, min(32, count - at))
            self._lanes += opened
            for lane in opened:
                self._free.put_nowait(lane)

    def close(self) -> None:
        """Close every connection."""
        for lane in self._lanes:
            lane.close()
        self._lanes, self._free = [], asyncio.Queue()

    async def open_model(self, per_second: float, seconds: float) -> Pairs:
        """Begin so many pairs a second, for so long; return when the last one ended."""
        count = int(per_second * seconds)
        run, name = Pairs(), os.urandom(6).hex()
        begun = perf_counter() + 0.05

        async def pair(number: int, due: float) -> None:
            if self._free.empty() and len(self._lanes) < LANES_MAX:
                await self._more(1)
            lane = await self._free.get()
            run.at_once = max(run.at_once, len(self._lanes) - self._free.qsize())
            try:
                await self._pair(run, lane, f"{name}-{number}", number, due)
            finally:
                self._free.put_nowait(lane)

        async with asyncio.TaskGroup() as group:
            for number in range(count):
                due = begun + number / per_second
                wait = due - perf_counter()
                if wait > 0:
                    await asyncio.sleep(wait)
                group.create_task(pair(number, due))
        run.seconds = perf_counter() - begun
        return run

    async def closed_model(self, at_once: int, seconds: float) -> Pairs:
        """Keep so many pairs under way, each followed by the next; what the whole takes at most."""
        run, name = Pairs(), os.urandom(6).hex()
        begun = perf_counter()
        numbers = iter(range(10**9))

        async def drive() -> None:
            lane = await self._free.get()
            while perf_counter() - begun < seconds:
                number = next(numbers)
                await self._pair(run, lane, f"{name}-{number}", number, perf_counter())
            self._free.put_nowait(lane)

        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(drive())
        run.seconds = perf_counter() - begun
        run.at_once = at_once
        return run

    async def _pair(self, run: Pairs, lane: Lane, name: str, number: int, due: float) -> None:
        body = self._bodies[number % len(self._bodies)]
        request = printed(
            self._gateway, "POST", "/v1/payments", self._key, name=f"{name}-a", body=body
        )
        paid = await lane.ask(request)
        now = perf_counter()
        run.authorize.append((now - due) * 1000)
        made = paid.json
        if made.get("status") != "requires_capture":
            run.wrong[f"{paid.status} {made.get('code') or made.get('status')}"] += 1
            return
        path = f"/v1/payments/{made['id']}/capture"
        captured = await lane.ask(
            printed(self._gateway, "POST", path, self._key, name=f"{name}-c", body=b"{}")
        )
        run.capture.append((perf_counter() - now) * 1000)
        stands = captured.json
        if stands.get("status") != "succeeded" or stands["balances"]["captured"] != AMOUNT:
            run.wrong[f"{captured.status} {stands.get('code') or stands.get('status')}"] += 1
            return
        run.pairs += 1


async def make_tokens(vault: str, context: ssl.SSLContext, key: str, count: int) -> list[str]:
    """Tokenize so many synthetic cards."""
    (lane,) = await open_lanes(vault, context, 1)
    tokens: list[str] = []
    try:
        for first in range(0, count, TOKENS_A_CALL):
            cards = [
                {"card": {"number": synthetic_number(each), "exp_month": 11, "exp_year": 2034}}
                for each in range(first + 1, min(count, first + TOKENS_A_CALL) + 1)
            ]
            body = json.dumps({"tokens": cards}).encode()
            answer = await lane.ask(
                printed(vault, "POST", "/v1/tokens/bulk", key, name=f"t-{first}", body=body)
            )
            tokens += [str(item["token"]["id"]) for item in answer.json["data"]]
    finally:
        lane.close()
    return tokens
