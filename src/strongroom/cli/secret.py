# SPDX-License-Identifier: Apache-2.0
"""`strongroom secret`: where secrets are kept, and other passwords for the database logins. No value is ever shown."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from strongroom.cli.console import installation, out, print_json, print_table, run

if TYPE_CHECKING:
    from strongroom.compose import Composer
    from strongroom.db.logins import Login


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(
        no_args_is_help=True,
        help="Secrets that are kept elsewhere, and the rotation of the logins' passwords.",
    )
    noun.command("list", epilog="Example: strongroom secret list")(list_)
    noun.command("rotate", epilog="Example: strongroom secret rotate strongroom_gateway")(rotate)
    app.add_typer(noun, name="secret")


def list_(*, as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """Read every secret that the settings refer to, and say which cannot be read. Exit code 1 if any."""
    from strongroom import compose
    from strongroom.db.logins import Login
    from strongroom.keys import SecretsMissing

    here = installation()
    wanted = compose.wanted_secrets(here.settings, sorted(Login))
    faults: dict[str, str] = {}
    try:
        run(compose.open_secrets(here.settings).load(wanted))
    except SecretsMissing as missing:
        faults = missing.faults
    if as_json:
        print_json(
            [
                {"setting": name, "reference": str(reference), "fault": faults.get(name)}
                for name, reference in wanted.items()
            ]
        )
    elif wanted:
        shown = Table("setting", "reference", "", box=None, pad_edge=False)
        for name, reference in wanted.items():
            shown.add_row(name, str(reference), "missing" if name in faults else "read")
        print_table(shown)
    else:
        out.print("no setting refers to a secret that is kept elsewhere")
    if faults:
        raise typer.Exit(1)


def rotate(
    logins: Annotated[
        list[str] | None, typer.Argument(help="Logins (strongroom_gateway …).", metavar="LOGIN…")
    ] = None,
    *,
    every: bool = typer.Option(False, "--all", help="Every login, one after another."),
) -> None:
    """Give database logins other passwords. Servers that run notice it by themselves; cut off, run it again."""
    from strongroom.db.logins import Login

    known = {login.value: login for login in Login}
    if every == bool(logins):
        raise typer.BadParameter("name logins, or give --all")
    for name in logins or ():
        if name not in known:
            raise typer.BadParameter(f"{name}: one of {', '.join(sorted(known))}")
    for login in sorted(Login) if every else [known[name] for name in logins or ()]:
        _rotate(login)
        out.print(f"{login} has another password", soft_wrap=True)


def _rotate(login: "Login") -> None:
    from strongroom import compose
    from strongroom.cli.operating import actor, composed

    async def work(composer: "Composer") -> None:
        database, recorder = await composer.operator_recorder()
        await compose.SecretRotation(composer.site, database, recorder).rotate(login, actor())

    composed(work)
