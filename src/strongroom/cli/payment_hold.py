# SPDX-License-Identifier: Apache-2.0
"""`strongroom payment increment` and `payment hold`: hold more, and what happens to a hold by itself."""

from pathlib import Path
from typing import Any, Final

import typer

from strongroom.cli.calling import CA, JSON, KEY_FILE, URL, gateway, wish
from strongroom.cli.console import print_json
from strongroom.cli.payment_asked import amount_of, end, moment_of, payment_id
from strongroom.cli.payment_shown import print_payment

_ID: Final = typer.Argument(metavar="ID", help="The payment's id (pay_…).")


def increment(
    payment: str = _ID,
    *,
    amount: str = typer.Option(
        help="By how much: minor units (1050), or with all of the currency's decimals (10.50)."
    ),
    idempotency_key: str = typer.Option(
        "", help="Name of this request, to repeat it safely; made for you without it."
    ),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Print the payment's id alone."),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Hold more of a payment that was made with --estimated; what was held before stays held whatever comes of it."""
    path = f"/v1/payments/{payment_id(payment)}"
    with gateway(url, ca, key_file) as client:
        body = {"amount": amount_of(client, path, amount)}
        asked = wish(client, f"{path}/increment", body, idempotency_key)
    end(asked, as_json=as_json, quiet=quiet)


def hold(
    payment: str = _ID,
    *,
    capture_at: str = typer.Option(
        "", metavar="ISO", help="Capture all that is left by itself then: 2034-01-01T12:00:00Z."
    ),
    no_capture: bool = typer.Option(
        False, "--no-capture", help="Call a scheduled capture off, as long as it has not begun."
    ),
    on_expiry: str = typer.Option("", help="What nobody captured in time: cancel or leave it."),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Change what happens to a hold by itself: a scheduled capture, and what is done at its end."""
    if capture_at and no_capture:
        raise typer.BadParameter("--capture-at and --no-capture are two things")
    body: dict[str, Any] = {"on_expiry": on_expiry} if on_expiry else {}
    if capture_at or no_capture:
        body["capture_at"] = moment_of(capture_at) if capture_at else None
    path = f"/v1/payments/{payment_id(payment)}/hold"
    with gateway(url, ca, key_file) as client:
        found = client.ask("POST", path, body=body)
    if as_json:
        print_json(found)
    else:
        print_payment(found)
