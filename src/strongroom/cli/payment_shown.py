# SPDX-License-Identifier: Apache-2.0
"""How payments, attempts and refunds look to people, and what is said beside them. Touches nothing.

Answers go to standard output; what to do next goes to standard error.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import typer
from rich.table import Table
from rich.text import Text

from strongroom.cli.amounts import shown
from strongroom.cli.console import errors, out, print_table

_BALANCES: Final = (
    "authorized",
    "capturing",
    "captured",
    "voiding",
    "voided",
    "refunding",
    "refunded",
    "disputed",
    "capturable",
    "refundable",
    "incrementing",
    "incremented",
)
_ADVICE: Final[Mapping[str, str]] = {
    "authenticate": "the customer's bank wants to see them: give a --return-url",
    "later": "the same card may be tried again later",
    "never": "this card is never to be tried again",
    "new_card": "another card is needed",
}
_NOT_KNOWN: Final = frozenset({None, "unknown", "pending"})


def print_payments(payments: Sequence[Mapping[str, Any]]) -> None:
    """Print payments, a line each."""
    table = _table("id", "status", "amount", "captured", "refunded", "card", "made")
    table.add_column("reference", overflow="fold")
    for each in payments:
        card = each["card"]
        table.add_row(
            each["id"],
            each["status"],
            shown(each["amount"], each["currency"]),
            _part(each, "captured"),
            _part(each, "refunded"),
            f"{card['brand']} …{card['last4']}" if card else "",
            each["created_at"][:16].replace("T", " "),
            Text(each["reference"] or ""),
        )
    print_table(table)


def print_payment(payment: Mapping[str, Any]) -> None:
    """Print a payment, how much is where, and what a person has to do about it."""
    print_payments([payment])
    balances, currency = payment["balances"], payment["currency"]
    _line(
        "balances",
        ", ".join(f"{n} {shown(balances[n], currency)}" for n in _BALANCES if balances[n]) or "0",
    )
    if payment["capture_before"] and balances["capturable"]:
        _line("capture before", f"{payment['capture_before'][:19]}Z, then {payment['on_expiry']}")
    if waits := payment.get("processing"):
        said = f"{waits['reason']} of {waits['attempt']} since {waits['since'][:19]}Z"
        again = waits["next_look_at"]
        _line("waits for", said + (f", looked for again {again[:19]}Z" if again else ""))
    if payment["capture_at"]:
        _line("captured by itself at", f"{payment['capture_at'][:19]}Z")
    for name in (
        "connection",
        "customer",
        "token",
        "decline_code",
        "advice",
        "cancellation_reason",
    ):
        if payment[name]:
            _line(name.replace("_", " "), payment[name])
    for key, value in payment["metadata"].items():
        _line(key, value)
    if payment["next_retry_at"]:
        _line("tried again at", payment["next_retry_at"][:16].replace("T", " "))
    if payment.get("attempt"):
        _line("attempt", _attempt_sentence(payment["attempt"]))
    if payment["discrepancy"]:
        errors.print(
            "what the processor reported does not add up: docs/runbooks/payment-discrepancy.md",
            style="bold red",
        )
    if payment["next_action"]:
        errors.print("the customer has to go here; then look again: strongroom payment show")
        typer.echo(payment["next_action"]["url"])


def print_attempts(attempts: Sequence[Mapping[str, Any]]) -> None:
    """Print attempts, a line each."""
    table = _table("id", "operation", "amount", "outcome", "basis", "why", "connection", "made")
    for each in attempts:
        table.add_row(
            each["id"],
            each["operation"],
            shown(each["amount"], each["currency"]),
            each["outcome"] or "not answered yet",
            each["basis"] or "",
            each["decline_code"] or each["reason"] or "",
            _where(each),
            each["created_at"][:19].replace("T", " "),
        )
    print_table(table)


def _where(attempt: Mapping[str, Any]) -> str:
    """Say where an attempt went, by which rule, and whether the request went on from there."""
    route = attempt.get("route") or {}
    said = f"{attempt['connection']}"
    if route.get("rule"):
        said += f"\n{route['rule']} (version {route['version']})"
    return said + "\nwent on" if route.get("onward") == "failed_over" else said


def print_refunds(refunds: Sequence[Mapping[str, Any]]) -> None:
    """Print refunds, a line each."""
    table = _table("id", "status", "amount", "payment", "why", "made")
    table.add_column("reference", overflow="fold")
    for each in refunds:
        table.add_row(
            each["id"],
            each["status"],
            shown(each["amount"], each["currency"]),
            each["payment"],
            each["failure_code"] or each["reason"] or "",
            each["created_at"][:16].replace("T", " "),
            Text(each["reference"] or ""),
        )
    print_table(table)


def print_decline(problem: Mapping[str, Any]) -> None:
    """Say that the processor declined, and what may be done."""
    code = problem.get("decline_code") or "no reason given"
    errors.print(f"[bold red]declined[/]: {code}", soft_wrap=True)
    if advice := _ADVICE.get(str(problem.get("advice"))):
        errors.print(advice, style="dim", soft_wrap=True)


def was_not_sent(payment: Mapping[str, Any]) -> bool:
    """Tell whether the attempt of this answer certainly did not happen."""
    attempt = payment.get("attempt")
    return bool(attempt) and attempt["outcome"] == "not_sent"  # type: ignore[index]  # it is there


def is_not_known(payment: Mapping[str, Any]) -> bool:
    """Tell whether the attempt of this answer (202) has no outcome that anybody knows yet."""
    attempt = payment.get("attempt")
    return bool(attempt) and not payment["next_action"] and attempt["outcome"] in _NOT_KNOWN  # type: ignore[index]


def say_not_known(look: str) -> None:
    """Say that the outcome is not known yet, and where it will be seen."""
    errors.print(
        "the outcome is not known yet: it is being found out, and nothing else is sent until it is. "
        f"Do not pay again. Look: {look}",
        soft_wrap=True,
    )


def say_not_sent() -> None:
    """Say that nothing happened."""
    errors.print(
        "[bold red]not sent[/]: this certainly did not happen; the payment stands where it stood. Try again",
        soft_wrap=True,
    )


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def _part(payment: Mapping[str, Any], name: str) -> str:
    amount = payment["balances"][name]
    return shown(amount, payment["currency"]) if amount else ""


def _attempt_sentence(attempt: Mapping[str, Any]) -> str:
    said = f"{attempt['id']} {attempt['operation']}: {attempt['outcome'] or 'not answered yet'}"
    return f"{said} ({attempt['reason']})" if attempt["reason"] else said


def _line(name: str, value: str) -> None:
    out.print(Text(f"  {name}: {value}", style="dim"), soft_wrap=True)
