# SPDX-License-Identifier: Apache-2.0
"""The long run: `script/simulate --payments 3000 --seed N`. Exit code 1, findings and the seed, if any is made."""

import argparse
import asyncio
import json
import re
import sys
import time
from pathlib import Path
from typing import Final

from simulation.plan import Plan
from simulation.story import Outcome, simulate

RESULTS: Final = Path(__file__).resolve().parents[2] / "bench" / "results"
#: Of so many attempts it is kept what both sides say.
NAMED_MAX: Final = 50


def main() -> int:
    """Run, print, keep the figures."""
    parser = argparse.ArgumentParser(description="Payments under faults and kills, then checked.")
    parser.add_argument("--payments", type=int, default=3_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument(
        "--kills", type=int, default=12, help="of gateway, worker and database each"
    )
    parser.add_argument("--shoppers", type=int, default=48)
    parser.add_argument("--minutes", type=float, default=9.0, help="of the storm, at most")
    given = parser.parse_args()
    plan = Plan(
        seed=given.seed,
        payments=given.payments,
        kills=given.kills,
        shoppers=given.shoppers,
        seconds_max=given.minutes * 60,
    )
    _say(f"seed {plan.seed}: {plan.payments} payments, {plan.kills} kills of each")
    outcome = asyncio.run(simulate(plan, _say))
    _say(json.dumps(outcome.figures, indent=1))
    _say(outcome.text())
    RESULTS.mkdir(exist_ok=True)
    kept = {
        "seed": plan.seed,
        "findings": outcome.findings,
        "figures": outcome.figures,
        "named": _named(outcome),
    }
    (RESULTS / f"simulation-{plan.seed}.json").write_text(json.dumps(kept, indent=1), "utf-8")
    if outcome.is_sound:
        _say("every payment ended as the processor's journal says")
        return 0
    _say(f"again with: script/simulate --payments {plan.payments} --seed {plan.seed}")
    return 1


def _named(outcome: Outcome) -> dict[str, list[str]]:
    """Return what both sides say of the attempts that findings name: their databases are gone by then."""
    text = json.dumps(outcome.findings)
    ids = sorted(set(re.findall(r"att_[0-9A-Z]{26}", text)))[:NAMED_MAX]
    books = outcome.books
    return {
        each: [
            *(str(row) for row in books.attempts if row["attempt_id"] == each),
            *(str(entry) for entry in books.journal if entry.reference == each),
        ]
        for each in ids
    }


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
