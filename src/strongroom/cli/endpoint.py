# SPDX-License-Identifier: Apache-2.0
"""`strongroom endpoint`: where a merchant is told what happened, as a client of a running gateway.

A secret is printed once, when it is made.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from strongroom.cli.calling import CA, JSON, KEY_FILE, URL, gateway
from strongroom.cli.console import confirm, errors, out, print_json, print_table
from strongroom.cli.lists import print_list
from strongroom.kernel.events import EventType
from strongroom.kernel.ids import is_id

if TYPE_CHECKING:
    from strongroom.cli.client import Client

_EXAMPLE: Final = "whe_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_ID: Final = typer.Argument(metavar="ID", help="The endpoint's id (whe_…).")
_QUIET: Final = typer.Option(False, "--quiet", "-q", help="Print the secret alone.")
_HOUR_SECONDS: Final = 3_600


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(
        no_args_is_help=True, help="Make, test and change the endpoints that events are sent to."
    )
    for name, command, example in (
        ("create", create, "--target https://shop.example/webhooks --type payment.captured"),
        ("list", list_, "--json"),
        ("change", change, f"{_EXAMPLE} --status disabled"),
        ("rotate", rotate, f"{_EXAMPLE} --overlap-hours 24"),
        ("delete", delete, f"{_EXAMPLE} --yes"),
        ("test", probe, _EXAMPLE),
    ):
        noun.command(name, epilog=f"Example: strongroom endpoint {name} {example}")(command)
    app.add_typer(noun, name="endpoint")


def create(
    *,
    target: str = typer.Option(metavar="URL", help="https://host/path of yours."),
    event_type: list[EventType] = typer.Option(
        [], "--type", help="What it is told of; repeat it for each. Everything without it."
    ),
    description: str = typer.Option("", help="What it is for."),
    quiet: bool = _QUIET,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Make an endpoint. Its secret is printed once: keep it now."""
    body = {
        "url": target,
        "description": description,
        "types": [each.value for each in event_type],
    }
    with gateway(url, ca, key_file) as client:
        made = client.ask("POST", "/v1/endpoints", body=body)
    _show_new(made, as_json=as_json, quiet=quiet)


def list_(
    *,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """List endpoints, without their secrets."""
    with gateway(url, ca, key_file) as client:
        found = client.ask("GET", "/v1/endpoints")["data"]
    print_list(
        found,
        lambda each: print_table(_table(each)),
        none="no endpoints yet: strongroom endpoint create --help",
        as_json=as_json,
    )


def change(
    endpoint: str = _ID,
    *,
    target: str = typer.Option("", metavar="URL", help="Another address."),
    event_type: list[EventType] = typer.Option(
        [], "--type", help="What it is told of from now on; repeat it for each."
    ),
    every_type: bool = typer.Option(
        False, "--every-type", help="It is told of everything from now on."
    ),
    description: str | None = typer.Option(None, help="Another description."),
    status: str = typer.Option("", help="active or disabled."),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Change what is given. One that was disabled because it answered 410 is made active again here."""
    body: dict[str, Any] = {}
    if target:
        body["url"] = target
    if event_type or every_type:
        body["types"] = [] if every_type else [each.value for each in event_type]
    if description is not None:
        body["description"] = description
    if status:
        body["status"] = status
    if not body:
        raise typer.BadParameter("say what is to become another: --target, --type, --status …")
    path = _path(endpoint)
    with gateway(url, ca, key_file) as client:
        _show(client.ask("POST", path, body=body), as_json=as_json)


def rotate(
    endpoint: str = _ID,
    *,
    overlap_hours: float = typer.Option(
        24.0, min=0, max=168, help="For how long the old secret signs beside the new one."
    ),
    quiet: bool = _QUIET,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Make a new secret, which signs at once. It is printed once: keep it now."""
    path = f"{_path(endpoint)}/rotate"
    body = {"overlap_seconds": round(overlap_hours * _HOUR_SECONDS)}
    with gateway(url, ca, key_file) as client:
        _show_new(client.ask("POST", path, body=body), as_json=as_json, quiet=quiet)


def delete(
    endpoint: str = _ID,
    *,
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Delete an endpoint and its secrets. What was to be delivered there fails."""
    path = _path(endpoint)
    confirm(f"Delete {endpoint} for good?", yes=yes)
    with gateway(url, ca, key_file) as client:
        client.ask("DELETE", path)
    if as_json:
        print_json({"id": endpoint, "object": "endpoint", "deleted": True})
    else:
        out.print(f"deleted [bold]{endpoint}[/]")


def probe(
    endpoint: str = _ID,
    *,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Send a webhook.test event there, and say what came of its first try."""
    path = f"{_path(endpoint)}/test"
    with gateway(url, ca, key_file) as client:
        event = client.ask("POST", path, body={})
        first = _first_try(client, event["id"])
    if as_json:
        print_json({"event": event["id"], "endpoint": endpoint, "try": first})
    elif first is None:
        errors.print(
            f"not tried yet; is a worker running? strongroom event deliveries {event['id']}",
            soft_wrap=True,
        )
    else:
        said = first["reason"] if first["status"] is None else f"{first['status']}"
        out.print(f"{endpoint} answered [bold]{said}[/] in {first['duration_ms']} ms")
    if first is None or first["reason"] != "delivered":
        raise typer.Exit(1)


def _first_try(client: "Client", event: str) -> dict[str, Any] | None:
    """Wait for the first try, a little longer than an endpoint is given."""
    import time

    from strongroom.cli.console import progress

    deadline = time.monotonic() + 20
    with progress() as bar:
        bar.add_task("delivering", total=None)
        while time.monotonic() < deadline:
            (delivery,) = client.ask("GET", f"/v1/events/{event}/deliveries")["data"]
            if delivery["tries"]:
                tried: dict[str, Any] = delivery["tries"][0]
                return tried
            time.sleep(0.1)
    return None


def _path(endpoint: str) -> str:
    if not is_id("whe", endpoint):
        raise typer.BadParameter("an endpoint's id is whe_ and 26 letters and digits")
    return f"/v1/endpoints/{endpoint}"


def _show(endpoint: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(endpoint)
    else:
        print_table(_table([endpoint]))


def _show_new(endpoint: dict[str, Any], *, as_json: bool, quiet: bool) -> None:
    if as_json:
        print_json(endpoint)
        return
    if not quiet:
        errors.print(
            f"[bold]{endpoint['id']}[/] signs with this secret, shown once:", soft_wrap=True
        )
    typer.echo(endpoint["secret"])


def _table(endpoints: list[dict[str, Any]]) -> Table:
    shown = Table(box=None, pad_edge=False)
    for column in ("id", "status", "url", "types"):
        shown.add_column(column, no_wrap=column != "types")
    for each in endpoints:
        reason = f" ({each['disabled_reason']})" if each["disabled_reason"] else ""
        shown.add_row(
            each["id"],
            each["status"] + reason,
            Text(each["url"]),
            ", ".join(each["types"]) or "everything",
        )
    return shown
