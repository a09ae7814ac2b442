# SPDX-License-Identifier: Apache-2.0
"""`strongroom receipt`: get receipts of a running gateway, and verify them anywhere.

`verify` needs the receipt and two files of public keys: no installation, database or network.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.text import Text

from strongroom.cli.amounts import shown
from strongroom.cli.audit_offline import read_file, read_keys
from strongroom.cli.calling import CA, JSON, KEY_FILE, URL, gateway
from strongroom.cli.console import errors, out, print_json
from strongroom.cli.payment_asked import payment_id

if TYPE_CHECKING:
    from strongroom.payments import ReceiptRefused, VerifiedReceipt

_EXAMPLE: Final = "pay_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_SECONDS_MAX: Final = 15.0
_WAIT_SECONDS: Final = 0.5


def register(app: typer.Typer) -> None:
    """Add the noun."""
    noun = typer.Typer(
        no_args_is_help=True, help="Get signed receipts of payments, and verify them offline."
    )
    for name, command, example in (
        ("get", get, f"{_EXAMPLE} --out order-1042.receipt"),
        ("keys", keys, "--out receipts.jwks"),
        ("verify", verify, "order-1042.receipt --jwks receipts.jwks --audit-key audit.vkey"),
    ):
        noun.command(name, epilog=f"Example: strongroom receipt {name} {example}")(command)
    app.add_typer(noun, name="receipt")


def get(
    payment: str = typer.Argument(metavar="ID", help="The payment's id (pay_…)."),
    *,
    to: Path | None = typer.Option(
        None, "--out", help="File to write it to; it is printed without."
    ),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
    as_json: bool = JSON,
) -> None:
    """Get a receipt of a payment as it now is. Waits for the audit log to seal what has just happened."""
    path = f"/v1/payments/{payment_id(payment)}/receipt"
    with gateway(url, ca, key_file) as client:
        found = _sealed(client, path)
    if to is not None:
        to.write_text(found["jws"] + "\n", "ascii")
    if as_json:
        print_json(found)
    elif to is None:
        out.print(Text(found["jws"]), soft_wrap=True)
    else:
        out.print(f"wrote {to}", soft_wrap=True)


def keys(
    *,
    to: Path | None = typer.Option(
        None, "--out", help="File to write them to; they are printed without."
    ),
    url: str = URL,
    ca: Path | None = CA,
    key_file: Path | None = KEY_FILE,
) -> None:
    """Get the public keys that receipts are verified with. Keep them where you verify."""
    import json

    with gateway(url, ca, key_file) as client:
        found = client.ask("GET", "/v1/receipts/jwks")
    if to is None:
        print_json(found)
    else:
        to.write_text(json.dumps(found, indent=2) + "\n", "ascii")
        out.print(f"wrote {to}", soft_wrap=True)


def verify(
    file: Path = typer.Argument(help="File with the receipt."),
    *,
    jwks: Path = typer.Option(help="File with the receipt keys that you trust (JWK set)."),
    audit_key: list[str] = typer.Option(
        metavar="VKEY|FILE",
        help="A trusted public key of the core audit log (strongroom audit key), or a file with "
        "one a line; repeat it.",
    ),
    as_json: bool = JSON,
) -> None:
    """Verify a receipt offline. Exit code 1, and everything that does not hold, if it does not."""
    from msgspec import to_builtins

    from strongroom.payments import ReceiptRefused, read_jwks, verify_receipt

    trusted, audit_keys = read_jwks(read_file(jwks)), read_keys(audit_key)
    text = read_file(file).decode("utf-8", "replace")
    try:
        held = verify_receipt(text, trusted, audit_keys)
    except ReceiptRefused as refused:
        _print_findings(refused, as_json=as_json)
        raise typer.Exit(1) from None
    if as_json:
        print_json({"ok": True, "kid": held.kid, "receipt": to_builtins(held.receipt)})
        return
    out.print("[bold green]holds[/]")
    for name, value in _facts(held).items():
        out.print(Text(f"  {name.replace('_', ' '):<10} {value}"), soft_wrap=True)
    for each in held.receipt.attempts:
        amount = shown(each.amount, each.currency)
        words = f"  {each.operation} {amount} {each.outcome or 'asked'} {each.settled_at or ''}"
        out.print(Text(words.rstrip()), soft_wrap=True)


def _sealed(client: Any, path: str) -> dict[str, Any]:
    """Ask until what has just happened is in the signed tree: the sealer runs once a second."""
    import time

    from strongroom.cli.client import GatewayRefused

    until = time.monotonic() + _SECONDS_MAX
    while True:
        try:
            return dict(client.ask("GET", path))
        except GatewayRefused as refused:
            waits = refused.problem.get("code") == "not_sealed_yet"
            if not waits or time.monotonic() > until:
                raise
        time.sleep(_WAIT_SECONDS)


def _facts(held: "VerifiedReceipt") -> dict[str, Any]:
    receipt = held.receipt
    payment, card = receipt.payment, receipt.payment.card
    facts = {
        "payment": payment.id,
        "status": payment.status,
        "amount": shown(payment.amount, payment.currency),
        "captured": shown(payment.captured, payment.currency),
        "refunded": shown(payment.refunded, payment.currency),
        "card": None if card is None else f"{card.brand} …{card.last4}",
        "reference": payment.reference,
        "merchant": receipt.merchant,
        "mode": receipt.mode,
        "issuer": receipt.iss,
        "issued_at": receipt.issued_at,
        "key": held.kid,
        "tree": f"{receipt.tree.origin} {receipt.tree.size}",
    }
    return {name: value for name, value in facts.items() if value is not None}


def _print_findings(refused: "ReceiptRefused", *, as_json: bool) -> None:
    if as_json:
        findings = [
            {"fault": each.fault.value, "where": each.where, "detail": each.detail}
            for each in refused.findings
        ]
        print_json({"ok": False, "findings": findings})
        return
    errors.print("[bold red]does not hold[/]")
    for each in refused.findings:
        errors.print(Text(f"  {each}"), soft_wrap=True)
