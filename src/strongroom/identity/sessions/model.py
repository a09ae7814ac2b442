# SPDX-License-Identifier: Apache-2.0
"""A session, as a value."""

from dataclasses import dataclass, replace
from datetime import datetime

from strongroom.kernel.ids import MerchantId, PersonId, SessionId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Role


@dataclass(frozen=True, slots=True)
class Session:
    """A session without its tokens."""

    session: SessionId
    merchant: MerchantId
    person: PersonId
    mode: Mode
    methods: tuple[str, ...]
    dpop_thumbprint: str | None
    started_at: datetime
    stepped_up_at: datetime
    used_at: datetime
    ends_at: datetime
    ended_at: datetime | None
    ended_reason: str | None

    def with_proof(self, methods: tuple[str, ...], now: datetime) -> "Session":
        """Return it with a second factor shown now."""
        return replace(self, methods=methods, stepped_up_at=now)


@dataclass(frozen=True, slots=True)
class Rotation:
    """What is kept of a session's refresh tokens: the hash of the present one, and what leads from the one before."""

    refresh_hash: bytes
    previous_hash: bytes | None
    salt: bytes | None


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose session it is, as they stand now."""

    role: Role
    active: bool
