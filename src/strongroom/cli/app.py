# SPDX-License-Identifier: Apache-2.0
"""Joins the nouns into `strongroom`, and turns errors into sentences."""

import sys

import typer

from strongroom import __version__
from strongroom.cli import init, serve
from strongroom.cli.console import errors
from strongroom.kernel.errors import StrongroomError

app = typer.Typer(
    name="strongroom",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="A self-hosted payment gateway with its own card vault.",
)
serve.register(app)
init.register(app)


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
    """Run the command line."""
    try:
        app()
    except StrongroomError as error:
        errors.print(f"[bold red]{error.code}[/]: ", end="")
        errors.print(error.detail, markup=False)
        sys.exit(1)
