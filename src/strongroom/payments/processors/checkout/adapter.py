# SPDX-License-Identifier: Apache-2.0
"""Translates between our words and Checkout.com's. Decides nothing, calls nobody, keeps nothing."""

from typing import Final

from strongroom.payments.model import Attempt, Connection, Finding, Found, Operation, Outcome
from strongroom.payments.ports import Account, Command, Report
from strongroom.payments.processors.checkout import answers, notices, requests
from strongroom.vault import Forwarded, Template

#: How long a search lags behind is not published; an hour costs patience, and never a second charge.
VISIBILITY_SECONDS: Final = 3_600
#: "Keys … expire after 24 hours" (Idempotency).
REPLAY_SECONDS: Final = 86_400


class CheckoutAdapter:
    """Checkout.com, as of its API reference of 2026 (it has no versions to pin)."""

    name = requests.NAME
    destination = requests.DESTINATION
    #: Not by replay: after a 4xx or 5xx the same key acts anew, and the first request may have reached the issuer.
    findings = frozenset({Finding.BY_NOTICE, Finding.BY_REFERENCE})
    visibility_seconds = VISIBILITY_SECONDS
    replay_seconds = REPLAY_SECONDS
    verification_scheme = requests.NAME

    def template(self, command: Command) -> Template:
        """Return the request. Raises TemplateRefused: see `requests.asked`."""
        return requests.asked(command)

    def increment(self, command: Command) -> Template:
        """Return the request that raises a hold: by how much, in Checkout.com's words too."""
        return requests.asked(command)

    def answer(self, command: Command, reply: Forwarded) -> Found:
        """Read an answer."""
        return answers.answered(command, reply)

    def find(self, attempt: Attempt) -> Template:
        """Return the request that asks for our reference: payments have one, and so has each of their actions."""
        known = attempt.processor_reference
        if attempt.operation is Operation.SALE and attempt.outcome is Outcome.APPROVED and known:
            # Only the actions tell whether the capture that comes by itself has failed.
            return requests.actions_of(known)
        return requests.payments_of(attempt)

    def find_at(self, authorization: str) -> Template:
        """Return the request that asks a payment: captures, releases and refunds are found only there."""
        return requests.actions_of(authorization)

    def found(self, attempt: Attempt, reply: Forwarded) -> Found | None:
        """Read what was found."""
        return answers.found(attempt, reply)

    def report(self, body: bytes) -> Report | None:
        """Read a verified notice."""
        return notices.read(body)

    def probe(self) -> Template:
        """Return the request that asks for the account: its workflows, which are what sends notices."""
        return requests.workflows()

    def account(self, connection: Connection, reply: Forwarded) -> Account:
        """Read the account."""
        return answers.account(connection, reply)


__all__ = ["CheckoutAdapter"]
