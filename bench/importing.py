# SPDX-License-Identifier: Apache-2.0
"""How many cards a second an import takes, and what it costs: `python -m bench.importing --cards 1000000`.

A file of synthetic cards is sent in parts, as `strongroom import` does, over TLS to a server with its database on the
same machine. In the same run: the bulk route. Says cards a second by decades of what is stored, the server's peak
memory, and bytes of write-ahead log a card.
"""

import argparse
import asyncio
import http.client
import json
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.instance import Instance, serving
from bench.load import run
from bench.rig import rig
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import connect
from strongroom.kernel.schemes import synthetic_number

PART_BYTES = 1024 * 1024
HEADER = b"number,exp_month,exp_year\n"


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was measured between two numbers of stored cards."""

    stored: int
    cards: int
    seconds: float
    per_second: float
    wal_bytes_a_card: float
    server_us: float
    database_us: float
    memory_mib: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cards", type=int, default=1_000_000)
    parser.add_argument("--stretch", type=int, default=100_000, help="cards of one measurement")
    parser.add_argument("--no-deduplicate", action="store_true")
    parser.add_argument("--files", type=int, default=1, help="imports at once")
    parser.add_argument(
        "--seconds", type=int, default=4, help="of the bulk route, to compare; 0: not"
    )
    parser.add_argument("--out", type=Path, default=Path("bench/results/importing.json"))
    chosen = parser.parse_args()
    console = Console()
    with serving() as instance:
        bulk = 0.0
        if chosen.seconds:
            taken = run(
                instance, serial=90_000_000, connections=4, seconds=chosen.seconds, per_call=500
            )
            bulk = taken.per_second * 500
        stretches = measure(
            instance,
            chosen.cards,
            chosen.stretch,
            chosen.files,
            deduplicate=not chosen.no_deduplicate,
        )
    show(console, stretches, bulk)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "bench": "importing",
        "rig": rig(),
        "cards": chosen.cards,
        "deduplicate": not chosen.no_deduplicate,
        "files_at_once": chosen.files,
        "bulk_per_second": round(bulk),
        "ratio_to_bulk": round(_whole(stretches) / bulk, 2) if bulk else None,
        "per_second": round(_whole(stretches)),
        "stretches": [asdict(each) for each in stretches],
    }
    chosen.out.write_text(json.dumps(document, indent=2) + "\n", "utf-8")


def measure(
    instance: Instance, cards: int, stretch: int, files: int, *, deduplicate: bool
) -> list[Stretch]:
    """Import so many cards, a stretch at a time."""
    found: list[Stretch] = []
    with Progress() as progress:
        task = progress.add_task("importing", total=cards)
        for begin in range(0, cards, stretch):
            share = stretch // files
            contents = [list(parts(begin + number * share + 1, share)) for number in range(files)]
            server, database = instance.processor_seconds()
            wal = wal_position(instance)
            started = time.perf_counter()
            threads = [
                threading.Thread(
                    target=send,
                    args=(instance, content),
                    kwargs={"deduplicate": deduplicate},
                )
                for content in contents
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            seconds = time.perf_counter() - started
            server_after, database_after = instance.processor_seconds()
            found.append(
                Stretch(
                    begin + stretch,
                    stretch,
                    round(seconds, 3),
                    round(stretch / seconds),
                    round((wal_position(instance) - wal) / stretch, 1),
                    round((server_after - server) / stretch * 1e6, 1),
                    round((database_after - database) / stretch * 1e6, 1),
                    peak_mib(instance.process),
                )
            )
            progress.advance(task, stretch)
    return found


def parts(first: int, count: int) -> Iterator[bytes]:
    """Yield a file of synthetic cards in pieces of whole rows."""
    rows = [HEADER]
    size = len(HEADER)
    for serial in range(first, first + count):
        row = f"{synthetic_number(serial)},12,2034\n".encode()
        if size + len(row) > PART_BYTES:
            yield b"".join(rows)
            rows, size = [], 0
        rows.append(row)
        size += len(row)
    yield b"".join(rows)


def send(instance: Instance, content: list[bytes], *, deduplicate: bool) -> None:
    """Import one file over one connection."""
    where = urlsplit(instance.url)
    tls = ssl.create_default_context(cafile=str(instance.authority))
    connection = http.client.HTTPSConnection(
        where.hostname or "", where.port, context=tls, timeout=60
    )
    key = {"authorization": f"Bearer {instance.key}"}

    def ask(method: str, path: str, body: bytes, kind: str) -> dict[str, object]:
        connection.request(method, path, body, {**key, "content-type": kind})
        answer = connection.getresponse()
        told = json.loads(answer.read())
        if answer.status >= 300:
            raise SystemExit(f"{answer.status} {told}")
        return dict(told)

    wish = json.dumps({"format": "csv", "deduplicate": deduplicate}).encode()
    of = ask("POST", "/v1/imports", wish, "application/json")["id"]
    offset: object = 0
    for number, part in enumerate(content, start=1):
        last = str(number == len(content)).lower()
        path = f"/v1/imports/{of}/content?offset={offset}&last={last}"
        told = ask("PUT", path, part, "text/csv")
        offset = told["offset"]
    if told["created"] != sum(part.count(b"\n") for part in content) - 1:
        raise SystemExit(f"not every card was imported: {told}")


def wal_position(instance: Instance) -> int:
    """Return how many bytes of write-ahead log there were."""

    async def ask() -> int:
        connection = await connect(instance.installation.address(Domain.VAULT, Login.VAULT))
        try:
            return int(await connection.fetchval("select pg_current_wal_lsn() - '0/0'::pg_lsn"))
        finally:
            await connection.close()

    return asyncio.run(ask())


def peak_mib(process: int) -> float:
    """Return the most memory that a process had so far, in MiB."""
    for line in Path(f"/proc/{process}/status").read_text("utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def _whole(stretches: list[Stretch]) -> float:
    return sum(each.cards for each in stretches) / sum(each.seconds for each in stretches)


def show(console: Console, stretches: list[Stretch], bulk: float) -> None:
    """Print what was measured."""
    table = Table("stored", "cards/s", "WAL bytes a card", "server µs", "PostgreSQL µs", "peak MiB")
    step = max(1, len(stretches) // 10)
    for each in stretches[step - 1 :: step]:
        table.add_row(
            f"{each.stored:,}",
            f"{each.per_second:,.0f}",
            f"{each.wal_bytes_a_card:.0f}",
            f"{each.server_us:.1f}",
            f"{each.database_us:.1f}",
            f"{each.memory_mib:.0f}",
        )
    console.print(table)
    whole = _whole(stretches)
    console.print(
        f"{whole:,.0f} cards/s over all; the bulk route took {bulk:,.0f}/s in the same run"
    )


if __name__ == "__main__":
    main()
