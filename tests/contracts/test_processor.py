# SPDX-License-Identifier: Apache-2.0
"""The contract suite of adapters, on each of them. A new adapter adds its peer and a class of two lines here."""

import json
from typing import Any

from contracts.adyen_peer import AdyenPeer
from contracts.adyen_words import AUTHORIZATION
from contracts.checkout_peer import CheckoutPeer
from contracts.checkout_reference import PAY
from contracts.processor import Case, ProcessorContract
from contracts.stripe_words import error, event, intent, made, named, reply
from strongroom.crypto.ids import new_id
from strongroom.payments.model import Attempt, Operation, Outcome
from strongroom.payments.ports import Command
from strongroom.payments.processors.simulator import SimulatorAdapter
from strongroom.payments.processors.stripe import StripeAdapter
from strongroom.vault import Forwarded


def _id(prefix: str) -> str:
    return prefix + new_id("pay").removeprefix("pay")


class SimulatorPeer:
    """The simulator's words (docs/reference/simulator.md)."""

    adapter = SimulatorAdapter()

    def thing(self, attempt: Attempt, outcome: Outcome) -> dict[str, Any]:
        if attempt.operation.authorizes:
            return self._payment(attempt, outcome)
        status = {
            Outcome.APPROVED: "succeeded",
            Outcome.DECLINED: "failed",
            Outcome.PENDING: "pending",
        }
        return {
            "id": _id("sc"),
            "object": attempt.operation.value,
            "payment": _id("sp"),
            "account": "acct_shop",
            "mode": "test",
            "reference": attempt.attempt_id,
            "amount": attempt.amount,
            "currency": attempt.currency,
            "status": status[outcome],
            "decline_code": "amount_exceeds_left" if outcome is Outcome.DECLINED else None,
            "totals": {"authorized": 1_000, "captured": 0, "voided": 0, "refunded": 0},
        }

    def _payment(self, attempt: Attempt, outcome: Outcome) -> dict[str, Any]:
        sale = attempt.operation is Operation.SALE
        status = {
            Outcome.APPROVED: "captured" if sale else "authorized",
            Outcome.DECLINED: "declined",
            Outcome.PENDING: "pending",
        }
        if attempt.operation is Operation.VERIFY:
            status[Outcome.APPROVED] = "verified"
        approved = attempt.amount if outcome is Outcome.APPROVED else 0
        return {
            "id": _id("sp"),
            "object": "payment",
            "account": "acct_shop",
            "mode": "test",
            "reference": attempt.attempt_id,
            "status": status[outcome],
            "amount": attempt.amount,
            "currency": attempt.currency,
            "capture": sale,
            "authorized": approved,
            "captured": approved if sale else 0,
            "voided": 0,
            "refunded": 0,
            "decline_code": "insufficient_funds" if outcome is Outcome.DECLINED else None,
            "advice": None,
            "action": None,
        }

    def _reply(self, status: int, body: object) -> Forwarded:
        return Forwarded("answered", status, {}, json.dumps(body).encode(), "", 0.1, "absent")

    def answered(self, command: Command, outcome: Outcome) -> Forwarded:
        return self._reply(201, self.thing(command.attempt, outcome))

    def found(self, attempt: Attempt, outcome: Outcome | None) -> Forwarded:
        things = [] if outcome is None else [self.thing(attempt, outcome)]
        return self._reply(200, {"data": things})

    def notice(self, attempt: Attempt, outcome: Outcome, account: str) -> bytes:
        thing = {**self.thing(attempt, outcome), "account": account}
        return json.dumps(
            {
                "id": _id("se"),
                "type": "payment.authorized",
                "created": "2026-11-20T09:30:00.000000Z",
                "account": account,
                "mode": "test",
                "data": thing,
            }
        ).encode()

    def prepared(self, command: Command) -> Forwarded:  # noqa: ARG002 - the suite's
        raise AssertionError("the simulator takes cards as they are")

    def refusals(self) -> list[int]:
        return [400, 401, 403, 404, 422, 429]

    refusal = b'{"error": {"code": "refused", "message": "x"}}'
    never: frozenset[tuple[Operation, Outcome]] = frozenset()
    untold: frozenset[tuple[Operation, Outcome]] = frozenset()
    keyed_only: frozenset[Operation] = frozenset()


class TestSimulator(ProcessorContract):
    """Our own simulator."""

    case = Case(SimulatorPeer(), _id("sp"))


