# SPDX-License-Identifier: Apache-2.0
"""What Checkout.com's events are read as, and where a payment ends whichever way they come: doubled, in any order."""

import itertools
import json
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.checkout_peer import ADAPTER, NOW, sums
from contracts.checkout_reference import ACT, DISPUTE, EVENT, LIVE, PAY, PREFIX, SANDBOX
from contracts.processor import attempt
from payment_makers import payment
from strongroom.payments.decisions import after
from strongroom.payments.findings import agrees, settle
from strongroom.payments.model import (
    Attempt,
    Basis,
    DisputeStatus,
    DisputeTold,
    Loaded,
    Operation,
    Outcome,
    Status,
)
from strongroom.payments.ports import AnswerSurprising, Report

A: Final = Operation.AUTHORIZE
C: Final = Operation.CAPTURE
R: Final = Operation.REFUND
S: Final = Operation.SALE
V: Final = Operation.VOID


def event(kind: str, made: Attempt, mark: Operation | None, **data: Any) -> bytes:
    """Return a published event as if it were about our attempt; `mark` is what our request said of itself."""
    told = {
        **EVENT["data"],
        "reference": made.attempt_id,
        "amount": made.amount,
        "currency": made.currency,
        "balances": sums(1_000),
        "metadata": {} if mark is None else {"strongroom": mark.value},
        **data,
    }
    whole = {**EVENT, "type": kind, "data": {k: v for k, v in told.items() if v is not ...}}
    return json.dumps(whole).encode()


def read(body: bytes) -> Report | str | None:
    try:
        return ADAPTER.report(body)
    except AnswerSurprising:
        return "surprising"


NO: Final = {"response_code": "20005"}
#: Kind, what our request said, what else: operation, outcome, released, captured.
KINDS: Final[list[tuple[str, Operation | None, dict[str, Any], tuple[Any, ...] | str | None]]] = [
    ("payment_approved", A, {}, (A, Outcome.APPROVED, 0, None)),
    ("payment_approved", S, {"balances": ...}, (S, Outcome.APPROVED, None, None)),
    ("payment_approved", None, {}, (None, Outcome.APPROVED, 0, None)),
    ("payment_approved", A, NO, "surprising"),
    ("payment_approved", A, {"response_code": ...}, "surprising"),
    ("payment_declined", S, NO, (S, Outcome.DECLINED, None, None)),
    ("payment_declined", S, {"response_code": ...}, (S, Outcome.DECLINED, None, None)),
    ("payment_declined", S, {}, "surprising"),
    ("payment_expired", A, {"response_code": ...}, (A, Outcome.DECLINED, None, None)),
    ("payment_canceled", A, {}, (A, Outcome.DECLINED, None, None)),
    ("payment_captured", C, {}, (C, Outcome.APPROVED, 0, None)),
    ("payment_captured", C, NO, "surprising"),
    ("payment_capture_declined", C, NO, (C, Outcome.DECLINED, 0, None)),
    ("payment_capture_declined", C, {}, "surprising"),
    ("payment_capture_pending", C, {}, (C, Outcome.PENDING, 0, None)),
    # The capture that a sale brings along is told under the sale's own reference.
    ("payment_captured", S, {"balances": sums(1_000, 0, 1_000)}, (S, Outcome.APPROVED, 0, 1_000)),
    ("payment_captured", S, {"balances": ...}, "surprising"),
    ("payment_capture_declined", S, NO, (S, Outcome.APPROVED, 0, 0)),
    ("payment_capture_pending", S, {}, None),
    # Somebody captured what we authorized: not what was asked, so it is told as what it is.
    ("payment_captured", A, {}, (C, Outcome.APPROVED, 0, None)),
    ("payment_voided", V, {}, (V, Outcome.APPROVED, 0, None)),
    ("payment_void_declined", V, NO, (V, Outcome.DECLINED, 0, None)),
    # Nobody here asked for it: it expired, or was released in the dashboard.
    ("payment_voided", A, {"balances": sums(1_000, 1_000)}, (A, Outcome.APPROVED, 1_000, None)),
    ("payment_voided", S, {"balances": sums(1_000, 1_000)}, (S, Outcome.APPROVED, 1_000, 0)),
    ("payment_refunded", R, {}, (R, Outcome.APPROVED, 0, None)),
    ("payment_refunded", S, {}, (R, Outcome.APPROVED, 0, None)),
    ("payment_refund_declined", R, NO, (R, Outcome.DECLINED, 0, None)),
    ("payment_refund_pending", R, {"response_code": ...}, (R, Outcome.PENDING, 0, None)),
    # They say nothing that is not known, or nothing of a payment.
    ("payment_pending", A, {}, None),
    ("card_verified", None, {}, None),
    ("payment_authorization_incremented", A, {}, None),
    ("a_kind_of_next_year", A, {"amount": "much"}, None),
    # Not the published shape.
    ("payment_captured", C, {"amount": "20"}, "surprising"),
    ("payment_captured", C, {"amount": 20.5}, "surprising"),
    ("payment_captured", C, {"currency": "eur"}, "surprising"),
    ("payment_captured", C, {"reference": ...}, "surprising"),
    ("payment_captured", C, {"metadata": {"strongroom": "gift"}}, "surprising"),
]


