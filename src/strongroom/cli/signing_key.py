# SPDX-License-Identifier: Apache-2.0
"""`strongroom signing-key`: list and rotate the keys that sign access tokens. Their seeds are never shown."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table

from strongroom.cli.console import out, print_json, print_table

if TYPE_CHECKING:
    from strongroom.identity import ServiceBook, SigningKeyBook, SigningKeyInfo

_JSON = typer.Option(False, "--json", help="Print JSON.")


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(
        no_args_is_help=True, help="List and rotate the keys that sign access tokens."
    )
    noun.command("list", epilog="Example: strongroom signing-key list")(list_)
    noun.command("rotate", epilog="Example: strongroom signing-key rotate")(rotate)
    app.add_typer(noun, name="signing-key")


def list_(*, as_json: bool = _JSON) -> None:
    """List every key, the newest first."""
    from strongroom.cli.operating import with_machines

    async def work(signing: "SigningKeyBook", _: "ServiceBook") -> "Sequence[SigningKeyInfo]":
        return await signing.published()

    found = with_machines(work)
    if as_json:
        print_json([printed(key) for key in found])
        return
    if not found:
        out.print("no keys yet: the first is made when the console first starts")
        return
    shown = Table(box=None, pad_edge=False)
    for column in ("version", "kid", "signs from", "believed until"):
        shown.add_column(column, no_wrap=True)
    for key in found:
        until = f"{key.verify_until:%Y-%m-%d %H:%M:%S}" if key.verify_until else ""
        shown.add_row(str(key.version), key.kid, f"{key.sign_from:%Y-%m-%d %H:%M:%S}", until)
    print_table(shown)


def rotate(
    *,
    compromised: bool = typer.Option(
        False,
        "--compromised",
        help="Believe no earlier key from now on: every access token ends, and sessions refresh.",
    ),
    as_json: bool = _JSON,
) -> None:
    """Make the next key. It signs in a few seconds; the one before is believed until its last token has expired."""
    from strongroom.cli.operating import actor, with_machines

    async def work(signing: "SigningKeyBook", _: "ServiceBook") -> "SigningKeyInfo":
        await signing.ensure()
        return await signing.rotate(actor=actor(), compromised=compromised)

    made = with_machines(work)
    if as_json:
        print_json(printed(made))
    else:
        out.print(f"made version {made.version}, [bold]{made.kid}[/]", soft_wrap=True)
        out.print("every access token ended" if compromised else "it signs in a few seconds")


def printed(key: "SigningKeyInfo") -> dict[str, Any]:
    """Return a key as JSON shows it."""
    from strongroom.kernel.clock import rfc3339

    def moment(at: datetime | None) -> str | None:
        return None if at is None else rfc3339(at)

    return {
        "object": "signing_key",
        "kid": key.kid,
        "version": key.version,
        "made_at": moment(key.made_at),
        "sign_from": moment(key.sign_from),
        "verify_until": moment(key.verify_until),
    }
