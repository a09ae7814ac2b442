# SPDX-License-Identifier: Apache-2.0
"""What a forward adds to a call of its destination: `python -m bench.forward`.

The whole stack on the same cores as the load and the destination: TLS, key check, access rules, record of the use, an
opened card, the call, the saved outcome, the cleaned answer; fsync on. In the same run the destination is called
directly, turn by turn, so that both meet the same machine.
"""

import argparse
import asyncio
import json
import signal
import ssl
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from subprocess import PIPE, Popen

import aiohttp
from rich.console import Console
from rich.table import Table

from bench.instance import Instance, serving
from bench.rig import rig
from strongroom import compose
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.schemes import synthetic_number
from strongroom.kernel.secret import Secret
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import Metrics
from strongroom.telemetry.sink import MemorySink

_ANSWER = b'{"id":"p-1042","state":"accepted","card":"0000********4711"}'
_BODY = {"amount": 1_500, "currency": "AED", "card": {"pan": "{{ card.number }}"}}


@dataclass(frozen=True, slots=True)
class Measured:
    """One run at one concurrency."""

    at_once: int
    requests: int
    refused: int
    direct_p50_ms: float
    direct_p99_ms: float
    forward_p50_ms: float
    forward_p99_ms: float
    #: Of the forwards' own time beyond the median direct call.
    overhead_p50_ms: float
    overhead_p99_ms: float
    ratio_p50: float
    server_us: float
    database_us: float


async def receive() -> None:
    """Answer every request on a free port, which is printed, until the process is told to end."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (
            f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(_ANSWER)}\r\n\r\n"
        ).encode()
        try:
            while True:
                asked = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(asked.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
                await reader.readexactly(length)
                writer.write(head + _ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()


@contextmanager
def receiver() -> Iterator[int]:
    """Run the destination in a process of its own."""
    with Popen([sys.executable, "-m", "bench.forward", "--receive"], stdout=PIPE) as process:
        try:
            yield int(process.stdout.readline() if process.stdout else 0)
        finally:
            process.terminate()


async def registered(instance: Instance, merchant: str, port: int) -> str:
    """Register the destination, as an operator does."""
    installation = instance.installation
    log = Log(MemorySink(), clock=installation.clock)
    site = compose.Site(
        installation.settings,
        installation.address,
        installation.passphrase(),
        log,
        Metrics(),
        installation.clock,
    )
    composer = compose.Composer(site)
    description = {
        "name": "bench",
        "base_url": f"http://127.0.0.1:{port}",
        "path": "/v1/pay",
        "auth": "bearer",
    }
    try:
        destinations = await composer.operator_destinations()
        made = await destinations.create(
            MerchantId(merchant),
            Mode.TEST,
            json.dumps(description).encode(),
            {"token": Secret("bench-secret")},
            "operator:bench",
        )
        return str(made["id"])
    finally:
        await composer.close()


async def measured(
    instance: Instance, port: int, seconds: float, levels: list[int]
) -> list[Measured]:
    """Register, make a token, and measure at each level."""
    context = ssl.create_default_context(cafile=str(instance.authority))
    headers = {"authorization": f"Bearer {instance.key}", "content-type": "application/json"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:
        async with session.get(
            f"{instance.gateway}/v1/merchant", headers=headers, ssl=context
        ) as answer:
            merchant = (await answer.json())["id"]
        destination = await registered(instance, merchant, port)
        card = {"number": synthetic_number(4_711), "exp_month": 12, "exp_year": 2034}
        async with session.post(
            f"{instance.url}/v1/tokens",
            json={"card": card},
            headers={**headers, "idempotency-key": "bench-token"},
            ssl=context,
        ) as answer:
            token = (await answer.json())["id"]
        wish = {
            "destination": destination,
            "path": "/v1/pay",
            "tokens": {"card": token},
            "body": _BODY,
        }
        filled = json.dumps({**_BODY, "card": {"pan": card["number"]}}).encode()
        run = _Run(session, instance, context, headers, json.dumps(wish).encode(), filled, port)
        await run.load(4, 2.0)  # warm: plans, keys, connections
        return [await run.load(level, seconds) for level in levels]


class _Run:
    """Calls the destination directly and through the vault, in turn."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        instance: Instance,
        context: ssl.SSLContext,
        headers: dict[str, str],
        wish: bytes,
        filled: bytes,
        port: int,
    ) -> None:
        self._session = session
        self._instance = instance
        self._context = context
        self._headers = headers
        self._wish = wish
        self._filled = filled
        self._url = f"http://127.0.0.1:{port}/v1/pay"
        self._number = 0

    async def load(self, at_once: int, seconds: float) -> Measured:
        direct: list[float] = []
        forwarded: list[float] = []
        refused = 0
        end = time.monotonic() + seconds
        before = self._instance.processor_seconds()

        async def worker() -> None:
            nonlocal refused
            while time.monotonic() < end:
                begun = time.perf_counter()
                async with self._session.post(self._url, data=self._filled) as answer:
                    await answer.read()
                direct.append((time.perf_counter() - begun) * 1_000)
                self._number += 1
                headers = {**self._headers, "idempotency-key": f"forward-{self._number}"}
                begun = time.perf_counter()
                async with self._session.post(
                    f"{self._instance.url}/v1/forward",
                    data=self._wish,
                    headers=headers,
                    ssl=self._context,
                ) as answer:
                    await answer.read()
                    refused += answer.status != 200
                forwarded.append((time.perf_counter() - begun) * 1_000)

        await asyncio.gather(*(worker() for _ in range(at_once)))
        after = self._instance.processor_seconds()
        count = len(forwarded)
        base = statistics.median(direct)
        return Measured(
            at_once,
            count,
            refused,
            round(base, 2),
            round(_p99(direct), 2),
            round(statistics.median(forwarded), 2),
            round(_p99(forwarded), 2),
            round(statistics.median(forwarded) - base, 2),
            round(_p99(forwarded) - base, 2),
            round(statistics.median(forwarded) / base, 2),
            round(1e6 * (after[0] - before[0]) / count, 1),
            round(1e6 * (after[1] - before[1]) / count, 1),
        )


def _p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--receive", action="store_true", help="be the destination")
    parser.add_argument("--seconds", type=float, default=6, help="how long a run takes")
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--out", type=Path, default=Path("bench/results/forward.json"))
    chosen = parser.parse_args()
    if chosen.receive:
        asyncio.run(receive())
        return
    machine = rig()
    with (
        receiver() as port,
        serving({"STRONGROOM_EGRESS_LOOPBACK": "127.0.0.1"}) as instance,
    ):
        found = asyncio.run(measured(instance, port, chosen.seconds, chosen.at_once))
    table = Table(
        "at once", "requests", "direct p50", "forward p50", "forward p99", "adds p50", "adds p99",
        "ratio", "server µs", "db µs", "refused",
    )  # fmt: skip
    for each in found:
        table.add_row(
            str(each.at_once),
            str(each.requests),
            f"{each.direct_p50_ms:.2f}",
            f"{each.forward_p50_ms:.2f}",
            f"{each.forward_p99_ms:.2f}",
            f"{each.overhead_p50_ms:.2f}",
            f"{each.overhead_p99_ms:.2f}",
            f"{each.ratio_p50:.1f}",
            f"{each.server_us:.0f}",
            f"{each.database_us:.0f}",
            str(each.refused),
        )
    Console().print(table)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    document = {"bench": "forward", "rig": machine, "runs": [asdict(each) for each in found]}
    chosen.out.write_text(json.dumps(document, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
