# SPDX-License-Identifier: Apache-2.0
"""`strongroom token`: make, read, list and delete tokens as a client of a running vault; only `reveal` is not masked.

Card number, CVC and key are never arguments: they would stand in the process list and in the shell's history.
"""

import re
from pathlib import Path
from typing import Any, Final

import typer
from rich.table import Table
from rich.text import Text

from strongroom.cli.calling import CA, JSON, KEY_FILE, typed
from strongroom.cli.calling import metadata as read_metadata
from strongroom.cli.calling import vault as vault_client
from strongroom.cli.console import confirm, out, print_json, print_table
from strongroom.cli.lists import newest, print_list
from strongroom.cli.token_honey import honey
from strongroom.cli.token_reveal import reveal
from strongroom.kernel.ids import is_id

_EXPIRY: Final = re.compile(r"(?P<month>0?[1-9]|1[0-2])[/-](?P<year>20[0-9]{2})")

_URL = typer.Option(
    "", envvar="STRONGROOM_URL", help="The vault; without it this machine's installation."
)
_ID = typer.Argument(metavar="ID", help="The token's id (tok_…).")


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(
        no_args_is_help=True,
        help="Make, read, list, reveal and delete tokens of a running vault.",
    )
    noun.command(
        "create",
        epilog="Example: strongroom token create --exp 12/2030 --key-file backend.key < card.txt",
    )(create)
    noun.command(
        "read",
        epilog="Example: strongroom token read tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB --key-file backend.key",
    )(read)
    noun.command("list", epilog="Example: strongroom token list --limit 50 --json")(list_)
    noun.command(
        "delete", epilog="Example: strongroom token delete tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB --yes"
    )(delete)
    noun.command(
        "reveal",
        epilog="Example: strongroom token reveal tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB --purpose dispute --person",
    )(reveal)
    noun.command(
        "honey", epilog="Example: strongroom token honey --exp 11/2034 --metadata customer=c-20417"
    )(honey)
    app.add_typer(noun, name="token")


def create(
    *,
    exp: str = typer.Option(metavar="MM/YYYY", help="The card's expiry: 12/2030."),
    cvc: bool = typer.Option(False, "--cvc", help="Read a CVC too: the second line, or a prompt."),
    deduplicate: bool = typer.Option(
        False, "--deduplicate", help="Return the token that this number has, if it has one."
    ),
    metadata: list[str] = typer.Option(
        [], metavar="KEY=VALUE", help="Shown in clear with the token; repeat it for each."
    ),
    container: str = typer.Option(
        "", metavar="NAME", help="Where the token stands, such as cards/eu; without it default."
    ),
    holder: str = typer.Option("", metavar="NAME", help="The cardholder's name; it is sealed."),
    alias: bool = typer.Option(
        False, "--alias", help="Make an alias too that has the shape of a card number."
    ),
    idempotency_key: str = typer.Option(
        "", help="Name of this request, to repeat it safely; made for you without it."
    ),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Print the token's id alone."),
    url: str = _URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Make a token of a card. Its number is read from standard input (first line), or asked for."""
    from strongroom.cli.client import AnswerLost
    from strongroom.cli.hardening import forbid_dumps
    from strongroom.crypto import new_secret_text

    expiry = _EXPIRY.fullmatch(exp)
    if expiry is None:
        raise typer.BadParameter("--exp is MM/YYYY, such as 12/2030")
    facts = read_metadata(metadata)
    forbid_dumps()
    with vault_client(url, ca, key_file) as vault:
        number = typed("Card number")
        card: dict[str, Any] = {
            "number": number.expose().replace(" ", "").replace("-", ""),
            "exp_month": int(expiry["month"]),
            "exp_year": int(expiry["year"]),
        }
        if cvc:
            card["cvc"] = typed("CVC").expose()
        more = {"metadata": facts, "container": container, "holder": holder}
        wish = {
            "card": card,
            "deduplicate": deduplicate,
            "alias": alias,
            **{name: value for name, value in more.items() if value},
        }
        key = idempotency_key or "cli-" + new_secret_text(128)
        try:
            made = vault.ask("POST", "/v1/tokens", body=wish, headers={"idempotency-key": key})
        except AnswerLost as error:
            raise AnswerLost(
                f"no answer came, and whether the token was made is not known: repeat this with "
                f"--idempotency-key {key}"
            ) from error
    _show(made, as_json=as_json, quiet=quiet)


def read(
    token: str = _ID,
    *,
    url: str = _URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Show what may be shown of a token's card."""
    path = f"/v1/tokens/{_token_id(token)}"
    with vault_client(url, ca, key_file) as vault:
        _show(vault.ask("GET", path), as_json=as_json)


def list_(
    *,
    limit: int = typer.Option(20, min=1, help="How many, newest first."),
    url: str = _URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """List tokens, newest first, masked."""
    with vault_client(url, ca, key_file) as vault:
        found = newest(vault, "/v1/tokens", limit)
    print_list(
        found,
        lambda each: print_table(_table(each)),
        none="no tokens yet: strongroom token create --help",
        as_json=as_json,
    )


def delete(
    token: str = _ID,
    *,
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
    url: str = _URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Delete a token. The sealed card number goes with it, for good."""
    path = f"/v1/tokens/{_token_id(token)}"
    confirm(f"Delete {token} and its card for good?", yes=yes)
    with vault_client(url, ca, key_file) as vault:
        vault.ask("DELETE", path)
    if as_json:
        print_json({"id": token, "object": "token", "deleted": True})
    else:
        out.print(f"deleted [bold]{token}[/]")


def _token_id(text: str) -> str:
    if not is_id("tok", text):
        raise typer.BadParameter("a token's id is tok_ and 26 letters and digits")
    return text


def _show(token: dict[str, Any], *, as_json: bool, quiet: bool = False) -> None:
    if as_json:
        print_json(token)
    elif quiet:
        typer.echo(token["id"])
    else:
        print_table(_table([token]))
        for key, value in token["metadata"].items():
            out.print(Text(f"  {key}: {value}", style="dim"), soft_wrap=True)
        for name, what in (
            ("container", "container"),
            ("holder", "holder"),
            ("pan_alias", "alias"),
        ):
            if name in token:
                out.print(Text(f"  {what}: {token[name]}"), soft_wrap=True)
        if token.get("cvc"):
            out.print(f"sealed CVC, for one use until {token['cvc_expires_at']}:", style="dim")
            typer.echo(token["cvc"])


def _table(tokens: list[dict[str, Any]]) -> Table:
    shown = Table(box=None, pad_edge=False)
    for column in ("id", "card", "expiry", "made"):
        shown.add_column(column, no_wrap=True)
    for token in tokens:
        shown.add_row(
            token["id"],
            f"{token['brand']} {token['bin']}…{token['last4']}",
            f"{token['exp_month']:02}/{token['exp_year']}",
            token["created_at"][:10] + (" single-use" if token["single_use"] else ""),
        )
    return shown
