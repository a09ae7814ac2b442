# SPDX-License-Identifier: Apache-2.0
"""When what was declined is tried again, and when not: a table, and the schemes' limits to the last try."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_makers import CARD, MERCHANT, NOW, asking, payment
from strongroom.crypto.ids import new_id
from strongroom.kernel.ids import AttemptId, ConnectionId
from strongroom.kernel.mode import Mode
from strongroom.payments.browsers import Browser
from strongroom.payments.declines import Advice
from strongroom.payments.model import (
    RETRY_CANCELED,
    Attempt,
    Basis,
    Loaded,
    Operation,
    Outcome,
    Status,
    ThreeDs,
)
from strongroom.payments.retries.job import asked_again
from strongroom.payments.retries.model import (
    LIMITS,
    OFF,
    OTHERWISE,
    End,
    Hold,
    Known,
    Nothing,
    Policy,
    Schedule,
    Try,
    Verdict,
    is_beyond,
    judge,
)
from strongroom.payments.soft import is_soft_decline
from strongroom.payments.stored import Initiator, Stage, StoredCredential, StoredReason
from strongroom.payments.wishes import start_authorization

BY_MERCHANT: Final = StoredCredential(Initiator.MERCHANT, StoredReason.RECURRING, Stage.LATER)
BY_CUSTOMER: Final = StoredCredential(Initiator.CUSTOMER, StoredReason.ONE_OFF, Stage.LATER)
DAY: Final = timedelta(days=1)
ON: Final = Policy(enabled=True, delays_hours=(24, 72))


def tried(**more: Any) -> Attempt:
    return Attempt(
        **{
            "merchant_id": MERCHANT,
            "mode": Mode.TEST,
            "attempt_id": AttemptId(new_id("att")),
            "payment_id": payment().payment_id,
            "operation": Operation.SALE,
            "wish": "POST /v1/payments key-1",
            "connection_id": ConnectionId(new_id("con")),
            "amount": 1_000,
            "currency": "AED",
            "token_id": CARD.token,
            "outcome": Outcome.DECLINED,
            "basis": Basis.ANSWER,
            "advice": "later",
            "created_at": NOW,
            "lease_until": NOW,
            "settled_at": NOW,
            **more,
        }
    )


def known(**more: Any) -> Known:
    """A payment that the merchant began, and was declined softly; with other members of either."""
    of_payment = {
        name: more.pop(name)
        for name in ("stored_credential", "status", "retry_at", "authorized", "discrepancy")
        if name in more
    }
    parts = {name: more.pop(name) for name in ("tries", "policy", "asked_at") if name in more}
    declined = payment(**{"stored_credential": BY_MERCHANT, **of_payment}, brand="visa")
    return replace(Known(declined, tried(**more), 0, ON, ()), **parts)


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ({}, Schedule(NOW + DAY)),
        ({"tries": 1}, Schedule(NOW + 3 * DAY)),
        # As many tries as the policy has.
        ({"tries": 2}, Nothing()),
        # A merchant who wants none has none; what was scheduled before is not made.
        ({"policy": OFF}, Nothing()),
        ({"policy": OFF, "retry_at": NOW}, End("policy_off")),
        # Only what the merchant began.
        ({"stored_credential": BY_CUSTOMER}, Nothing()),
        ({"stored_credential": None}, Nothing()),
        ({"token_id": None}, Nothing()),
        # Only after a decline, only with that advice.
        *(({"advice": each.value}, Nothing()) for each in Advice if each is not Advice.LATER),
        ({"advice": None}, Nothing()),
        ({"advice": "a word of a later release"}, Nothing()),
        ({"outcome": Outcome.UNKNOWN}, Nothing()),
        ({"outcome": Outcome.PENDING}, Nothing()),
        ({"outcome": None, "basis": None}, Nothing()),
        ({"outcome": Outcome.APPROVED}, Nothing()),
        ({"outcome": Outcome.NOT_SENT}, Nothing()),
        ({"outcome": Outcome.NOT_SENT, "wish": "retry 1", "tries": 1}, Schedule(NOW + 3 * DAY)),
        ({"operation": Operation.VERIFY}, Nothing()),
        # Not where the payment has moved on.
        ({"status": Status.CANCELED}, Nothing()),
        ({"status": Status.CANCELED, "retry_at": NOW}, End("not_soft")),
        ({"status": Status.SUCCEEDED}, Nothing()),
        ({"status": Status.PROCESSING}, Nothing()),
        ({"authorized": 1_000}, Nothing()),
        ({"discrepancy": True}, Nothing()),
        # Scheduled, due, and too often.
        ({"retry_at": NOW + DAY}, Hold(NOW + DAY)),
        ({"retry_at": NOW}, Try(1)),
        ({"retry_at": NOW, "tries": 1}, Try(2)),
        ({"retry_at": NOW, "tries": 2}, End("exhausted")),
        ({"retry_at": NOW, "asked_at": [NOW - DAY] * 14}, Try(1)),
        ({"retry_at": NOW, "asked_at": [NOW - DAY] * 15}, End("scheme_limit")),
        ({"retry_at": NOW, "asked_at": [NOW - 31 * DAY] * 15}, Try(1)),
        # Canceled is not "never scheduled", and has no end to be told of.
        ({"retry_at": RETRY_CANCELED}, Nothing()),
        ({"retry_at": RETRY_CANCELED, "tries": 1}, Nothing()),
        ({"retry_at": RETRY_CANCELED, "policy": OFF}, Nothing()),
        ({"retry_at": RETRY_CANCELED, "status": Status.CANCELED}, Nothing()),
    ],
)
def test_what_becomes_of_a_declined_payment(what: dict[str, Any], expected: Verdict) -> None:
    assert judge(known(**what), NOW) == expected


def test_what_was_canceled_is_shown_to_nobody_and_ends_where_the_merchant_asks_again() -> None:
    canceled = known(retry_at=RETRY_CANCELED).payment
    assert (canceled.next_retry_at, payment(retry_at=NOW).next_retry_at) == (None, NOW)
    again = start_authorization(Loaded(canceled, (), ()), CARD, asking()).payment
    assert again.retry_at is None


def test_nothing_is_scheduled_in_the_past() -> None:
    late = NOW + 40 * DAY
    assert judge(known(), late) == Schedule(late)


@pytest.mark.parametrize(
    ("brand", "hours_ago", "tries", "beyond"),
    [
        ("visa", 1, 14, False),
        ("visa", 1, 15, True),
        ("visa", 24 * 29, 15, True),
        ("visa", 24 * 30, 15, False),
        ("mastercard", 1, 9, False),
        ("mastercard", 1, 10, True),
        ("mastercard", 24, 34, False),
        ("mastercard", 25, 35, True),
        ("amex", 1, 10, True),
        ("amex", 30, 15, True),
        (None, 1, 10, True),
        ("a scheme of a later release", 1, 10, True),
    ],
)
def test_the_schemes_limits(brand: str | None, hours_ago: int, tries: int, *, beyond: bool) -> None:
    assert is_beyond(brand, [NOW - timedelta(hours=hours_ago)] * tries, NOW) is beyond


@given(
    st.sampled_from([*LIMITS, None]),
    st.lists(
        st.integers(0, 24 * 60 * 40).map(lambda minutes: timedelta(minutes=minutes)), max_size=60
    ),
)
def test_no_scheme_is_ever_asked_more_often_than_it_allows(
    brand: str | None, ago: list[timedelta]
) -> None:
    """A try is made only where it is at most the last one allowed of every window."""
    asked = [NOW - each for each in ago]
    if is_beyond(brand, asked, NOW):
        return
    for limit in LIMITS.get(brand or "", OTHERWISE):
        assert sum(1 for each in asked if each > NOW - limit.window) + 1 <= limit.most


@pytest.mark.parametrize(
    ("last", "three_ds", "checks"),
    [
        ({"checks_policy": "avs_void cvc_mark"}, ThreeDs.AUTOMATIC, "avs_void cvc_mark"),
        ({"three_ds": ThreeDs.CHALLENGE}, ThreeDs.CHALLENGE, None),
        ({"browser": Browser("of who was there once", "*/*")}, ThreeDs.AUTOMATIC, None),
        ({}, ThreeDs.AUTOMATIC, None),
    ],
)
def test_a_try_asks_for_what_the_one_before_it_did(
    last: dict[str, Any], three_ds: ThreeDs, checks: str | None
) -> None:
    before = tried(**last)
    attempt, later = AttemptId(new_id("att")), NOW + DAY
    asking = asked_again(before, attempt, 2, before.connection_id, NOW, later)
    started = start_authorization(Loaded(known().payment, (before,), ()), CARD, asking)
    (made,) = [each for each in started.attempts if each.attempt_id == attempt]
    assert (made.wish, made.three_ds, made.checks_policy) == ("retry 2", three_ds, checks)
    assert made.browser is None


def test_a_soft_decline_is_one_of_money_that_was_asked_for() -> None:
    assert is_soft_decline(tried())
    for other in (
        {"operation": Operation.VERIFY},
        {"operation": Operation.CAPTURE},
        {"operation": Operation.REFUND},
        {"advice": "never"},
        {"outcome": Outcome.UNKNOWN},
    ):
        assert not is_soft_decline(tried(**other))
