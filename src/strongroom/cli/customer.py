# SPDX-License-Identifier: Apache-2.0
"""`strongroom customer`: who pays, their saved cards and what they agreed to, as a client of a running gateway."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import typer
from rich.table import Table
from rich.text import Text

from strongroom.cli.calling import CA, JSON, KEY_FILE, URL, gateway, metadata
from strongroom.cli.console import out, print_json, print_table
from strongroom.cli.lists import newest, print_list
from strongroom.kernel.ids import is_id

_EXAMPLE: Final = "cus_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_TOKEN_EXAMPLE: Final = "tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"  # noqa: S105 - an id, not a secret
_ID: Final = typer.Argument(metavar="ID", help="The customer's id (cus_…).")
_TOKEN: Final = typer.Argument(metavar="TOKEN", help="The card's token (tok_…).")
_QUIET: Final = typer.Option(False, "--quiet", "-q", help="Print the id alone.")


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(
        no_args_is_help=True, help="Customers: their saved cards, and what they agreed to."
    )
    for name, command, example in (
        ("create", create, '--reference c-17 --name "Amal Haddad"'),
        ("list", list_, "--reference c-17"),
        ("show", show, _EXAMPLE),
        ("erase", erase, f"{_EXAMPLE} --yes"),
        ("cards", cards, _EXAMPLE),
        ("save-card", save_card, f"{_EXAMPLE} {_TOKEN_EXAMPLE} --default"),
        ("forget-card", forget_card, f"{_EXAMPLE} {_TOKEN_EXAMPLE}"),
        ("mandates", mandates, _EXAMPLE),
        ("agree", agree, f"{_EXAMPLE} {_TOKEN_EXAMPLE} --method web --text-version terms-3"),
        ("revoke", revoke, f"{_EXAMPLE} mnd_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"),
    ):
        noun.command(name, epilog=f"Example: strongroom customer {name} {example}")(command)
    app.add_typer(noun, name="customer")


def create(
    *,
    reference: str = typer.Option("", help="Your own name for them."),
    name: str = typer.Option("", help="Their name; sealed."),
    email: str = typer.Option("", help="Their address; sealed."),
    phone: str = typer.Option("", help="Their number; sealed."),
    facts: list[str] = typer.Option(
        [], "--metadata", metavar="KEY=VALUE", help="Shown in clear; repeat it for each."
    ),
    quiet: bool = _QUIET,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Make a customer."""
    given = {
        "reference": reference,
        "name": name,
        "email": email,
        "phone": phone,
        "metadata": metadata(facts),
    }
    body = {key: value for key, value in given.items() if value}
    with gateway(url, ca, key_file) as client:
        made = client.ask("POST", "/v1/customers", body=body)
    if quiet:
        typer.echo(made["id"])
    else:
        _show([made], made, as_json=as_json)


