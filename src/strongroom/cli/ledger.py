# SPDX-License-Identifier: Apache-2.0
"""`strongroom ledger`: what was posted for a merchant's payments, as a client of a running gateway."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import typer
from rich.table import Table

from strongroom.cli.amounts import shown
from strongroom.cli.calling import CA, JSON, KEY_FILE, URL, gateway
from strongroom.cli.console import errors, out, print_json, print_table
from strongroom.cli.lists import newest, print_list
from strongroom.cli.payment_asked import payment_id

_EXAMPLE: Final = "--payment pay_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_NOTHING: Final = "nothing was posted: no payment was authorized yet"


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(
        no_args_is_help=True, help="What was posted for payments: accounts, postings, and a check."
    )
    for name, command, example in (
        ("balance", balance, ""),
        ("statement", statement, _EXAMPLE),
        ("check", check, ""),
    ):
        noun.command(name, epilog=f"Example: strongroom ledger {name} {example}".rstrip())(command)
    app.add_typer(noun, name="ledger")


def balance(
    *, url: str = URL, ca: Path | None = CA, key_file: Path | None = KEY_FILE, as_json: bool = JSON
) -> None:
    """Show what each account comes to, in each currency. All balances of a currency add up to nothing."""
    with gateway(url, ca, key_file) as client:
        found = client.ask("GET", "/v1/ledger/balance")
    if as_json:
        print_json(found)
    elif found["data"]:
        _print_accounts(found["data"])
    else:
        out.print(_NOTHING)
    if not found["balanced"]:
        errors.print("the accounts do not balance", style="bold red")
        raise typer.Exit(1)


def statement(
    *,
    payment: str = typer.Option("", metavar="ID", help="Of this payment (pay_…) only."),
    account: str = typer.Option(
        "", help="Of this account only: authorizations, holds, receivable, refunds or sales."
    ),
    currency: str = typer.Option("", help="In this currency only."),
    made_from: str = typer.Option("", "--from", metavar="MOMENT", help="Not before (RFC 3339)."),
    made_to: str = typer.Option("", "--to", metavar="MOMENT", help="Before (RFC 3339)."),
    limit: int = typer.Option(100, min=1, help="How many at most."),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """List postings, oldest first."""
    given = {
        "payment": payment and payment_id(payment),
        "account": account,
        "currency": currency,
        "made_from": made_from,
        "made_to": made_to,
    }
    with gateway(url, ca, key_file) as client:
        found = newest(
            client,
            "/v1/ledger/postings",
            limit,
            {name: value for name, value in given.items() if value},
        )
    print_list(found, _print_postings, none=_NOTHING, as_json=as_json)


def check(
    *, url: str = URL, ca: Path | None = CA, key_file: Path | None = KEY_FILE, as_json: bool = JSON
) -> None:
    """Compare the ledger with every payment's balances. Exit code 1 where they differ."""
    with gateway(url, ca, key_file) as client:
        found = client.ask("GET", "/v1/ledger/check")
    if as_json:
        print_json(found)
    elif found["agrees"]:
        out.print("the ledger and the payments agree")
    else:
        table = Table("payment", "", "payment says", "ledger says")
        for each in found["data"]:
            for name in ("held", "captured", "refunded", "disputed"):
                figures = each[name]
                if figures["payment"] != figures["ledger"]:
                    table.add_row(
                        each["payment"], name, str(figures["payment"]), str(figures["ledger"])
                    )
        print_table(table)
    if not found["agrees"]:
        errors.print("the ledger and the payments differ", style="bold red")
        raise typer.Exit(1)


def _print_accounts(accounts: Sequence[Mapping[str, Any]]) -> None:
    table = Table("account", "debits", "credits", "balance")
    for each in accounts:
        figures = [shown(each[name], each["currency"]) for name in ("debits", "credits", "balance")]
        table.add_row(each["account"], *figures)
    print_table(table)


def _print_postings(postings: Sequence[Mapping[str, Any]]) -> None:
    table = Table("made", "payment", "debit", "credit", "amount")
    for each in postings:
        table.add_row(
            each["made_at"][:19].replace("T", " "),
            each["payment"],
            each["debit"],
            each["credit"],
            shown(each["amount"], each["currency"]),
        )
    print_table(table)
