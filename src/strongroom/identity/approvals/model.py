# SPDX-License-Identifier: Apache-2.0
"""An approval, as a value."""

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from strongroom.audit import Origin
from strongroom.http.approval import ApprovalAbout
from strongroom.kernel.ids import ApprovalId, MerchantId
from strongroom.kernel.mode import Mode

#: From the asking to the use, the decision in between.
LIFETIME: Final = timedelta(minutes=60)
#: What one person may have waiting at once.
OPEN_MAX: Final = 20


class ApprovalState(enum.StrEnum):
    """Where an approval stands."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    USED = "used"


class Verdict(enum.StrEnum):
    """What the second person says."""

    APPROVED = "approved"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class Approval:
    """What was asked for. The request is known by its fingerprint; of its body no more is kept than `about` says."""

    approval_id: ApprovalId
    merchant: MerchantId
    mode: Mode
    action: str
    listener: str
    method: str
    route: str
    object_id: str | None
    #: HMAC-SHA-256 of all that the request is (`fingerprint`), under a key of its own.
    fingerprint: bytes
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    #: As kept; `rules.state_at` says what it is now.
    state: ApprovalState = ApprovalState.PENDING
    decided_by: str | None = None
    decided_at: datetime | None = None
    reason: str | None = None
    used_at: datetime | None = None
    #: What the second person is shown besides.
    about: ApprovalAbout | None = None


@dataclass(frozen=True, slots=True)
class By:
    """A person who looks at approvals or decides them, and whence."""

    merchant: MerchantId
    mode: Mode
    person: str
    #: Whether they may see others' (`identity:approval:read`).
    sees_all: bool
    origin: Origin
