# SPDX-License-Identifier: Apache-2.0
"""Time is a parameter: pure code takes `now`, services take a Clock. Always UTC."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Protocol

from strongroom.kernel.invariant import invariant


class Clock(Protocol):
    """Says what time it is, in UTC."""

    def now(self) -> datetime:
        """Return the present time with `tzinfo` UTC."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present time with `tzinfo` UTC."""
        return datetime.now(UTC)  # allow: no-bare-now because this asks the machine


class SteppedClock:
    """A clock that moves only when told to. Ships with the product: tests and simulations run on it."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        """Return the time it was last moved to."""
        return self._now

    def step(self, by: timedelta) -> None:
        """Move forward."""
        invariant(by > timedelta(0), "time does not stand still or go back")
        self._now += by


#: Characters of `2026-11-20T09:30:00.000000`; what follows is the offset, always zero here.
_LOCAL_PART: Final = 26


@lru_cache(maxsize=64)  # a request prints one moment for each of its answers and records
def rfc3339(moment: datetime) -> str:
    """Print a UTC moment as RFC 3339 with microseconds and `Z`, so that text order is time order."""
    return moment.isoformat(timespec="microseconds")[:_LOCAL_PART] + "Z"


def in_utc(moment: datetime | None) -> datetime | None:
    """Return a moment that a caller gave, in UTC; one without a zone is taken to be in it."""
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
