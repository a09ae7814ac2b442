# SPDX-License-Identifier: Apache-2.0
"""What a refresh token that we have made is worth now. Pure: no clock, no database, no key."""

import enum
from datetime import datetime, timedelta
from typing import Final

from strongroom.crypto.digest import equal
from strongroom.identity.sessions.model import Holder, Rotation, Session

#: PCI DSS 8.2.8, ASVS 7.3.1: who has done nothing for so long proves themselves again.
IDLE: Final = timedelta(minutes=15)
#: ASVS 7.3.2.
ABSOLUTE: Final = timedelta(hours=12)
#: For so long the token before gets the same successor, so that two tabs that refresh at once both live.
GRACE: Final = timedelta(seconds=10)


class Verdict(enum.Enum):
    """What to do."""

    #: It is the present one: its successor takes its place.
    ROTATE = "rotate"
    #: It is the one before, and that was a moment ago: the same successor again.
    REPEAT = "repeat"
    #: The session has ended already.
    OVER = "over"
    #: Nobody used it for too long.
    IDLE = "idle"
    #: It is as old as a session gets.
    EXPIRED = "expired"
    #: Its person or their merchant may not log in any more.
    SUSPENDED = "suspended"
    #: An old one: somebody has kept a copy. Whoever has the present one may be the thief.
    REUSED = "reused"


def judge(
    session: Session, rotation: Rotation, holder: Holder, presented_hash: bytes, now: datetime
) -> Verdict:
    """Say what a refresh token is worth. It is one of ours, of this session."""
    if session.ended_at is not None:
        return Verdict.OVER
    if now >= session.ends_at:
        return Verdict.EXPIRED
    if now - session.used_at > IDLE:
        return Verdict.IDLE
    if not holder.active:
        return Verdict.SUSPENDED
    if equal(presented_hash, rotation.refresh_hash):
        return Verdict.ROTATE
    before = rotation.previous_hash
    if before is not None and equal(presented_hash, before) and now - session.used_at <= GRACE:
        return Verdict.REPEAT
    return Verdict.REUSED
