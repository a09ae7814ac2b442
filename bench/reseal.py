# SPDX-License-Identifier: Apache-2.0
"""How many cards a second a rotation seals anew, idle and beside traffic: `python -m bench.reseal`.

Idle: a merchant's cards are made by the bulk route, the key is rotated, and the vault's own runner seals all of them anew.
Beside traffic: tokenization alone and beside a re-seal at a rate, turn by turn; the ratio of their medians counts.
"""

import argparse
import asyncio
import json
import statistics
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.instance import Instance, serving
from bench.load import as_dicts, run
from bench.rig import rig
from strongroom import compose
from strongroom.cli.installation import DATABASES
from strongroom.db.logins import Domain
from strongroom.db.pool import connect
from strongroom.kernel.mode import Mode
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import Metrics
from strongroom.telemetry.sink import MemorySink


async def _asked(instance: Instance, statement: str, *values: object) -> list[Any]:
    here = instance.installation
    connection = await connect(here.bootstrap(DATABASES[Domain.VAULT]))
    try:
        return list(await connection.fetch(statement, *values))
    finally:
        await connection.close()


def asked(instance: Instance, statement: str, *values: object) -> list[Any]:
    """Ask the vault's database as its superuser."""
    return asyncio.run(_asked(instance, statement, *values))


async def _rotated(instance: Instance, merchant: str, rate: int | None) -> str:
    here = instance.installation
    site = compose.Site(
        here.settings,
        here.address,
        here.passphrase(),
        Log(MemorySink(), clock=here.clock),
        Metrics(),
        here.clock,
    )
    composer = compose.Composer(site)
    try:
        keys = await composer.operator_keys()
        _, job = await keys.rotate(merchant, Mode.TEST, "card", rate, "system:bench")
    finally:
        await composer.close()
    if job is None:
        raise SystemExit("the key was rotated by somebody else")
    return job


def until_ended(instance: Instance, job: str) -> tuple[int, float]:
    """Wait for a job; return how many cards it sealed anew, and in how many seconds.

    The first and the last seconds in which it only waits (for others to know of the rotation) are left out: what counts
    is from its first step to its last one that did something, as the database tells.
    """
    sealed, begun, last = 0, time.monotonic(), time.monotonic()
    while True:
        ((state, result, done, started),) = asked(
            instance,
            "select state, (result ->> 'resealed')::bigint, done,"
            " extract(epoch from clock_timestamp() - started_at)::float8 from vault.job where job_id = $1",
            job,
        )
        if (result or 0) > sealed:
            sealed, last = result, time.monotonic()
            begun = min(begun, last - (started or 0.0)) if started else begun
        if state in ("done", "failed", "canceled"):
            if state != "done":
                raise SystemExit(f"the job ended {state} after {done}")
            return sealed, last - begun
        time.sleep(0.05)


def canceled(instance: Instance) -> None:
    """End what runs."""
    asked(
        instance,
        "update vault.job set state = 'canceled', claim = null, ended_at = now() where ended_at is null",
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cards", type=int, default=200_000, help="cards of the idle runs")
    parser.add_argument("--runs", type=int, default=3, help="runs of each; the median counts")
    parser.add_argument("--seconds", type=int, default=6, help="how long a run with traffic takes")
    parser.add_argument("--rate", type=int, default=1_000, help="re-seals a second beside traffic")
    parser.add_argument("--connections", type=int, default=48)
    parser.add_argument("--out", type=Path, default=Path("bench/results/reseal.json"))
    chosen = parser.parse_args()
    console = Console()
    with serving() as instance:
        serial, made = 10_000_000, 0
        while made < chosen.cards:
            done = run(instance, serial=serial, connections=4, seconds=4, per_call=500)
            serial += 5_000_000
            made += done.requests * 500
        ((merchant, there),) = asked(
            instance, "select merchant_id, count(*) from vault.token group by 1"
        )
        console.print(f"{there:,} cards")
        idle: list[dict[str, float]] = []
        for _ in range(chosen.runs):
            asked(instance, "select 1 from (select count(*) from vault.token) t")
            before = instance.processor_seconds()
            sealed, seconds = until_ended(instance, asyncio.run(_rotated(instance, merchant, None)))
            after = instance.processor_seconds()
            idle.append(
                {
                    "cards": sealed,
                    "seconds": round(seconds, 2),
                    "per_second": round(sealed / seconds, 1),
                    "server_us": round(1e6 * (after[0] - before[0]) / max(1, sealed), 1),
                    "database_us": round(1e6 * (after[1] - before[1]) / max(1, sealed), 1),
                }
            )
            console.print(f"  idle: {idle[-1]['per_second']:,.0f} cards/s", style="dim")
        alone, beside, rates = [], [], []
        for _ in range(chosen.runs):
            alone.append(
                run(
                    instance,
                    serial=serial,
                    connections=chosen.connections,
                    seconds=chosen.seconds,
                )
            )
            job = asyncio.run(_rotated(instance, merchant, chosen.rate))
            time.sleep(1)
            count = "select coalesce((result ->> 'resealed')::bigint, 0) from vault.job where job_id = $1"
            ((first,),) = asked(instance, count, job)
            began = time.monotonic()
            beside.append(
                run(
                    instance,
                    serial=serial + 2_000_000,
                    connections=chosen.connections,
                    seconds=chosen.seconds,
                )
            )
            ((last,),) = asked(instance, count, job)
            rates.append(round((last - first) / (time.monotonic() - began), 1))
            canceled(instance)
            serial += 5_000_000
            console.print(
                f"  alone {alone[-1].per_second:,.0f}/s, beside {rates[-1]:,.0f} re-seals/s "
                f"{beside[-1].per_second:,.0f}/s",
                style="dim",
            )
    figure = statistics.median(each["per_second"] for each in idle)
    ratio = statistics.median(
        with_job.per_second / without.per_second
        for with_job, without in zip(beside, alone, strict=True)
    )
    console.print(
        f"idle: {figure:,.0f} cards/s; beside {statistics.median(rates):,.0f} re-seals/s tokenization keeps {ratio:.1%}"
    )
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "bench": "reseal",
        "rig": rig(),
        "cards": there,
        "idle_per_second": figure,
        "rate_asked": chosen.rate,
        "reseals_per_second_beside_traffic": rates,
        "ratio_beside_to_alone": round(ratio, 3),
        "runs": {"idle": idle, "alone": as_dicts(alone), "beside": as_dicts(beside)},
    }
    chosen.out.write_text(json.dumps(document, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
