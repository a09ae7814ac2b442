# SPDX-License-Identifier: Apache-2.0
"""Decides whether a caller reveals too much at once. Pure.

How many a caller revealed is counted in the database, over all processes; the rate limit, which each process keeps by
itself, only slows down.
"""

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta

from strongroom.vault.reveal.model import Stop


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is too much, and what then."""

    #: So many reveals of one caller within the window are usual; the next one is a burst.
    count: int
    window: timedelta
    #: For how long who burst reveals nothing; zero: an alarm, and nothing else.
    stop: timedelta


class Verdict(enum.Enum):
    """What becomes of one more reveal."""

    GO = "go"
    #: Go on, and say that this is a burst.
    ALARM = "alarm"
    #: Say that this is a burst, and reveal nothing for a time.
    STOP = "stop"
    #: It was said before: reveal nothing.
    STOPPED = "stopped"


def decide(recent: int, stop: Stop | None, bounds: Bounds, now: datetime) -> Verdict:
    """Say what becomes of one more reveal.

    Args:
        recent: how many the caller had within the window, without those that led to a stop which is over.
        stop: their last stop, if there was one.
        bounds: how much is too much.
        now: the time.
    """
    if stop is not None and stop.holds(now):
        return Verdict.STOPPED
    if recent < bounds.count:
        return Verdict.GO
    return Verdict.STOP if bounds.stop else Verdict.ALARM
