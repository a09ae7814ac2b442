# SPDX-License-Identifier: Apache-2.0
"""An erasure: what was deleted, and until when a copy of it could still be opened."""

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from strongroom.kernel.ids import ErasureId, MerchantId
from strongroom.kernel.mode import Mode

#: An erasure that is asked for waits so long for others, so that one rotation serves them all.
GATHERING: Final = timedelta(hours=24)
#: About how long after its rotation a key version can be destroyed; said before it is known.
MOVING: Final = timedelta(hours=1)
#: Between two looks at an erasure that is under way.
LOOK: Final = timedelta(seconds=30)
#: Likewise, where a card does not open and so does not move: somebody has to look at it.
LOOK_HELD: Final = timedelta(minutes=10)
#: A re-seal that left what does not open is begun anew after so long: every one reads all cards of the merchant.
RESEAL_AGAIN: Final = timedelta(hours=6)
#: The problem of an erasure that waits because a card, or what lies beside one, does not open.
UNREADABLE: Final = "rows_unreadable"


class Scope(enum.StrEnum):
    """What was deleted. A word once shipped is never given another meaning."""

    TOKEN = "token"  # noqa: S105 - a word
    CUSTOMER = "customer"
    MERCHANT = "merchant"
    #: Tokens that were deleted otherwise: by their owner, by time, by a container's retention.
    DELETED = "deleted"


class ErasureState(enum.StrEnum):
    """How far an erasure is: the rows are gone from the first."""

    WAITING = "waiting"
    #: The key was rotated, and what is left of its cards is sealed anew.
    ROTATING = "rotating"
    #: The key versions are destroyed; from `complete_at` on no backup holds them either.
    DESTROYED = "destroyed"


@dataclass(frozen=True, slots=True)
class Erasure:
    """One erasure as its row knows it."""

    merchant_id: MerchantId
    mode: Mode
    erasure_id: ErasureId
    scope: Scope
    state: ErasureState
    tokens: int
    #: This version of the card key and all before it are destroyed.
    key_version: int
    requested_by: str
    requested_at: datetime
    rotate_at: datetime
    destroyed_at: datetime | None
    complete_at: datetime
    problem: str | None

    def complete(self, now: datetime) -> bool:
        """Tell whether no copy that could open a card is left anywhere."""
        return self.state is ErasureState.DESTROYED and self.complete_at <= now
