# SPDX-License-Identifier: Apache-2.0
"""`strongroom routing`: which connection payments go through, as a client of a running gateway.

Rules are written in a file and come from `show --json`: what is shown is what `set` takes.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import typer
from rich.table import Table
from rich.text import Text

from strongroom.cli.amounts import AmountMalformed, read_amount
from strongroom.cli.calling import CA, JSON, KEY_FILE, URL, gateway
from strongroom.cli.console import errors, out, print_json, print_table, progress
from strongroom.cli.lists import newest, print_list

_BYTES_MAX: Final = 1 << 20
_RANGES_BYTES_MAX: Final = 64 << 20
#: Ranges a request, as many as the API takes at once.
_RANGES_AT_ONCE: Final = 200
_COLUMNS: Final = ("first", "last", "country", "funding")
_FILE: Final = typer.Argument(metavar="FILE", help='JSON: {"rules": [...]}.')
_VERSION: Final = typer.Argument(metavar="VERSION", min=1, help="Its number.")


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(
        no_args_is_help=True,
        help="Which connection payments go through: rules, their versions, and a test.",
    )
    for name, command, example in (
        ("show", show, ""),
        ("set", set_, "rules.json --note 'UAE cards first'"),
        ("history", history, ""),
        ("activate", activate, "3"),
        ("test", probe, "--amount 10.50 --currency AED --bin 424242"),
        ("load-ranges", load_ranges, "ranges.csv --replace"),
        ("ranges", ranges, ""),
    ):
        noun.command(name, epilog=f"Example: strongroom routing {name} {example}".rstrip())(command)
    app.add_typer(noun, name="routing")


def show(
    *,
    version: int | None = typer.Option(None, min=1, help="This version; else the one that holds."),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Show the rules that hold, or an older version."""
    query = {} if version is None else {"version": str(version)}
    with gateway(url, ca, key_file) as client:
        found = client.ask("GET", "/v1/routing/rules", query=query)
    if as_json:
        print_json(found)
    else:
        _print_rules(found)


