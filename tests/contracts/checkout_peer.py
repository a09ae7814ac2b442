# SPDX-License-Identifier: Apache-2.0
"""Commands, answers and readings in the terms of Checkout.com, and Checkout.com as a peer of the contract suite."""

import json
from datetime import UTC, datetime
from typing import Any, Final

from contracts.checkout_reference import (
    ACCEPTED,
    ACT,
    ACTED,
    ACTION,
    EVENT,
    INCREMENTED,
    LISTED,
    PAY,
    PREFIX,
    PROCESSED,
    SANDBOX,
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
from strongroom.payments.ports import Adapter, AnswerSurprising, Command
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


KINDS: Final = {
    Operation.AUTHORIZE: ("payment_approved", "payment_declined"),
    Operation.CAPTURE: ("payment_captured", "payment_capture_declined"),
    Operation.REFUND: ("payment_refunded", "payment_refund_declined"),
    Operation.SALE: ("payment_approved", "payment_declined"),
    Operation.VERIFY: ("card_verified", "card_verification_declined"),
    Operation.VOID: ("payment_voided", "payment_void_declined"),
}
REFUSED: Final[dict[str, Any]] = {"approved": False, "response_code": "20051"}
#: No verdict and no code yet.
UNDECIDED: Final[dict[str, Any]] = {"approved": ..., "response_code": ...}


class CheckoutPeer:
    """Checkout.com's words. Captures, releases and refunds are taken, and become true later."""

    adapter: Adapter = ADAPTER
    never: Final = frozenset(
        (operation, outcome)
        for operation in (Operation.CAPTURE, Operation.REFUND, Operation.VOID)
        for outcome in (Outcome.APPROVED, Outcome.DECLINED)
    ) | {(Operation.INCREMENT, Outcome.PENDING)}
    #: Its events of raises name no reference.
    untold: Final[frozenset[tuple[Operation, Outcome]]] = frozenset(
        (Operation.INCREMENT, outcome) for outcome in Outcome
    )
    keyed_only: Final[frozenset[Operation]] = frozenset()
    refusal: Final = json.dumps(
        {"error_type": "request_invalid", "error_codes": ["amount_invalid"]}
    ).encode()

    def answered(self, command: Command, outcome: Outcome) -> Forwarded:
        """Answer a command."""
        made = command.attempt
        if made.operation is Operation.INCREMENT:
            refused = REFUSED if outcome is Outcome.DECLINED else {}
            return reply(
                201, about(made, INCREMENTED, balances=sums(made.raises_to or 0), **refused)
            )
        if not made.operation.authorizes:
            return reply(202, about(made, ACTED))
        if outcome is Outcome.PENDING:
            sums_told = {"amount": made.amount, "currency": made.currency}
            return reply(202, about(made, ACCEPTED, **sums_told))
        if outcome is Outcome.DECLINED:
            return reply(201, about(made, PROCESSED, status="Declined", **REFUSED))
        more = {"status": "Card Verified"} if made.operation is Operation.VERIFY else {}
        return reply(201, about(made, PROCESSED, balances=sums(made.amount), **more))

    def found(self, attempt: Attempt, outcome: Outcome | None) -> Forwarded:
        """Answer a look: payments by their reference, and the actions of a payment."""
        if attempt.operation.authorizes:
            if outcome is None:
                return reply(200, listed())
            status = {
                Outcome.APPROVED: "Authorized",
                Outcome.DECLINED: "Declined",
                Outcome.PENDING: "Pending",
            }
            if attempt.operation is Operation.VERIFY:
                status[Outcome.APPROVED] = "Card Verified"
            approved = {Outcome.APPROVED: True, Outcome.DECLINED: False}.get(outcome, ...)
            told = about(attempt, LISTED, status=status[outcome], approved=approved)
            return reply(200, listed(told))
        first = {**ACTION, "amount": attempt.amount}
        if outcome is None:
            return reply(200, [first])
        verdict: dict[str, Any] = {Outcome.DECLINED: REFUSED, Outcome.PENDING: UNDECIDED}.get(
            outcome, {}
        )
        word = attempt.operation.value.title()
        kind = "Authorization" if attempt.operation is Operation.INCREMENT else word
        mine = {**ACTION, "id": ACT, "type": kind}
        return reply(200, [about(attempt, mine, **verdict), first])

    def notice(self, attempt: Attempt, outcome: Outcome, account: str) -> bytes:
        """Tell what became of an attempt. Whose it is, stands in the links alone."""
        approved = outcome is Outcome.APPROVED
        data = {
            **EVENT["data"],
            "reference": attempt.attempt_id,
            "amount": attempt.amount,
            "currency": attempt.currency,
            "response_code": "10000" if approved else "20051",
            "balances": sums(attempt.amount),
            "metadata": {"strongroom": attempt.operation.value},
        }
        kind = KINDS[attempt.operation][0 if approved else 1]
        sent = json.dumps({**EVENT, "type": kind, "data": data})
        return sent.replace(SANDBOX, SANDBOX.replace(PREFIX, account)).encode()

    def prepared(self, command: Command) -> Forwarded:
        """Nothing is prepared at Checkout.com."""
        raise AssertionError(f"nothing is prepared for {command.attempt.attempt_id}")

    def refusals(self) -> list[int]:
        """Return the statuses that are refusals where they say why."""
        return [401, 403, 404, 422]
