# SPDX-License-Identifier: Apache-2.0
"""`strongroom pki`: the certificates by which gateway and worker are known to the vault, when they run apart.

Whatever it changes is an audit record of the platform's (`cli/recorded.py`).
"""

import enum
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.table import Table

from strongroom.cli.console import installation, out, print_json, print_table

if TYPE_CHECKING:
    from strongroom.cli.authorities import Authorities, Issued, Planned
    from strongroom.cli.recorded import Changer

Result = TypeVar("Result")

pki = typer.Typer(
    no_args_is_help=True,
    help="Certificates of the vault's internal port, for roles that run as processes of their own.",
)
#: A certificate that is a role lasts so long; `issue` without a name makes anew what ends within ten days.
DAYS = typer.Option(30, "--days", min=1, max=397, help="How long it lasts.")
HOST = typer.Option(
    [], "--host", help="A name or address that callers find the vault by; may be given again."
)


class Step(enum.StrEnum):
    """A step of a rotation."""

    TRUST = "trust"
    ISSUE = "issue"
    FORGET = "forget"


def register(app: typer.Typer) -> None:
    """Add the noun."""
    pki.command("init", epilog="Example: strongroom pki init")(init)
    pki.command("issue", epilog="Example: strongroom pki issue gateway --out /tmp/for-gateway")(
        issue
    )
    pki.command("list", epilog="Example: strongroom pki list --json")(list_)
    pki.command("rotate", epilog="Example: strongroom pki rotate --step trust")(rotate)
    pki.command("revoke", epilog="Example: strongroom pki revoke gateway")(revoke)
    app.add_typer(pki, name="pki")


def init(host: list[str] = HOST, days: int = DAYS) -> None:
    """Make what roles need to run apart: authority, certificates, and a key file for each role. Safe to repeat."""
    from strongroom.cli.recorded import with_changer

    authorities, hosts = _open(host)

    async def work(changer: "Changer") -> "tuple[int, bool, Sequence[Issued]]":
        made = await changer.do(authorities.make)
        written = installation().split_keys()
        due = await _issued(changer, authorities, authorities.due(), hosts, days)
        return written, made, due

    written, made, issued = with_changer(authorities, work)
    if written:
        out.print(f"wrote the key files of {written} roles, each with its own roots alone")
    for each in issued:
        _say(each)
    out.print(
        f"{'made' if made else 'kept'} the authority of the vault's internal port in {authorities.folder}",
        soft_wrap=True,
    )


def issue(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="server, gateway or worker; without one, what is due."),
    ] = None,
    host: list[str] = HOST,
    days: int = DAYS,
    target: Path | None = typer.Option(
        None,
        "--out",
        help="Another folder, for a process on another machine; gets the authorities too.",
    ),
) -> None:
    """Issue certificates anew. Processes that run take them up; what they replace stays good until it ends."""
    from strongroom.cli.authorities import NAMES
    from strongroom.cli.recorded import with_changer

    if unknown := set(names or ()) - set(NAMES):
        raise typer.BadParameter(f"{min(unknown)}: one of {', '.join(NAMES)}")
    authorities, hosts = _open(host)
    authorities.trusted()  # there is an authority
    wanted = names or authorities.due()

    async def work(changer: "Changer") -> "Sequence[Issued]":
        return await _issued(changer, authorities, wanted, hosts, days, target)

    if not wanted:
        out.print("nothing is due")
        return
    for each in with_changer(authorities, work):
        _say(each)


async def _issued(
    changer: "Changer",
    authorities: "Authorities",
    names: "Sequence[str]",
    hosts: list[str],
    days: int,
    target: Path | None = None,
) -> "Sequence[Issued]":
    lifetime = timedelta(days=days)
    return [
        await changer.do(partial(authorities.issue, name, hosts, lifetime, target))
        for name in names
    ]


def list_(
    *,
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """List the certificates that were issued and have not ended."""
    authorities, _ = _open([])
    found = authorities.issued()
    if as_json:
        print_json(
            {
                "trusted": list(authorities.trusted()),
                "certificates": [
                    {
                        "serial": each.serial,
                        "name": each.name,
                        "authority": each.authority,
                        "ends_at": each.ends_at.isoformat(),
                        "revoked_at": each.revoked_at and each.revoked_at.isoformat(),
                        "in_use": authorities.in_use(each),
                    }
                    for each in found
                ],
            }
        )
        return
    table = Table(box=None, header_style="bold")
    for column in ("serial", "name", "authority", "ends", "state"):
        table.add_column(column)
    for each in found:
        table.add_row(
            each.serial,
            each.name,
            str(each.authority),
            f"{each.ends_at:%Y-%m-%d}",
            _state(authorities, each),
        )
    print_table(table)


def rotate(
    step: Step = typer.Option(
        ...,
        help="trust: a new authority beside the present; issue: by the new one; forget: the old one.",
    ),
    host: list[str] = HOST,
    days: int = DAYS,
) -> None:
    """Let another authority follow, a step at a time. No process stops, and none is locked out between two steps."""
    authorities, hosts = _open(host)
    lifetime = timedelta(days=days)
    if step is Step.TRUST:
        number = _one(authorities, authorities.trust_next)
        out.print(f"authority {number} is trusted too; next: strongroom pki rotate --step issue")
    elif step is Step.ISSUE:
        for each in _one(authorities, lambda: authorities.issue_by_next(hosts, lifetime)):
            _say(each)
        out.print("next: strongroom pki rotate --step forget")
    else:
        former = _one(authorities, authorities.forget_former)
        out.print(f"authority {', '.join(map(str, former))} is trusted no more")


def revoke(
    which: str = typer.Argument(
        help="A serial number; or a name, for every certificate of it but the one in use here."
    ),
) -> None:
    """Revoke certificates. The vault's port refuses them within two seconds."""
    authorities, _ = _open([])
    for each in _one(authorities, lambda: authorities.revoke(which)):
        out.print(f"revoked {each.serial} {each.name}")


def _one(authorities: "Authorities", plan: "Callable[[], Planned[Result]]") -> Result:
    from strongroom.cli.recorded import with_changer

    async def work(changer: "Changer") -> Result:
        return await changer.do(plan)

    return with_changer(authorities, work)


def _open(hosts: list[str]) -> "tuple[Authorities, list[str]]":
    from strongroom.cli.authorities import Authorities
    from strongroom.cli.installation import LOCAL_NAMES, NotInitialised
    from strongroom.config.internal import port_folder

    here = installation()
    settings = here.settings
    if not settings.state.is_dir():
        raise NotInitialised
    url = settings.vault_internal_url.partition("://")[2].rpartition(":")[0].strip("[]")
    names = {*LOCAL_NAMES, *hosts, settings.vault_internal_listen.host, url}
    return (
        Authorities(port_folder(settings), here.clock.now()),
        sorted(names - {"0.0.0.0", "::", ""}),  # noqa: S104 - not a name
    )


def _say(each: "Issued") -> None:
    out.print(f"issued {each.serial} {each.name}, until {each.ends_at:%Y-%m-%d}", soft_wrap=True)


def _state(authorities: "Authorities", each: "Issued") -> str:
    if each.revoked_at is not None:
        return "revoked"
    return "in use" if authorities.in_use(each) else "elsewhere" if each.elsewhere else "replaced"
