# SPDX-License-Identifier: Apache-2.0
"""`strongroom brake`: what a merchant lets through of its own payments, as a client of a running gateway."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import typer

from strongroom.cli.amounts import read_amount
from strongroom.cli.calling import CA, JSON, KEY_FILE, URL, gateway
from strongroom.cli.console import out, print_json, print_table
from strongroom.cli.lists import newest, print_list
from strongroom.kernel.ids import is_id

_KINDS: Final = "address, bin, card, email or token"
_KIND: Final = typer.Argument(metavar="KIND", help=f"{_KINDS}.")
_VALUE: Final = typer.Argument(
    metavar="VALUE", help="A network or address, six digits, a token (also for a card), an e-mail."
)
_REASON: Final = typer.Option(help="Why, for whoever reads the list.")
_SECONDS: Final = typer.Option(
    0, "--for", metavar="SECONDS", min=0, help="Until then; 0: until it is removed."
)


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(
        no_args_is_help=True, help="Hold payments back: limits, card testing, lists, checks."
    )
    for name, command, example in (
        ("show", show, ""),
        ("set", set_, "brakes.json"),
        ("block", block, "address 203.0.113.0/24 --reason 'tried forty cards' --for 86400"),
        ("allow", allow, "email friend@example.com --reason 'tests our shop'"),
        ("list", list_, "--on block"),
        ("remove", remove, "blk_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"),
        ("incidents", incidents, "--lasting"),
        ("end", end, "inc_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"),
        (
            "test",
            try_,
            "--amount 10.50 --currency AED --token tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB --ip 203.0.113.7",
        ),
    ):
        noun.command(name, epilog=f"Example: strongroom brake {name} {example}".rstrip())(command)
    app.add_typer(noun, name="brake")


def show(*, url: str = URL, ca: Path | None = CA, key_file: Path | None = KEY_FILE) -> None:
    """Print what is set, as `brake set` takes it."""
    with gateway(url, ca, key_file) as client:
        print_json(client.ask("GET", "/v1/brakes"))


def set_(
    file: Path = typer.Argument(
        metavar="FILE", exists=True, dir_okay=False, help="JSON: rules, card_testing, checks."
    ),
    *,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
) -> None:
    """Set all of it anew. Without a `version` in the file it takes the place of whatever is set."""
    try:
        wanted = json.loads(file.read_text("utf-8"))
    except ValueError:
        raise typer.BadParameter("the file is not JSON") from None
    if not isinstance(wanted, dict):
        raise typer.BadParameter("the file holds no JSON object")
    body = {
        name: wanted[name]
        for name in ("version", "rules", "card_testing", "checks")
        if name in wanted
    }
    with gateway(url, ca, key_file) as client:
        if "version" not in body:
            body["version"] = client.ask("GET", "/v1/brakes")["version"]
        found = client.ask("PUT", "/v1/brakes", body=body)
    out.print(f"version {found['version']} counts: {len(found['rules'])} rules")


def block(
    kind: str = _KIND,
    value: str = _VALUE,
    *,
    reason: str = _REASON,
    seconds: int = _SECONDS,
    enforced: bool = typer.Option(
        False, "--enforced", help="No allowance overrides it. A person's decision: keys may not."
    ),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
) -> None:
    """Refuse payments of somebody."""
    wanted = _entry(kind, value, reason, seconds)
    with gateway(url, ca, key_file) as client:
        if enforced:
            found = client.ask("POST", "/v1/brakes/enforced", body=wanted)
        else:
            found = client.ask("POST", "/v1/brakes/entries", body={"list": "block", **wanted})
    out.print(found["id"])


def allow(
    kind: str = _KIND,
    value: str = _VALUE,
    *,
    reason: str = _REASON,
    seconds: int = _SECONDS,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
) -> None:
    """Let payments of somebody pass, whatever rules, card testing and blocks say."""
    wanted = {"list": "allow", **_entry(kind, value, reason, seconds)}
    with gateway(url, ca, key_file) as client:
        out.print(client.ask("POST", "/v1/brakes/entries", body=wanted)["id"])


def list_(
    *,
    on: str = typer.Option("", help="block or allow; both without it."),
    limit: int = typer.Option(20, min=1, help="How many at most."),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """List who is blocked or allowed, newest first."""
    with gateway(url, ca, key_file) as client:
        found = newest(client, "/v1/brakes/entries", limit, {"list": on} if on else {})
    print_list(found, _print_entries, none="nobody is blocked or allowed", as_json=as_json)


def remove(
    entry: str = typer.Argument(metavar="ID", help="The entry's id (blk_…)."),
    *,
    enforced: bool = typer.Option(False, "--enforced", help="It is an enforced block."),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
) -> None:
    """Take somebody off their list."""
    if not is_id("blk", entry):
        raise typer.BadParameter("an entry's id is blk_ and 26 letters and digits")
    where = "enforced" if enforced else "entries"
    with gateway(url, ca, key_file) as client:
        client.ask("DELETE", f"/v1/brakes/{where}/{entry}")
    out.print(f"{entry} is removed")


def incidents(
    *,
    lasting: bool = typer.Option(False, "--lasting", help="Only those that last."),
    limit: int = typer.Option(20, min=1, help="How many at most."),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """List card testing that was noticed, newest first."""
    query = {"lasting": "true"} if lasting else {}
    with gateway(url, ca, key_file) as client:
        found = newest(client, "/v1/brakes/incidents", limit, query)
    print_list(found, _print_incidents, none="no card testing was noticed", as_json=as_json)


def end(
    incident: str = typer.Argument(metavar="ID", help="The incident's id (inc_…)."),
    *,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
) -> None:
    """End an incident before it is over by itself."""
    if not is_id("inc", incident):
        raise typer.BadParameter("an incident's id is inc_ and 26 letters and digits")
    with gateway(url, ca, key_file) as client:
        found = client.ask("POST", f"/v1/brakes/incidents/{incident}/end")
    out.print(f"{incident} has ended; {found['held']} payments were held")


def try_(
    *,
    amount: str = typer.Option(help="In the currency's own units, such as 10.50."),
    currency: str = typer.Option(help="Three letters (ISO 4217)."),
    token: str = typer.Option(metavar="ID", help="The card's token (tok_…)."),
    ip: str = typer.Option("", help="Where the customer is."),
    email: str = typer.Option("", help="The customer's e-mail address."),
    customer: str = typer.Option("", metavar="ID", help="As if this customer (cus_…) paid."),
    key: str = typer.Option("", metavar="ID", help="As if this key (key_…) asked."),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Say what brakes would say of a payment. Nothing is sent, and nothing is counted."""
    given = {"customer_ip": ip, "customer_email": email, "customer": customer, "key": key}
    body = {
        "amount": read_amount(amount, currency),
        "currency": currency,
        "token": token,
        **{name: value for name, value in given.items() if value},
    }
    with gateway(url, ca, key_file) as client:
        found = client.ask("POST", "/v1/brakes/test", body=body)
    if as_json:
        print_json(found)
        return
    sent = "it would be sent" if found["would_be_sent"] else "it would not be sent"
    out.print(f"{found['action'] or 'nothing holds'}: {sent}")
    for each in found["tripped"]:
        out.print(f"  {each['name']} of the {each['subject'] or 'list'}: {each['action']}")


def _entry(kind: str, value: str, reason: str, seconds: int) -> dict[str, object]:
    wanted: dict[str, object] = {"kind": kind, "value": value, "reason": reason}
    return {**wanted, "expires_in_seconds": seconds} if seconds else wanted


def _print_entries(entries: Sequence[Mapping[str, Any]]) -> None:
    _print(
        ("id", "list", "kind", "value", "until", "reason"),
        [
            (
                each["id"],
                "enforced" if each["enforced"] else each["list"],
                each["kind"],
                each["value"],
                each["expires_at"] or "",
                each["reason"],
            )
            for each in entries
        ],
    )


def _print_incidents(found: Sequence[Mapping[str, Any]]) -> None:
    _print(
        ("id", "subject", "value", "signs", "held", "passed", "ended"),
        [
            (
                each["id"],
                each["subject"],
                each["value"],
                " ".join(each["signs"]),
                str(each["held"]),
                str(each["passed"]),
                each["ended_at"] or "lasts",
            )
            for each in found
        ],
    )


def _print(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(each) for each in row))
    print_table(table)
