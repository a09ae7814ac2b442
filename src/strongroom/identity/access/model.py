# SPDX-License-Identifier: Apache-2.0
"""Break-glass, reviews and what they are about, as values."""

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from strongroom.audit import Origin
from strongroom.kernel.ids import MerchantId, SessionId
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import Role

#: How long extra permissions last at most; an extension gives as much again, once.
BREAK_GLASS_MINUTES_MAX: Final = 60
BREAK_GLASS_PERMISSIONS_MAX: Final = 5
#: A reason says something.
BREAK_GLASS_REASON_MIN: Final = 10
#: PCI DSS 4.0.1 7.2.4: at least once every six months.
REVIEW_EVERY: Final = timedelta(days=180)
#: PCI DSS 4.0.1 8.2.6: inactive accounts are disabled within 90 days.
UNUSED_AFTER: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class By:
    """A person (or an operator at the command line) who looks after access, and whence."""

    merchant: MerchantId
    mode: Mode
    actor: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class Breaker:
    """A person who breaks the glass, or ends it."""

    by: By
    role: Role
    session: SessionId
    #: What they may do already.
    permissions: frozenset[Permission]


@dataclass(frozen=True, slots=True)
class Glass:
    """Extra permissions of one session, for a while. `reason` is for reviewers and is in no audit record."""

    glass_id: str
    merchant: MerchantId
    mode: Mode
    person: str
    session: SessionId
    permissions: frozenset[Permission]
    reason: str
    started_at: datetime
    expires_at: datetime
    extended_at: datetime | None = None
    ended_at: datetime | None = None
    ended_by: str | None = None


class SubjectKind(enum.StrEnum):
    """What a review's item is about."""

    BREAK_GLASS = "break_glass"
    KEY = "key"
    PERSON = "person"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Subject:
    """Somebody or something that has access, as it was on a day."""

    subject: str
    kind: SubjectKind
    #: The person whom it is about; they never decide on it.
    person: str | None
    #: Words, no name: role and status, kind and mode of a key, the reason of a break-glass.
    description: str
    permissions: frozenset[Permission]
    made_at: datetime
    last_used_at: datetime | None

    def unused(self, now: datetime) -> bool:
        """Tell whether it has not been used for 90 days. What was never used counts from when it was made."""
        if self.kind is SubjectKind.BREAK_GLASS:
            return False
        return now - (self.last_used_at or self.made_at) >= UNUSED_AFTER


class Decision(enum.StrEnum):
    """What a reviewer says of an item. It is a record: what follows from it is done by its own route."""

    KEEP = "keep"
    CHANGE = "change"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Item:
    """One subject in a review, and what was decided."""

    subject: Subject
    unused: bool
    #: The person's address, looked up when it is shown; None for what is no person or is gone.
    email: str | None = None
    decision: Decision | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Review:
    """A review of one tenant's access."""

    review_id: str
    merchant: MerchantId
    started_by: str
    started_at: datetime
    closed_at: datetime | None
    items: int
    undecided: int


@dataclass(frozen=True, slots=True)
class Due:
    """When a tenant's access is to be reviewed next."""

    merchant: MerchantId
    last_closed_at: datetime | None
    due_at: datetime

    def overdue(self, now: datetime) -> bool:
        """Tell whether it is late."""
        return now > self.due_at
