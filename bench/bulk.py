# SPDX-License-Identifier: Apache-2.0
"""How many cards a second the bulk route takes: `python -m bench.bulk`. In the same run: the single route."""

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.importing import peak_mib, wal_position
from bench.instance import serving
from bench.load import as_dicts, median_run, run
from bench.rig import rig


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=6, help="how long a run takes")
    parser.add_argument("--runs", type=int, default=3, help="runs of each; the median counts")
    parser.add_argument("--cards", type=int, default=500, help="cards a call, at most 1,000")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("bench/results/bulk.json"))
    chosen = parser.parse_args()
    console = Console()
    with serving() as instance:
        serial = 10_000_000
        bulk, single = [], []
        written = 0
        run(instance, serial=1_000_000, connections=8, seconds=2)
        for number in range(chosen.runs):
            console.print(f"  run {number + 1} of {chosen.runs} …", style="dim")
            before = wal_position(instance)
            bulk.append(
                run(
                    instance,
                    serial=serial,
                    connections=chosen.connections,
                    seconds=chosen.seconds,
                    per_call=chosen.cards,
                )
            )
            written += wal_position(instance) - before
            single.append(
                run(instance, serial=serial + 5_000_000, connections=48, seconds=chosen.seconds)
            )
            serial += 10_000_000
            memory = peak_mib(instance.process)
    calls, ones = median_run(bulk), median_run(single)
    cards = calls.per_second * chosen.cards
    table = Table(
        "",
        "cards/s",
        "calls/s",
        "p50 ms a call",
        "p99 ms a call",
        "server µs a card",
        "PostgreSQL µs a card",
    )
    table.add_row(
        f"bulk, {chosen.cards} a call",
        f"{cards:,.0f}",
        f"{calls.per_second:.1f}",
        f"{calls.p50_ms:.0f}",
        f"{calls.p99_ms:.0f}",
        f"{calls.server_us / chosen.cards:.0f}",
        f"{calls.database_us / chosen.cards:.0f}",
    )
    table.add_row(
        "single",
        f"{ones.per_second:,.0f}",
        f"{ones.per_second:,.0f}",
        f"{ones.p50_ms:.1f}",
        f"{ones.p99_ms:.1f}",
        f"{ones.server_us:.0f}",
        f"{ones.database_us:.0f}",
    )
    console.print(table)
    wal = written / max(1.0, sum(each.per_second for each in bulk) * chosen.seconds * chosen.cards)
    console.print(
        f"{wal:,.0f} bytes of write-ahead log a card; the server had {memory:,.0f} MiB at most"
    )
    console.print(
        f"bulk is {cards / ones.per_second:.2f} times single; medians of {chosen.runs} runs; {calls.tool}"
    )
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "bench": "bulk",
        "rig": rig(),
        "cards_a_call": chosen.cards,
        "wal_bytes_a_card": round(wal, 1),
        "memory_peak_mib": memory,
        "ratio_to_single": round(cards / ones.per_second, 3),
        "runs": {"bulk": as_dicts(bulk), "single": as_dicts(single)},
    }
    chosen.out.write_text(json.dumps(document, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
