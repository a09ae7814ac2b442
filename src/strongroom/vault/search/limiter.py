# SPDX-License-Identifier: Apache-2.0
"""Bounds how often whoever asks is told whether a card number is stored: by a search one at a time, by imports in bulk.

A bucket each, in this process. What is asked in bulk may overdraw it; what is owed then is waited for, whichever way
the next question takes.
"""

from collections.abc import Callable
from time import monotonic
from typing import Final, final

from strongroom.http.rate_limit import Rate, RateLimiter

#: Whether a number has a token is told so often a second, and so often at once: to ask is to guess.
NUMBER_RATE: Final = Rate(per_second=5, burst=50)


@final
class NumberLimiter:
    """What every subject has asked of late."""

    def __init__(self, rate: Rate = NUMBER_RATE, seconds: Callable[[], float] = monotonic) -> None:
        self._limiter = RateLimiter(rate)
        self._seconds = seconds

    def ask(self, subject: str) -> None:
        """Count one question.

        Raises:
            TooMany: asked too often, or something is owed.
        """
        self._limiter.take(subject, self._seconds())

    def owed(self, subject: str) -> float:
        """Return for how many seconds something is owed; 0.0 or less: nothing is."""
        return self._limiter.seconds_owed(subject, self._seconds())

    def charge(self, subject: str, questions: float) -> float:
        """Count many at once, unless something is owed; return for how many seconds it is (0.0: they are counted)."""
        now = self._seconds()
        owed = self._limiter.seconds_owed(subject, now)
        if owed <= 0:
            self._limiter.overdraw(subject, now, questions)
        return owed
