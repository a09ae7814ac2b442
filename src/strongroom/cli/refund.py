# SPDX-License-Identifier: Apache-2.0
"""`strongroom refund`: give captured money back, as a client of a running gateway."""

from pathlib import Path
from typing import Any, Final

import typer

from strongroom.cli.calling import CA, JSON, KEY_FILE, URL, gateway, metadata, wish
from strongroom.cli.console import print_json
from strongroom.cli.lists import print_list
from strongroom.cli.payment_asked import amount_of, payment_id
from strongroom.cli.payment_shown import print_decline, print_refunds, say_not_known
from strongroom.kernel.ids import is_id

_EXAMPLE: Final = "pay_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_PAYMENT: Final = typer.Argument(metavar="PAYMENT", help="The payment's id (pay_…).")
_ID: Final = typer.Argument(metavar="ID", help="The refund's id (ref_…).")


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(no_args_is_help=True, help="Give captured money back, and follow it.")
    for name, command, example in (
        ("create", create, f"{_EXAMPLE} --amount 4.00"),
        ("show", show, "ref_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"),
        ("list", list_, _EXAMPLE),
    ):
        noun.command(name, epilog=f"Example: strongroom refund {name} {example}")(command)
    app.add_typer(noun, name="refund")


def create(
    payment: str = _PAYMENT,
    *,
    amount: str = typer.Option(
        "",
        help="Minor units (400), or with all of the currency's decimals (4.00); all that is left without it.",
    ),
    reason: str = typer.Option("", help="duplicate, fraudulent or requested_by_customer."),
    reference: str = typer.Option("", help="Your own name for it."),
    facts: list[str] = typer.Option(
        [], "--metadata", metavar="KEY=VALUE", help="Shown in clear; repeat it for each."
    ),
    idempotency_key: str = typer.Option(
        "", help="Name of this request, to repeat it safely; made for you without it."
    ),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Print the refund's id alone."),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Give back all that is left of what was captured, or a part."""
    path = f"/v1/payments/{payment_id(payment)}"
    given = {"reason": reason, "reference": reference, "metadata": metadata(facts)}
    body: dict[str, Any] = {name: value for name, value in given.items() if value}
    with gateway(url, ca, key_file) as client:
        if amount:
            body["amount"] = amount_of(client, path, amount)
        asked = wish(client, f"{path}/refunds", body, idempotency_key)
    refund = asked.problem["refund"] if asked.problem else asked.answer
    if as_json:
        print_json(asked.problem or refund)
    elif quiet:
        typer.echo(refund["id"])
    else:
        print_refunds([refund])
    if asked.problem:
        print_decline(asked.problem)
        raise typer.Exit(1)
    if refund["status"] == "pending":
        say_not_known(f"strongroom refund show {refund['id']}")


def show(
    refund: str = _ID,
    *,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Show where a refund stands."""
    if not is_id("ref", refund):
        raise typer.BadParameter("a refund's id is ref_ and 26 letters and digits")
    with gateway(url, ca, key_file) as client:
        found = client.ask("GET", f"/v1/refunds/{refund}")
    if as_json:
        print_json(found)
    else:
        print_refunds([found])


def list_(
    payment: str = _PAYMENT,
    *,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """List a payment's refunds, oldest first."""
    path = f"/v1/payments/{payment_id(payment)}/refunds"
    with gateway(url, ca, key_file) as client:
        found = client.ask("GET", path)["data"]
    print_list(
        found,
        print_refunds,
        none="nothing of this payment was given back: strongroom refund create --help",
        as_json=as_json,
    )
