# SPDX-License-Identifier: Apache-2.0
"""`strongroom person`: invite people, see them, let them in and out. A set-up link is printed once and kept nowhere.

Operators act at any tenant and are bound by the same rules as admins, but that they may reset a last admin: the way in
again for whoever lost every proof.
"""

import enum
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import typer
from rich.table import Table
from rich.text import Text

from strongroom.cli.console import errors, out, print_json, print_table
from strongroom.cli.key import merchant_id
from strongroom.kernel.ids import MerchantId, PersonId, is_id

if TYPE_CHECKING:
    from strongroom.identity import Act, NewInvitation, PeopleOffice, Person

Result = TypeVar("Result")

_JSON = typer.Option(False, "--json", help="Print JSON.")
_QUIET = typer.Option(False, "--quiet", "-q", help="Print the set-up link alone.")
_MERCHANT = typer.Option("", help="The merchant's id (mer_…).")
_PLATFORM = typer.Option(False, "--platform", help="People of the platform itself.")
_ID = typer.Argument(metavar="ID", help="The person's id (usr_…).")
_SAMPLE: Final = "usr_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_PAGE: Final = 100


class StaffRole(enum.StrEnum):
    """What a person can be; `service` is for machines."""

    ADMIN = "admin"
    AUDITOR = "auditor"
    DEVELOPER = "developer"
    OPERATOR = "operator"


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(no_args_is_help=True, help="Invite people, let them in and out.")
    noun.command(
        "invite",
        epilog="Example: strongroom person invite --merchant mer_01KAHX3MZ4V8Q2T6N0R5W7Y9CB "
        "--email noor@shop.example --name Noor --role admin",
    )(invite)
    noun.command("list", epilog="Example: strongroom person list --platform")(list_)
    noun.command("role", epilog=f"Example: strongroom person role {_SAMPLE} auditor")(role)
    noun.command("suspend", epilog=f"Example: strongroom person suspend {_SAMPLE}")(suspend)
    noun.command("enable", epilog=f"Example: strongroom person enable {_SAMPLE}")(enable)
    noun.command("unlock", epilog=f"Example: strongroom person unlock {_SAMPLE}")(unlock)
    noun.command("reset", epilog=f"Example: strongroom person reset {_SAMPLE} --quiet")(reset)
    app.add_typer(noun, name="person")


def invite(
    *,
    email: str = typer.Option(help="Their address: one person, one address, one tenant."),
    name: str = typer.Option(help="Their name: 1 to 100 characters."),
    role: StaffRole = typer.Option(help="What they are."),
    merchant: str = _MERCHANT,
    platform: bool = _PLATFORM,
    quiet: bool = _QUIET,
    as_json: bool = _JSON,
) -> None:
    """Make a person and their set-up link, which works once and for 24 hours. Nothing is mailed."""
    from strongroom.identity import PersonWish
    from strongroom.kernel.principal import Role

    wish = PersonWish(_tenant(merchant, platform=platform), email, name, Role(role))

    async def work(people: "PeopleOffice", act: "Act") -> "NewInvitation":
        return await people.invite(wish, act)

    show_link(_done(work), quiet=quiet, as_json=as_json)


def list_(*, merchant: str = _MERCHANT, platform: bool = _PLATFORM, as_json: bool = _JSON) -> None:
    """List a tenant's people, the suspended too."""
    tenant = _tenant(merchant, platform=platform)

    async def work(people: "PeopleOffice", _: "Act") -> "list[Person]":
        found: list[Person] = []
        while True:
            page = await people.all(tenant, found[-1].person_id if found else "", _PAGE)
            found += page
            if len(page) < _PAGE:
                return found

    found = _done(work)
    if as_json:
        print_json([printed(each) for each in found])
    else:
        _show(found)


def role(
    person: str = _ID,
    role: StaffRole = typer.Argument(help="What they shall be."),
    *,
    as_json: bool = _JSON,
) -> None:
    """Give a person another role. Their sessions end."""
    from strongroom.kernel.principal import Role

    async def work(people: "PeopleOffice", found: "Person", act: "Act") -> "Person":
        return await people.change_role(found.merchant, found.person_id, Role(role), act)

    _say(_done_to(person, work), as_json=as_json)


def suspend(person: str = _ID, *, as_json: bool = _JSON) -> None:
    """Keep a person out until they are enabled. Their sessions end. Safe to repeat."""

    async def work(people: "PeopleOffice", found: "Person", act: "Act") -> "Person":
        return await people.suspend(found.merchant, found.person_id, act, reason="by_operator")

    _say(_done_to(person, work), as_json=as_json)


