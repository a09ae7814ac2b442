# SPDX-License-Identifier: Apache-2.0
"""`strongroom retry`: whether what a merchant began is tried again after a soft decline, as a client of a gateway."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import typer

from strongroom.cli.calling import CA, JSON, KEY_FILE, URL, gateway
from strongroom.cli.console import out, print_json
from strongroom.cli.payment_asked import payment_id
from strongroom.cli.payment_shown import print_payment

_PATH: Final = "/v1/retry-policy"


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(
        no_args_is_help=True, help="Try payments that you begin again after a soft decline."
    )
    for name, command, example in (
        ("show", show, "--json"),
        ("set", set_, "--after 24 --after 72 --after 120"),
        ("off", off, ""),
        ("cancel", cancel, "pay_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"),
    ):
        noun.command(name, epilog=f"Example: strongroom retry {name} {example}".rstrip())(command)
    app.add_typer(noun, name="retry")


def show(
    *, url: str = URL, ca: Path | None = CA, key_file: Path | None = KEY_FILE, as_json: bool = JSON
) -> None:
    """Show the policy."""
    with gateway(url, ca, key_file) as client:
        found = client.ask("GET", _PATH)
    _print(found, as_json=as_json)


def set_(
    *,
    after: list[int] = typer.Option(
        metavar="HOURS", help="Hours from a decline to the next try; repeat it for each try."
    ),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Switch retries on, at those distances."""
    body = {"enabled": True, "delays_hours": after}
    with gateway(url, ca, key_file) as client:
        found = client.ask("POST", _PATH, body=body)
    _print(found, as_json=as_json)


def off(
    *, url: str = URL, ca: Path | None = CA, key_file: Path | None = KEY_FILE, as_json: bool = JSON
) -> None:
    """Switch retries off: what is scheduled is not made."""
    with gateway(url, ca, key_file) as client:
        before = client.ask("GET", _PATH)
        body = {"enabled": False, "delays_hours": before["delays_hours"]}
        found = client.ask("POST", _PATH, body=body)
    _print(found, as_json=as_json)


def cancel(
    payment: str = typer.Argument(metavar="ID", help="The payment's id (pay_…)."),
    *,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Have a scheduled retry of a payment not made."""
    path = f"/v1/payments/{payment_id(payment)}/retries/cancel"
    with gateway(url, ca, key_file) as client:
        found = client.ask("POST", path)
    if as_json:
        print_json(found)
    else:
        print_payment(found)


def _print(policy: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(policy)
        return
    hours = ", ".join(str(each) for each in policy["delays_hours"])
    word = "on" if policy["enabled"] else "off"
    out.print(f"retries are {word}: {hours} hours after a decline")
