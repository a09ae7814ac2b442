# SPDX-License-Identifier: Apache-2.0
"""The demo's comparison of two sets of books: equal ones agree, and every way in which they can differ is found."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from strongroom.cli.scenario.books import Ours, Theirs, compared
from strongroom.simulator import Entry, PaymentTotals

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def attempt(
    name: str, operation: str, amount: int, outcome: str | None = "approved", **fields: Any
) -> dict[str, Any]:
    return {
        "id": f"att_{name}",
        "payment": "pay_1",
        "operation": operation,
        "amount": amount,
        "currency": "AED",
        "outcome": outcome,
        "settled_amount": amount if outcome == "approved" else None,
        **fields,
    }


def line(name: str, kind: str, amount: int) -> Entry:
    return Entry(
        n=1,
        at=NOW,
        account="acct_shop",
        kind=kind,
        payment="sp_1",
        operation=None,
        reference=f"att_{name}",
        amount=amount,
        currency="AED",
        idempotency_key=f"att_{name}",
    )


def sums(**balances: int) -> dict[str, int]:
    return {"authorized": 0, "captured": 0, "voided": 0, "refunded": 0, **balances}


BALANCES = sums(authorized=1_000, captured=700, voided=300, refunded=200)
OURS = Ours(
    payments=[{"id": "pay_1", "currency": "AED", "balances": BALANCES}],
    attempts=[
        attempt("declined", "authorize", 1_000, "declined"),
        attempt("authorized", "authorize", 1_000),
        attempt("part", "capture", 400),
        attempt("failed", "capture", 600, "declined"),
        attempt("last", "capture", 300),
        attempt("lost", "refund", 200, "not_sent"),
        attempt("refund", "refund", 200),
    ],
)
JOURNAL = [
    line("declined", "declined", 1_000),
    line("authorized", "authorized", 1_000),
    line("part", "captured", 400),
    line("failed", "captured", 600),
    line("failed", "capture_failed", 600),
    line("last", "captured", 300),
    line("last", "released", 300),
    line("refund", "refunded", 200),
]
TOTALS = [
    PaymentTotals(
        id="sp_1",
        account="acct_shop",
        reference="att_authorized",
        status="captured",
        amount=1_000,
        currency="AED",
        disputed=0,
        **BALANCES,
    )
]


def found(journal: Sequence[Entry] = JOURNAL, ours: Ours = OURS) -> list[str]:
    return compared(ours, Theirs(journal, TOTALS))


def test_books_that_agree_agree() -> None:
    assert found() == []


def test_a_partial_approval_is_what_was_approved() -> None:
    half = attempt("authorized", "authorize", 2_000, settled_amount=1_000)
    assert found(ours=Ours(OURS.payments, [*OURS.attempts[:1], half, *OURS.attempts[2:]])) == []


@pytest.mark.parametrize("at", [1, 2, 5, 7])
@pytest.mark.parametrize("change", ["less", "more", "gone", "twice", "currency", "unknown"])
def test_one_line_that_differs_is_one_difference_that_names_it(at: int, change: str) -> None:
    changed = JOURNAL[at]
    lines = {
        "less": [replace(changed, amount=changed.amount - 1)],
        "more": [replace(changed, amount=changed.amount + 1)],
        "gone": [],
        "twice": [changed, changed],
        "currency": [replace(changed, currency="USD")],
        "unknown": [changed, replace(changed, reference="att_nobody")],
    }[change]
    (difference,) = found([*JOURNAL[:at], *lines, *JOURNAL[at + 1 :]])
    assert ("att_nobody" if change == "unknown" else changed.reference) in difference


def test_money_that_moved_for_an_attempt_that_we_call_failed_is_found() -> None:
    moved = [*JOURNAL, line("lost", "refunded", 200)]
    assert found(moved) == ["att_lost: the journal has refunded 200 AED, we nothing"]


@pytest.mark.parametrize("name", sums())
def test_a_sum_that_differs_by_one_is_found(name: str) -> None:
    payment = {**OURS.payments[0], "balances": {**BALANCES, name: BALANCES[name] + 1}}
    (difference,) = found(ours=Ours([payment], OURS.attempts))
    assert difference == f"pay_1: {name} is {BALANCES[name]} there and {BALANCES[name] + 1} here"


def test_a_payment_that_the_processor_does_not_know_has_no_money() -> None:
    stranger = {"id": "pay_2", "currency": "AED", "balances": sums(authorized=1)}
    assert found(ours=Ours([*OURS.payments, stranger], OURS.attempts)) == [
        "pay_2: authorized is 0 there and 1 here"
    ]
