# SPDX-License-Identifier: Apache-2.0
"""`strongroom connection`: a merchant's accounts at processors, as a client of a running gateway.

Credentials and webhook secrets are read from files that are their owner's alone, or from standard input: arguments
stand in the process list and in the shell's history.
"""

from pathlib import Path
from typing import Any, Final

import typer
from rich.table import Table
from rich.text import Text

from strongroom.cli import connection_credentials, connection_health
from strongroom.cli.calling import CA, JSON, KEY_FILE, URL, gateway
from strongroom.cli.console import errors, out, print_json, print_table
from strongroom.cli.credential_files import (
    CREDENTIAL,
    ID,
    connection_id,
    credentials_of,
    read_value,
    sources_of,
)
from strongroom.cli.lists import print_list

_EXAMPLE: Final = "con_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_EXAMPLE_CREATE: Final = (
    "--processor simulator --account acct_shop --base-url http://127.0.0.1:8460 "
    "--credential api_key=api.key --webhook-secret-file webhook.key"
)
_OVERLAP_SECONDS_MAX: Final = 7 * 86_400
_WEBHOOK_SECRET: Final = typer.Option(
    "",
    metavar="FILE",
    help="File (mode 0600) with the secret that the processor's notices are verified with; - likewise.",
)


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(
        no_args_is_help=True, help="Connect accounts at processors; test, rotate and end them."
    )
    for name, command, example in (
        (
            "create",
            create,
            _EXAMPLE_CREATE,
        ),
        ("list", list_, "--json"),
        ("show", show, _EXAMPLE),
        ("rotate", rotate, f"{_EXAMPLE} --credential api_key=new.key"),
        ("disable", disable, _EXAMPLE),
        ("test", probe, _EXAMPLE),
    ):
        noun.command(name, epilog=f"Example: strongroom connection {name} {example}")(command)
    connection_credentials.register(noun)
    connection_health.register(noun)
    app.add_typer(noun, name="connection")


