# SPDX-License-Identifier: Apache-2.0
"""What is left of tokenization when many cards are stored: `python -m bench.growth --stored 10000000`.

In one run on one installation: the rate with ten thousand cards stored, an import of all the others, and the rate again,
with the growth of every index in between. Says how long the import took.
"""

import argparse
import json
from pathlib import Path

from rich.console import Console

from bench.importing import measure as imported
from bench.instance import serving
from bench.load import Measured, as_dicts, median_run, run
from bench.rig import rig

FEW = 10_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stored", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=int, default=6, help="how long a run takes")
    parser.add_argument("--runs", type=int, default=3, help="runs of each; the median counts")
    parser.add_argument("--connections", type=int, default=96, help="kept alive")
    parser.add_argument("--out", type=Path, default=Path("bench/results/growth.json"))
    chosen = parser.parse_args()
    console = Console()
    serial = 100_000_000

    def rates() -> list[Measured]:
        nonlocal serial
        found = []
        for _ in range(chosen.runs):
            found.append(
                run(
                    instance,
                    serial=serial,
                    connections=chosen.connections,
                    seconds=chosen.seconds,
                )
            )
            serial += 2_000_000
        return found

    with serving() as instance:
        imported(instance, FEW, FEW, 1, deduplicate=True)
        run(instance, serial=90_000_000, connections=chosen.connections, seconds=2)  # warm
        few = rates()
        stretches = imported(
            instance, chosen.stored, min(chosen.stored, 500_000), 1, deduplicate=True
        )
        many = rates()
    before, after = median_run(few), median_run(many)
    ratio = after.per_second / before.per_second
    seconds = sum(each.seconds for each in stretches)
    console.print(
        f"{before.per_second:,.0f} tokens/s with about {FEW:,} stored, {after.per_second:,.0f} with {chosen.stored:,}: "
        f"{ratio:.0%}; p99 {before.p99_ms:.1f} and {after.p99_ms:.1f} ms"
    )
    console.print(
        f"imported in between at {chosen.stored / seconds:,.0f} cards/s, the last stretch at "
        f"{stretches[-1].per_second:,.0f}; server peak {stretches[-1].memory_mib:.0f} MiB"
    )
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "bench": "growth",
        "rig": rig(),
        "stored": chosen.stored,
        "ratio": round(ratio, 3),
        "runs": {"few": as_dicts(few), "many": as_dicts(many)},
        "import_per_second": round(chosen.stored / seconds),
    }
    chosen.out.write_text(json.dumps(document, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
