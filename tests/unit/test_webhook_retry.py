# SPDX-License-Identifier: Apache-2.0
"""What a reply means for a delivery, and when the next try is, as a table."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.egress import Answered, NotSent, Reason, Reply, Unknown
from strongroom.webhooks.model import DeliveryStatus
from strongroom.webhooks.retry import RETRY_AFTER_SECONDS_MAX, Verdict, judge, retry_after_seconds

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
DELAYS = (5, 300, 1_800)
DELIVERED, FAILED, PENDING = (
    DeliveryStatus.DELIVERED,
    DeliveryStatus.FAILED,
    DeliveryStatus.PENDING,
)


def answered(status: int, **headers: str) -> Answered:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answered(status, named, b"whatever", 0.1)


def verdict(reply: Reply, tries_before: int = 0, chance: float = 0.5) -> Verdict:
    return judge(reply, tries_before=tries_before, delays_seconds=DELAYS, now=NOW, chance=chance)


#: The reply, tries before it, what it comes to, the word, seconds until the next try.
TABLE: list[tuple[Reply, int, DeliveryStatus, str, float | None]] = [
    (answered(200), 0, DELIVERED, "delivered", None),
    (answered(204), 3, DELIVERED, "delivered", None),
    (answered(299), 0, DELIVERED, "delivered", None),
    (answered(301), 0, PENDING, "redirected", 5),
    (answered(304), 0, PENDING, "redirected", 5),
    (answered(307, location="https://x.example/"), 0, PENDING, "redirected", 5),
    (answered(400), 0, PENDING, "refused", 5),
    (answered(404), 1, PENDING, "refused", 300),
    (answered(410), 0, FAILED, "gone", None),
    (answered(429), 0, PENDING, "throttled", 5),
    (answered(429, retry_after="60"), 0, PENDING, "throttled", 60),
    (answered(503, retry_after="2"), 0, PENDING, "throttled", 5),
    (answered(502, retry_after="999999"), 0, PENDING, "throttled", RETRY_AFTER_SECONDS_MAX),
    (answered(504, retry_after="soon"), 0, PENDING, "throttled", 5),
    (answered(500, retry_after="60"), 0, PENDING, "failing", 5),
    (answered(500), 2, PENDING, "failing", 1_800),
    (answered(500), 3, FAILED, "failing", None),
    (answered(429, retry_after="60"), 3, FAILED, "throttled", None),
    (answered(101), 0, PENDING, "failing", 5),
    (NotSent(Reason.CONNECT_FAILED, 0.1), 0, PENDING, "connect_failed", 5),
    (NotSent(Reason.DESTINATION_REFUSED, 0.1), 1, PENDING, "destination_refused", 300),
    (Unknown(Reason.TIMEOUT, 15.0), 2, PENDING, "timeout", 1_800),
    (Unknown(Reason.TIMEOUT, 15.0), 3, FAILED, "timeout", None),
    (Unknown(Reason.ANSWER_TOO_LARGE, 0.1), 0, PENDING, "answer_too_large", 5),
]


@pytest.mark.parametrize(("reply", "before", "outcome", "word", "seconds"), TABLE)
def test_what_a_reply_comes_to(
    reply: Reply, before: int, outcome: DeliveryStatus, word: str, seconds: float | None
) -> None:
    status = reply.status if isinstance(reply, Answered) else None
    next_at = None if seconds is None else NOW + timedelta(seconds=seconds)
    assert verdict(reply, before) == Verdict(outcome, word, status, next_at)


@given(chance=st.floats(0, 1))
def test_a_delay_is_a_tenth_shorter_or_longer_at_most(chance: float) -> None:
    next_at = verdict(answered(500), 1, chance).next_at
    assert next_at is not None
    assert timedelta(seconds=270) <= next_at - NOW <= timedelta(seconds=330)


def test_the_whole_of_the_jitter_is_used() -> None:
    ends = [verdict(answered(500), 1, chance).next_at for chance in (0.0, 1.0)]
    assert ends == [NOW + timedelta(seconds=270), NOW + timedelta(seconds=330)]


#: A Retry-After header, the seconds that it asks for.
HEADERS: list[tuple[str, float]] = [
    ("0", 0),
    (" 17 ", 17),
    ("-5", 0),
    ("1e3", 0),
    ("٣", 0),
    ("9" * 400, RETRY_AFTER_SECONDS_MAX),
    (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
    (format_datetime(NOW - timedelta(days=1), usegmt=True), 0),
    ("Fri, 31 Dec 9999 23:59:59 GMT", RETRY_AFTER_SECONDS_MAX),
    ("", 0),
    ("tomorrow", 0),
]


@pytest.mark.parametrize(("text", "seconds"), HEADERS)
def test_what_an_endpoint_asks_for(text: str, seconds: float) -> None:
    assert retry_after_seconds({"retry-after": text}, NOW) == seconds


@given(st.text())
def test_no_header_escapes_its_bounds(text: str) -> None:
    found: Any = retry_after_seconds({"retry-after": text}, NOW)
    assert 0 <= found <= RETRY_AFTER_SECONDS_MAX
