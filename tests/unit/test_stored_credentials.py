# SPDX-License-Identifier: Apache-2.0
"""What may be said of a stored card, and what one that only verifies does: to balances, nothing."""

import itertools
from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_makers import CARD, NOW, asking, found, payment
from strongroom.kernel.errors import Invalid
from strongroom.kernel.events import EventType
from strongroom.kernel.ids import RefundId
from strongroom.payments.decisions import Decided, after
from strongroom.payments.errors import PaymentNotReady
from strongroom.payments.findings import NOBODY_THERE, settle
from strongroom.payments.model import CaptureMethod, Loaded, Operation, Outcome, Status
from strongroom.payments.stored import (
    Initiator,
    Stage,
    StoredCredential,
    StoredReason,
    checked,
    reference_for,
    require_nobody_asked,
)
from strongroom.payments.wishes import (
    call_off,
    start_authorization,
    start_capture,
    start_refund,
    start_void,
)

KNOWN: Final = "489341065491658"
SUMS: Final = (
    "authorized",
    "capturing",
    "captured",
    "voiding",
    "voided",
    "refunding",
    "refunded",
    "disputed",
)


def stored(
    initiator: str, reason: str, stage: str, given_id: str | None = None
) -> StoredCredential:
    return StoredCredential(Initiator(initiator), StoredReason(reason), Stage(stage), given_id)


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        (stored("customer", "recurring", "initial"), []),
        (stored("customer", "one_off", "initial"), []),
        (stored("customer", "one_off", "later"), []),
        (stored("merchant", "recurring", "later"), []),
        (stored("merchant", "unscheduled", "later", KNOWN), []),
        (stored("merchant", "recurring", "initial"), ["stage"]),
        (stored("merchant", "one_off", "later"), ["reason"]),
        (stored("merchant", "one_off", "initial"), ["stage", "reason"]),
        (stored("customer", "recurring", "initial", KNOWN), ["scheme_transaction_id"]),
        (stored("customer", "recurring", "later", "4242424242424242"), ["scheme_transaction_id"]),
    ],
)
def test_what_may_be_said(said: StoredCredential, wrong: list[str]) -> None:
    if not wrong:
        assert checked(said) == said
        return
    with pytest.raises(Invalid) as refused:
        checked(said)
    assert [each.pointer for each in refused.value.errors] == [
        f"/stored_credential/{member}" for member in wrong
    ]


def test_nothing_said_is_nothing_refused() -> None:
    assert checked(None) is None
    assert reference_for(None, KNOWN) is None
    require_nobody_asked(None, "cvc_1")


@pytest.mark.parametrize(
    ("said", "known", "expected"),
    [
        (stored("customer", "recurring", "initial"), KNOWN, None),
        (stored("customer", "one_off", "later"), None, None),
        (stored("customer", "one_off", "later"), KNOWN, KNOWN),
        (stored("merchant", "recurring", "later"), KNOWN, KNOWN),
        (stored("merchant", "recurring", "later", "MCC1"), KNOWN, "MCC1"),
        (stored("merchant", "recurring", "later", "MCC1"), None, "MCC1"),
        (stored("merchant", "recurring", "later"), None, "refused"),
    ],
)
def test_a_later_payment_refers_to_the_first(
    said: StoredCredential, known: str | None, expected: str | None
) -> None:
    if expected != "refused":
        assert reference_for(said, known) == expected
        return
    with pytest.raises(Invalid) as refused:
        reference_for(said, known)
    assert refused.value.errors[0].code == "initial_payment_unknown"


@pytest.mark.parametrize("said", [stored("merchant", "recurring", "later", KNOWN)])
def test_what_a_merchant_begins_carries_no_code(said: StoredCredential) -> None:
    require_nobody_asked(said, None)
    with pytest.raises(Invalid):
        require_nobody_asked(said, "cvc_1")
    require_nobody_asked(stored("customer", "one_off", "later"), "cvc_1")


# --- asking whether a card is good ------------------------------------------------------------------


def asked(**more: Any) -> Loaded:
    """A payment of nothing, whose card is being asked about."""
    made = payment(amount=0, capture_method=CaptureMethod.AUTOMATIC, **more)
    before = Loaded(made, (), ())
    return after(before, start_authorization(before, CARD, asking()))