@pytest.mark.parametrize(("kind", "mark", "data", "expected"), KINDS)
def test_events(
    kind: str,
    mark: Operation | None,
    data: dict[str, Any],
    expected: tuple[Any, ...] | str | None,
) -> None:
    made = attempt(S)
    report = read(event(kind, made, mark, **data))
    if not isinstance(report, Report):
        assert report == expected
        return
    found = report.found
    assert (report.operation, found.outcome, found.released, found.captured) == expected
    assert (report.account, report.mode) == (PREFIX, "test")
    assert (report.reference, report.amount, report.currency) == (made.attempt_id, 1_000, "AED")
    assert (report.event_type, found.basis) == (kind, Basis.NOTICE)
    reference = PAY if report.operation in (A, S, None) else EVENT["data"]["action_id"]
    assert found.processor_reference == reference
    assert (found.decline_code is not None) is (found.outcome is Outcome.DECLINED)
    assert (found.amount is not None) is (found.outcome is Outcome.APPROVED)


def test_the_published_examples_are_read() -> None:
    report = read(json.dumps(EVENT).encode())
    assert isinstance(report, Report)
    assert (report.operation, report.reference, report.amount) == (C, "ORD-5023-4E89", 20)
    dispute = read(json.dumps(DISPUTE).encode())
    assert isinstance(dispute, Report)
    assert (dispute.operation, dispute.reference) == (None, "some-company-ref")
    assert (dispute.found.outcome, dispute.event_type) == (
        Outcome.UNKNOWN,
        "dispute_evidence_submitted",
    )
    assert dispute.dispute == DisputeTold(
        processor_reference="dsp_9rjdlsd4epepfjyyf9vl",
        status=DisputeStatus.UNDER_REVIEW,
        step=35,
        amount=20_020,
        currency="USD",
        reason="10.4",
    )


#: An event of a dispute, and what it says of it.
DISPUTED: Final = {
    "dispute_received": (DisputeStatus.OPENED, 30),
    "dispute_evidence_required": (DisputeStatus.OPENED, 31),
    "dispute_evidence_submitted": (DisputeStatus.UNDER_REVIEW, 35),
    "dispute_evidence_acknowledged_by_scheme": (DisputeStatus.UNDER_REVIEW, 36),
    "dispute_accepted": (DisputeStatus.LOST, 60),
    "dispute_canceled": (DisputeStatus.WON, 60),
    "dispute_expired": (DisputeStatus.LOST, 60),
    "dispute_lost": (DisputeStatus.LOST, 60),
    "dispute_resolved": (DisputeStatus.WON, 60),
    "dispute_won": (DisputeStatus.WON, 60),
    "dispute_arbitration_lost": (DisputeStatus.LOST, 70),
    "dispute_arbitration_won": (DisputeStatus.WON, 70),
}


