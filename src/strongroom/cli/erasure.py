# SPDX-License-Identifier: Apache-2.0
"""`strongroom erasure`: erase cards of a running vault as its client, and see when no copy of them is left."""

from pathlib import Path
from typing import Any, Final

import typer
from rich.table import Table
from rich.text import Text

from strongroom.cli.calling import CA, JSON, KEY_FILE
from strongroom.cli.calling import vault as vault_client
from strongroom.cli.console import confirm, out, print_json, print_table
from strongroom.cli.lists import newest, print_list
from strongroom.kernel.ids import is_id

_URL = typer.Option(
    "", envvar="STRONGROOM_URL", help="The vault; without it this machine's installation."
)
_EXAMPLE: Final = "01KAHX3MZ4V8Q2T6N0R5W7Y9CB"


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(
        no_args_is_help=True, help="Erase cards, and see when no copy of them is left."
    )
    noun.command(
        "create", epilog=f"Example: strongroom erasure create --token tok_{_EXAMPLE} --yes"
    )(create)
    noun.command("list", epilog="Example: strongroom erasure list --json")(list_)
    noun.command("show", epilog=f"Example: strongroom erasure show ers_{_EXAMPLE}")(show)
    app.add_typer(noun, name="erasure")


def create(
    *,
    token: str = typer.Option("", help="Erase this token (tok_…)."),
    customer: str = typer.Option("", help="Erase every token whose metadata name this customer."),
    at_once: bool = typer.Option(
        False, "--at-once", help="Rotate the key now, and not together with others within a day."
    ),
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
    url: str = _URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Delete cards, and have the key destroyed that sealed them. It cannot be undone."""
    if bool(token) == bool(customer):
        raise typer.BadParameter("give one of --token and --customer")
    if token and not is_id("tok", token):
        raise typer.BadParameter("a token's id is tok_ and 26 letters and digits")
    confirm(f"Erase the cards of {token or customer} for good?", yes=yes)
    what = {"token": token} if token else {"customer": customer}
    with vault_client(url, ca, key_file) as vault:
        made = vault.ask("POST", "/v1/erasures", body={**what, "at_once": at_once})
    _show(made, as_json=as_json)


def list_(
    *,
    limit: int = typer.Option(20, min=1, help="How many, newest first."),
    url: str = _URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """List erasures, newest first."""
    with vault_client(url, ca, key_file) as vault:
        found = newest(vault, "/v1/erasures", limit)
    print_list(
        found,
        lambda each: print_table(_table(each)),
        none="nothing was erased yet",
        as_json=as_json,
    )


def show(
    erasure: str = typer.Argument(metavar="ID", help="The erasure's id (ers_…)."),
    *,
    url: str = _URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Show how far an erasure is."""
    if not is_id("ers", erasure):
        raise typer.BadParameter("an erasure's id is ers_ and 26 letters and digits")
    with vault_client(url, ca, key_file) as vault:
        _show(vault.ask("GET", f"/v1/erasures/{erasure}"), as_json=as_json)


def _show(erasure: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(erasure)
        return
    print_table(_table([erasure]))
    word = "is" if erasure["complete_at_is_final"] else "will be, as expected,"
    out.print(
        f"no copy that could open these cards {word} left on {erasure['complete_at'][:10]}",
        soft_wrap=True,
    )
    if erasure["problem"]:
        out.print(Text(f"it waits: {erasure['problem']}", style="bold red"))


def _table(erasures: list[dict[str, Any]]) -> Table:
    shown = Table(box=None, pad_edge=False)
    for column in ("id", "scope", "state", "tokens", "complete"):
        shown.add_column(column, no_wrap=True)
    for each in erasures:
        shown.add_row(
            each["id"],
            each["scope"],
            each["state"],
            str(each["tokens"]),
            each["complete_at"][:10] + ("" if each["complete_at_is_final"] else " (expected)"),
        )
    return shown
