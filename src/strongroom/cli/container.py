# SPDX-License-Identifier: Apache-2.0
"""`strongroom container`: list, set and remove containers of tokens at the machine itself."""

from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table
from rich.text import Text

from strongroom.cli.console import out, print_json, print_table
from strongroom.kernel.mode import Mode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from strongroom.cli.operating import Result
    from strongroom.vault import Container, ContainerChanger, Containers

_JSON = typer.Option(False, "--json", help="Print JSON.")
MERCHANT = typer.Option(help="The merchant's id (mer_…).")
MODE = typer.Option("test", help="live or test.")
_EXAMPLE = "mer_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(no_args_is_help=True, help="Where a merchant's tokens can stand.")
    noun.command("list", epilog=f"Example: strongroom container list --merchant {_EXAMPLE}")(list_)
    noun.command(
        "set",
        epilog=f"Example: strongroom container set cards/eu --merchant {_EXAMPLE} --retention-days 365",
    )(set_)
    noun.command(
        "remove", epilog=f"Example: strongroom container remove cards/eu --merchant {_EXAMPLE}"
    )(remove)
    app.add_typer(noun, name="container")


def list_(*, merchant: str = MERCHANT, mode: str = MODE, as_json: bool = _JSON) -> None:
    """List a merchant's containers. `default` is always there."""
    by = changing_as(merchant, mode)

    async def work(desk: "Containers") -> "list[Container]":
        return list(await desk.containers(by.merchant, by.mode))

    found = with_containers(work)
    if as_json:
        print_json([printed(each) for each in found])
        return
    table = Table(box=None, pad_edge=False)
    for column in ("name", "retention", "description"):
        table.add_column(column, overflow="fold")
    table.add_row("default", "", "")
    for each in found:
        days = "" if each.retention_days is None else f"{each.retention_days} days"
        table.add_row(each.name, days, Text(each.description))
    print_table(table)


def set_(
    name: str = typer.Argument(help="One to four parts: cards, cards/eu."),
    *,
    merchant: str = MERCHANT,
    mode: str = MODE,
    description: str = typer.Option("", help="What it is for, for people."),
    retention_days: int | None = typer.Option(
        None, min=1, max=36_500, help="Delete its tokens so many days after they were made."
    ),
    as_json: bool = _JSON,
) -> None:
    """Make a container, or change the description and the retention of the one with that name."""
    by = changing_as(merchant, mode)

    async def work(desk: "Containers") -> "Container":
        return await desk.put(by, name, description, retention_days)

    made = with_containers(work)
    if as_json:
        print_json(printed(made))
    else:
        out.print(
            f"set [bold]{made.name}[/]; nobody may use what is in it until a rule says so "
            "(strongroom access-rule add)",
            soft_wrap=True,
        )


def remove(
    name: str = typer.Argument(help="The container's name."),
    *,
    merchant: str = MERCHANT,
    mode: str = MODE,
    as_json: bool = _JSON,
) -> None:
    """Remove a container in which no token stands."""
    by = changing_as(merchant, mode)

    async def work(desk: "Containers") -> None:
        await desk.remove(by, name)

    with_containers(work)
    if as_json:
        print_json({"name": name, "removed": True})
    else:
        out.print(f"removed [bold]{name}[/]", soft_wrap=True)


def printed(found: "Container") -> dict[str, Any]:
    """Return a container as JSON shows it."""
    from msgspec import to_builtins

    from strongroom.vault import container_out

    shown: dict[str, Any] = to_builtins(container_out(found))
    return shown


def changing_as(merchant: str, mode: str) -> "ContainerChanger":
    """Say whose containers are meant, and who asks."""
    from strongroom.audit import Origin
    from strongroom.cli.key import merchant_id
    from strongroom.cli.operating import actor
    from strongroom.vault import ContainerChanger

    if mode not in {each.value for each in Mode}:
        raise typer.BadParameter("--mode is live or test")
    return ContainerChanger(merchant_id(merchant), Mode(mode), actor(), Origin())


def with_containers(work: "Callable[[Containers], Awaitable[Result]]") -> "Result":
    """Do work on containers and rules, under the vault's login."""
    from strongroom.cli.operating import composed

    async def inside(composer: Any) -> "Result":
        return await work(await composer.operator_containers())

    return composed(inside)
