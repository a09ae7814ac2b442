# SPDX-License-Identifier: Apache-2.0
"""Ends sessions everywhere by the feed that every process reads within a second (`identity.revocation`).

This is the part of `sessions.ports.Sessions` that looking after access needs. What keeps sessions takes its place where
both are composed, and then also forgets the refresh token.
"""

from datetime import datetime, timedelta
from typing import Final, Protocol, final

from strongroom.audit import PLATFORM, Action, Origin, Recorder
from strongroom.db.pool import Transaction
from strongroom.db.queries import load_queries
from strongroom.identity.people.model import Person
from strongroom.kernel.ids import MerchantId, SessionId

#: A session lives at most 12 hours; nothing of one that ended now can be presented later than that.
KEEP: Final = timedelta(hours=13)
_QUERIES: Final = load_queries("strongroom.identity.access")


class Ends(Protocol):
    """Ends sessions inside a transaction (a part of `sessions.ports.Sessions`)."""

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


@final
class Revocations:
    """Ends sessions by the feed alone."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def end(
        self,
        tx: Transaction,
        session: SessionId,
        *,
        reason: str,  # noqa: ARG002 - the port's
        origin: Origin,  # noqa: ARG002 - the port's
        now: datetime,
    ) -> bool:
        """End one session. Whose it is is not known here: the record of the act that ends it stands for both."""
        await tx.run(_QUERIES["insert_revocation"], "session", session, now, now + KEEP)
        return True

    async def end_all(
        self,
        tx: Transaction,
        person: Person,
        *,
        reason: str,
        origin: Origin,
        now: datetime,
        but: SessionId | None = None,  # noqa: ARG002 - the feed names people, not all their sessions but one
    ) -> int:
        """End all sessions of a person that began before now."""
        await tx.run(_QUERIES["insert_revocation"], "person", person.person_id, now, now + KEEP)
        await self._record(tx, person.merchant, person.person_id, reason, origin, now)
        return 1

    async def _record(
        self,
        tx: Transaction,
        merchant: MerchantId,
        thing: str,
        reason: str,
        origin: Origin,
        now: datetime,
    ) -> None:
        record = self._recorder.make(
            Action.IDENTITY_SESSION_ENDED,
            actor="system:access",
            merchant=None if merchant == PLATFORM else merchant,
            mode=None,
            thing=thing,
            origin=origin,
            now=now,
            details={"reason": reason},
        )
        await self._recorder.insert(tx, record)
