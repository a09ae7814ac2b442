# SPDX-License-Identifier: Apache-2.0
"""How many reveals of one caller are too many: decided on values alone."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.vault.reveal.burst import Bounds, Verdict, decide
from strongroom.vault.reveal.model import Stop

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
BOUNDS = Bounds(3, timedelta(minutes=5), HOUR)
ALARM_ONLY = Bounds(3, timedelta(minutes=5), timedelta())


def stop(ago: timedelta, lasts: timedelta = HOUR, lifted_ago: timedelta | None = None) -> Stop:
    lifted = None if lifted_ago is None else NOW - lifted_ago
    return Stop("key_x", 3, NOW - ago, NOW - ago + lasts, lifted, "usr_y" if lifted else None)


MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("recent", "before", "bounds", "expected"),
    [
        (0, None, BOUNDS, Verdict.GO),
        (2, None, BOUNDS, Verdict.GO),
        (3, None, BOUNDS, Verdict.STOP),
        (3, None, ALARM_ONLY, Verdict.ALARM),
        (0, stop(MINUTE), BOUNDS, Verdict.STOPPED),
        (9, stop(MINUTE), BOUNDS, Verdict.STOPPED),
        (0, stop(HOUR), BOUNDS, Verdict.GO),  # its hour is over
        (0, stop(30 * MINUTE, lifted_ago=MINUTE), BOUNDS, Verdict.GO),
        (3, stop(30 * MINUTE, lifted_ago=MINUTE), BOUNDS, Verdict.STOP),  # again
        # A stop outlasts that the setting was changed to an alarm.
        (0, stop(MINUTE), ALARM_ONLY, Verdict.STOPPED),
        (2, stop(MINUTE, timedelta()), ALARM_ONLY, Verdict.GO),
    ],
)
def test_the_verdict(recent: int, before: Stop | None, bounds: Bounds, expected: Verdict) -> None:
    assert decide(recent, before, bounds, NOW) is expected


def counted_from(bounds: Bounds, before: Stop | None, now: datetime) -> datetime:
    """Since when reveals count, as the database counts them (migration 0034)."""
    start = now - bounds.window
    return start if before is None else max(start, before.ends_at)


@given(
    gaps=st.lists(st.integers(0, 400), max_size=60),
    count=st.integers(1, 6),
    window=st.integers(1, 600),
    lasts=st.integers(0, 900),
)
def test_no_window_ever_holds_more_than_the_bound_while_there_are_stops(
    gaps: list[int], count: int, window: int, lasts: int
) -> None:
    """Whatever the pace: within one window at most `count` were shown, unless an alarm let them go on."""
    bounds = Bounds(count, timedelta(seconds=window), timedelta(seconds=lasts))
    now = NOW
    shown: list[datetime] = []
    last: Stop | None = None
    for gap in gaps:
        # Never twice in one microsecond: who asks in the very one in which a stop ends is not counted (migration 0034).
        now += timedelta(seconds=gap, microseconds=1)
        since = counted_from(bounds, last, now)
        verdict = decide(sum(at > since for at in shown), last, bounds, now)
        if verdict in (Verdict.ALARM, Verdict.STOP):
            last = Stop("key_x", count, now, now + bounds.stop, None, None)
        if verdict in (Verdict.GO, Verdict.ALARM):
            shown.append(now)
    if lasts >= window:
        for at in shown:
            within = [each for each in shown if at - bounds.window < each <= at]
            assert len(within) <= count
