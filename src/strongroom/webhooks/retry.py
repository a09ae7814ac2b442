# SPDX-License-Identifier: Apache-2.0
"""Decides what a try came to, and when the next one is. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from strongroom.egress import Answered, Reply
from strongroom.webhooks.model import DeliveryStatus, TryReason

#: An endpoint can put the next try off, but not longer than this.
RETRY_AFTER_SECONDS_MAX: Final = 86_400
#: A delay is this much shorter or longer, so that what failed together does not come back together.
JITTER: Final = 0.1

_GONE: Final = 410
#: What an endpoint, or what stands before it, says when it is too much (Standard Webhooks: "throttle").
_THROTTLED: Final = frozenset({429, 502, 503, 504})
_DIGITS_MAX: Final = 9


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a try came to."""

    outcome: DeliveryStatus
    #: A word of `TryReason`, or of `egress.Reason`.
    reason: str
    status: int | None = None
    next_at: datetime | None = None


def judge(
    reply: Reply, *, tries_before: int, delays_seconds: Sequence[int], now: datetime, chance: float
) -> Verdict:
    """Say what a reply means for a delivery that was tried so often before.

    Args:
        reply: what came of the request.
        tries_before: how many tries the delivery had.
        delays_seconds: behind the first try, the second …; behind the last one it is given up.
        now: when the reply came.
        chance: 0 to 1, for the jitter.
    """
    status: int | None = None
    asked_seconds = 0.0
    if isinstance(reply, Answered):
        status = reply.status
        reason = _reason(status)
        if reason is TryReason.DELIVERED:
            return Verdict(DeliveryStatus.DELIVERED, reason.value, status)
        if reason is TryReason.GONE:
            return Verdict(DeliveryStatus.FAILED, reason.value, status)
        if reason is TryReason.THROTTLED:
            asked_seconds = retry_after_seconds(reply.headers, now)
        word = reason.value
    else:
        word = reply.reason.value
    if tries_before >= len(delays_seconds):
        return Verdict(DeliveryStatus.FAILED, word, status)
    delay = delays_seconds[tries_before] * (1 - JITTER + 2 * JITTER * chance)
    wait = timedelta(seconds=max(delay, asked_seconds))
    return Verdict(DeliveryStatus.PENDING, word, status, now + wait)


def retry_after_seconds(headers: Mapping[str, str], now: datetime) -> float:
    """Read a Retry-After header (RFC 9110 §10.2.3), within bounds; what cannot be read asks for nothing."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text[:_DIGITS_MAX]), RETRY_AFTER_SECONDS_MAX))
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(0.0, (moment - now).total_seconds()), RETRY_AFTER_SECONDS_MAX)


def _reason(status: int) -> TryReason:
    if 200 <= status < 300:  # noqa: PLR2004 - the classes of RFC 9110 §15
        return TryReason.DELIVERED
    if status == _GONE:
        return TryReason.GONE
    if status in _THROTTLED:
        return TryReason.THROTTLED
    if 300 <= status < 400:  # noqa: PLR2004 - likewise
        return TryReason.REDIRECTED
    return TryReason.REFUSED if 400 <= status < 500 else TryReason.FAILING  # noqa: PLR2004 - likewise
