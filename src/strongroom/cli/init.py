# SPDX-License-Identifier: Apache-2.0
"""`strongroom init` and `strongroom migrate`: make an installation, bring its schemas to this release."""

from typing import TYPE_CHECKING

import typer

from strongroom.cli.console import attached, errors, out, print_json
from strongroom.db.address import Address, parse_dsn
from strongroom.kernel.errors import StrongroomError

if TYPE_CHECKING:
    from strongroom.cli.installation import Installation
    from strongroom.identity import NewInvitation, PeopleOffice


class AdministratorNeeded(StrongroomError):
    """External databases need --administrator once, a login that may make roles and databases."""

    code = "administrator_needed"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("init", epilog="Example: strongroom init")(init)
    app.command("migrate", epilog="Example: strongroom migrate --json")(migrate)


def init(
    administrator: str = typer.Option(
        "", help="URL of a login that may make roles and databases; only for external databases."
    ),
    admin_email: str = typer.Option(
        "",
        help="Address of the platform's first administrator: prints their set-up link, as long as there is no "
        "active one. Asked again, the link before no longer works.",
    ),
    admin_name: str = typer.Option("Administrator", help="The first administrator's name."),
) -> None:
    """Make this installation: secrets, certificates, key file, databases. Safe to repeat."""

    async def work(here: "Installation") -> int:
        return await here.make_databases(
            lambda step: errors.print(f"  {step}"), _address(administrator)
        )

    from strongroom.cli.console import installation

    here = installation()
    if not here.uses_embedded and not administrator:
        raise AdministratorNeeded
    here.make_secrets()
    made = here.make_keys()
    here.tls()
    ran = attached(work)
    out.print(
        f"initialised in [bold]{here.settings.state}[/]: {ran} migrations"
        + (", new key file" if made else "")
    )
    if admin_email:
        _invite_first(admin_email, admin_name)


def _invite_first(email: str, name: str) -> None:
    from strongroom.audit import Origin
    from strongroom.cli.operating import actor, with_people
    from strongroom.cli.person import show_link
    from strongroom.identity import Act

    async def work(people: "PeopleOffice") -> "NewInvitation":
        return await people.first_admin(email, name, Act(actor(), Origin()))

    show_link(with_people(work))


def migrate(
    *,
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Bring both databases to this release's schema, grants and partitions. Refuses newer ones."""

    async def work(here: "Installation") -> int:
        return await here.make_databases(lambda step: errors.print(f"  {step}"), None)

    ran = attached(work)
    if as_json:
        print_json({"migrations": ran})
    else:
        out.print(f"{ran} migrations ran")


def _address(text: str) -> Address | None:
    return parse_dsn(text) if text else None
