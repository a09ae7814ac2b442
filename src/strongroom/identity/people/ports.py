# SPDX-License-Identifier: Apache-2.0
"""What sessions, passkeys, single sign-on and approvals ask of people."""

from datetime import datetime
from typing import Protocol

from strongroom.db.pool import ReadOnly, Transaction
from strongroom.identity.people.model import Person
from strongroom.kernel.ids import MerchantId, PersonId


class People(Protocol):
    """Finds people. A row is seen either as its tenant's or as the one whose address or id was presented."""

    async def by_email(self, read: ReadOnly, email: str) -> Person | None:
        """Return whoever has this address (any letter case), before a tenant is known."""

    async def by_presented_id(self, read: ReadOnly, person: PersonId) -> Person | None:
        """Return whoever has this id, before a tenant is known (a passkey's user handle)."""

    async def of(self, read: ReadOnly, merchant: MerchantId, person: PersonId) -> Person | None:
        """Return a tenant's person."""

    async def used(self, tx: Transaction, person: Person, now: datetime) -> None:
        """Note that somebody logged in, for the review of unused access."""
