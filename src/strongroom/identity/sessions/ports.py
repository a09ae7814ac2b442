# SPDX-License-Identifier: Apache-2.0
"""What logging in, stepping up and managing people ask of sessions."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from strongroom.audit import Origin
from strongroom.db.pool import ReadOnly, Transaction
from strongroom.identity.people.model import Person
from strongroom.kernel.ids import MerchantId, PersonId, SessionId
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import Role
from strongroom.kernel.secret import Secret


@dataclass(frozen=True, slots=True)
class Issued:
    """A session's tokens, shown once."""

    session: SessionId
    access: Secret[str]
    access_seconds: int
    refresh: Secret[str]
    #: How the access token is presented: `Bearer`, or `DPoP` when it is bound to a key.
    token_type: str = "Bearer"  # noqa: S105 - a scheme's name


class Extras(Protocol):
    """Permissions beside a person's role, for a session and for a while: break-glass."""

    async def beside_role(
        self,
        read: ReadOnly,
        merchant: MerchantId,
        person: PersonId,
        role: Role,
        session: SessionId,
        now: datetime,
    ) -> tuple[frozenset[Permission], datetime | None]:
        """Return them, and when they end: an access token with them is not to hold longer."""


class Sessions(Protocol):
    """Begins and ends sessions inside the transaction of whatever proved the person; each with its audit record."""

    async def begin(
        self,
        tx: Transaction,
        person: Person,
        mode: Mode,
        methods: Collection[str],
        *,
        origin: Origin,
        now: datetime,
        dpop_thumbprint: str | None = None,
    ) -> Issued:
        """Begin a session of a person who has proved themselves with all factors. Counts as a step-up.

        Args:
            methods: RFC 8176 words: `pwd`, `otp`, `hwk`, `user`, `mfa` …; `mfa` must be among them.
            dpop_thumbprint: the RFC 7638 thumbprint of the key that the tokens are bound to (RFC 9449).
        """

    async def step_up(
        self, tx: Transaction, session: SessionId, methods: Collection[str], *, now: datetime
    ) -> Issued | None:
        """Note that a session's person showed a second factor again; return a new access token, refresh token kept.

        Returns None when the session has ended. `Issued.refresh` is empty here.
        """

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
        """End a person's sessions (proof, role or status changed), but for one; return how many were open."""
