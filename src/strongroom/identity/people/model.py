# SPDX-License-Identifier: Apache-2.0
"""People, their invitations and what setting up needs, as values. A link's text exists once, when it is made."""

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import final

from strongroom.audit import PLATFORM, Origin
from strongroom.kernel.ids import InvitationId, MerchantId, PersonId
from strongroom.kernel.principal import Role
from strongroom.kernel.secret import Secret


class PersonStatus(enum.StrEnum):
    """Where a person stands."""

    INVITED = "invited"
    ACTIVE = "active"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may log in: of a merchant, or of the platform (`audit.PLATFORM`)."""

    person_id: PersonId
    merchant: MerchantId
    email: str
    name: str
    role: Role
    status: PersonStatus
    created_by: str
    created_at: datetime
    last_used_at: datetime | None

    @property
    def tenant(self) -> MerchantId | None:
        """The merchant as audit records name it: none for people of the platform."""
        return None if self.merchant == PLATFORM else self.merchant


class InvitationReason(enum.StrEnum):
    """Why somebody was given a set-up link."""

    FIRST_ADMIN = "first_admin"
    INVITED = "invited"
    RENEWED = "renewed"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Invitation:
    """A set-up link without its text. Open until it is used, withdrawn or past its time."""

    invitation_id: InvitationId
    merchant: MerchantId
    person_id: PersonId
    reason: InvitationReason
    created_by: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    withdrawn_at: datetime | None

    def state(self, now: datetime) -> str:
        """Say where it stands: `used`, `withdrawn`, `expired` or `open`."""
        if self.used_at is not None:
            return "used"
        if self.withdrawn_at is not None:
            return "withdrawn"
        return "open" if now < self.expires_at else "expired"


@dataclass(frozen=True, slots=True)
class NewInvitation:
    """An invitation just made, with the link that is shown once."""

    invitation: Invitation
    person: Person
    link: Secret[str]


@dataclass(frozen=True, slots=True)
class Opened:
    """What whoever opened a set-up link is told: who they are here, and the ticket for the next steps."""

    person: Person
    tenant_name: str
    ticket: Secret[str]
    ticket_expires_at: datetime


class SetupProof(enum.StrEnum):
    """What a person proved at the end of setting up. A password alone is never enough."""

    PASSKEY = "passkey"
    #: Counts only together with a password.
    TOTP = "totp"


@dataclass(frozen=True, slots=True)
class PersonWish:
    """Who shall be invited."""

    merchant: MerchantId
    email: str
    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Act:
    """Who does something to people, and whence. `actor` is a person's id, or names an operator or a part of ours."""

    actor: str
    origin: Origin


@final
@dataclass(frozen=True, slots=True)
class KeptPasswords:
    """A person's password hashes, the newest first; without a person none. What checks them costs the same."""

    person: Person | None
    #: The newest row's number; a new password is set only if it is still the newest.
    newest: int | None
    #: The hash that holds and the version of its key.
    current: tuple[str, int] | None
    #: All that may not come back, the one that holds included.
    remembered: tuple[tuple[str, int], ...]


@final
@dataclass(frozen=True, slots=True)
class NewPassword:
    """A password that passed every check, hashed. Only `Passwords.ready` makes one."""

    person: Person
    after: int | None
    password_hash: str
    key_version: int