def set_(
    file: Path = _FILE,
    *,
    note: str = typer.Option("", help="Why, in your own words; kept with the version."),
    draft: bool = typer.Option(
        False, "--draft", help="Write the version, and let it not hold yet."
    ),
    replaces: int | None = typer.Option(
        None, min=0, help="Refuse if another version than this holds by now (0: none)."
    ),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Write the next version of the rules; it holds at once, within a second everywhere."""
    body: dict[str, Any] = {"rules": _rules(file), "activate": not draft}
    if note:
        body["note"] = note
    if replaces is not None:
        body["replaces"] = replaces
    with gateway(url, ca, key_file) as client:
        written = client.ask("POST", "/v1/routing/rules", body=body)
    if as_json:
        print_json(written)
    else:
        _print_rules(written)


def history(
    *,
    limit: int = typer.Option(20, min=1, help="How many at most."),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """List versions, newest first. Who let which one hold, and when, is in the audit log."""
    with gateway(url, ca, key_file) as client:
        found = newest(client, "/v1/routing/rules/versions", limit)
    print_list(
        found,
        _print_versions,
        none="no routing rules yet: strongroom routing set --help",
        as_json=as_json,
    )


def activate(
    version: int = _VERSION,
    *,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Let a version hold; an older one takes back what came after it. Safe to repeat."""
    with gateway(url, ca, key_file) as client:
        held = client.ask("POST", "/v1/routing/rules/activate", body={"version": version})
    if as_json:
        print_json(held)
    else:
        out.print(f"version {version} holds")


def probe(
    *,
    amount: str = typer.Option(help="Minor units (1050), or all decimals (10.50)."),
    currency: str = typer.Option(help="Three letters (ISO 4217)."),
    brand: str = typer.Option("", help="The card's brand, such as visa."),
    first_six: str = typer.Option("", "--bin", help="The first six digits of its number."),
    country: str = typer.Option("", help="Of the issuer, in the place of what the ranges say."),
    funding: str = typer.Option("", help="credit, debit or prepaid, likewise."),
    stored_credential: str = typer.Option("", help="none, customer or merchant."),
    metadata: list[str] = typer.Option([], metavar="KEY=VALUE", help="Repeat it."),
    connection: str = typer.Option("", help="As if the payment named this connection."),
    payment: str = typer.Option("", help="Whose split; a new payment's without it (pay_…)."),
    version: int | None = typer.Option(None, min=1, help="By this version, held or not."),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Say which connection a payment would go through now, and why. Charges nothing. Exit code 1 if there is none."""
    try:
        minor = read_amount(amount, currency)
    except AmountMalformed as error:
        raise typer.BadParameter(str(error)) from None
    given = {
        "brand": brand,
        "bin": first_six,
        "country": country,
        "funding": funding,
        "stored_credential": stored_credential,
        "metadata": _pairs(metadata),
        "connection": connection,
        "payment": payment,
        "version": version,
    }
    body = {name: value for name, value in given.items() if value}
    with gateway(url, ca, key_file) as client:
        found = client.ask(
            "POST", "/v1/routing/test", body={"amount": minor, "currency": currency, **body}
        )
    if as_json:
        print_json(found)
    else:
        _print_route(found)
    if found["connection"] is None:
        raise typer.Exit(1)


def load_ranges(
    file: Path = typer.Argument(
        metavar="FILE", help="CSV with a heading: first,last,country,funding."
    ),
    *,
    replace: bool = typer.Option(
        False, "--replace", help="Remove all ranges first; what comes later is unknown meanwhile."
    ),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
) -> None:
    """Load what is known of issuers: country and funding by the first six digits. Safe to repeat."""
    rows = _read_ranges(file)
    with gateway(url, ca, key_file) as client, progress() as bar:
        task = bar.add_task("ranges", total=len(rows))
        for at, some in _pieces(rows):
            body = {"ranges": some, "replace": replace and at == 0}
            client.ask("POST", "/v1/routing/ranges", body=body)
            bar.update(task, completed=at + len(some))
    out.print(f"loaded {len(rows)} ranges")


def ranges(
    *,
    limit: int = typer.Option(100, min=1, help="How many at most."),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """List what was loaded of issuers, in order."""
    with gateway(url, ca, key_file) as client:
        found = newest(client, "/v1/routing/ranges", limit)
    print_list(
        found,
        _print_ranges,
        none="no ranges: country and funding of every card are unknown",
        as_json=as_json,
    )


def _rules(file: Path) -> list[Any]:
    """Read rules; what `show --json` prints beside them is left out."""
    try:
        if file.stat().st_size > _BYTES_MAX:
            raise typer.BadParameter(f"{file} is too large for rules")
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        raise typer.BadParameter(f"{file} cannot be read as JSON") from None
    rules = found.get("rules") if isinstance(found, dict) else None
    if not isinstance(rules, list):
        raise typer.BadParameter(f'{file} holds no rules: {{"rules": [...]}} is wanted')
    return rules


def _pairs(given: Sequence[str]) -> dict[str, str]:
    found = {}
    for pair in given:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise typer.BadParameter("--metadata is KEY=VALUE")
        found[key] = value
    return found


def _read_ranges(file: Path) -> list[dict[str, str]]:
    import csv

    try:
        if file.stat().st_size > _RANGES_BYTES_MAX:
            raise typer.BadParameter(f"{file} is too large")
        lines = file.read_text("utf-8").splitlines()
    except (OSError, ValueError):
        raise typer.BadParameter(f"{file} cannot be read as text") from None
    reader = csv.DictReader(lines)
    if tuple(reader.fieldnames or ()) != _COLUMNS:
        raise typer.BadParameter(f"{file} begins with the line {','.join(_COLUMNS)}")
    rows = [{name: (row[name] or "").strip() for name in _COLUMNS} for row in reader]
    return [{name: value for name, value in row.items() if value} for row in rows]


def _pieces(rows: Sequence[dict[str, str]]) -> Iterator[tuple[int, Sequence[dict[str, str]]]]:
    """Yield rows in pieces that a request takes; an empty file is one empty piece, which `--replace` may send."""
    for at in range(0, max(1, len(rows)), _RANGES_AT_ONCE):
        yield at, rows[at : at + _RANGES_AT_ONCE]


def _print_rules(found: Mapping[str, Any]) -> None:
    since = found["active_since"]
    holds = f"holds since {since[:19].replace('T', ' ')}" if since else "does not hold"
    out.print(f"version [bold]{found['version']}[/] {holds}")
    if found["note"]:
        out.print(Text(found["note"]))
    if not found["rules"]:
        out.print("no rules: the newest active connection is charged")
        return
    table = Table("rule", "when", "connections", "attempts", box=None, pad_edge=False)
    for each in found["rules"]:
        when = "; ".join(f"{name} {_words(value)}" for name, value in each.get("when", {}).items())
        listed = "\n".join(
            f"{target['connection']}"
            + (f" ({target['weight']} shares)" if target.get("weight") else "")
            for target in each["connections"]
        )
        table.add_row(
            each["name"], Text(when or "any payment"), listed, str(each.get("attempts_max", 3))
        )
    print_table(table)


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(each)}" for key, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _print_versions(versions: Sequence[Mapping[str, Any]]) -> None:
    table = Table("version", "holds", "made", "by", "rules", "note", box=None, pad_edge=False)
    for each in versions:
        table.add_row(
            str(each["version"]),
            "yes" if each["active_since"] else "",
            each["made_at"][:19].replace("T", " "),
            each["made_by"],
            str(len(each["rules"])),
            Text(each["note"] or ""),
        )
    print_table(table)


def _print_route(found: Mapping[str, Any]) -> None:
    route = found["route"]
    by = {
        "default": "no rule fits: the newest active connection",
        "request": "the payment names it",
        "rule": f"rule {route['rule']} of version {route['version']}",
    }[route["by"]]
    out.print(f"{by}; country {found['country']}, funding {found['funding']}")
    table = Table("connection", "", "why", box=None, pad_edge=False)
    for each in route["connections"]:
        table.add_row(each["connection"], each["result"].replace("_", " "), each["reason"] or "")
    print_table(table)
    if found["connection"] is None:
        errors.print("no connection could be used now", style="bold red")


def _print_ranges(found: Sequence[Mapping[str, Any]]) -> None:
    table = Table(*_COLUMNS, box=None, pad_edge=False)
    for each in found:
        table.add_row(*(each[name] for name in _COLUMNS))
    print_table(table)
