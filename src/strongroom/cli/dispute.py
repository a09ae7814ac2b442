# SPDX-License-Identifier: Apache-2.0
"""`strongroom dispute`: follow what cardholders take back, as a client of a running gateway."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import typer

from strongroom.cli.amounts import shown
from strongroom.cli.calling import CA, JSON, KEY_FILE, URL, gateway
from strongroom.cli.console import print_json, print_table
from strongroom.cli.lists import newest, print_list
from strongroom.cli.payment_asked import payment_id
from strongroom.kernel.ids import is_id

_ID: Final = typer.Argument(metavar="ID", help="The dispute's id (dsp_…).")


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(no_args_is_help=True, help="Follow what cardholders take back.")
    for name, command, example in (
        ("list", list_, "--status opened"),
        ("show", show, "dsp_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"),
    ):
        noun.command(name, epilog=f"Example: strongroom dispute {name} {example}")(command)
    app.add_typer(noun, name="dispute")


def list_(
    *,
    status: str = typer.Option(
        "", help="inquiry, opened, under_review, reversed, won or lost; every one without it."
    ),
    payment: str = typer.Option("", metavar="ID", help="Of this payment (pay_…)."),
    due_before: str = typer.Option("", metavar="MOMENT", help="Evidence is due before (RFC 3339)."),
    limit: int = typer.Option(20, min=1, help="How many at most."),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """List disputes, newest first."""
    given = {
        "status": status,
        "payment": payment and payment_id(payment),
        "due_before": due_before,
    }
    with gateway(url, ca, key_file) as client:
        found = newest(
            client, "/v1/disputes", limit, {name: value for name, value in given.items() if value}
        )
    print_list(found, _print, none="nothing is disputed that fits", as_json=as_json)


def show(
    dispute: str = _ID,
    *,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Show where a dispute stands."""
    if not is_id("dsp", dispute):
        raise typer.BadParameter("a dispute's id is dsp_ and 26 letters and digits")
    with gateway(url, ca, key_file) as client:
        found = client.ask("GET", f"/v1/disputes/{dispute}")
    if as_json:
        print_json(found)
    else:
        _print([found])


def _print(disputes: Sequence[Mapping[str, Any]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("id", "status", "amount", "reason", "evidence due", "payment"):
        table.add_column(name, no_wrap=True)
    for each in disputes:
        table.add_row(
            each["id"],
            each["status"],
            shown(each["amount"], each["currency"]),
            each["reason"] or "",
            (each["evidence_due_by"] or "")[:16].replace("T", " "),
            each["payment"],
        )
    print_table(table)
