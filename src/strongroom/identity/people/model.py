# SPDX-License-Identifier: Apache-2.0
"""A person, as a value."""

import enum
from dataclasses import dataclass
from datetime import datetime

from strongroom.kernel.ids import MerchantId, PersonId
from strongroom.kernel.principal import Role


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
