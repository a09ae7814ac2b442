# SPDX-License-Identifier: Apache-2.0
"""The contract suite of adapters, on each of them. A new adapter adds its peer and a class of two lines here."""

import json
from typing import Any

from contracts.processor import Case, ProcessorContract
from strongroom.crypto.ids import new_id
from strongroom.payments.model import Attempt, Operation, Outcome
from strongroom.payments.ports import Command
from strongroom.payments.processors.simulator import SimulatorAdapter
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

    def refusals(self) -> list[int]:
        return [400, 401, 403, 404, 422, 429]


class TestSimulator(ProcessorContract):
    """Our own simulator."""

    case = Case(SimulatorPeer(), _id("sp"))
