# SPDX-License-Identifier: Apache-2.0
"""`strongroom connection health`: what became of what was asked through a connection lately. Asks no processor."""

from pathlib import Path
from typing import Any, Final

import typer
from rich.table import Table
from rich.text import Text

from strongroom.cli.calling import CA, JSON, KEY_FILE, URL, gateway
from strongroom.cli.console import errors, out, print_json, print_table
from strongroom.cli.credential_files import ID, connection_id

_EXAMPLE: Final = "con_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_COLUMNS: Final = (
    "attempts",
    "approved",
    "declined",
    "not_sent",
    "pending",
    "unknown",
    "found_out",
)
_NAMES: Final = {3_600: "hour", 86_400: "day"}


def register(noun: typer.Typer) -> None:
    """Add the command."""
    noun.command("health", epilog=f"Example: strongroom connection health {_EXAMPLE}")(health)


def health(
    connection: str = ID,
    *,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Show how a connection is: outcomes of the last hour and day, its last test. Exit code 1 if that failed."""
    with gateway(url, ca, key_file) as client:
        found = client.ask("GET", f"/v1/connections/{connection_id(connection)}/health")
    if as_json:
        print_json(found)
    else:
        _print(found)
    if found["probe"] is not None and not found["probe"]["passed"]:
        raise typer.Exit(1)


def _print(found: dict[str, Any]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("", *(each.replace("_", " ") for each in _COLUMNS)):
        table.add_column(column, no_wrap=True)
    for window in found["windows"]:
        name = _NAMES.get(window["seconds"], f"{window['seconds']} s")
        table.add_row(f"last {name}", *(str(window[each]) for each in _COLUMNS))
    print_table(table)
    for name in ("answered_at", "failed_at"):
        words = f"last {name.removesuffix('_at')}: {found[name] or 'never seen'}"
        out.print(Text(words), soft_wrap=True)
    if found["looked_from"] is not None:
        out.print(f"attempts are counted from {found['looked_from']} on", soft_wrap=True)
    if found["breaker"] is not None:
        out.print(Text(f"breaker: {found['breaker']}"))
    probe = found["probe"]
    if probe is None:
        out.print(f"never tested: strongroom connection test {found['connection']}")
    elif probe["passed"]:
        out.print(f"tested {probe['probed_at']}: it lets us in", soft_wrap=True)
    else:
        errors.print(
            Text(
                f"tested {probe['probed_at']}: {probe['reason']}, failing since "
                f"{probe['failing_since']}, {probe['failures']} in a row"
            ),
            style="bold red",
            soft_wrap=True,
        )