def create(
    *,
    processor: str = typer.Option(help="The processor, such as simulator."),
    account: str = typer.Option(help="The account's name at the processor."),
    base_url: str = typer.Option(help="Where the processor is: https://host."),
    credential: list[str] = CREDENTIAL,
    webhook_secret_file: str = _WEBHOOK_SECRET,
    name: str = typer.Option("default", help="Your own name for it."),
    finding: str = typer.Option(
        "",
        help="How an outcome is found out: by_reference, by_replay or by_notice; the surest without it.",
    ),
    webhook_scheme: str = typer.Option(
        "",
        help="How its notices are verified, where it has several ways (adyen_platform, aes_gcm_hex).",
    ),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Print the connection's id alone."),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Connect an account. Its credentials are sealed and never shown again."""
    if not webhook_secret_file:
        raise typer.BadParameter("--webhook-secret-file is needed: unverified notices are refused")
    sources = sources_of(credential)
    if not sources:
        raise typer.BadParameter("--credential NAME=FILE is needed, such as api_key=api.key")
    with gateway(url, ca, key_file) as client:
        body: dict[str, Any] = {
            "processor": processor,
            "account": account,
            "base_url": base_url,
            "name": name,
            "credentials": credentials_of(sources),
            "webhook_secret": read_value("Webhook secret", webhook_secret_file),
        }
        if finding:
            body["finding"] = finding
        if webhook_scheme:
            body["webhook_scheme"] = webhook_scheme
        made = client.ask("POST", "/v1/connections", body=body)
    if as_json:
        print_json(made)
    elif quiet:
        typer.echo(made["id"])
    else:
        _show(made)
        errors.print(
            f"tell the processor this webhook URL; then: strongroom connection test {made['id']}",
            soft_wrap=True,
        )


def list_(
    *,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """List connections, newest first: the newest active one is charged through."""
    with gateway(url, ca, key_file) as client:
        found = client.ask("GET", "/v1/connections")["data"]
    print_list(
        found,
        lambda each: print_table(_table(each)),
        none="no connections yet: strongroom connection create --help",
        as_json=as_json,
    )


def show(
    connection: str = ID,
    *,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Show a connection, without what is secret."""
    path = f"/v1/connections/{connection_id(connection)}"
    with gateway(url, ca, key_file) as client:
        found = client.ask("GET", path)
    if as_json:
        print_json(found)
    else:
        _show(found)


def rotate(
    connection: str = ID,
    *,
    credential: list[str] = CREDENTIAL,
    webhook_secret_file: str = _WEBHOOK_SECRET,
    overlap_seconds: int = typer.Option(
        86_400,
        min=0,
        max=_OVERLAP_SECONDS_MAX,
        help="How long the old webhook secret holds beside the new one, and the old credentials can be restored.",
    ),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Take new credentials at once, and a new webhook secret beside the old one for a while."""
    path = f"/v1/connections/{connection_id(connection)}/rotate"
    if not credential and not webhook_secret_file:
        raise typer.BadParameter("nothing to rotate: --credential, --webhook-secret-file, or both")
    sources = sources_of(credential)
    with gateway(url, ca, key_file) as client:
        body: dict[str, Any] = {"overlap_seconds": overlap_seconds}
        if sources:
            body["credentials"] = credentials_of(sources)
        if webhook_secret_file:
            body["webhook_secret"] = read_value("Webhook secret", webhook_secret_file)
        rotated = client.ask("POST", path, body=body)
    if as_json:
        print_json(rotated)
    else:
        _show(rotated)


def disable(
    connection: str = ID,
    *,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Choose a connection for no new payment; what was begun through it is finished. Safe to repeat."""
    path = f"/v1/connections/{connection_id(connection)}"
    with gateway(url, ca, key_file) as client:
        client.ask("POST", f"{path}/disable")
        disabled = client.ask("GET", path)
    if as_json:
        print_json(disabled)
    else:
        out.print(f"disabled [bold]{connection}[/]; what was begun through it is finished")


def probe(
    connection: str = ID,
    *,
    following: bool = typer.Option(
        False, "--next", help="With the next credentials, before they are promoted."
    ),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Ask the processor for the account: reached, the right one, the right mode, what is missing. Moves no money."""
    path = f"/v1/connections/{connection_id(connection)}"
    with gateway(url, ca, key_file) as client:
        expected = client.ask("GET", path)
        query = {"credentials": "next"} if following else None
        found = client.ask("POST", f"{path}/test", query=query)
    if as_json:
        print_json(found)
    else:
        _say(expected, found)
    if not found["passed"]:
        raise typer.Exit(1)


def _say(expected: dict[str, Any], found: dict[str, Any]) -> None:
    """Print what a test found, a line a question."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("reachable", _yes(found["reachable"]), f"{found['duration_ms']} ms")
    for name in ("account", "mode"):
        if found[name] is not None:
            same = found[name] == expected[name]
            table.add_row(name, _yes(same), Text(found[name]))
    if found["raw_cards"] is not None:
        table.add_row("raw cards", _yes(found["raw_cards"]), "")
    elif found["reachable"]:
        table.add_row(
            "raw cards",
            "[yellow]?[/]",
            "the processor tells that of a payment only: make a test payment",
        )
    for each in found["missing"]:
        table.add_row("missing", _yes(False), Text(each))
    print_table(table)
    if found["passed"]:
        out.print("this connection is ready")


def _yes(holds: bool) -> str:  # noqa: FBT001 - a word for it
    return "[green]yes[/]" if holds else "[bold red]no[/]"


def _show(connection: dict[str, Any]) -> None:
    print_table(_table([connection]))
    out.print(Text(f"  webhook url: {connection['webhook_url']}"), soft_wrap=True)


def _table(connections: list[dict[str, Any]]) -> Table:
    shown = Table(box=None, pad_edge=False)
    for column in ("id", "processor", "account", "mode", "status", "finding", "made"):
        shown.add_column(column, no_wrap=True)
    shown.add_column("name", overflow="fold")
    for each in connections:
        shown.add_row(
            each["id"],
            each["processor"],
            Text(each["account"]),
            each["mode"],
            each["status"],
            each["finding"],
            each["created_at"][:10],
            Text(each["name"]),
        )
    return shown
