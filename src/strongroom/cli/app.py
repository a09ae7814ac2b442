# SPDX-License-Identifier: Apache-2.0
"""Joins the nouns into `strongroom`, and turns errors into sentences."""

import sys
from typing import Final

import typer

from strongroom import __version__
from strongroom.cli import (
    access,
    access_rule,
    approval,
    audit,
    backup,
    brake,
    connection,
    container,
    customer,
    demo,
    destination,
    dispute,
    doctor,
    endpoint,
    erasure,
    event,
    init,
    job,
    key,
    key_store,
    keys,
    ledger,
    listen,
    login,
    merchant,
    network,
    payment,
    person,
    pki,
    provider,
    receipt,
    reconciliation,
    refund,
    retry,
    routing,
    scan,
    secret,
    serve,
    service,
    setup,
    signing_key,
    simulator,
    token,
    transfer,
    vault,
)
from strongroom.cli.console import errors
from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.errors import StrongroomError

USAGE: Final = 2

app = typer.Typer(
    name="strongroom",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="A self-hosted payment gateway with its own card vault.",
)
serve.register(app)
for noun in (
    demo,
    init,
    setup,
    login,
    merchant,
    person,
    key,
    service,
    signing_key,
    provider,
    network,
    token,
    container,
    access_rule,
    erasure,
    vault,
    transfer,
    connection,
    routing,
    destination,
    payment,
    receipt,
    refund,
    customer,
    dispute,
    brake,
    retry,
    ledger,
    reconciliation,
    endpoint,
    event,
    job,
    keys,
    listen,
    audit,
    backup,
    access,
    approval,
    simulator,
    pki,
    scan,
    key_store,
    secret,
    doctor,
):
    noun.register(app)


def _version(value: bool) -> None:  # noqa: FBT001 - typer's callback
    if value:
        typer.echo(f"strongroom {__version__}")
        raise typer.Exit


@app.callback()
def root(
    *,
    _version_option: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Take options that stand before any noun."""


def main() -> None:
    """Run the command line. Exit code 1 for what was refused or failed, 2 for wrong usage."""
    if any(has_cardlike(argument) for argument in sys.argv[1:]):
        # Before anything parses, repeats or logs it.
        errors.print(
            "An argument looks like a card number. The process list and the shell's history keep arguments: "
            "remove it there, and give card numbers on standard input.",
            soft_wrap=True,
        )
        sys.exit(USAGE)
    try:
        app()
    except StrongroomError as error:
        errors.print(f"[bold red]{error.code}[/]: ", end="")
        errors.print(error.detail, markup=False, soft_wrap=True)
        sys.exit(1)
