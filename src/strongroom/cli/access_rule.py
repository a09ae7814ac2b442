# SPDX-License-Identifier: Apache-2.0
"""`strongroom access-rule`: list, add and remove the rules of containers at the machine itself."""

from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table

from strongroom.cli.console import out, print_json, print_table
from strongroom.cli.container import MERCHANT, MODE, changing_as, with_containers

if TYPE_CHECKING:
    from strongroom.vault import AccessRule, AccessRulesOut, Containers

_JSON = typer.Option(False, "--json", help="Print JSON.")
_EXAMPLE = "mer_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(
        no_args_is_help=True, help="Who may do what with the tokens of which container."
    )
    noun.command("list", epilog=f"Example: strongroom access-rule list --merchant {_EXAMPLE}")(
        list_
    )
    noun.command(
        "add",
        epilog=f"Example: strongroom access-rule add cards/ use --merchant {_EXAMPLE} --to key",
    )(add)
    noun.command(
        "remove",
        epilog=f"Example: strongroom access-rule remove rul_01KAHX3MZ4V8Q2T6N0R5W7Y9CB --merchant {_EXAMPLE}",
    )(remove)
    app.add_typer(noun, name="access-rule")


def list_(*, merchant: str = MERCHANT, mode: str = MODE, as_json: bool = _JSON) -> None:
    """List a merchant's rules in the order in which they are asked, and what is built in while it holds."""
    by = changing_as(merchant, mode)

    async def work(desk: "Containers") -> "AccessRulesOut":
        from strongroom.vault import rules_out

        found = await desk.rules(by.merchant, by.mode)
        built_in = await desk.holds_built_in(by.merchant, by.mode)
        return rules_out(by.mode.value, found, built_in=built_in)

    shown = with_containers(work)
    if as_json:
        from msgspec import to_builtins

        print_json(to_builtins(shown.data))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("id", "priority", "container", "to", "access", "shows"):
        table.add_column(column, overflow="fold")
    for each in shown.data:
        table.add_row(
            each.id or "built in",
            "" if each.priority is None else str(each.priority),
            each.container,
            f"{each.grantee_kind}:{each.grantee}",
            each.access,
            each.transform,
        )
    print_table(table)


def add(
    container: str = typer.Argument(
        help="A container; with / at its end all below it, too; / for all."
    ),
    access: str = typer.Argument(help="none, mask, use or reveal."),
    *,
    merchant: str = MERCHANT,
    mode: str = MODE,
    to: str = typer.Option(
        help="anybody, payments, key, key:key_…, person, person:usr_…, role:admin, service or service:svc_…."
    ),
    priority: int = typer.Option(
        100, min=1, max=1_000, help="Of the rules that match, the lowest decides."
    ),
    transform: str | None = typer.Option(
        None, help="redact, mask or reveal. Default: as much as the access shows at most."
    ),
    as_json: bool = _JSON,
) -> None:
    """Add a rule; it holds everywhere within two seconds. The first about `default` ends what is built in."""
    from strongroom.vault import (
        EVERY,
        Access,
        GranteeKind,
        RuleWish,
        Transform,
    )

    kind, _, name = to.partition(":")
    if kind not in {each.value for each in GranteeKind}:
        raise typer.BadParameter("--to begins with one of " + ", ".join(GranteeKind))
    if access not in {each.value for each in Access}:
        raise typer.BadParameter("an access is one of " + ", ".join(Access))
    if transform is not None and transform not in {each.value for each in Transform}:
        raise typer.BadParameter("--transform is one of " + ", ".join(Transform))
    by = changing_as(merchant, mode)
    wish = RuleWish(
        container,
        priority,
        GranteeKind(kind),
        name or EVERY,
        Access(access),
        None if transform is None else Transform(transform),
    )

    async def work(desk: "Containers") -> "AccessRule":
        return await desk.add_rule(by, wish)

    made = with_containers(work)
    if as_json:
        print_json(printed(made))
    else:
        out.print(
            f"added [bold]{made.rule_id}[/]; it holds everywhere within two seconds",
            soft_wrap=True,
        )


def remove(
    rule: str = typer.Argument(metavar="ID", help="The rule's id (rul_…)."),
    *,
    merchant: str = MERCHANT,
    mode: str = MODE,
    as_json: bool = _JSON,
) -> None:
    """Remove a rule, everywhere within two seconds."""
    by = changing_as(merchant, mode)

    async def work(desk: "Containers") -> None:
        await desk.remove_rule(by, rule)

    with_containers(work)
    if as_json:
        print_json({"id": rule, "removed": True})
    else:
        out.print(f"removed [bold]{rule}[/]; it ends everywhere within two seconds")


def printed(found: "AccessRule") -> dict[str, Any]:
    """Return a rule as JSON shows it."""
    from msgspec import to_builtins

    from strongroom.vault import rule_out

    shown: dict[str, Any] = to_builtins(rule_out(found))
    return shown
