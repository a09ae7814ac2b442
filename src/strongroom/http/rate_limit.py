# SPDX-License-Identifier: Apache-2.0
"""Token buckets in this process, per key and per address. Bounded; a stranger cannot grow the table.

Own code because every request passes here and the maintained libraries cost more than the rest of the check.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import ClassVar, Final

from strongroom.kernel.errors import Refused

BUCKETS_MAX: Final = 20_000


class TooMany(Refused):
    """Too many requests for this key or address; wait a moment."""

    code = "rate_limited"
    status = 429
    retry_after_seconds: ClassVar[int] = 1


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second, and so many at once."""

    per_second: float
    burst: float


class RateLimiter:
    """One class of callers: a bucket each."""

    def __init__(self, rate: Rate, *, buckets_max: int = BUCKETS_MAX) -> None:
        self._rate = rate
        self._buckets_max = buckets_max
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, who: str, now: float, cost: float = 1.0) -> None:
        """Take from a caller's bucket. `now` is any monotonic clock, in seconds.

        Raises:
            TooMany: the bucket is empty.
        """
        left = self._left(who, now)
        if left < cost:
            self._buckets[who] = (left, now)
            raise TooMany
        self._buckets[who] = (left - cost, now)

    def overdraw(self, who: str, now: float, cost: float) -> None:
        """Take from a caller's bucket whether there is enough or not: what is owed comes in before anything else."""
        self._buckets[who] = (self._left(who, now) - cost, now)

    def seconds_owed(self, who: str, now: float) -> float:
        """Return how long it takes until a caller owes nothing; 0.0 or less: it does not."""
        known = self._buckets.get(who)
        if known is None:
            return 0.0
        level, then = known
        return -level / self._rate.per_second - (now - then)

    def _left(self, who: str, now: float) -> float:
        """Return what is in a caller's bucket, which is now the one that was used last."""
        buckets = self._buckets
        known = buckets.get(who)
        if known is None:
            if len(buckets) >= self._buckets_max:
                # The longest unused: it is full again by now, or nearly; what is owed takes as many others to forget.
                buckets.popitem(last=False)
            return self._rate.burst
        level, then = known
        buckets.move_to_end(who)
        return min(self._rate.burst, level + (now - then) * self._rate.per_second)

    def seconds_until(self, cost: float = 1.0) -> int:
        """Return a whole number of seconds after which a try makes sense."""
        return max(1, round(cost / self._rate.per_second))
