# SPDX-License-Identifier: Apache-2.0
"""`strongroom payment`: charge tokens and follow payments, as a client of a running gateway.

A decline prints the payment and ends with 1. An outcome that is not known yet is no failure: it is said, and ends
with 0. A sealed CVC is read from standard input; a card number is never taken here.
"""

from pathlib import Path
from typing import Any, Final

import typer

from strongroom.cli.calling import CA, JSON, KEY_FILE, URL, gateway, metadata, typed, wish
from strongroom.cli.console import print_json
from strongroom.cli.lists import newest, print_list
from strongroom.cli.payment_asked import amount_of, end, minor_units, moment_of, payment_id
from strongroom.cli.payment_hold import hold, increment
from strongroom.cli.payment_resolve import resolve
from strongroom.cli.payment_shown import (
    print_attempts,
    print_payment,
    print_payments,
)
from strongroom.kernel.ids import is_id

_EXAMPLE: Final = "pay_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_ID: Final = typer.Argument(metavar="ID", help="The payment's id (pay_…).")
_AMOUNT_HELP: Final = "Minor units (1050), or with all of the currency's decimals (10.50)."
_IDEMPOTENCY: Final = typer.Option(
    "", help="Name of this request, to repeat it safely; made for you without it."
)
_CONNECTION: Final = typer.Option(
    "", help="The connection to charge through (con_…); the newest active one without it."
)
_CVC: Final = typer.Option(
    False, "--cvc", help="Read a CVC as the vault sealed it (cvc_…): a line, or a prompt."
)
_RETURN_URL: Final = typer.Option("", help="Where a customer comes back to from a challenge.")
_USER_AGENT: Final = typer.Option(
    "", help="Your customer's browser, as its header User-Agent said; with --accept."
)
_ACCEPT: Final = typer.Option(
    "", help="What it takes, as its header Accept said; with --user-agent."
)
_QUIET: Final = typer.Option(False, "--quiet", "-q", help="Print the payment's id alone.")


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(
        no_args_is_help=True, help="Make, capture, cancel, read and list payments of a gateway."
    )

    for name, command, example in (
        ("create", create, "--amount 10.50 --currency AED --token tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"),
        ("confirm", confirm, _EXAMPLE),
        ("capture", capture, f"{_EXAMPLE} --amount 4.00 --not-final"),
        ("increment", increment, f"{_EXAMPLE} --amount 4.00"),
        ("hold", hold, f"{_EXAMPLE} --capture-at 2034-01-01T12:00:00Z"),
        ("cancel", cancel, f"{_EXAMPLE} --reason duplicate"),
        ("show", show, f"{_EXAMPLE} --json"),
        ("list", list_, "--reference order-1042 --status requires_capture"),
        ("attempts", attempts, _EXAMPLE),
        (
            "resolve",
            resolve,
            f"{_EXAMPLE} att_01KAHX3MZ4V8Q2T6N0R5W7Y9CB --outcome not_sent --evidence 'their case 4711'",
        ),
    ):
        noun.command(name, epilog=f"Example: strongroom payment {name} {example}")(command)
    app.add_typer(noun, name="payment")