def list_(
    *,
    reference: str = typer.Option("", help="Who has this name of yours."),
    limit: int = typer.Option(20, min=1, max=1_000, help="So many at most."),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """List customers, newest first."""
    query = {"reference": reference} if reference else {}
    with gateway(url, ca, key_file) as client:
        found = newest(client, "/v1/customers", limit, query)
    print_list(
        found,
        lambda each: print_table(_table(each)),
        none="no customers: strongroom customer create --help",
        as_json=as_json,
    )


def show(
    customer: str = _ID,
    *,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Show a customer."""
    with gateway(url, ca, key_file) as client:
        found = client.ask("GET", _path(customer))
    _show([found], found, as_json=as_json)


def erase(
    customer: str = _ID,
    *,
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
) -> None:
    """Erase who somebody is, with their saved cards and mandates. Their tokens stay in the vault."""
    path = _path(customer)
    if not yes and not typer.confirm(f"erase {customer} for good?"):
        raise typer.Exit(1)
    with gateway(url, ca, key_file) as client:
        client.ask("DELETE", path)
    out.print(
        f"erased {customer}; its tokens are deleted in the vault: strongroom token delete",
        soft_wrap=True,
    )


def cards(
    customer: str = _ID,
    *,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """List a customer's saved cards."""
    with gateway(url, ca, key_file) as client:
        found = client.ask("GET", f"{_path(customer)}/cards")["data"]
    print_list(
        found,
        lambda each: print_table(_cards(each)),
        none="no saved cards: strongroom customer save-card --help",
        as_json=as_json,
    )


def save_card(
    customer: str = _ID,
    token: str = _TOKEN,
    *,
    default: bool = typer.Option(
        False, "--default", help="Charge this one where a payment names the customer alone."
    ),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Save a card of a customer; the first is their default."""
    body = {"token": token, "default": default}
    with gateway(url, ca, key_file) as client:
        saved = client.ask("POST", f"{_path(customer)}/cards", body=body)
    if as_json:
        print_json(saved)
    else:
        print_table(_cards([saved]))


def forget_card(
    customer: str = _ID,
    token: str = _TOKEN,
    *,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
) -> None:
    """Save a card no more, and revoke what was agreed to with it."""
    path = f"{_path(customer)}/cards/{_of('tok', token, 'token')}"
    with gateway(url, ca, key_file) as client:
        client.ask("DELETE", path)
    out.print(f"forgotten: {token}")


def mandates(
    customer: str = _ID,
    *,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """List what a customer agreed to."""
    with gateway(url, ca, key_file) as client:
        found = client.ask("GET", f"{_path(customer)}/mandates")["data"]
    print_list(
        found,
        lambda each: print_table(_mandates(each)),
        none="no mandates: strongroom customer agree --help",
        as_json=as_json,
    )


def agree(
    customer: str = _ID,
    token: str = _TOKEN,
    *,
    method: str = typer.Option(help="How: app, in_person, paper, phone or web."),
    text_version: str = typer.Option(help="Which of your texts they agreed to."),
    agreed_at: str = typer.Option("", metavar="MOMENT", help="When (RFC 3339); now without it."),
    ip_address: str = typer.Option("", help="From where; sealed."),
    quiet: bool = _QUIET,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Write down that a customer agreed to payments which you begin with a card."""
    given = {
        "token": token,
        "method": method,
        "text_version": text_version,
        "agreed_at": agreed_at,
        "ip_address": ip_address,
    }
    body = {key: value for key, value in given.items() if value}
    with gateway(url, ca, key_file) as client:
        made = client.ask("POST", f"{_path(customer)}/mandates", body=body)
    if as_json:
        print_json(made)
    elif quiet:
        typer.echo(made["id"])
    else:
        print_table(_mandates([made]))


def revoke(
    customer: str = _ID,
    mandate: str = typer.Argument(metavar="MANDATE", help="The mandate's id (mnd_…)."),
    *,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Revoke a mandate: nothing is begun with its card any more."""
    path = f"{_path(customer)}/mandates/{_of('mnd', mandate, 'mandate')}/revoke"
    with gateway(url, ca, key_file) as client:
        found = client.ask("POST", path)
    if as_json:
        print_json(found)
    else:
        print_table(_mandates([found]))


def _path(customer: str) -> str:
    return f"/v1/customers/{_of('cus', customer, 'customer')}"


def _of(prefix: str, text: str, what: str) -> str:
    if not is_id(prefix, text):
        raise typer.BadParameter(f"a {what} is {prefix}_ and 26 characters")
    return text


def _show(found: Sequence[Mapping[str, Any]], one: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(one)
    else:
        print_table(_table(found))


def _table(found: Sequence[Mapping[str, Any]]) -> Table:
    table = _columns("id", "reference", "name", "email", "default card", "made")
    for each in found:
        table.add_row(
            each["id"],
            Text(each["reference"] or ""),
            Text(each["name"] or ""),
            Text(each["email"] or ""),
            each["default_card"] or "",
            _moment(each["created_at"]),
        )
    return table


def _cards(found: Sequence[Mapping[str, Any]]) -> Table:
    table = _columns("token", "card", "expires", "default", "mandate")
    for each in found:
        table.add_row(
            each["token"],
            f"{each['brand']} …{each['last4']}",
            f"{each['exp_month']:02d}/{each['exp_year']}",
            "default" if each["default"] else "",
            each["mandate_status"] or "none",
        )
    return table


def _mandates(found: Sequence[Mapping[str, Any]]) -> Table:
    table = _columns("id", "token", "status", "method", "text", "agreed")
    for each in found:
        table.add_row(
            each["id"],
            each["token"],
            each["status"],
            each["method"],
            Text(each["text_version"]),
            _moment(each["agreed_at"]),
        )
    return table


def _moment(text: str) -> str:
    return text[:16].replace("T", " ")


def _columns(*names: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold")
    return table
