# SPDX-License-Identifier: Apache-2.0
"""Whole stories of payments at Adyen, told in every order there is: each ends alike, to the last minor unit.

Money, its way back, what the cardholder's bank takes and what nobody knows come between one another, and some twice.
"""

import itertools

import pytest

from contracts.adyen_story import BALANCES, Story
from payment_makers import loaded
from strongroom.payments.model import CaptureMethod, Status

HELD = {"authorized": 1_000}
CAPTURED = HELD | {"captured": 1_000}
#: What was done first, what is told in any order, and where it ends.
STORIES: list[tuple[str, str, Status, dict[str, int]]] = [
    # Late authorisations.
    ("authorize lost", "AUTHORISATION AUTHORISATION NEVER_HEARD_OF", Status.REQUIRES_CAPTURE, HELD),
    ("sale lost", "AUTHORISATION CAPTURE AUTHORISATION NEVER_HEARD_OF", Status.SUCCEEDED, CAPTURED),
    (
        "authorize answered void",
        "AUTHORISATION CANCELLATION CANCELLATION EXPIRE NEVER_HEARD_OF",
        Status.CANCELED,
        HELD | {"voided": 1_000},
    ),
    (
        "authorize answered capture",
        "AUTHORISATION CAPTURE CAPTURE NEVER_HEARD_OF",
        Status.SUCCEEDED,
        CAPTURED,
    ),
    # What failed does not succeed any more, however late its success is told.
    (
        "authorize answered capture",
        "AUTHORISATION CAPTURE CAPTURE_FAILED CAPTURE_FAILED NEVER_HEARD_OF",
        Status.REQUIRES_CAPTURE,
        HELD,
    ),
    (
        "sale answered refund|400",
        "AUTHORISATION REFUND REFUND NEVER_HEARD_OF CAPTURE",
        Status.SUCCEEDED,
        CAPTURED | {"refunded": 400},
    ),
    (
        "sale answered refund|400",
        "REFUND REFUND_FAILED AUTHORISATION NEVER_HEARD_OF CAPTURE",
        Status.SUCCEEDED,
        CAPTURED,
    ),
    (
        "sale answered refund|400",
        "REFUND REFUNDED_REVERSED REFUNDED_REVERSED AUTHORISATION NEVER_HEARD_OF",
        Status.SUCCEEDED,
        CAPTURED,
    ),
    # And the cardholder's bank takes it, and gives it back.
    (
        "sale answered refund|400",
        "REFUND REFUND_FAILED CHARGEBACK CHARGEBACK_REVERSED AUTHORISATION NEVER_HEARD_OF",
        Status.SUCCEEDED,
        CAPTURED,
    ),
    (
        "sale answered refund|400",
        "REFUND CHARGEBACK CHARGEBACK_REVERSED CHARGEBACK AUTHORISATION NEVER_HEARD_OF",
        Status.SUCCEEDED,
        CAPTURED | {"refunded": 400},
    ),
    (
        "sale answered refund|400",
        "REFUND NOTIFICATION_OF_CHARGEBACK CHARGEBACK CHARGEBACK_REVERSED SECOND_CHARGEBACK CAPTURE",
        Status.SUCCEEDED,
        CAPTURED | {"refunded": 400, "disputed": 1_000},
    ),
]


@pytest.mark.parametrize(("begun", "told", "status", "balances"), STORIES)
def test_it_ends_alike(begun: str, told: str, status: Status, balances: dict[str, int]) -> None:
    method = CaptureMethod.AUTOMATIC if begun.startswith("sale") else CaptureMethod.MANUAL
    for order in sorted(set(itertools.permutations(told.split()))):
        story = Story(loaded(capture_method=method))
        for step in (*begun.split(), *order):
            story.step(step.replace("|", " "))
        payment = story.known.payment
        held = {name: getattr(payment, name) for name in BALANCES}
        assert {name: value for name, value in held.items() if value} == balances, order
        assert payment.status is status, order
        assert "differs" not in story.verdicts, order


@pytest.mark.parametrize(("begun", "told", "status", "balances"), STORIES)
def test_sabotage_a_story_of_which_nothing_is_told_ends_otherwise(
    begun: str, told: str, status: Status, balances: dict[str, int]
) -> None:
    """What was done first does not look like the end already, so the events are what leads there."""
    method = CaptureMethod.AUTOMATIC if begun.startswith("sale") else CaptureMethod.MANUAL
    story = Story(loaded(capture_method=method))
    for step in begun.split():
        story.step(step.replace("|", " "))
    held = {name: getattr(story.known.payment, name) for name in BALANCES}
    now = {name: value for name, value in held.items() if value}
    assert (now, story.known.payment.status) != (balances, status)