def create(
    *,
    amount: str = typer.Option(help=f"{_AMOUNT_HELP} 0 asks whether the card is good."),
    currency: str = typer.Option(help="ISO 4217, upper case: AED."),
    token: str = typer.Option("", help="The card's token (tok_…)."),
    customer: str = typer.Option(
        "", help="Who pays (cus_…); without a token their default card is charged."
    ),
    stored: str = typer.Option(
        "",
        metavar="INITIATOR:REASON:STAGE",
        help="That the card is stored: customer:recurring:initial, then merchant:recurring:later.",
    ),
    cvc: bool = _CVC,
    manual: bool = typer.Option(
        False, "--manual", help="Authorize only; the money moves when you capture."
    ),
    confirm: bool | None = typer.Option(
        None,
        "--confirm/--no-confirm",
        help="Charge it now, or later; with a token or a customer it is charged now.",
        show_default=False,
    ),
    connection: str = _CONNECTION,
    reference: str = typer.Option("", help="Your own name for it, such as an order's number."),
    facts: list[str] = typer.Option(
        [], "--metadata", metavar="KEY=VALUE", help="Shown in clear; repeat it for each."
    ),
    return_url: str = _RETURN_URL,
    estimated: bool = typer.Option(
        False, "--estimated", help="The amount is an estimate, and may be raised; with --manual."
    ),
    capture_at: str = typer.Option(
        "", metavar="ISO", help="Capture all of it by itself then; with --manual."
    ),
    on_expiry: str = typer.Option(
        "", help="What nobody captured in time: cancel or leave it; with --manual."
    ),
    user_agent: str = _USER_AGENT,
    accept: str = _ACCEPT,
    idempotency_key: str = _IDEMPOTENCY,
    quiet: bool = _QUIET,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Make a payment, and charge its token unless told not to."""
    body: dict[str, Any] = {
        "amount": 0 if amount == "0" else minor_units(amount, currency),
        "currency": currency,
        "capture_method": "manual" if manual else "automatic",
        "confirm": bool(token or customer) if confirm is None else confirm,
        **_given(
            token=_of("tok", token),
            customer=_of("cus", customer),
            stored_credential=_stored(stored),
            connection=_of("con", connection),
            reference=reference,
            return_url=return_url,
            metadata=metadata(facts),
            estimated=estimated,
            capture_at=moment_of(capture_at) if capture_at else "",
            on_expiry=on_expiry,
            customer_browser=_browser(user_agent, accept),
        ),
    }
    with gateway(url, ca, key_file) as client:
        if cvc:
            body["cvc"] = typed("Sealed CVC").expose()
        asked = wish(client, "/v1/payments", body, idempotency_key)
    end(asked, as_json=as_json, quiet=quiet)


def confirm(
    payment: str = _ID,
    *,
    token: str = typer.Option("", help="Another card's token (tok_…)."),
    cvc: bool = _CVC,
    connection: str = _CONNECTION,
    return_url: str = _RETURN_URL,
    user_agent: str = _USER_AGENT,
    accept: str = _ACCEPT,
    idempotency_key: str = _IDEMPOTENCY,
    quiet: bool = _QUIET,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Charge a payment: with the token that it has, or with another."""
    path = f"/v1/payments/{payment_id(payment)}/confirm"
    body: dict[str, Any] = _given(
        token=_of("tok", token),
        connection=_of("con", connection),
        return_url=return_url,
        customer_browser=_browser(user_agent, accept),
    )
    with gateway(url, ca, key_file) as client:
        if cvc:
            body["cvc"] = typed("Sealed CVC").expose()
        asked = wish(client, path, body, idempotency_key)
    end(asked, as_json=as_json, quiet=quiet)


def capture(
    payment: str = _ID,
    *,
    amount: str = typer.Option("", help=f"{_AMOUNT_HELP} All that is left without it."),
    not_final: bool = typer.Option(
        False, "--not-final", help="Keep the rest for later captures; else it is released."
    ),
    idempotency_key: str = _IDEMPOTENCY,
    quiet: bool = _QUIET,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Take money that is authorized: all that is left, or a part."""
    path = f"/v1/payments/{payment_id(payment)}"
    with gateway(url, ca, key_file) as client:
        body: dict[str, Any] = {"final_capture": not not_final}
        if amount:
            body["amount"] = amount_of(client, path, amount)
        asked = wish(client, f"{path}/capture", body, idempotency_key)
    end(asked, as_json=as_json, quiet=quiet)


def cancel(
    payment: str = _ID,
    *,
    reason: str = typer.Option(
        "requested_by_customer",
        help="abandoned, duplicate, fraudulent or requested_by_customer.",
    ),
    idempotency_key: str = _IDEMPOTENCY,
    quiet: bool = _QUIET,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Call a payment off: what is authorized and not captured is released."""
    path = f"/v1/payments/{payment_id(payment)}/cancel"
    with gateway(url, ca, key_file) as client:
        asked = wish(client, path, {"reason": reason}, idempotency_key)
    end(asked, as_json=as_json, quiet=quiet)


def show(
    payment: str = _ID,
    *,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Show where a payment stands, and how much is where."""
    path = f"/v1/payments/{payment_id(payment)}"
    with gateway(url, ca, key_file) as client:
        found = client.ask("GET", path)
    if as_json:
        print_json(found)
    else:
        print_payment(found)


def list_(
    *,
    reference: str = typer.Option("", help="Your own name for it."),
    status: str = typer.Option("", help="Where it stands, such as requires_capture."),
    since: str = typer.Option("", metavar="ISO", help="Made then or later: 2034-01-01."),
    until: str = typer.Option("", metavar="ISO", help="Made before: 2034-01-02T12:00:00Z."),
    amount: int | None = typer.Option(None, min=1, help="Exactly so much, in minor units."),
    last4: str = typer.Option("", help="The last four digits of its card."),
    token: str = typer.Option("", help="Its card's token (tok_…)."),
    limit: int = typer.Option(20, min=1, help="How many, newest first."),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """List payments, newest first; every filter narrows."""
    filters: dict[str, str] = _given(
        reference=reference,
        status=status,
        created_from=moment_of(since) if since else "",
        created_to=moment_of(until) if until else "",
        amount="" if amount is None else str(amount),
        last4=last4,
        token=_of("tok", token),
    )
    with gateway(url, ca, key_file) as client:
        found = newest(client, "/v1/payments", limit, filters)
    print_list(
        found,
        print_payments,
        none="no such payments: strongroom payment create --help",
        as_json=as_json,
    )


def attempts(
    payment: str = _ID,
    *,
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """List each time that a processor was asked, what became of it, and how that is known."""
    path = f"/v1/payments/{payment_id(payment)}/attempts"
    with gateway(url, ca, key_file) as client:
        found = client.ask("GET", path)["data"]
    print_list(
        found,
        print_attempts,
        none="no processor was asked about this payment yet",
        as_json=as_json,
    )


def _of(prefix: str, text: str) -> str:
    if text and not is_id(prefix, text):
        thing = {"tok": "token", "con": "connection", "cus": "customer"}[prefix]
        raise typer.BadParameter(f"a {thing} is {prefix}_ and 26 letters and digits")
    return text


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _browser(user_agent: str, accept: str) -> dict[str, str] | None:
    """Read what is said of the customer's browser."""
    if bool(user_agent) is not bool(accept):
        raise typer.BadParameter("--user-agent and --accept are given together")
    return {"user_agent": user_agent, "accept_header": accept} if user_agent else None


def _stored(text: str) -> dict[str, str] | None:
    """Read what is said of a stored card."""
    if not text:
        return None
    words = text.split(":")
    if len(words) != 3:  # noqa: PLR2004 - its three members
        raise typer.BadParameter("--stored is INITIATOR:REASON:STAGE, as merchant:recurring:later")
    return dict(zip(("initiator", "reason", "stage"), words, strict=True))
