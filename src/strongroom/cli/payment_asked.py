# SPDX-License-Identifier: Apache-2.0
"""What commands about payments read from the command line, and how they end."""

from datetime import UTC, datetime
from typing import Any

import typer

from strongroom.cli.amounts import AmountMalformed, has_decimals, read_amount, read_minor_units
from strongroom.cli.calling import Asked
from strongroom.cli.console import print_json
from strongroom.cli.payment_shown import (
    is_not_known,
    print_decline,
    print_payment,
    say_not_known,
    say_not_sent,
    was_not_sent,
)
from strongroom.kernel.clock import rfc3339
from strongroom.kernel.errors import Invalid
from strongroom.kernel.ids import is_id


def payment_id(text: str) -> str:
    """Read a payment's id from the command line."""
    if not is_id("pay", text):
        raise typer.BadParameter("a payment's id is pay_ and 26 letters and digits")
    return text


def amount_of(client: Any, path: str, text: str) -> int:
    """Read an amount of a payment; where it has decimals, the payment is asked for its currency."""
    return minor_units(text, client.ask("GET", path)["currency"] if has_decimals(text) else None)


def minor_units(text: str, currency: str | None) -> int:
    """Read an amount from the command line."""
    try:
        return read_minor_units(text) if currency is None else read_amount(text, currency)
    except AmountMalformed as error:
        raise typer.BadParameter(f"{error}") from None
    except Invalid:
        raise typer.BadParameter("this is no ISO 4217 currency, upper case") from None


def moment_of(text: str) -> str:
    """Read a time from the command line; one without an offset is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            "a time is a date or a time in ISO 8601, such as 2034-01-01T12:00:00Z"
        ) from None
    return rfc3339(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC))


def end(asked: Asked, *, as_json: bool, quiet: bool) -> None:
    """Print what came of a wish. 1 where the processor declined, or certainly was not asked."""
    payment = asked.problem["payment"] if asked.problem else asked.answer
    if as_json:
        print_json(asked.problem or payment)
    elif quiet:
        typer.echo(payment["id"])
    else:
        print_payment(payment)
    if asked.problem:
        print_decline(asked.problem)
        raise typer.Exit(1)
    if was_not_sent(payment):
        say_not_sent()
        raise typer.Exit(1)
    if is_not_known(payment):
        say_not_known(f"strongroom payment show {payment['id']}")