class StripePeer:
    """Stripe's words, from its published example objects."""

    adapter = StripeAdapter()
    refusal = json.dumps(error("invalid_request_error", "parameter_missing")).encode()
    untold = frozenset(
        (operation, Outcome.DECLINED)
        for operation in (Operation.CAPTURE, Operation.INCREMENT, Operation.VOID)
    )
    never = frozenset({(Operation.VOID, Outcome.PENDING), (Operation.INCREMENT, Outcome.PENDING)})
    keyed_only = frozenset({Operation.VOID})
    authorization = named("pi")

    def prepared(self, command: Command) -> Forwarded:
        method = made(
            "payment_method",
            id=named("pm"),
            metadata={"strongroom_attempt": command.attempt.attempt_id},
        )
        return reply(200, method)

    def answered(self, command: Command, outcome: Outcome) -> Forwarded:
        attempt = command.attempt
        if attempt.operation is Operation.REFUND:
            return reply(200, self._refund(attempt, outcome))
        verifies = attempt.operation is Operation.VERIFY
        thing = self._setup(attempt, outcome) if verifies else self._intent(attempt, outcome)
        if outcome is Outcome.DECLINED:
            name = "setup_intent" if verifies else "payment_intent"
            told = {name: thing} if attempt.operation.authorizes else {}
            return reply(
                402, error("card_error", "card_declined", decline_code="lost_card", **told)
            )
        return reply(200, thing)

    def _refund(self, attempt: Attempt, outcome: Outcome) -> dict[str, Any]:
        words = {
            Outcome.APPROVED: "succeeded",
            Outcome.DECLINED: "failed",
            Outcome.PENDING: "pending",
        }
        return made(
            "refund",
            id=named("re"),
            amount=attempt.amount,
            currency=attempt.currency.lower(),
            payment_intent=self.authorization,
            metadata={"strongroom_attempt": attempt.attempt_id},
            status=words[outcome],
        )

    def _setup(self, attempt: Attempt, outcome: Outcome) -> dict[str, Any]:
        words = {
            Outcome.APPROVED: "succeeded",
            Outcome.DECLINED: "requires_payment_method",
            Outcome.PENDING: "processing",
        }
        failed = {"type": "card_error", "code": "card_declined", "decline_code": "lost_card"}
        return made(
            "setup_intent",
            id=named("seti"),
            status=words[outcome],
            metadata={
                "strongroom_attempt": attempt.attempt_id,
                "strongroom_payment": attempt.payment_id,
                "strongroom_currency": attempt.currency,
            },
            next_action=None,
            last_setup_error=failed if outcome is Outcome.DECLINED else None,
        )

    def _intent(self, attempt: Attempt, outcome: Outcome) -> dict[str, Any]:
        operation = attempt.operation
        metadata = {"strongroom_payment": attempt.payment_id, "strongroom_attempt": "att_first"}
        if operation is Operation.CAPTURE:
            metadata["strongroom_capture"] = attempt.attempt_id
        if operation is Operation.INCREMENT:
            metadata["strongroom_increment"] = attempt.attempt_id
        if operation.authorizes:
            metadata["strongroom_attempt"] = attempt.attempt_id
        status = {
            Operation.AUTHORIZE: "requires_capture",
            Operation.INCREMENT: "requires_capture",
            Operation.VOID: "canceled",
        }.get(operation, "succeeded")
        if outcome is Outcome.PENDING:
            status = "processing"
        if outcome is Outcome.DECLINED:
            status = "requires_payment_method"
        failed = {"type": "card_error", "code": "card_declined", "decline_code": "lost_card"}
        return intent(
            status,
            id=named("pi") if operation.authorizes else self.authorization,
            amount=attempt.raises_to or attempt.amount,
            currency=attempt.currency.lower(),
            capture_method="automatic" if operation is Operation.SALE else "manual",
            metadata=metadata,
            last_payment_error=failed if outcome is Outcome.DECLINED else None,
        )

    def found(self, attempt: Attempt, outcome: Outcome | None) -> Forwarded:  # noqa: ARG002 - the suite's
        raise AssertionError("Stripe is not asked by our reference")

    def notice(self, attempt: Attempt, outcome: Outcome, account: str) -> bytes:
        if attempt.operation is Operation.REFUND:
            kind = "refund.updated" if outcome is Outcome.APPROVED else "refund.failed"
            return event(kind, self._refund(attempt, outcome), account=account)
        if attempt.operation is Operation.VERIFY:
            kind = "succeeded" if outcome is Outcome.APPROVED else "setup_failed"
            return event(f"setup_intent.{kind}", self._setup(attempt, outcome), account=account)
        approved = {
            Operation.AUTHORIZE: "payment_intent.amount_capturable_updated",
            Operation.INCREMENT: "payment_intent.amount_capturable_updated",
            Operation.VOID: "payment_intent.canceled",
        }.get(attempt.operation, "payment_intent.succeeded")
        kind = "payment_intent.payment_failed" if outcome is Outcome.DECLINED else approved
        request = {"id": named("req"), "idempotency_key": attempt.attempt_id}
        return event(kind, self._intent(attempt, outcome), account=account, request=request)

    def refusals(self) -> list[int]:
        return [400, 401, 403, 404, 429]


class TestStripe(ProcessorContract):
    """Stripe, version 2023-08-16."""

    case = Case(StripePeer(), StripePeer.authorization)


class TestAdyen(ProcessorContract):
    """Adyen, Checkout API version 71."""

    case = Case(AdyenPeer(), AUTHORIZATION)


class TestCheckout(ProcessorContract):
    """Checkout.com, as of its API reference of 2026."""

    # An account is the prefix of its host's name.
    case = Case(CheckoutPeer(), PAY, account="shop1234")
