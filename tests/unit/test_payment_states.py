# SPDX-License-Identifier: Apache-2.0
"""The table of states is whole, and the documentation draws it."""

from pathlib import Path

import pytest

from payment_makers import payment
from strongroom.kernel.invariant import Bug
from strongroom.payments.model import Status
from strongroom.payments.states import TRANSITIONS, diagram, moved

FIRST = {Status.REQUIRES_PAYMENT_METHOD, Status.REQUIRES_CONFIRMATION}


def test_every_status_has_a_row_and_every_status_is_reachable() -> None:
    assert set(TRANSITIONS) == set(Status)
    assert FIRST.union(*TRANSITIONS.values()) == set(Status)


def test_no_status_follows_itself() -> None:
    assert not [status for status, after in TRANSITIONS.items() if status in after]


@pytest.mark.parametrize("status", sorted(Status))
def test_from_every_status_the_end_is_reachable(status: Status) -> None:
    seen, todo = set[Status](), [status]
    while todo:
        each = todo.pop()
        if each not in seen:
            seen.add(each)
            todo += TRANSITIONS[each]
    assert seen & {Status.SUCCEEDED, Status.CANCELED}


#: (what the row says) → the status that it must have
FACTS = [
    ({}, Status.REQUIRES_PAYMENT_METHOD),
    ({"token_id": "tok"}, Status.REQUIRES_CONFIRMATION),
    ({"cancel_reason": "duplicate"}, Status.CANCELED),
    ({"authorized": 1000}, Status.REQUIRES_CAPTURE),
    ({"authorized": 1000, "capturing": 300}, Status.PROCESSING),
    ({"authorized": 1000, "voiding": 1000}, Status.PROCESSING),
    ({"authorized": 1000, "captured": 300}, Status.REQUIRES_CAPTURE),
    ({"authorized": 1000, "captured": 300, "voided": 700}, Status.SUCCEEDED),
    ({"authorized": 1000, "captured": 1000, "refunded": 1000}, Status.SUCCEEDED),
    ({"authorized": 1000, "voided": 1000}, Status.CANCELED),
    ({"authorized": 400, "captured": 400}, Status.SUCCEEDED),
]


@pytest.mark.parametrize(("facts", "status"), FACTS)
def test_the_facts_say_the_status(facts: dict[str, object], status: Status) -> None:
    came_from = next(each for each, after in TRANSITIONS.items() if status in after | {each})
    assert moved(payment(status=came_from, **facts), ()).status is status


def test_sabotage_a_move_that_the_table_does_not_have_stops() -> None:
    with pytest.raises(Bug, match="does not go from canceled"):
        moved(payment(status=Status.CANCELED, token_id="tok"), ())


def test_the_documentation_draws_the_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "explain" / "payments.md"
    assert f"```mermaid\n{diagram()}```" in page.read_text("utf-8")
