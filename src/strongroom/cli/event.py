# SPDX-License-Identifier: Apache-2.0
"""`strongroom event`: what happened, where it was told and how that went, as a client of a running gateway."""

from pathlib import Path
from typing import Any, Final

import typer
from rich.table import Table

from strongroom.cli.calling import CA, JSON, KEY_FILE, URL, gateway
from strongroom.cli.console import print_json, print_table
from strongroom.cli.lists import newest, print_list
from strongroom.kernel.events import EventType
from strongroom.kernel.ids import is_id

_EXAMPLE: Final = "evt_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_ID: Final = typer.Argument(metavar="ID", help="The event's id (evt_…).")


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(
        no_args_is_help=True, help="Read events and their deliveries; deliver one again."
    )
    for name, command, example in (
        ("list", list_, "--type payment.captured --limit 50"),
        ("show", show, _EXAMPLE),
        ("deliveries", deliveries, _EXAMPLE),
        ("redeliver", redeliver, _EXAMPLE),
    ):
        noun.command(name, epilog=f"Example: strongroom event {name} {example}")(command)
    app.add_typer(noun, name="event")


def list_(
    *,
    event_type: EventType | None = typer.Option(None, "--type", help="Of this type only."),
    about: str = typer.Option("", metavar="ID", help="About this payment (pay_…) or refund."),
    limit: int = typer.Option(20, min=1, help="How many, newest first."),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """List events, newest first."""
    query = {"object": about} if about else {}
    if event_type is not None:
        query["type"] = event_type.value
    with gateway(url, ca, key_file) as client:
        found = newest(client, "/v1/events", limit, query)
    print_list(
        found,
        lambda each: print_table(_events(each)),
        none="nothing has happened yet",
        as_json=as_json,
    )


def show(
    event: str = _ID,
    *,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
) -> None:
    """Print an event as it is delivered."""
    path = _path(event)
    with gateway(url, ca, key_file) as client:
        print_json(client.ask("GET", path))


def deliveries(
    event: str = _ID,
    *,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Show where an event was sent, with every try."""
    path = f"{_path(event)}/deliveries"
    with gateway(url, ca, key_file) as client:
        found = client.ask("GET", path)["data"]
    _show(found, as_json=as_json)


def redeliver(
    event: str = _ID,
    *,
    endpoint: str = typer.Option(
        "", help="To this endpoint (whe_…) only; to all that are told of the type without it."
    ),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Deliver an event again, under the id that it had."""
    path = f"{_path(event)}/redeliver"
    if endpoint and not is_id("whe", endpoint):
        raise typer.BadParameter("an endpoint's id is whe_ and 26 letters and digits")
    body = {"endpoint": endpoint} if endpoint else {}
    with gateway(url, ca, key_file) as client:
        made = client.ask("POST", path, body=body)["data"]
    _show(made, as_json=as_json)


def _path(event: str) -> str:
    if not is_id("evt", event):
        raise typer.BadParameter("an event's id is evt_ and 26 letters and digits")
    return f"/v1/events/{event}"


def _show(found: list[dict[str, Any]], *, as_json: bool) -> None:
    print_list(
        found,
        lambda each: print_table(_deliveries(each)),
        none="no endpoint is told of this: strongroom endpoint list",
        as_json=as_json,
    )


def _events(found: list[dict[str, Any]]) -> Table:
    shown = Table(box=None, pad_edge=False)
    for column in ("id", "type", "when"):
        shown.add_column(column, no_wrap=True)
    for each in found:
        shown.add_row(each["id"], each["type"], each["timestamp"][:19] + "Z")
    return shown


def _deliveries(found: list[dict[str, Any]]) -> Table:
    shown = Table(box=None, pad_edge=False)
    for column in ("endpoint", "status", "try", "at", "answer", "took"):
        shown.add_column(column, no_wrap=True)
    for delivery in found:
        named = (delivery["endpoint"], delivery["status"])
        if not delivery["tries"]:
            shown.add_row(*named, "–", "", "", "")
        for tried in delivery["tries"]:
            shown.add_row(
                *named,
                str(tried["number"]),
                tried["at"][:19] + "Z",
                " ".join(str(each) for each in (tried["status"], tried["reason"]) if each),
                f"{tried['duration_ms']} ms",
            )
            named = ("", "")
        if delivery["next_at"] and delivery["tries"]:
            shown.add_row("", "", "next", delivery["next_at"][:19] + "Z", "", "")
    return shown