def enable(person: str = _ID, *, as_json: bool = _JSON) -> None:
    """Let a suspended person in again, as they were."""

    async def work(people: "PeopleOffice", found: "Person", act: "Act") -> "Person":
        return await people.enable(found.merchant, found.person_id, act)

    _say(_done_to(person, work), as_json=as_json)


def unlock(person: str = _ID, *, as_json: bool = _JSON) -> None:
    """Let a person who failed to log in too often try again at once."""

    async def work(people: "PeopleOffice", found: "Person", act: "Act") -> "Person":
        return await people.unlock(found.merchant, found.person_id, act)

    _say(_done_to(person, work), as_json=as_json)


def reset(person: str = _ID, *, quiet: bool = _QUIET, as_json: bool = _JSON) -> None:
    """Take away all that proves a person (a lost phone) and make a new set-up link. Make sure that it is them."""

    async def work(people: "PeopleOffice", found: "Person", act: "Act") -> "NewInvitation":
        return await people.reset(found.merchant, found.person_id, act)

    show_link(_done_to(person, work), quiet=quiet, as_json=as_json)


def show_link(made: "NewInvitation", *, quiet: bool = False, as_json: bool = False) -> None:
    """Print a set-up link, the only time there is."""
    from strongroom.kernel.clock import rfc3339

    link = made.link.expose()
    if as_json:
        invitation = made.invitation
        print_json(
            {
                "id": invitation.invitation_id,
                "object": "invitation",
                "person": printed(made.person),
                "reason": invitation.reason.value,
                "expires_at": rfc3339(invitation.expires_at),
                "link": link,
            }
        )
        return
    if not quiet:
        errors.print(
            f"[bold]{made.person.person_id}[/] sets up with this link, shown once, until "
            f"{made.invitation.expires_at:%Y-%m-%d %H:%M}Z:",
            soft_wrap=True,
        )
    typer.echo(link)


def printed(person: "Person") -> dict[str, Any]:
    """Return a person as JSON shows them."""
    from strongroom.kernel.clock import rfc3339

    return {
        "id": person.person_id,
        "object": "person",
        "merchant": person.tenant,
        "email": person.email,
        "name": person.name,
        "role": person.role.value,
        "status": person.status.value,
        "created_by": person.created_by,
        "created_at": rfc3339(person.created_at),
        "last_used_at": rfc3339(person.last_used_at) if person.last_used_at else None,
    }


def _done(work: "Callable[[PeopleOffice, Act], Awaitable[Result]]") -> Result:
    """Do work on people, as this operator."""
    from strongroom.audit import Origin
    from strongroom.cli.operating import actor, with_people
    from strongroom.identity import Act

    act = Act(actor(), Origin())
    return with_people(lambda people: work(people, act))


def _done_to(
    person: str, work: "Callable[[PeopleOffice, Person, Act], Awaitable[Result]]"
) -> Result:
    """Do something to the person of an id."""
    person_id = _person_id(person)

    async def found(people: "PeopleOffice", act: "Act") -> Result:
        return await work(people, await people.anywhere(person_id), act)

    return _done(found)


def _tenant(merchant: str, *, platform: bool) -> MerchantId:
    from strongroom.audit import PLATFORM

    if bool(merchant) == platform:
        raise typer.BadParameter("say whose people: --merchant mer_… or --platform")
    return PLATFORM if platform else merchant_id(merchant)


def _person_id(text: str) -> PersonId:
    if not is_id("usr", text):
        raise typer.BadParameter("a person's id is usr_ and 26 letters and digits")
    return PersonId(text)


def _say(person: "Person", *, as_json: bool) -> None:
    if as_json:
        print_json(printed(person))
    else:
        out.print(f"[bold]{person.person_id}[/] is {person.status.value}, {person.role.value}")


def _show(people: "Sequence[Person]") -> None:
    if not people:
        out.print("nobody yet: strongroom person invite --help")
        return
    shown = Table(box=None, pad_edge=False)
    for column in ("id", "role", "status", "last used", "email"):
        shown.add_column(column, no_wrap=True)
    shown.add_column("name", overflow="fold")
    for each in people:
        used = f"{each.last_used_at:%Y-%m-%d}" if each.last_used_at else "never"
        shown.add_row(
            each.person_id, each.role, each.status, used, Text(each.email), Text(each.name)
        )
    print_table(shown)
