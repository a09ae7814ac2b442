# SPDX-License-Identifier: Apache-2.0
"""`strongroom access`: who can do what, what was decided of it, and whose review is late (PCI DSS 4.0.1 7.2.4)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table
from rich.text import Text

from strongroom.cli.console import out, print_json, print_table
from strongroom.kernel.ids import MerchantId

if TYPE_CHECKING:
    from datetime import datetime

    from strongroom.compose import Composer
    from strongroom.identity import AccessBy, AccessDue, AccessItem, AccessReview

_JSON = typer.Option(False, "--json", help="Print JSON.")
_MERCHANT = typer.Argument(metavar="MERCHANT", help="A merchant's id (mer_…), or `platform`.")
_SOME = "mer_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(no_args_is_help=True, help="Review who can do what.")
    noun.command("due", epilog="Example: strongroom access due --json")(due)
    noun.command("review", epilog=f"Example: strongroom access review {_SOME}")(review)
    noun.command("start", epilog=f"Example: strongroom access start {_SOME}")(start)
    noun.command(
        "decide",
        epilog=f"Example: strongroom access decide {_SOME} key_01KAHX3MZ4V8Q2T6N0R5W7Y9CB keep",
    )(decide)
    app.add_typer(noun, name="access")


def due(*, as_json: bool = _JSON) -> None:
    """List every tenant with its last review and when the next is due."""
    from strongroom.cli.operating import composed

    async def work(composer: "Composer") -> "tuple[Sequence[AccessDue], datetime]":
        reviews = await composer.operator_access()
        return await reviews.due(), reviews.clock.now()

    found, now = composed(work)
    if as_json:
        print_json([_printed_due(each, now) for each in found])
        return
    table = Table(box=None, pad_edge=False)
    for column in ("merchant", "reviewed", "due", "state"):
        table.add_column(column, no_wrap=True)
    for each in found:
        state = "overdue" if each.overdue(now) else "in time"
        table.add_row(each.merchant, _day(each.last_closed_at), _day(each.due_at), state)
    print_table(table)


def review(merchant: str = _MERCHANT, *, as_json: bool = _JSON) -> None:
    """Show who and what has access, when each was used last, and the decisions of the review that is open."""
    from strongroom.cli.operating import composed

    tenant = _tenant(merchant)

    async def work(composer: "Composer") -> "tuple[AccessReview | None, list[AccessItem]]":
        from strongroom.identity import AccessItem

        reviews = await composer.operator_access()
        opened = [each for each in await reviews.all(tenant) if each.closed_at is None]
        if not opened:
            now = reviews.clock.now()
            return None, [AccessItem(each, each.unused(now)) for each in await reviews.now(tenant)]
        found: list[AccessItem] = []
        more = True
        while more:
            after = found[-1].subject.subject if found else ""
            page, more = await reviews.items(tenant, opened[0].review_id, after=after)
            found += page
        return opened[0], found

    opened, items = composed(work)
    if as_json:
        print_json(
            {
                "review": opened and opened.review_id,
                "items": [_printed_item(each) for each in items],
            }
        )
        return
    if opened is None:
        out.print(f"no review is open: strongroom access start {tenant}")
    else:
        out.print(f"review [bold]{opened.review_id}[/], {opened.undecided} of {opened.items} open")
    _show(items)


def start(merchant: str = _MERCHANT, *, as_json: bool = _JSON) -> None:
    """Begin a review of everything that has access now."""
    from strongroom.cli.operating import composed

    by = _by(merchant)

    async def work(composer: "Composer") -> "AccessReview":
        return await (await composer.operator_access()).start(by)

    begun = composed(work)
    if as_json:
        print_json({"review": begun.review_id, "items": begun.items})
        return
    out.print(f"started review [bold]{begun.review_id}[/] of {begun.items} items")
    out.print(f"next: strongroom access review {by.merchant}", style="dim", soft_wrap=True)


def decide(
    merchant: str = _MERCHANT,
    subject: str = typer.Argument(help="Whose access: usr_…, key_…, svc_… or brk_…."),
    decision: str = typer.Argument(help="keep, change or remove."),
) -> None:
    """Decide an item of the review that is open. What follows is done by its own command."""
    from strongroom.cli.operating import composed
    from strongroom.identity import AccessDecision, AccessReviewUnknown

    by = _by(merchant)
    if decision not in {each.value for each in AccessDecision}:
        raise typer.BadParameter("a decision is keep, change or remove")

    async def work(composer: "Composer") -> bool:
        reviews = await composer.operator_access()
        for each in await reviews.all(by.merchant):
            if each.closed_at is None:
                await reviews.decide(by, each.review_id, subject, AccessDecision(decision))
                return (await reviews.one(by.merchant, each.review_id)).closed_at is not None
        raise AccessReviewUnknown("no access review is open: strongroom access start")

    closed = composed(work)
    out.print(f"decided: {decision}" + ("; the review is closed" if closed else ""))


def _tenant(text: str) -> MerchantId:
    from strongroom.cli.key import merchant_id

    return MerchantId(text) if text == "platform" else merchant_id(text)


def _by(merchant: str) -> "AccessBy":
    from strongroom.audit import Origin
    from strongroom.cli.operating import actor
    from strongroom.identity import AccessBy
    from strongroom.kernel.mode import Mode

    return AccessBy(_tenant(merchant), Mode.LIVE, actor(), Origin())


def _day(moment: "datetime | None") -> str:
    return "never" if moment is None else f"{moment:%Y-%m-%d}"


def _show(items: "Sequence[AccessItem]") -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("subject", "what", "may", "used", "decision"):
        table.add_column(column, no_wrap=column != "what", overflow="fold")
    for each in items:
        about = each.subject
        used = _day(about.last_used_at) + (" (unused)" if each.unused else "")
        table.add_row(
            about.subject,
            Text(about.description),  # never read as markup
            f"{len(about.permissions)} permissions",
            used,
            "–" if each.decision is None else each.decision.value,
        )
    print_table(table)


def _printed_due(each: "AccessDue", now: "datetime") -> dict[str, Any]:
    from strongroom.kernel.clock import rfc3339

    return {
        "merchant": each.merchant,
        "last_closed_at": each.last_closed_at and rfc3339(each.last_closed_at),
        "due_at": rfc3339(each.due_at),
        "overdue": each.overdue(now),
    }


def _printed_item(each: "AccessItem") -> dict[str, Any]:
    from strongroom.kernel.clock import rfc3339

    about = each.subject
    return {
        "subject": about.subject,
        "kind": about.kind.value,
        "person": about.person,
        "description": about.description,
        "permissions": sorted(about.permissions),
        "made_at": rfc3339(about.made_at),
        "last_used_at": about.last_used_at and rfc3339(about.last_used_at),
        "unused": each.unused,
        "decision": each.decision and each.decision.value,
        "decided_by": each.decided_by,
    }
