# SPDX-License-Identifier: Apache-2.0
"""`strongroom token honey`: make a token that nobody uses, or see who named one. As who is logged in here."""

from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from strongroom.cli.calling import CA, JSON, metadata
from strongroom.cli.calling import vault as vault_client
from strongroom.cli.console import out, print_json, print_table


def honey(
    *,
    expiry: str = typer.Option(
        "",
        "--exp",
        metavar="MM/YYYY",
        help="When it expires; without it, those there are are listed.",
    ),
    container: str = typer.Option("default", help="Where it stands."),
    holder: str = typer.Option("", help="A name, where the tokens beside it have one."),
    with_metadata: list[str] = typer.Option(
        [], "--metadata", metavar="KEY=VALUE", help="As the tokens beside it have; repeatable."
    ),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Print the token's id alone."),
    url: str = typer.Option(
        "", envvar="STRONGROOM_URL", help="The vault; without it this machine's installation."
    ),
    ca: Path | None = CA,
    as_json: bool = JSON,
) -> None:
    """Make a token that no system uses: whoever names it is found out. Nothing tells it from others."""
    from strongroom.cli.session import refreshed

    wish: dict[str, Any] | None = None
    if expiry:
        month, _, year = expiry.partition("/")
        if not (month.isdecimal() and year.isdecimal()):
            raise typer.BadParameter("--exp is MM/YYYY")
        wish = {"exp_month": int(month), "exp_year": int(year), "container": container}
        if holder:
            wish["holder"] = holder
        if with_metadata:
            wish["metadata"] = metadata(with_metadata)
    access = refreshed()[1]
    with vault_client(url, ca, None, access=access) as vault:
        if wish is None:
            _list(vault.ask("GET", "/v1/honeytokens"), as_json=as_json)
            return
        made = vault.ask("POST", "/v1/honeytokens", body=wish)
    if as_json:
        print_json(made)
    elif quiet:
        typer.echo(made["token"])
    else:
        out.print(
            f"{made['token']}, {made['mode']} mode; put it where only a thief would find it",
            markup=False,
        )


def _list(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found["data"])
        return
    table = Table(box=None, pad_edge=False)
    for column in ("token", "container", "made", "uses", "last used", "by"):
        table.add_column(column, no_wrap=True)
    for each in found["data"]:
        table.add_row(
            each["token"],
            each["container"] or "deleted",
            each["created_at"][:10],
            str(each["uses"]),
            each["last_used_at"] or "never",
            each["last_used_by"] or "",
        )
    print_table(table)