def test_a_payment_of_nothing_verifies() -> None:
    loaded = asked()
    (attempt,) = loaded.attempts
    assert (attempt.operation, attempt.amount) == (Operation.VERIFY, 0)
    assert loaded.payment.status is Status.PROCESSING


@pytest.mark.parametrize(
    ("outcome", "status", "event"),
    [
        (Outcome.APPROVED, Status.SUCCEEDED, EventType.PAYMENT_VERIFIED),
        (Outcome.DECLINED, Status.REQUIRES_PAYMENT_METHOD, EventType.PAYMENT_DECLINED),
        (Outcome.NOT_SENT, Status.REQUIRES_CONFIRMATION, None),
        (Outcome.PENDING, Status.PROCESSING, EventType.PAYMENT_PROCESSING),
        (Outcome.UNKNOWN, Status.PROCESSING, EventType.PAYMENT_PROCESSING),
    ],
)
def test_what_becomes_of_it(outcome: Outcome, status: Status, event: EventType | None) -> None:
    loaded = asked()
    told = found(outcome, amount=0 if outcome is Outcome.APPROVED else None)
    decided = settle(loaded, loaded.attempts[0], told, NOW)
    assert decided.payment.status is status
    assert decided.happened == (() if event is None else (event,))
    assert decided.postings == ()


@given(
    st.lists(
        st.sampled_from([each for each in Outcome if each is not Outcome.NOT_SENT]), max_size=5
    ),
    st.integers(0, 5),
)
def test_nothing_moves_whatever_is_told_in_whichever_order(
    outcomes: list[Outcome], released: int
) -> None:
    loaded = asked()
    for outcome in outcomes:
        told = found(outcome, amount=0, currency="AED", released=released)
        decided = settle(loaded, loaded.attempts[0], told, NOW)
        loaded = after(loaded, decided)
        assert decided.postings == ()
        assert [getattr(loaded.payment, name) for name in SUMS] == [0] * len(SUMS)
        assert loaded.payment.capturable == loaded.payment.refundable == 0


def test_what_is_verified_is_neither_captured_nor_released_nor_asked_again() -> None:
    loaded = asked()
    loaded = after(loaded, settle(loaded, loaded.attempts[0], found(Outcome.APPROVED), NOW))
    wishes: list[Callable[[], Decided]] = [
        lambda: start_capture(loaded, None, asking(), final=True),
        lambda: start_capture(loaded, 1, asking(), final=True),
        lambda: start_void(loaded, asking()),
        lambda: start_refund(loaded, None, RefundId("ref_1"), asking()),
        lambda: start_authorization(loaded, CARD, asking()),
        lambda: call_off(loaded, "abandoned", NOW),
    ]
    for wish in wishes:
        with pytest.raises(Exception) as refused:  # noqa: PT011 - which one is below
            wish()
        assert getattr(refused.value, "status", 0) in (409, 422)
    with pytest.raises(PaymentNotReady):
        start_authorization(loaded, CARD, asking())


def test_a_challenge_leads_nowhere_where_nobody_is_there() -> None:
    """A processor that asks for a challenge all the same is not followed: the payment waits to be told of."""
    for said, shown in itertools.product(
        (None, stored("merchant", "recurring", "later", KNOWN)), (1,)
    ):
        made = payment(stored_credential=said, capture_method=CaptureMethod.AUTOMATIC)
        before = Loaded(made, (), ())
        loaded = after(before, start_authorization(before, CARD, asking()))
        told = found(Outcome.PENDING, action_url="https://issuer.example/challenge")
        decided = settle(loaded, loaded.attempts[0], told, NOW)
        status = Status.REQUIRES_ACTION if said is None else Status.PROCESSING
        assert decided.payment.status is status, shown
        if said is not None:
            assert (decided.payment.action_url, decided.attempts[0].reason) == (None, NOBODY_THERE)


def test_what_scheme_and_issuer_said_is_not_forgotten() -> None:
    loaded = asked()
    told = found(Outcome.PENDING, scheme_transaction_id=KNOWN)
    loaded = after(loaded, settle(loaded, loaded.attempts[0], told, NOW))
    loaded = after(loaded, settle(loaded, loaded.attempts[0], found(Outcome.APPROVED), NOW))
    assert loaded.attempts[0].scheme_transaction_id == KNOWN
    card = msgspec.structs.replace(loaded.attempts[0], scheme_transaction_id=None)
    assert card.scheme_transaction_id is None
