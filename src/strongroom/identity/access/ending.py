# SPDX-License-Identifier: Apache-2.0
"""What looking after access needs of sessions: the part of `sessions.ports.Sessions` that ends them."""

from datetime import datetime
from typing import Protocol

from strongroom.audit import Origin
from strongroom.db.pool import Transaction
from strongroom.identity.people.model import Person
from strongroom.kernel.ids import SessionId


class Ends(Protocol):
    """Ends sessions inside a transaction."""

    async def end(
        self, tx: Transaction, session: SessionId, *, reason: str, origin: Origin, now: datetime
    ) -> bool:
        """End one session everywhere within two seconds; tell whether it was open."""

    async def end_all(
        self,
        tx: Transaction,
        person: Person,
        *,
        reason: str,
        origin: Origin,
        now: datetime,
        but: SessionId | None = None,
    ) -> int:
        """End a person's sessions."""
