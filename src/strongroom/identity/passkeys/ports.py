# SPDX-License-Identifier: Apache-2.0
"""What passkeys offer to other parts of identity, and what they need of them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from strongroom.audit import Origin
from strongroom.db.pool import ReadOnly, Transaction
from strongroom.identity.people.model import Person
from strongroom.kernel.secret import Secret


class SetupTickets(Protocol):
    """A person who opened their set-up link and has no session yet."""

    async def person(self, read: ReadOnly, ticket: Secret[str], now: datetime) -> Person:
        """Return whose ticket this is, before a tenant is known.

        Raises:
            Refused: it is not one, was used up or has expired.
        """

    async def finish(
        self,
        tx: Transaction,
        person: Person,
        ticket: Secret[str],
        *,
        origin: Origin,
        now: datetime,
    ) -> None:
        """Use the ticket up and let the person log in from now on: a passkey is all they need.

        Called in the transaction that keeps the passkey, when it was shown to work.

        Raises:
            Refused: the ticket no longer holds, or another one finished first; then nothing is kept.
        """


class OtherFactors(Protocol):
    """What proves a person besides passkeys."""

    async def suffice(self, read: ReadOnly, person: Person) -> bool:
        """Tell whether the person could log in without any passkey (a password and a code)."""


class PasskeyFactors(Protocol):
    """Offered to whoever removes other factors, says which ones a person has, or resets a person."""

    async def count(self, read: ReadOnly, person: Person) -> int:
        """Return how many passkeys a person has.

        Whoever removes another factor for it first locks the person's row, as `store.lock_person` does.
        """

    async def clear(self, tx: Transaction, person: Person) -> int:
        """End all passkeys of a person who is reset; return how many that were. The caller records it."""


class ProofMetrics(Protocol):
    """Counts proofs. Labels are words of the code."""

    def login(self, method: str, outcome: str, reason: str) -> None:
        """Count a login that succeeded or was refused."""

    def stepped_up(self, method: str, outcome: str) -> None:
        """Count a step-up."""


class Alerts(Protocol):
    """Where what somebody must look at is told (`telemetry.Log`)."""

    def emit(self, level: str, event_type: str, fields: Mapping[str, Any]) -> None:
        """Write one line."""
