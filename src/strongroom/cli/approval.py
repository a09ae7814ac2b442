# SPDX-License-Identifier: Apache-2.0
"""`strongroom approval`: what waits for a second person, as whoever is logged in here.

Each shows what there is to decide on: who asks, when, why, and for which cards and whose key, or what is claimed.
"""

import shlex
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.table import Table

from strongroom.cli.amounts import shown
from strongroom.cli.calling import JSON
from strongroom.cli.console import out, print_json, print_table
from strongroom.kernel.ids import is_id

if TYPE_CHECKING:
    from collections.abc import Iterator

_SOME: Final = "apr_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_ID: Final = typer.Argument(metavar="ID", help="The approval's id (apr_…).")
_REASON: Final = typer.Option("", help="Why, for people; never in the audit log. No card number.")


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(
        no_args_is_help=True, help="See and decide what waits for a second person, logged in here."
    )
    noun.command("list", epilog="Example: strongroom approval list")(list_)
    noun.command("show", epilog=f"Example: strongroom approval show {_SOME}")(show)
    noun.command(
        "approve", epilog=f"Example: strongroom approval approve {_SOME} --reason 'case 1042'"
    )(approve)
    noun.command("deny", epilog=f"Example: strongroom approval deny {_SOME}")(deny)
    noun.command("withdraw", epilog=f"Example: strongroom approval withdraw {_SOME}")(withdraw)
    app.add_typer(noun, name="approval")


def list_(
    *,
    limit: int = typer.Option(20, min=1, max=100, help="The newest so many."),
    as_json: bool = JSON,
) -> None:
    """List approvals, newest first."""
    from strongroom.cli.session import console

    with console() as client:
        found = client.ask("GET", "/v1/approvals", query={"limit": str(limit)})
    if as_json:
        print_json(found["data"])
        return
    table = Table(box=None, pad_edge=False)
    for column in ("id", "state", "action", "asked by", "at", "purpose", "cards"):
        table.add_column(column, no_wrap=True)
    for each in found["data"]:
        about = each["about"] or {}
        table.add_row(
            each["id"],
            each["state"],
            each["action"],
            each["requested_by"],
            each["requested_at"],
            about.get("purpose", ""),
            _cards(about) if about else "",
        )
    print_table(table)


def show(approval: str = _ID, *, as_json: bool = JSON) -> None:
    """Show what there is to decide on."""
    from strongroom.cli.session import console

    with console() as client:
        found = client.ask("GET", f"/v1/approvals/{_named(approval)}")
    _print(found, as_json=as_json)


def approve(approval: str = _ID, *, reason: str = _REASON, as_json: bool = JSON) -> None:
    """Let the very same request pass once. Nobody approves their own; look at it first (show)."""
    _decide(approval, "approve", reason, as_json=as_json)


def deny(approval: str = _ID, *, reason: str = _REASON, as_json: bool = JSON) -> None:
    """Refuse it."""
    _decide(approval, "deny", reason, as_json=as_json)


def withdraw(approval: str = _ID, *, as_json: bool = JSON) -> None:
    """Take back what you asked for yourself."""
    from strongroom.cli.session import console

    with console() as client:
        found = client.ask("POST", f"/v1/approvals/{_named(approval)}/withdraw")
    _print(found, as_json=as_json)


def _decide(approval: str, verdict: str, reason: str, *, as_json: bool) -> None:
    from strongroom.cli.session import console

    body = {"reason": reason} if reason else {}
    with console() as client:
        found = client.ask("POST", f"/v1/approvals/{_named(approval)}/{verdict}", body=body)
    _print(found, as_json=as_json)


def _named(approval: str) -> str:
    if not is_id("apr", approval):
        raise typer.BadParameter("an approval's id is apr_ and 26 letters and digits")
    return approval


def _print(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    for name, value in _lines(found):
        out.print(f"{name:<10} {value}", markup=False, highlight=False, soft_wrap=True)


def _lines(found: dict[str, Any]) -> "Iterator[tuple[str, str]]":
    yield "id", found["id"]
    yield "state", found["state"]
    yield "asked by", found["requested_by"]
    yield "asked at", found["requested_at"]
    yield "until", found["expires_at"]
    yield "action", f"{found['action']}, {found['method']} {found['route']}, {found['mode']} mode"
    if found["object_id"]:
        yield "object", found["object_id"]
    about = found["about"]
    if about is not None:
        if about["claim"] is None:
            yield "cards", _cards(about)
        else:
            yield from _claim(about["claim"])
        yield "purpose", about["purpose"]
        # Quoted: what somebody wrote cannot look like a line of ours.
        yield "note", shlex.quote(about["note"]) if about["note"] else "none"
        if about["claim"] is None:
            to = f" to {about['recipient']}" if about["recipient"] else ""
            yield "leave", f"{about['method']}{to}"
        if about["rate"] is not None:
            yield "rate", f"{about['rate']:,} cards a second at most"
    if found["decided_by"]:
        yield "decided", f"by {found['decided_by']} at {found['decided_at']}"


def _claim(claim: dict[str, Any]) -> "Iterator[tuple[str, str]]":
    amount = shown(claim["amount"], claim["currency"])
    yield "attempt", f"{claim['attempt']}: {claim['operation']} of {amount}, {claim['payment']}"
    reference = claim["processor_reference"]
    yield "claim", claim["outcome"] + (f", there {shlex.quote(reference)}" if reference else "")


def _cards(about: dict[str, Any]) -> str:
    tokens = [f"{each['id']} ({each['brand']} …{each['last4']})" for each in about["tokens"]]
    where = f"container {about['container']}"
    return f"{', '.join(tokens)} of {where}" if tokens else f"every card of {where}"
