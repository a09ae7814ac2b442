# SPDX-License-Identifier: Apache-2.0
"""Puts load on a listener: with wrk where it is installed, with a client of our own otherwise. Bounded in time."""

import asyncio
import json
import re
import shutil
import ssl
import statistics
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp

from bench.instance import Instance
from strongroom.kernel.schemes import synthetic_number

SCRIPT = Path(__file__).with_name("tokenize.lua")
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True, slots=True)
class Measured:
    """One run."""

    tool: str
    connections: int
    requests: int
    seconds: float
    per_second: float
    p50_ms: float
    p99_ms: float
    refused: int
    server_us: float
    database_us: float


def run(
    instance: Instance,
    *,
    serial: int,
    connections: int,
    seconds: int,
    per_call: int = 1,
    pause_ms: float = 0,
) -> Measured:
    """Load the instance for some seconds with distinct synthetic cards from `serial` on."""
    before = instance.processor_seconds()
    tool = _wrk if shutil.which("wrk") else _client
    name, requests, elapsed, p50, p99, refused = tool(
        instance, serial, connections, seconds, per_call, pause_ms
    )
    after = instance.processor_seconds()
    return Measured(
        tool=name,
        connections=connections,
        requests=requests,
        seconds=round(elapsed, 2),
        per_second=round(requests / elapsed, 1),
        p50_ms=round(p50, 2),
        p99_ms=round(p99, 2),
        refused=refused,
        server_us=round(1e6 * (after[0] - before[0]) / max(1, requests), 1),
        database_us=round(1e6 * (after[1] - before[1]) / max(1, requests), 1),
    )


def _wrk(
    instance: Instance, serial: int, connections: int, seconds: int, per_call: int, pause_ms: float
) -> tuple[str, int, float, float, float, int]:
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        "--latency",
        "-s",
        str(SCRIPT),
        instance.url,
    ]
    arguments = [instance.key, str(serial), str(per_call), str(round(pause_ms))]
    out = subprocess.run(
        [*command, "--", *arguments], capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r"(\d+) requests in ([\d.]+)(m?s)", out)
    if found is None:
        raise SystemExit(f"wrk said nothing of use:\n{out}")
    elapsed = float(found[2]) * _UNITS[found[3]] / 1000
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    return (
        "wrk",
        int(found[1]),
        elapsed,
        _percentile(out, "50%"),
        _percentile(out, "99%"),
        int(refused[1]) if refused else 0,
    )


def _percentile(out: str, name: str) -> float:
    found = re.search(rf"^\s+{name}\s+([\d.]+)(us|ms|s)$", out, re.MULTILINE)
    return float(found[1]) * _UNITS[found[2]] if found else float("nan")


def _client(
    instance: Instance, serial: int, connections: int, seconds: int, per_call: int, pause_ms: float
) -> tuple[str, int, float, float, float, int]:
    return asyncio.run(_load(instance, serial, connections, seconds, per_call, pause_ms))


async def _load(
    instance: Instance, serial: int, connections: int, seconds: int, per_call: int, pause_ms: float
) -> tuple[str, int, float, float, float, int]:
    context = ssl.create_default_context(cafile=str(instance.authority))
    latencies: list[float] = []
    refused = 0
    numbers = iter(range(serial + 1, serial + 10_000_000))
    end = time.monotonic() + seconds

    async def worker(session: aiohttp.ClientSession) -> None:
        nonlocal refused
        while time.monotonic() < end:
            cards = [
                {
                    "card": {
                        "number": synthetic_number(next(numbers)),
                        "exp_month": 12,
                        "exp_year": 2034,
                    },
                    "deduplicate": True,
                }
                for _ in range(per_call)
            ]
            path, body = (
                ("/v1/tokens", cards[0])
                if per_call == 1
                else ("/v1/tokens/bulk", {"tokens": cards})
            )
            headers = {
                "Authorization": f"Bearer {instance.key}",
                "Idempotency-Key": f"bench-{cards[0]['card']['number'][-9:]}x",  # type: ignore[index]
                "Content-Type": "application/json",
            }
            begun = time.perf_counter()
            async with session.post(
                instance.url + path, data=json.dumps(body), headers=headers, ssl=context
            ) as answer:
                await answer.read()
                refused += answer.status not in (200, 201)
            latencies.append((time.perf_counter() - begun) * 1000)
            if pause_ms:
                await asyncio.sleep(pause_ms / 1000)

    begun = time.monotonic()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as session:
        await asyncio.gather(*[worker(session) for _ in range(connections)])
    latencies.sort()
    p99 = latencies[int(len(latencies) * 0.99)] if latencies else float("nan")
    elapsed = time.monotonic() - begun
    return (
        "aiohttp",
        len(latencies),
        elapsed,
        statistics.median(latencies or [float("nan")]),
        p99,
        refused,
    )


def as_dicts(runs: list[Measured]) -> list[dict[str, object]]:
    """Return runs for JSON."""
    return [asdict(each) for each in runs]


def median_run(runs: list[Measured]) -> Measured:
    """Return the run whose rate is the median."""
    return sorted(runs, key=lambda each: each.per_second)[len(runs) // 2]
