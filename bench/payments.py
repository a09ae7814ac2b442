# SPDX-License-Identifier: Apache-2.0
"""What the gateway adds to a processor's time, and how many pairs of authorization and capture it sustains.

`python -m bench.payments`. Everything on the same cores: load, gateway, worker, PostgreSQL, a processor (the simulator,
100 ms an answer) that sends a signed notice of each step, and a merchant's listener that hears every event. TLS to the
gateway and from the processor, fsync, audit on.

Overhead is a request's whole time, from when it should have begun, less the simulator's set latency: what the simulator
itself takes on these cores counts against the gateway. Sustained is a rate at which nothing lags: no notice, job or
event is left two seconds after the last answer.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import asyncpg
import uvloop
from rich.console import Console
from rich.table import Table

from bench.instance import Instance, free_port, processor_seconds, serving
from bench.merchant import Merchant, listening
from bench.pairs import Till, make_tokens
from bench.rig import rig
from strongroom.db.logins import Domain, Login
from strongroom.simulator import SimulatorControl

TOKENS = 2_000
DRAIN_SECONDS_MAX = 2.0
#: How long a drain is watched, so that a figure is there for a rate that is too high.
WATCH_SECONDS_MAX = 30.0
EVENTS_A_PAIR = 3
#: A rate counts as reached when the last pair ended no later than this behind its turn (latency taken out).
BEHIND_SECONDS_MAX = 1.0

console = Console()


@dataclass(frozen=True, slots=True)
class Rigged:
    """One installation with everything around it."""

    instance: Instance
    merchant: Merchant
    simulator: int
    control: SimulatorControl
    account: str
    endpoint: str
    till: Till
    jobs: asyncpg.Connection
    context: ssl.SSLContext
    latency_ms: float

    def processor_time(self) -> dict[str, float]:
        """Return the processor time that each process used so far."""
        instance = self.instance
        used = {
            "gateway": processor_seconds(instance.process),
            "worker": processor_seconds(instance.worker),
            "postgres": instance.database_seconds(),
            "simulator": processor_seconds(self.simulator),
            "merchant": processor_seconds(self.merchant.process),
            "load": time.process_time(),
        }
        if instance.worker == instance.process:
            del used["worker"]
        return used


@contextmanager
def _simulating(
    folder: Path, port: int, authority: Path, latency_ms: float
) -> Iterator[tuple[int, dict[str, str]]]:
    command = [sys.executable, "-m", "strongroom", "simulator", "--port", str(port), "--json"]
    command += ["--folder", str(folder), "--latency-ms", str(latency_ms), "--ca", str(authority)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        said = b"" if process.stdout is None else process.stdout.readline()
        yield process.pid, json.loads(said)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=10)


@dataclass(frozen=True, slots=True)
class Surrounded:
    """The processes of a measurement: the installation, a processor, a merchant."""

    instance: Instance
    merchant: Merchant
    simulator: int
    said: dict[str, str]
    latency_ms: float


@contextmanager
def surrounded(*, worker_apart: bool, latency_ms: float) -> Iterator[Surrounded]:
    """Run the processes."""
    processor, shop = free_port(), free_port()
    loopback = f"127.0.0.1:{processor},127.0.0.1:{shop}"
    with (
        serving({"STRONGROOM_EGRESS_LOOPBACK": loopback}, worker_apart=worker_apart) as instance,
        listening(instance.state, shop) as merchant,
        _simulating(instance.state / "simulator", processor, instance.authority, latency_ms) as (
            process,
            said,
        ),
    ):
        yield Surrounded(instance, merchant, process, said, latency_ms)


@asynccontextmanager
async def rigged(around: Surrounded) -> AsyncIterator[Rigged]:
    """Connect the installation to its simulator and its merchant, and make tokens."""
    instance, merchant, said = around.instance, around.merchant, around.said
    context = ssl.create_default_context(cafile=str(instance.authority))
    tokens = await make_tokens(instance.url, context, instance.key, TOKENS)
    address = instance.installation.address(Domain.CORE, Login.WORKER)
    jobs = await asyncpg.connect(
        host=address.host,
        port=address.port,
        database=address.database,
        user=str(address.user),
        password=address.password.expose() if address.password else None,
    )
    async with SimulatorControl(said["url"], said["control_key"]) as control:
        secret = f"sim_whsec_{os.urandom(24).hex()}"
        wish = {
            "processor": "simulator",
            "account": said["account"],
            "base_url": said["url"],
            "credentials": {"api_key": said["api_key"]},
            "webhook_secret": secret,
        }
        connection = await _ask(instance, context, "POST", "/v1/connections", wish)
        endpoint = await _ask(
            instance, context, "POST", "/v1/endpoints", {"url": merchant.url + "events"}
        )
        merchant.secret_file.write_text(endpoint["secret"], "utf-8")
        await control.account(
            said["account"], webhook_url=connection["webhook_url"], webhook_secrets=[secret]
        )
        till = Till(instance.gateway, context, instance.key, connection["id"], tokens)
        yield Rigged(
            instance,
            merchant,
            around.simulator,
            control,
            said["account"],
            endpoint["id"],
            till,
            jobs,
            context,
            around.latency_ms,
        )
        till.close()
    await jobs.close()


async def _ask(
    instance: Instance, context: ssl.SSLContext, method: str, path: str, body: object
) -> dict[str, str]:
    headers = {
        "Authorization": f"Bearer {instance.key}",
        "Idempotency-Key": f"bench{path}".replace("/", "-"),
    }
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            method, instance.gateway + path, json=body, headers=headers, ssl=context
        ) as answer,
    ):
        said = await answer.read()
        if not answer.ok:
            raise SystemExit(f"{method} {path}: {answer.status} {said.decode()}")
        found: dict[str, str] = json.loads(said) if said else {}
        return found


async def _drained(rigged: Rigged, *, pairs: int, events_before: int) -> tuple[float, bool]:
    """Return how long it takes until nothing is left to be done, and whether every event came."""
    begun = time.perf_counter()
    expected = events_before + EVENTS_A_PAIR * pairs
    while True:
        left = await rigged.jobs.fetchval(
            "select count(*) from (select 1 from jobs.job where kind in ('delivery', 'notice') limit 1) x"
        )
        waiting = (await rigged.control.notices()).waiting
        seconds = time.perf_counter() - begun
        if (left == 0 and waiting == 0) or seconds > WATCH_SECONDS_MAX:
            came = (await asyncio.to_thread(rigged.merchant.counts))[0]
            return seconds, came >= expected
        await asyncio.sleep(0.02)


async def measured(
    rigged: Rigged, per_second: float, seconds: float, *, webhooks: bool = True, at_once: int = 0
) -> dict[str, object]:
    """Load for a while; at `at_once` > 0 without a rate. Return what came of it."""
    await rigged.till.connect(at_once or round(per_second * (2 * rigged.latency_ms / 1000 + 0.1)))
    events = (await asyncio.to_thread(rigged.merchant.counts))[0]
    calls = _calls(rigged)
    used = rigged.processor_time()
    if at_once:
        run = await rigged.till.closed_model(at_once, seconds)
    else:
        run = await rigged.till.open_model(per_second, seconds)
    took = {name: each - used[name] for name, each in rigged.processor_time().items()}
    drain, whole = await _drained(rigged, pairs=run.pairs, events_before=events)
    whole = whole or not webhooks
    after = _calls(rigged)
    answers = (after[1] - calls[1]) / max(1.0, after[0] - calls[0]) * 1000
    behind = run.seconds - seconds - 2 * rigged.latency_ms / 1000
    return {
        "rate": per_second,
        "pairs": run.pairs,
        "wrong": dict(run.wrong),
        "seconds": round(run.seconds, 2),
        "per_second": round(
            run.pairs / (run.seconds if at_once else max(seconds, run.seconds - 0.2)), 1
        ),
        "at_once": run.at_once,
        "drain_seconds": round(drain, 2),
        "processor_answer_mean_ms": round(answers, 2),
        **run.quantiles(rigged.latency_ms),
        "us_a_pair": {name: round(each / max(1, run.pairs) * 1e6) for name, each in took.items()},
        "sustained": bool(
            not run.wrong
            and whole
            and drain <= DRAIN_SECONDS_MAX
            and (at_once or behind <= BEHIND_SECONDS_MAX)
        ),
    }


def _calls(rigged: Rigged) -> tuple[float, float]:
    """Return how many answers of processors the gateway waited for so far, and for how long altogether."""
    url = f"{rigged.instance.gateway}/metrics"
    with urllib.request.urlopen(url, context=rigged.context, timeout=10) as answer:  # noqa: S310
        text = answer.read().decode()
    sums = {"count": 0.0, "sum": 0.0}
    for word, value in re.findall(
        r"^strongroom_processor_seconds_(count|sum)\{.*\} (\S+)$", text, re.MULTILINE
    ):
        sums[word] += float(value)
    return sums["count"], sums["sum"]


async def topology(chosen: argparse.Namespace, around: Surrounded, name: str) -> dict[str, object]:
    """Measure one way of running it."""
    results: dict[str, list[dict[str, object]]] = {"overhead": [], "sustained": [], "off": []}
    async with rigged(around) as here:
        await measured(here, 50, 4)  # warm: plans, keys, caches, connections
        if chosen.at_once:
            found = [
                _said(await measured(here, 0, chosen.seconds, at_once=chosen.at_once))
                for _ in range(chosen.runs)
            ]
            return {"closed": found, **results}
        for number in range(chosen.runs):
            console.print(f"  {name}: 50 pairs/s, run {number + 1} of {chosen.runs} …", style="dim")
            results["overhead"].append(_said(await measured(here, 50, chosen.seconds)))
        await _climb(here, chosen, results["sustained"], name, webhooks=True)
        came, verified, refused = await asyncio.to_thread(here.merchant.counts)
        console.print(f"  {came:,} events came; {verified:,} verified, {refused} not", style="dim")
        await here.control.without_webhook(here.account)
        await _ask(here.instance, here.context, "DELETE", f"/v1/endpoints/{here.endpoint}", None)
        await _climb(here, chosen, results["off"], f"{name}, webhooks off", webhooks=False)
    return {"events": came, "verified": verified, "refused": refused, **results}


async def _climb(
    here: Rigged,
    chosen: argparse.Namespace,
    results: list[dict[str, object]],
    name: str,
    *,
    webhooks: bool,
) -> None:
    """Raise the rate until something lags twice."""
    failed = 0
    rate = float(chosen.first)
    while failed < 2 and rate <= chosen.last:
        console.print(f"  {name}: {rate:.0f} pairs/s …", style="dim")
        result = _said(await measured(here, rate, chosen.seconds, webhooks=webhooks))
        results.append(result)
        failed = 0 if result["sustained"] else failed + 1
        if not result["sustained"] and failed == 1:
            continue  # once more at this rate: others use these cores, too
        rate += chosen.step


def _said(result: dict[str, object]) -> dict[str, object]:
    console.print(
        f"    {result['per_second']} pairs/s; overhead p50 {result['request_p50_ms']} p99 "
        f"{result['request_p99_ms']} ms; drained after {result['drain_seconds']} s; wrong "
        f"{result['wrong']}; µs a pair {result['us_a_pair']}",
        style="dim",
    )
    return result


def best(results: list[dict[str, object]]) -> dict[str, object] | None:
    """Return the highest rate that was sustained."""
    good = [each for each in results if each["sustained"]]
    return max(good, key=lambda each: float(str(each["rate"]))) if good else None


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10, help="how long a run takes")
    parser.add_argument("--runs", type=int, default=3, help="runs at 50 pairs/s; the median counts")
    parser.add_argument("--latency-ms", type=float, default=100, help="what the simulator takes")
    parser.add_argument("--first", type=float, default=100, help="pairs/s to begin the climb with")
    parser.add_argument("--step", type=float, default=10, help="pairs/s between two rates")
    parser.add_argument("--last", type=float, default=400, help="pairs/s to end it with")
    parser.add_argument("--at-once", type=int, default=0, help="only this: pairs kept under way")
    parser.add_argument("--topology", choices=["one", "two", "both"], default="both")
    parser.add_argument("--out", type=Path, default=Path("bench/results/payments.json"))
    chosen = parser.parse_args()
    document: dict[str, object] = {
        "bench": "payments",
        "rig": rig(),
        "latency_ms": chosen.latency_ms,
    }
    table = Table("", "p50 ms", "p99 ms", "at 50 pairs/s", "sustained pairs/s", "webhooks off")
    for word, apart in (("one", False), ("two", True)):
        if chosen.topology not in (word, "both"):
            continue
        name = "gateway and worker" if apart else "one process"
        with (
            surrounded(worker_apart=apart, latency_ms=chosen.latency_ms) as around,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            found = runner.run(topology(chosen, around, name))
        document[word] = found
        _row(table, name, found)
    console.print(table)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(document, indent=2) + "\n", "utf-8")


def _row(table: Table, name: str, found: dict[str, object]) -> None:
    overhead: list[dict[str, object]] = found["overhead"]  # type: ignore[assignment]
    if not overhead:
        return
    middle = sorted(overhead, key=lambda each: float(str(each["request_p50_ms"])))
    half = middle[len(middle) // 2]
    p99 = sorted(float(str(each["request_p99_ms"])) for each in overhead)[len(overhead) // 2]
    on = best(found["sustained"])  # type: ignore[arg-type]
    off = best(found["off"])  # type: ignore[arg-type]
    table.add_row(
        name,
        str(half["request_p50_ms"]),
        str(p99),
        str(half["us_a_pair"]),
        "-" if on is None else str(on["per_second"]),
        "-" if off is None else str(off["per_second"]),
    )


if __name__ == "__main__":
    main()
