# SPDX-License-Identifier: Apache-2.0
"""What factors ask of others, and what resetting a person asks of factors."""

from datetime import datetime
from typing import Protocol

from strongroom.audit import Origin
from strongroom.db.pool import ReadOnly, Transaction
from strongroom.identity.people.model import Person
from strongroom.kernel.secret import Secret


class SetupTickets(Protocol):
    """The single-use proof that a set-up link holds, in place of a session."""

    async def person(self, read: ReadOnly, ticket: Secret[str], now: datetime) -> Person:
        """Return whom a ticket lets set themselves up.

        Raises:
            Unrecognized: it does not hold (`factors.errors.TicketRefused` will do).
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
        """End a ticket: its person has an authenticator app now that was shown to work, and is active.

        Called in the transaction that takes the app into use.

        Raises:
            Unrecognized: the ticket no longer holds; then nothing is kept.
            Conflict: something else is missing yet, such as a password; likewise.
        """


class OtherFactors(Protocol):
    """Second factors that are kept elsewhere: passkeys. Codes for recovery are none."""

    async def count(self, read: ReadOnly, person: Person) -> int:
        """Return how many a person has that work now.

        Whoever removes one first calls `Factors.hold` in the same transaction: two that each remove the last but one
        would leave none.
        """


class ResetFactors(Protocol):
    """Takes a person's factors away, when an administrator resets them."""

    async def clear(self, tx: Transaction, person: Person) -> int:
        """Remove authenticator app and recovery codes; return how many factors that were. The caller records it."""