@pytest.mark.parametrize("kind", DISPUTED)
def test_an_event_of_a_dispute_says_where_it_stands(kind: str) -> None:
    # Page "Dispute evidence required" has the day.
    more = {"evidence_required_by": "2023-10-31T18:00:00+00:00"}
    report = read(json.dumps({**DISPUTE, "type": kind, "data": DISPUTE["data"] | more}).encode())
    assert isinstance(report, Report)
    assert report.dispute is not None
    assert (report.dispute.status, report.dispute.step) == DISPUTED[kind]
    assert report.dispute.evidence_due_by == datetime(2023, 10, 31, 18, tzinfo=UTC)


def test_an_event_of_a_dispute_that_is_not_known_moves_nothing_and_is_told() -> None:
    report = read(json.dumps({**DISPUTE, "type": "dispute_arbitration_sent_to_scheme"}).encode())
    assert isinstance(report, Report)
    assert (report.operation, report.dispute) == (None, None)


@pytest.mark.parametrize(
    ("links", "payment_link", "expected"),
    [
        ({"self": {"href": f"{SANDBOX}/events/x"}}, ..., (PREFIX, "test")),
        ({"self": {"href": f"{LIVE}/events/x"}}, ..., (PREFIX, "live")),
        ({}, f"{LIVE}/payments/{PAY}", (PREFIX, "live")),
        (
            {"payment": {"href": f"https://api.sandbox.checkout.com/payments/{PAY}"}},
            ...,
            ("api", "test"),
        ),
        # No link, a foreign one, and two that say different things.
        ({}, ..., "surprising"),
        ({"self": {"href": "https://api.checkout.com.evil.example/x"}}, ..., "surprising"),
        ({"self": {"href": "https://evil.example/https://api.checkout.com/"}}, ..., "surprising"),
        ({"self": {"href": "http://api.checkout.com/x"}}, ..., "surprising"),
        ({"self": {"href": f"{SANDBOX}/events/x"}}, f"{LIVE}/payments/{PAY}", "surprising"),
    ],
)
def test_links_say_whose_event_it_is(links: Any, payment_link: Any, expected: Any) -> None:
    made = attempt(C)
    sent = json.loads(event("payment_captured", made, C))
    sent["_links"] = links
    sent["data"]["event_links"] = {} if payment_link is ... else {"payment": payment_link}
    report = read(json.dumps(sent).encode())
    told = (report.account, report.mode) if isinstance(report, Report) else report
    assert told == expected


@given(body=st.binary(max_size=300))
def test_any_bytes_are_read_or_surprising(body: bytes) -> None:
    read(body)
    read(b'{"type":"payment_captured","data":' + body + b"}")


# --- orderings --------------------------------------------------------------------------------------


def learned(known: Loaded, body: bytes) -> Loaded:
    """Deal with an event as the worker does with one that it cannot confirm: correlate, compare, settle."""
    report = ADAPTER.report(body)
    if report is None:
        return known
    made = known.attempt(report.reference)
    assert made is not None
    asked = (made.operation, made.currency, made.amount)
    if (report.operation, report.currency, report.amount) != asked:
        return known
    older = made.outcome is not None and made.outcome.is_final and not report.found.outcome.is_final
    if older or agrees(known.payment, made, report.found):
        return known
    return after(known, settle(known, made, report.found, NOW))


def begun(operation: Operation, outcome: Outcome = Outcome.PENDING) -> tuple[Loaded, Attempt]:
    """Return an attempt that waits to be told; what is no authorization has one of 1,000, captured for a refund."""
    sale = operation is R
    first = attempt(
        S if sale else A, outcome=Outcome.APPROVED, processor_reference=PAY, settled_amount=1_000
    )
    made = attempt(operation, outcome=outcome)
    if operation.authorizes:
        return Loaded(payment(status=Status.PROCESSING), (made,), ()), made
    sums_of = {
        C: {"capturing": 1_000},
        V: {"voiding": 1_000},
        R: {"refunding": 1_000, "captured": 1_000},
    }
    paid = payment(status=Status.PROCESSING, authorized=1_000, **sums_of[operation])
    return Loaded(paid, (first, made), ()), made


