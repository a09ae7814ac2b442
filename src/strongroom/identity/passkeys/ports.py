# SPDX-License-Identifier: Apache-2.0
"""What passkeys offer to other parts of identity, and what they need of them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from strongroom.db.pool import ReadOnly, Transaction
from strongroom.identity.people.model import Person
from strongroom.kernel.ids import MerchantId, PersonId
from strongroom.kernel.secret import Secret


class SetupTickets(Protocol):
    """A person who opened their set-up link and has no session yet."""

    async def person(self, read: ReadOnly, ticket: Secret[str]) -> Person:
        """Return whose ticket this is, before a tenant is known.

        Raises:
            Refused: it is not one, was used up or has expired.
        """

    async def finish(self, tx: Transaction, person: Person, now: datetime) -> None:
        """Note that the person has a second factor: with what else they need, they may log in from now on."""


class OtherFactors(Protocol):
    """What proves a person besides passkeys."""

    async def suffice(self, read: ReadOnly, person: Person) -> bool:
        """Tell whether the person could log in without any passkey (a password and a code)."""


class PasskeyCount(Protocol):
    """Offered to whoever removes other factors, or says which ones a person has."""

    async def count(self, read: ReadOnly, merchant: MerchantId, person: PersonId) -> int:
        """Return how many passkeys a person has."""


class Alerts(Protocol):
    """Where what somebody must look at is told (`telemetry.Log`)."""

    def emit(self, level: str, event_type: str, fields: Mapping[str, Any]) -> None:
        """Write one line."""
