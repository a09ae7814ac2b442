# SPDX-License-Identifier: Apache-2.0
"""How many cards a second become durable tokens: `python -m bench.tokenize`.

The whole stack, load generator and database on the same cores: TLS kept alive, key check, validation, seal,
fingerprint, idempotency row, card identity, token, audit record, log line; fsync on. In the same run: the same code with
a transaction a request, and the latency at half the reached load.
"""

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.instance import serving
from bench.load import Measured, as_dicts, median_run, run
from bench.rig import rig

#: A transaction a request, sixteen at once: what the same code does without grouping.
UNGROUPED = {"STRONGROOM_GROUP_COMMIT_ROWS": "1", "STRONGROOM_GROUP_COMMIT_BATCHES": "16"}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=6, help="how long a run takes")
    parser.add_argument("--runs", type=int, default=3, help="runs of each; the median counts")
    parser.add_argument("--connections", type=int, default=96, help="kept alive")
    parser.add_argument("--out", type=Path, default=Path("bench/results/tokenize.json"))
    chosen = parser.parse_args()
    console = Console()
    serial = 10_000_000
    results: dict[str, list[Measured]] = {}

    def measure(
        name: str, *, connections: int, pause_ms: float = 0, runs: int = chosen.runs
    ) -> Measured:
        nonlocal serial
        results[name] = []
        for number in range(runs):
            console.print(f"  {name}, run {number + 1} of {runs} …", style="dim")
            results[name].append(
                run(
                    instance,
                    serial=serial,
                    connections=connections,
                    seconds=chosen.seconds,
                    pause_ms=pause_ms,
                )
            )
            serial += 2_000_000
        return median_run(results[name])

    with serving() as instance:
        run(
            instance, serial=1_000_000, connections=chosen.connections, seconds=2
        )  # warm: plans, keys, caches
        grouped = measure("grouped", connections=chosen.connections)
        # Closed loop with pauses: each connection's cycle is set so that all together send half the reached rate.
        half = grouped.per_second / 2
        pause = max(1.0, 1000 * chosen.connections / half - grouped.p50_ms / 2)
        at_half = measure("half load", connections=chosen.connections, pause_ms=pause)
    with serving(UNGROUPED) as instance:
        run(instance, serial=1_000_000, connections=chosen.connections, seconds=2)
        ungrouped = measure("ungrouped", connections=chosen.connections)

    table = Table("", "req/s", "p50 ms", "p99 ms", "server µs", "db µs", "refused")
    for name, each in (
        ("grouped", grouped),
        ("half load", at_half),
        ("ungrouped", ungrouped),
    ):
        table.add_row(
            name,
            f"{each.per_second:,.0f}",
            f"{each.p50_ms:.1f}",
            f"{each.p99_ms:.1f}",
            f"{each.server_us:.0f}",
            f"{each.database_us:.0f}",
            str(each.refused),
        )
    console.print(table)
    ratio = grouped.per_second / ungrouped.per_second
    console.print(
        f"grouped is {ratio:.2f} times a transaction a request; medians of {chosen.runs} runs; {grouped.tool}"
    )
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "bench": "tokenize",
        "rig": rig(),
        "ratio_to_ungrouped": round(ratio, 3),
        "runs": {name: as_dicts(runs) for name, runs in results.items()},
    }
    chosen.out.write_text(json.dumps(document, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
