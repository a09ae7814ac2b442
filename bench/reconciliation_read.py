# SPDX-License-Identifier: Apache-2.0
"""How many rows a second of settlement reports are read: `python -m bench.reconciliation_read`.

Each form plain and with every cell quoted, in pieces of 64 KiB, on one core; and the most memory that reading held
beside a piece (in a run of its own, because tracing slows it down). The card detector looks at every byte.
"""

import argparse
import csv
import io
import json
import statistics
import tracemalloc
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench.rig import rig
from strongroom.payments.reconciliation import (
    AdyenReport,
    Format,
    GenericReport,
    StripeReport,
    read,
)

PIECE_BYTES: Final = 64 * 1024
FORMS: Final[Mapping[str, tuple[Format, dict[str, str]]]] = {
    "generic": (
        GenericReport(),
        {
            "kind": "capture",
            "booked_at": "2026-11-20T09:30:00Z",
            "currency": "AED",
            "gross": "10.50",
            "fee": "0.35",
            "net": "10.15",
            "processor_reference": "cap_8f2k3j4h5g",
            "payment_reference": "pay_8f2k3j4h5g",
            "our_reference": "att_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
            "batch": "2026-11-20",
        },
    ),
    "stripe": (
        StripeReport(),
        {
            "automatic_payout_id": "po_1QabcdEFGHijklMN",
            "automatic_payout_effective_at": "2026-11-23 00:00:00",
            "balance_transaction_id": "txn_3QabcdEFGHijklMN",
            "created_utc": "2026-11-20 09:30:00",
            "created": "2026-11-20 13:30:00",
            "available_on_utc": "2026-11-22 00:00:00",
            "available_on": "2026-11-22 04:00:00",
            "currency": "aed",
            "gross": "10.50",
            "fee": "0.35",
            "net": "10.15",
            "reporting_category": "charge",
            "source_id": "ch_3QabcdEFGHijklMN",
            "description": "Order, three things",
            "customer_facing_amount": "10.50",
            "customer_facing_currency": "aed",
            "charge_id": "ch_3QabcdEFGHijklMN",
            "payment_intent_id": "pi_3QabcdEFGHijklMN",
            "payment_metadata[strongroom_attempt]": "att_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
        },
    ),
    "adyen": (
        AdyenReport(),
        {
            "Company Account": "Shop",
            "Merchant Account": "ShopAE",
            "Psp Reference": "WVD5F3ZKXQ4CCM82",
            "Merchant Reference": "att_01KAHX3MZ4V8Q2T6N0R5W7Y9CB-sale",
            "Payment Method": "visa",
            "Creation Date": "2026-11-20 13:30:00",
            "TimeZone": "GST",
            "Type": "Settled",
            "Modification Reference": "JDD6LKT8MBLZNN84",
            "Gross Currency": "AED",
            "Gross Debit (GC)": "",
            "Gross Credit (GC)": "10.50",
            "Exchange Rate": "1",
            "Net Currency": "AED",
            "Net Debit (NC)": "",
            "Net Credit (NC)": "10.15",
            "Commission (NC)": "",
            "Markup (NC)": "0.20",
            "Scheme Fees (NC)": "0.05",
            "Interchange (NC)": "0.10",
            "Payment Method Variant": "visacredit",
            "Modification Merchant Reference": "",
            "Batch Number": "134",
        },
    ),
}


def pieces(row: Mapping[str, str], rows: int, quoting: Any) -> Iterator[bytes]:
    """Yield a report of so many rows, in pieces that end anywhere."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(row), quoting=quoting)
    writer.writerow(row)
    one = text.getvalue().encode()
    header = ",".join(row).encode() + b"\r\n"
    block = one * (PIECE_BYTES // len(one) + 2)
    yield header
    left = rows * len(one)
    at = 0
    while left > 0:
        size = min(PIECE_BYTES, left)
        yield block[at : at + size]
        at = (at + size) % len(one)
        left -= size


def measured(form: Format, row: Mapping[str, str], rows: int, quoting: Any) -> float:
    """Return the seconds that reading took, without making the pieces."""
    made = list(pieces(row, rows, quoting))
    begun = perf_counter()
    count = sum(1 for _ in read(form, made))
    seconds = perf_counter() - begun
    if count != rows:
        raise SystemExit(f"{count} lines of {rows} rows")
    return seconds


def held(form: Format, row: Mapping[str, str], rows: int, quoting: Any) -> int:
    """Return the most bytes that were held at once."""
    tracemalloc.start()
    sum(1 for _ in read(form, pieces(row, rows, quoting)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=200_000, help="rows of a report")
    parser.add_argument("--runs", type=int, default=3, help="runs of each; the median counts")
    parser.add_argument("--out", type=Path, default=Path("bench/results/reconciliation_read.json"))
    chosen = parser.parse_args()
    table = Table(title="settlement reports")
    for column in ("report", "rows/s", "MB/s", "held, KiB"):
        table.add_column(column, justify="left" if column == "report" else "right")
    results: dict[str, dict[str, float]] = {}
    for name, (form, row) in FORMS.items():
        for word, quoting in (("plain", csv.QUOTE_MINIMAL), ("quoted", csv.QUOTE_ALL)):
            seconds = statistics.median(
                measured(form, row, chosen.rows, quoting) for _ in range(chosen.runs)
            )
            size = sum(map(len, pieces(row, chosen.rows, quoting)))
            kept = held(form, row, min(chosen.rows, 20_000), quoting)
            results[f"{name}, {word}"] = {
                "rows_a_second": round(chosen.rows / seconds),
                "megabytes_a_second": round(size / seconds / 1e6, 1),
                "held_kibibytes": round(kept / 1024),
            }
            figures = results[f"{name}, {word}"]
            table.add_row(f"{name}, {word}", *(f"{each:,}" for each in figures.values()))
    Console().print(table)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps({"rig": rig(), "results": results}, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
