# SPDX-License-Identifier: Apache-2.0
"""How many lines a second of a settlement report are compared, and in how much memory: `python -m bench.reconcile`.

So many payments with an attempt each are put into the database of a fresh installation, whose worker is a process of its
own; a report of as many lines is sent over TLS as `strongroom reconcile` does, with faults at known places, and the
comparison is timed from the last part to its end. What is found is held against the faults that were made.
"""

import argparse
import asyncio
import hashlib
import http.client
import json
import ssl
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.instance import Instance, processor_seconds, serving
from bench.rig import rig
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import connect

PART_BYTES: Final = 1024 * 1024
#: A time-ordered id as ours are: letters among the digits, so that the detector has no more to look at than in real ones.
_ID: Final = "'01KAHX' || upper(lpad(to_hex(n), 8, '0') || left(md5(n::text), 12))"
#: Processors' references have letters among their digits, so that few begin with thirteen digits.
_LETTERS: Final = str.maketrans("01289", "ghijk")
CONNECTION: Final = "con_01KAHX" + "0" * 19 + "1"
HEADER: Final = b"kind,booked_at,currency,gross,fee,net,processor_reference,payment_reference,our_reference,batch\n"
#: Of so many lines one is not as it should be, each in its own way.
FAULT_EVERY: Final = 10_000
FAULTS: Final = ("amount_differs", "currency_differs", "doubled", "missing_here", "missing_there")
_SEEDS: Final = (
    """insert into payments.connection values ($1, 'test', $2, 'bench', 'checkout', 'bench', 'by_reference', 'active',
       now(), now())""",
    # The text is this file's own.
    f"""insert into payments.payment (merchant_id, mode, payment_id, version, status, amount, currency, capture_method,
       connection_id, authorized, captured, created_by, created_at, updated_at)
       select $1, 'test', 'pay_' || {_ID}, 2, 'succeeded', 1000 + n % 100, 'AED', 'automatic', $2,
              1000 + n % 100, 1000 + n % 100, 'bench', now(), now() from generate_series($3::int, $4::int) n""",  # noqa: S608
    f"""insert into payments.attempt (merchant_id, mode, attempt_id, payment_id, operation, wish, connection_id, amount,
       currency, outcome, basis, processor_reference, settled_amount, created_at, lease_until, settled_at)
       select $1, 'test', 'att_' || {_ID}, 'pay_' || {_ID}, 'sale',
              'w' || n, $2, 1000 + n % 100, 'AED', 'approved', 'answer', 'act_' || translate(md5(n::text), '01289', 'ghijk'), 1000 + n % 100, now(),
              now(), now() from generate_series($3::int, $4::int) n""",  # noqa: S608
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="payments, and lines")
    parser.add_argument(
        "--by-processor",
        action="store_true",
        help="lines that carry the processor's references and not ours",
    )
    parser.add_argument("--out", type=Path, default=Path("bench/results/reconcile.json"))
    chosen = parser.parse_args()
    with serving(worker_apart=True) as instance:
        asyncio.run(seed(instance, chosen.rows))
        rest = resident_mib(instance.worker), resident_mib(instance.process)
        results = measure(instance, chosen.rows, ours=not chosen.by_processor)
        results["rows"] = chosen.rows
        results["worker_at_rest_mib"], results["gateway_at_rest_mib"] = rest
    show(Console(), results)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    document = {"bench": "reconcile", "rig": rig(), **results}
    chosen.out.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    wrong = {name: (results["made"][name], results["found"][name]) for name in FAULTS}
    if any(made != found for made, found in wrong.values()):
        raise SystemExit(f"not found as they were made (made, found): {wrong}")


async def seed(instance: Instance, rows: int) -> None:
    """Put payments that succeeded into the database, as its administrator: no trigger looks at each."""
    core = instance.installation.address(Domain.CORE, Login.OWNER).database
    connection = await connect(instance.installation.bootstrap(core))
    try:
        await connection.execute("set session_replication_role = replica")
        merchant = await connection.fetchval("select merchant_id from identity.merchant limit 1")
        await connection.execute(_SEEDS[0], merchant, CONNECTION)
        with Progress() as progress:
            task = progress.add_task("payments", total=rows)
            for begin in range(1, rows + 1, 50_000):
                end = min(begin + 49_999, rows)
                for statement in _SEEDS[1:]:
                    await connection.execute(statement, merchant, CONNECTION, begin, end)
                progress.advance(task, end - begin + 1)
        await connection.execute("analyze payments.payment, payments.attempt")
    finally:
        await connection.close()


