# SPDX-License-Identifier: Apache-2.0
"""`strongroom merchant`: make and look at tenants. They are never removed here: their records refer to them."""

from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table
from rich.text import Text

from strongroom.cli.console import installation, out, print_json, print_table

if TYPE_CHECKING:
    from strongroom.identity import ApiKey, Identity, Merchant

_JSON = typer.Option(False, "--json", help="Print JSON.")


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(no_args_is_help=True, help="Make and look at merchants.")
    noun.command("create", epilog='Example: strongroom merchant create "Corner Shop"')(create)
    noun.command("list", epilog="Example: strongroom merchant list --json")(list_)
    noun.command("show", epilog="Example: strongroom merchant show mer_01KAHX3MZ4V8Q2T6N0R5W7Y9CB")(
        show
    )
    app.add_typer(noun, name="merchant")


def create(
    name: str = typer.Argument(help="Its name, for people: 1 to 100 characters."),
    *,
    region: str = typer.Option(
        "",
        help="Where its cards rest, for ever. Default: this installation's (STRONGROOM_VAULT_REGION).",
    ),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Print the merchant's id alone."),
    as_json: bool = _JSON,
) -> None:
    """Make a merchant."""
    from strongroom.audit import Origin
    from strongroom.cli.operating import actor, with_identity

    async def work(identity: "Identity") -> "Merchant":
        return await identity.create_merchant(
            name,
            actor=actor(),
            origin=Origin(),
            region=region or installation().settings.vault_region,
        )

    made = with_identity(work)
    if as_json:
        print_json(printed(made))
    elif quiet:
        typer.echo(made.merchant_id)
    else:
        out.print(f"made merchant [bold]{made.merchant_id}[/]")
        out.print(
            f"next: strongroom key create --merchant {made.merchant_id} --mode test --kind sk --name first",
            style="dim",
            soft_wrap=True,
        )


def list_(*, as_json: bool = _JSON) -> None:
    """List every merchant."""
    from strongroom.cli.operating import with_identity

    async def work(identity: "Identity") -> "list[Merchant]":
        return list(await identity.merchants())

    found = with_identity(work)
    if as_json:
        print_json([printed(merchant) for merchant in found])
        return
    table = Table(box=None, pad_edge=False)
    for column in ("id", "status", "made"):
        table.add_column(column, no_wrap=True)
    table.add_column("name", overflow="fold")
    for merchant in found:
        table.add_row(
            merchant.merchant_id,
            merchant.status,
            f"{merchant.created_at:%Y-%m-%d %H:%M}Z",
            Text(merchant.name),  # never read as markup
        )
    if found:
        print_table(table)
    else:
        out.print("no merchants yet: strongroom merchant create NAME")


def show(
    merchant: str = typer.Argument(metavar="ID", help="The merchant's id (mer_…)."),
    *,
    as_json: bool = _JSON,
) -> None:
    """Show a merchant and its keys of both modes, without their texts."""
    from strongroom.cli import key as keys
    from strongroom.cli.operating import with_identity
    from strongroom.kernel.mode import Mode

    merchant_id = keys.merchant_id(merchant)

    async def work(identity: "Identity") -> "tuple[Merchant, list[ApiKey]]":
        found = await identity.merchant(merchant_id)
        return found, [key for mode in Mode for key in await identity.keys(merchant_id, mode)]

    found, its_keys = with_identity(work)
    if as_json:
        print_json({**printed(found), "keys": [keys.printed(key) for key in its_keys]})
        return
    out.print(found.merchant_id, style="bold")
    out.print(f"name    {found.name}", markup=False, soft_wrap=True)
    out.print(f"status  {found.status}")
    out.print(f"region  {found.region or 'any'}")
    out.print(f"made    {found.created_at:%Y-%m-%d %H:%M:%S}Z")
    keys.show(its_keys)


def printed(merchant: "Merchant") -> dict[str, Any]:
    """Return a merchant as JSON shows it."""
    from strongroom.kernel.clock import rfc3339

    return {
        "id": merchant.merchant_id,
        "object": "merchant",
        "name": merchant.name,
        "status": merchant.status,
        "region": merchant.region,
        "created_at": rfc3339(merchant.created_at),
    }
