# SPDX-License-Identifier: Apache-2.0
"""`strongroom connection next|promote|restore|discard|credentials`: credentials tried before they are used.

None is ever shown: only whether there are next ones, and until when those from before can be brought back.
"""

from pathlib import Path
from typing import Any, Final

import typer
from rich.text import Text

from strongroom.cli.calling import CA, JSON, KEY_FILE, URL, gateway
from strongroom.cli.console import out, print_json
from strongroom.cli.credential_files import (
    CREDENTIAL,
    ID,
    connection_id,
    credentials_of,
    sources_of,
)

_EXAMPLE: Final = "con_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_KEEP_SECONDS_MAX: Final = 7 * 86_400


def register(noun: typer.Typer) -> None:
    """Add the commands."""
    for name, command, example in (
        ("credentials", show, _EXAMPLE),
        ("next", following, f"{_EXAMPLE} --credential api_key=new.key"),
        ("promote", promote, f"{_EXAMPLE} --keep-seconds 3600"),
        ("restore", restore, _EXAMPLE),
        ("discard", discard, f"{_EXAMPLE} --former"),
    ):
        noun.command(name, epilog=f"Example: strongroom connection {name} {example}")(command)


def show(
    connection: str = ID,
    *,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Show which credentials there are: next ones, those from before, and the secrets of its notices."""
    with gateway(url, ca, key_file) as client:
        found = client.ask("GET", f"/v1/connections/{connection_id(connection)}/credentials")
    _print(found, as_json=as_json)


def following(
    connection: str = ID,
    *,
    credential: list[str] = CREDENTIAL,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Set the next credentials. Try them with `connection test --next`; `promote` uses them."""
    path = f"/v1/connections/{connection_id(connection)}/next"
    sources = sources_of(credential)
    if not sources:
        raise typer.BadParameter("--credential NAME=FILE is needed, such as api_key=new.key")
    with gateway(url, ca, key_file) as client:
        found = client.ask("POST", path, body={"credentials": credentials_of(sources)})
    _print(found, as_json=as_json)


def promote(
    connection: str = ID,
    *,
    keep_seconds: int = typer.Option(
        86_400,
        min=0,
        max=_KEEP_SECONDS_MAX,
        help="How long those from before can be brought back.",
    ),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Use the next credentials, everywhere within two seconds; those from before are kept for a while."""
    path = f"/v1/connections/{connection_id(connection)}"
    with gateway(url, ca, key_file) as client:
        staged_at = client.ask("GET", f"{path}/credentials")["staged_at"]
        if staged_at is None:
            raise typer.BadParameter("there are no next credentials: strongroom connection next")
        body = {"staged_at": staged_at, "keep_seconds": keep_seconds}
        found = client.ask("POST", f"{path}/promote", body=body)
    _print(found, as_json=as_json)


def restore(
    connection: str = ID,
    *,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Bring the credentials from before back, while they are kept; those that took their place are dropped."""
    with gateway(url, ca, key_file) as client:
        found = client.ask("POST", f"/v1/connections/{connection_id(connection)}/restore")
    _print(found, as_json=as_json)


def discard(
    connection: str = ID,
    *,
    former: bool = typer.Option(
        False, "--former", help="Those from before, before their time is over."
    ),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Drop the next credentials, or those from before. Safe to repeat."""
    path = f"/v1/connections/{connection_id(connection)}/discard"
    with gateway(url, ca, key_file) as client:
        found = client.ask("POST", path, body={"which": "former" if former else "next"})
    _print(found, as_json=as_json)


def _print(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    staged, until = found["staged_at"], found["former_until"]
    lines = (
        f"next: {'none' if staged is None else 'set at ' + staged}",
        f"from before: {'none' if until is None else 'kept until ' + until}",
        f"webhook secrets: {len(found['webhook_secrets_until'])}",
    )
    for line in lines:
        out.print(Text(line), soft_wrap=True)