def report(rows: int, *, ours: bool) -> Iterator[bytes]:
    """Yield a report that names every payment, but for a fault of each kind in turn every so many lines."""
    yield HEADER
    block: list[str] = []
    for n in range(1, rows + 1):
        fault = FAULTS[n // FAULT_EVERY % len(FAULTS)] if n % FAULT_EVERY == 0 else ""
        amount = 1_000 + n % 100 + (fault == "amount_differs")
        currency = "USD" if fault == "currency_differs" else "AED"
        gross, net = (
            f"{amount // 100}.{amount % 100:02}",
            f"{(amount - 35) // 100}.{(amount - 35) % 100:02}",
        )
        reference = hashlib.md5(str(n).encode(), usedforsecurity=False).hexdigest()
        attempt = f"att_01KAHX{n:08x}{reference[:12]}".upper().replace("ATT", "att") if ours else ""
        line = (
            f"capture,2026-11-20T09:{n // 60 % 60:02}:{n % 60:02}Z,{currency},{gross},0.35,{net},"
            f"act_{reference.translate(_LETTERS)},"
            f"pay_{reference[8:24].translate(_LETTERS)},{attempt},2026-11-{1 + n * 28 // (rows + 1):02}\n"
        )
        if fault == "missing_here":
            line = line.replace("act_", "act_x").replace("att_01KAHX", "att_01KAHY")
        # The last payment is named, so that the period reaches to the end.
        if fault != "missing_there" or n == rows:
            block.append(line)
        if fault == "doubled":
            block.append(line)
        if len(block) >= 5_000:
            yield "".join(block).encode()
            block = []
    yield "".join(block).encode()


def faults(rows: int) -> dict[str, int]:
    """Return how many faults of each kind a report has. Whose line says something else is missing there as well."""
    made = dict.fromkeys(FAULTS, 0)
    for n in range(FAULT_EVERY, rows + 1, FAULT_EVERY):
        fault = FAULTS[n // FAULT_EVERY % len(FAULTS)]
        if fault != "missing_there" or n != rows:
            made[fault] += 1
        if fault == "missing_here" and n != rows:
            made["missing_there"] += 1
    return made


def measure(instance: Instance, rows: int, *, ours: bool) -> dict[str, Any]:
    """Send a report, let it be compared, and return the figures."""
    content = b"".join(report(rows, ours=ours))
    ask = _asking(instance)
    begun = ask(
        "POST",
        "/v1/reconciliations",
        json.dumps(
            {"connection": CONNECTION, "sha256": hashlib.sha256(content).hexdigest()}
        ).encode(),
        "application/json",
    )
    path = f"/v1/reconciliations/{begun['id']}"
    started, sending = time.perf_counter(), 0.0
    at: dict[str, Any] = begun
    while at["state"] == "open":
        part = content[at["offset"] : at["offset"] + PART_BYTES]
        last = str(at["offset"] + len(part) == len(content)).lower()
        at = ask("PUT", f"{path}/content?offset={at['offset']}&last={last}", part, "text/csv")
        sending = max(sending, resident_mib(instance.process))
    sent = time.perf_counter()
    before = processor_seconds(instance.worker), instance.database_seconds()
    comparing = 0.0
    with Progress() as progress:
        task = progress.add_task("comparing", total=rows)
        while at["state"] == "received":
            time.sleep(0.1)
            comparing = max(comparing, resident_mib(instance.worker))
            at = ask("GET", path, b"", "text/csv")
            progress.update(task, completed=at["lines"])
    ended = time.perf_counter()
    if at["state"] != "done":
        raise SystemExit(f"{at['state']}: {at['problem']}")
    return {
        "megabytes": round(len(content) / 1e6, 1),
        "uploaded_per_second": round(rows / (sent - started)),
        "seconds": round(ended - sent, 2),
        "compared_per_second": round(rows / (ended - sent)),
        "worker_us_a_line": round((processor_seconds(instance.worker) - before[0]) / rows * 1e6, 1),
        "postgresql_us_a_line": round((instance.database_seconds() - before[1]) / rows * 1e6, 1),
        "worker_peak_mib": comparing,
        "gateway_peak_mib": sending,
        "found": at["counts"],
        "made": faults(rows),
    }


def resident_mib(process: int) -> float:
    """Return the memory that a process has now, in MiB: its most so far was at its start."""
    for line in Path(f"/proc/{process}/status").read_text("utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def _asking(instance: Instance) -> Any:
    where = urlsplit(instance.gateway)
    tls = ssl.create_default_context(cafile=str(instance.authority))
    connection = http.client.HTTPSConnection(
        where.hostname or "", where.port, context=tls, timeout=60
    )

    def ask(method: str, path: str, body: bytes, kind: str) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {instance.key}", "content-type": kind}
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        told = json.loads(answer.read())
        if answer.status >= 300:
            raise SystemExit(f"{answer.status} {told}")
        return dict(told)

    return ask


def show(console: Console, results: dict[str, Any]) -> None:
    """Print what was measured."""
    table = Table(title="reconciliation", show_header=False)
    for name, value in results.items():
        if not isinstance(value, dict):
            table.add_row(name.replace("_", " "), f"{value:,}")
    for name in FAULTS:
        table.add_row(
            f"{name.replace('_', ' ')}: made, found",
            f"{results['made'][name]:,}, {results['found'][name]:,}",
        )
    console.print(table)
    console.print(f"Python {sys.version.split()[0]}, {rig()['processor']}, {rig()['cores']} cores")


if __name__ == "__main__":
    main()
