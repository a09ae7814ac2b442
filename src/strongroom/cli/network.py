# SPDX-License-Identifier: Apache-2.0
"""`strongroom network`: list, set and remove allow-lists at the machine itself; the way out of a lock-out."""

from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table
from rich.text import Text

from strongroom.cli.console import out, print_json, print_table
from strongroom.kernel.ids import MerchantId, NetworkId, is_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from strongroom.cli.operating import Result
    from strongroom.identity import AllowList, Networks

_JSON = typer.Option(False, "--json", help="Print JSON.")
_MERCHANT = typer.Option(help="The merchant's id (mer_…), or `platform`.")
_EXAMPLE = "mer_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(
        no_args_is_help=True, help="From which networks a merchant's callers may call."
    )
    noun.command("list", epilog=f"Example: strongroom network list --merchant {_EXAMPLE}")(list_)
    noun.command(
        "set",
        epilog=f"Example: strongroom network set 203.0.113.0/24 --merchant {_EXAMPLE} --subject group:vault",
    )(set_)
    noun.command(
        "remove",
        epilog=f"Example: strongroom network remove net_01KAHX3MZ4V8Q2T6N0R5W7Y9CB --merchant {_EXAMPLE}",
    )(remove)
    app.add_typer(noun, name="network")


def list_(*, merchant: str = _MERCHANT, as_json: bool = _JSON) -> None:
    """List a merchant's allow-lists. Every one that applies must hold a caller's address."""
    owner = _owner(merchant)

    async def work(networks: "Networks") -> "list[AllowList]":
        return list(await networks.all(owner))

    found = _with_networks(work)
    if as_json:
        print_json([printed(each) for each in found])
        return
    if not found:
        out.print("no allow-lists: every address is admitted")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("id", "mode", "subject"):
        table.add_column(column, no_wrap=True)
    for column in ("networks", "name"):
        table.add_column(column, overflow="fold")
    for each in found:
        table.add_row(
            each.network_id,
            each.mode,
            str(each.subject),
            ", ".join(each.networks),
            Text(each.name),
        )
    print_table(table)


def set_(
    networks: list[str] = typer.Argument(help="Networks (CIDR) that are admitted, 1 to 64."),
    *,
    merchant: str = _MERCHANT,
    subject: str = typer.Option(
        "tenant",
        help="tenant, group:vault, role:admin, key:key_…, person:usr_… or service:svc_….",
    ),
    mode: str = typer.Option("both", help="live, test or both."),
    name: str = typer.Option("", help="What it is for, for people."),
    everywhere: bool = typer.Option(
        False, "--everywhere", help="Needed for a network that is everybody (0.0.0.0/0)."
    ),
    as_json: bool = _JSON,
) -> None:
    """Set an allow-list; it takes the place of the one that the subject has in that mode."""
    from strongroom.audit import Origin
    from strongroom.cli.operating import actor
    from strongroom.identity import Changer, ListMode, ListWish

    if mode not in {each.value for each in ListMode}:
        raise typer.BadParameter("--mode is live, test or both")
    owner = _owner(merchant)
    wish = ListWish(ListMode(mode), subject, networks, name, everywhere=everywhere)

    async def work(service: "Networks") -> "AllowList":
        return await service.put(owner, wish, Changer(actor(), Origin()))

    made = _with_networks(work)
    if as_json:
        print_json(printed(made))
    else:
        out.print(
            f"set [bold]{made.network_id}[/]; it holds everywhere within two seconds",
            soft_wrap=True,
        )


def remove(
    network: str = typer.Argument(metavar="ID", help="The list's id (net_…)."),
    *,
    merchant: str = _MERCHANT,
    as_json: bool = _JSON,
) -> None:
    """Remove an allow-list, everywhere within two seconds."""
    from strongroom.audit import Origin
    from strongroom.cli.operating import actor
    from strongroom.identity import Changer

    if not is_id("net", network):
        raise typer.BadParameter("a list's id is net_ and 26 letters and digits")
    owner, ended = _owner(merchant), NetworkId(network)

    async def work(service: "Networks") -> None:
        await service.remove(owner, ended, Changer(actor(), Origin()))

    _with_networks(work)
    if as_json:
        print_json({"id": network, "removed": True})
    else:
        out.print(f"removed [bold]{network}[/]; it ends everywhere within two seconds")


def printed(found: "AllowList") -> dict[str, Any]:
    """Return a list as JSON shows it."""
    from strongroom.kernel.clock import rfc3339

    return {
        "id": found.network_id,
        "object": "network",
        "mode": found.mode.value,
        "subject": str(found.subject),
        "networks": list(found.networks),
        "name": found.name,
        "changed_by": found.changed_by,
        "changed_at": rfc3339(found.changed_at),
    }


def _owner(text: str) -> MerchantId:
    from strongroom.audit import PLATFORM
    from strongroom.cli.key import merchant_id

    return PLATFORM if text == PLATFORM else merchant_id(text)


def _with_networks(work: "Callable[[Networks], Awaitable[Result]]") -> "Result":
    """Do work on allow-lists, under the console's login."""
    from strongroom.cli.operating import composed

    async def inside(composer: Any) -> "Result":
        return await work(await composer.operator_networks())

    return composed(inside)
