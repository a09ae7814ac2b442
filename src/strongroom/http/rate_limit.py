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
        buckets = self._buckets
        known = buckets.get(who)
        if known is None:
            if len(buckets) >= self._buckets_max:
                buckets.popitem(
                    last=False
                )  # the longest unused: it is full again by now, or nearly
            left = self._rate.burst
        else:
            level, then = known
            left = min(self._rate.burst, level + (now - then) * self._rate.per_second)
            buckets.move_to_end(who)
        if left < cost:
            buckets[who] = (left, now)
            raise TooMany
        buckets[who] = (left - cost, now)

    def seconds_until(self, cost: float = 1.0) -> int:
        """Return a whole number of seconds after which a try makes sense."""
        return max(1, round(cost / self._rate.per_second))