ENDS: Final[list[tuple[Operation, list[tuple[str, dict[str, Any]]], Outcome, dict[str, int]]]] = [
    (
        A,
        [("payment_pending", {}), ("payment_approved", {})],
        Outcome.APPROVED,
        {"authorized": 1_000},
    ),
    (A, [("payment_pending", {}), ("payment_declined", NO)], Outcome.DECLINED, {"authorized": 0}),
    (
        A,
        [("payment_approved", {}), ("payment_voided", {"balances": sums(1_000, 1_000)})],
        Outcome.APPROVED,
        {"authorized": 1_000, "voided": 1_000},
    ),
    (
        S,
        [
            ("payment_approved", {}),
            ("payment_capture_pending", {}),
            ("payment_captured", {"balances": sums(1_000, 0, 1_000)}),
        ],
        Outcome.APPROVED,
        {"authorized": 1_000, "captured": 1_000},
    ),
    (
        S,
        [("payment_approved", {}), ("payment_capture_declined", NO)],
        Outcome.APPROVED,
        {"authorized": 1_000, "captured": 0, "voided": 0},
    ),
    (
        C,
        [("payment_capture_pending", {}), ("payment_captured", {})],
        Outcome.APPROVED,
        {"captured": 1_000, "capturing": 0},
    ),
    (
        C,
        [("payment_capture_pending", {}), ("payment_capture_declined", NO)],
        Outcome.DECLINED,
        {"captured": 0, "capturing": 0},
    ),
    # Captured, and failed afterwards: what failed does not succeed any more.
    (
        C,
        [("payment_captured", {}), ("payment_capture_declined", NO)],
        Outcome.DECLINED,
        {"captured": 0, "capturing": 0},
    ),
    (V, [("payment_voided", {})], Outcome.APPROVED, {"voided": 1_000, "voiding": 0}),
    (V, [("payment_void_declined", NO)], Outcome.DECLINED, {"voided": 0, "voiding": 0}),
    (
        R,
        [("payment_refund_pending", {}), ("payment_refunded", {})],
        Outcome.APPROVED,
        {"refunded": 1_000, "refunding": 0},
    ),
    (
        R,
        [("payment_refunded", {}), ("payment_refund_declined", NO)],
        Outcome.DECLINED,
        {"refunded": 0, "refunding": 0},
    ),
]


@pytest.mark.parametrize(("operation", "events", "outcome", "balances"), ENDS)
@pytest.mark.parametrize("before", [Outcome.PENDING, Outcome.UNKNOWN])
def test_in_whichever_order_they_come_a_payment_ends_alike(
    operation: Operation,
    events: list[tuple[str, dict[str, Any]]],
    outcome: Outcome,
    balances: dict[str, int],
    before: Outcome,
) -> None:
    for order in itertools.permutations(events * 2):
        known, made = begun(operation, before)
        for kind, data in order:
            known = learned(known, event(kind, made, operation, **data))
        ended = known.attempt(made.attempt_id)
        assert ended is not None
        assert ended.outcome is outcome, [kind for kind, _ in order]
        held = {name: getattr(known.payment, name) for name in balances}
        assert held == balances, [kind for kind, _ in order]
        assert not known.payment.discrepancy


def test_an_event_of_another_attempt_changes_nothing() -> None:
    known, made = begun(C)
    for more in ({"amount": 999}, {"currency": "USD"}):
        assert learned(known, event("payment_captured", made, C, **more)) == known
    assert learned(known, event("payment_refunded", made, C)) == known
    assert (
        learned(known, event("payment_captured", made, S, balances=sums(1_000, 0, 1_000))) == known
    )
    assert learned(known, event("payment_captured", made, C, action_id=ACT)) != known
