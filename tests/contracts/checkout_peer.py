# SPDX-License-Identifier: Apache-2.0
"""Commands, answers and readings in the terms of Checkout.com, for the tests of its adapter."""

import json
from datetime import UTC, datetime
from typing import Any, Final

from contracts.checkout_reference import (
    PAY,
)
from contracts.processor import attempt
from payment_makers import payment
from strongroom.kernel.money import CURRENCIES
from strongroom.payments.model import (
    Attempt,
    Found,
    Operation,
    Outcome,
)
from strongroom.payments.ports import AnswerSurprising, Command
from strongroom.payments.processors.checkout import CheckoutAdapter
from strongroom.payments.processors.checkout.requests import CURRENCIES_REFUSED
from strongroom.vault import Forwarded, Slot
from strongroom.vault.destinations import Destinations

ADAPTER: Final = CheckoutAdapter()
DESTINATIONS: Final = Destinations([ADAPTER.destination])
CARD: Final[dict[Slot, str | int]] = {
    Slot.CARD_NUMBER: "4242424242424242",
    Slot.CARD_EXP_MONTH: 12,
    Slot.CARD_EXP_YEAR: 2034,
    Slot.CARD_CVC: "100",
}
NOW: Final = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
SENDABLE: Final = sorted(CURRENCIES - CURRENCIES_REFUSED)


def asked(operation: Operation, **more: Any) -> Command:
    made = attempt(operation, **more)
    return Command(
        attempt=made,
        payment=payment(),
        authorization=None if operation.authorizes else PAY,
        with_cvc=operation.authorizes,
        return_url="https://pay.example/v1/returns/x",
    )


def reply(status: int, body: object) -> Forwarded:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Forwarded("answered", status, {}, sent, "", 0.1, "absent")


def about(made: Attempt, example: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a published example as if it were about our attempt."""
    ours = {"reference": made.attempt_id, "amount": made.amount, "currency": made.currency}
    told = {**example, **{key: value for key, value in ours.items() if key in example}, **more}
    return {key: value for key, value in told.items() if value is not ...}


def outcome(command: Command, answer: Forwarded) -> Outcome | str:
    try:
        return ADAPTER.answer(command, answer).outcome
    except AnswerSurprising:
        return "surprising"


def looked(made: Attempt, body: object, status: int = 200) -> Found | str | None:
    try:
        return ADAPTER.found(made, reply(status, body))
    except AnswerSurprising:
        return "surprising"


def listed(*payments: dict[str, Any]) -> dict[str, Any]:
    return {"limit": 10, "skip": 0, "total_count": len(payments), "data": list(payments)}


def sums(authorized: int, voided: int = 0, captured: int = 0) -> dict[str, int]:
    return {
        "total_authorized": authorized,
        "total_voided": voided,
        "total_captured": captured,
        "total_refunded": 0,
    }
