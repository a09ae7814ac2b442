# SPDX-License-Identifier: Apache-2.0
"""Adyen as a peer of the contract suite: what it answers and tells when an operation ends so."""

import json
from typing import Any, Final

from contracts.adyen_words import ADAPTER, notification, received, reference, reply
from strongroom.payments.model import Attempt, Operation, Outcome
from strongroom.payments.ports import Adapter, Command
from strongroom.payments.processors.adyen.references import reference_of
from strongroom.vault import Forwarded

KINDS: Final = {
    Operation.AUTHORIZE: "AUTHORISATION",
    Operation.CAPTURE: "CAPTURE",
    Operation.INCREMENT: "AUTHORISATION_ADJUSTMENT",
    Operation.REFUND: "REFUND",
    Operation.SALE: "AUTHORISATION",
    Operation.VERIFY: "AUTHORISATION",
    Operation.VOID: "CANCELLATION",
}
RESULTS: Final = {
    Outcome.APPROVED: "Authorised",
    Outcome.DECLINED: "Refused",
    Outcome.PENDING: "Pending",
}


class AdyenPeer:
    """Adyen's words. Modifications are received and no more, whatever becomes of them."""

    adapter: Adapter = ADAPTER
    never: Final = frozenset(
        (operation, outcome)
        for operation in Operation
        if not operation.authorizes
        for outcome in (Outcome.APPROVED, Outcome.DECLINED)
    )
    untold: Final[frozenset[tuple[Operation, Outcome]]] = frozenset()
    keyed_only: Final[frozenset[Operation]] = frozenset()
    refusal: Final = json.dumps(
        {
            "status": 422,
            "errorCode": "14_030",
            "message": "Return URL is missing.",
            "errorType": "validation",
        }
    ).encode()

    def answered(self, command: Command, outcome: Outcome) -> Forwarded:
        """Answer a command."""
        attempt = command.attempt
        if not attempt.operation.authorizes:
            return reply(201, received(command))
        body: dict[str, Any] = {
            "resultCode": RESULTS[outcome],
            "pspReference": "993617895204576J",
            "merchantReference": reference(command),
        }
        if outcome is Outcome.APPROVED:
            body["amount"] = {"value": attempt.amount, "currency": attempt.currency}
        if outcome is Outcome.DECLINED:
            body |= {"refusalReasonCode": "12", "refusalReason": "Not enough balance"}
        return reply(200, body)

    def found(self, attempt: Attempt, outcome: Outcome | None) -> Forwarded:
        """Adyen has no search."""
        raise AssertionError(f"Adyen is not asked whether {attempt.attempt_id} is {outcome}")

    def notice(self, attempt: Attempt, outcome: Outcome, account: str) -> bytes:
        """Tell what became of an attempt."""
        return notification(
            KINDS[attempt.operation],
            reference_of(attempt),
            success="true" if outcome is Outcome.APPROVED else "false",
            merchantAccountCode=account,
            amount={"value": attempt.raises_to or attempt.amount, "currency": attempt.currency},
        )

    def prepared(self, command: Command) -> Forwarded:
        """Nothing is prepared at Adyen."""
        raise AssertionError(f"nothing is prepared for {command.attempt.attempt_id}")

    def refusals(self) -> list[int]:
        """Return the statuses that go with `refusal`: an error names its status."""
        return [422]
