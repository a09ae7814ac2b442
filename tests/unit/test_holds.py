# SPDX-License-Identifier: Apache-2.0
"""Until when a hold lasts, what is due about it, and what raises, schedules and failures do to it: tables."""

from datetime import datetime, timedelta

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from payment_makers import CARD, NOW, asking, found, loaded
from strongroom.kernel.errors import Invalid
from strongroom.kernel.events import EventType
from strongroom.payments.decisions import after
from strongroom.payments.errors import AmountBeyond, PaymentBusy, PaymentNotReady
from strongroom.payments.findings import agrees, settle
from strongroom.payments.holds import (
    HoldPolicy,
    Step,
    change_hold,
    is_over,
    start_expiry,
    start_scheduled_capture,
    told_soon,
)
from strongroom.payments.model import (
    Basis,
    CaptureMethod,
    Loaded,
    OnExpiry,
    Operation,
    Outcome,
    Payment,
    Status,
)
from strongroom.payments.stored import Initiator, Stage, StoredCredential, StoredReason
from strongroom.payments.wishes import (
    AMOUNT_MAX,
    start_authorization,
    start_capture,
    start_increment,
    start_void,
)

POLICY = HoldPolicy()
DAY = timedelta(days=1)
ENDS = NOW + 7 * DAY


def held(*, ends: datetime | None = ENDS, **more: object) -> Loaded:
    """An estimate of 1000 that is authorized."""
    known = loaded(**{"estimated": True, "on_expiry": OnExpiry.CANCEL, **more})
    known = after(known, start_authorization(known, CARD, asking()))
    said = found(Outcome.APPROVED, amount=1_000, processor_reference="p-1", capture_before=ends)
    return after(known, settle(known, known.attempts[0], said, NOW))


def raised(known: Loaded, outcome: Outcome = Outcome.APPROVED, amount: int = 500) -> Loaded:
    known = after(known, start_increment(known, amount, asking()))
    return after(known, settle(known, known.attempts[-1], found(outcome), NOW))


@pytest.mark.parametrize(
    ("brand", "seconds"),
    [
        ("visa", 604800),
        ("mastercard", 604800),
        ("amex", 604800),
        ("discover", 604800),
        ("jcb", 432000),
        (None, 432000),
    ],
)
def test_where_nobody_says_until_when_the_schemes_do(brand: str | None, seconds: int) -> None:
    assert POLICY.until(brand, NOW) == NOW + timedelta(seconds=seconds)


def test_visa_holds_what_a_merchant_began_for_less_long() -> None:
    for brand, by_merchant, ends in (
        ("visa", True, timedelta(days=4, hours=18)),
        ("visa", False, 7 * DAY),
        ("mastercard", True, 7 * DAY),
    ):
        initiator = Initiator.MERCHANT if by_merchant else Initiator.CUSTOMER
        stored = StoredCredential(initiator, StoredReason.RECURRING, Stage.LATER)
        payment = loaded(brand=brand, stored_credential=stored).payment
        told = POLICY.completed(payment, NOW, found(Outcome.APPROVED))
        assert told.capture_before == NOW + ends


def test_what_a_processor_says_counts_and_is_not_asked_for_twice() -> None:
    payment = loaded(brand="visa").payment
    said = found(Outcome.APPROVED, capture_before=NOW + DAY)
    assert POLICY.completed(payment, NOW, said) == said
    assert POLICY.completed(payment, NOW, found(Outcome.APPROVED)).capture_before == NOW + 7 * DAY
    assert POLICY.completed(payment, NOW, found(Outcome.UNKNOWN)).capture_before is None
    known = replace(payment, capture_before=ENDS)
    assert POLICY.completed(known, NOW, found(Outcome.APPROVED)).capture_before is None


CANCEL, LEAVE = OnExpiry.CANCEL, OnExpiry.LEAVE
#: (hours from now of: the scheduled capture, the end), what is done at the end, told already → what is due
DUE = [
    (None, 200, CANCEL, False, None),
    (None, 24, CANCEL, False, Step.TELL),
    (None, 24, LEAVE, False, Step.TELL),
    (None, 24, CANCEL, True, None),
    (None, 0, CANCEL, True, Step.CANCEL),
    (None, 0, LEAVE, True, None),
    (None, -5, CANCEL, False, Step.CANCEL),
    (None, None, CANCEL, False, None),
    (0, 200, CANCEL, False, Step.CAPTURE),
    (0, -5, CANCEL, True, Step.CAPTURE),
    (1, 200, CANCEL, False, None),
    (1, 24, CANCEL, False, Step.TELL),
]


@pytest.mark.parametrize(("capture", "ends", "on_expiry", "told", "step"), DUE)
def test_what_is_due(
    *,
    capture: int | None,
    ends: int | None,
    on_expiry: OnExpiry,
    told: bool,
    step: Step | None,
) -> None:
    payment = replace(
        held().payment,
        capture_at=None if capture is None else NOW + timedelta(hours=capture),
        capture_before=None if ends is None else NOW + timedelta(hours=ends),
        on_expiry=on_expiry,
        due_told_at=NOW if told else None,
    )
    assert POLICY.step(payment, NOW) is step
    assert POLICY.step(replace(payment, capturing=1_000), NOW) is None
    moment = POLICY.next_moment(payment)
    if step is not None:
        assert moment is not None
        assert moment <= NOW
    elif moment is not None and on_expiry is CANCEL:
        assert moment > NOW


def test_it_is_told_once_and_again_where_the_end_moves() -> None:
    known = held(ends=NOW + DAY)
    told = told_soon(known, NOW)
    assert told.happened == (EventType.PAYMENT_CAPTURE_DUE_SOON,)
    known = after(known, told)
    assert POLICY.step(known.payment, NOW) is None
    known = after(known, start_increment(known, 1, asking()))
    longer = found(Outcome.APPROVED, capture_before=NOW + 3 * DAY)
    known = after(known, settle(known, known.attempts[-1], longer, NOW))
    assert (known.payment.capture_before, known.payment.due_told_at) == (NOW + 3 * DAY, None)


def test_a_scheduled_capture_is_used_up_by_being_asked_for() -> None:
    known = held(capture_at=NOW)
    known = after(known, start_scheduled_capture(known, asking()))
    assert (known.payment.capture_at, known.payment.capturing) == (None, 1_000)
    assert POLICY.step(known.payment, NOW + 9 * DAY) is None


def test_a_hold_whose_end_has_come_is_released_and_says_why() -> None:
    known = held()
    known = after(known, start_expiry(known, asking()))
    ended = after(known, settle(known, known.attempts[-1], found(Outcome.APPROVED), NOW))
    assert (ended.payment.status, ended.payment.cancel_reason) == (Status.CANCELED, "expired")
    assert is_over(ended.payment)
    assert not is_over(held().payment)


def test_a_hold_is_changed_until_it_begins() -> None:
    known = held()
    changed = change_hold(known, NOW, capture_at=NOW + DAY, on_expiry=UNSET).payment
    assert (changed.capture_at, changed.on_expiry) == (NOW + DAY, OnExpiry.CANCEL)
    known = after(known, change_hold(known, NOW, capture_at=NOW + DAY, on_expiry=LEAVE))
    off = change_hold(known, NOW, capture_at=None, on_expiry=UNSET).payment
    assert (off.capture_at, off.on_expiry) == (None, LEAVE)
    assert not change_hold(known, NOW, capture_at=UNSET, on_expiry=UNSET).changed
    for moment in (NOW, NOW - DAY, ENDS, NOW + 91 * DAY):
        with pytest.raises(Invalid):
            change_hold(known, NOW, capture_at=moment, on_expiry=UNSET)
    known = after(known, start_void(known, asking()))
    known = after(known, settle(known, known.attempts[-1], found(Outcome.APPROVED), NOW))
    with pytest.raises(PaymentNotReady):
        change_hold(known, NOW, capture_at=None, on_expiry=UNSET)


#: What fails leaves the authorization as it is: (operation, outcome) → what a merchant hears
FAILS = [
    (Operation.CAPTURE, Outcome.DECLINED, EventType.PAYMENT_CAPTURE_FAILED),
    (Operation.CAPTURE, Outcome.NOT_SENT, EventType.PAYMENT_CAPTURE_FAILED),
    (Operation.VOID, Outcome.DECLINED, EventType.PAYMENT_VOID_FAILED),
    (Operation.VOID, Outcome.NOT_SENT, EventType.PAYMENT_VOID_FAILED),
    (Operation.INCREMENT, Outcome.DECLINED, EventType.PAYMENT_INCREMENT_FAILED),
    (Operation.INCREMENT, Outcome.NOT_SENT, EventType.PAYMENT_INCREMENT_FAILED),
]
STARTS = {
    Operation.CAPTURE: lambda known: start_capture(known, 300, asking(), final=True),
    Operation.VOID: lambda known: start_void(known, asking()),
    Operation.INCREMENT: lambda known: start_increment(known, 500, asking()),
}


def sums(payment: Payment) -> tuple[object, ...]:
    return (
        payment.status,
        payment.authorized,
        payment.captured,
        payment.voided,
        payment.incremented,
        payment.capturable,
        payment.capture_before,
    )


@pytest.mark.parametrize(("operation", "outcome", "event"), FAILS)
@pytest.mark.parametrize("by_way_of", [None, Outcome.UNKNOWN, Outcome.PENDING])
def test_what_fails_leaves_the_authorization_as_it_is(
    operation: Operation, outcome: Outcome, event: EventType, by_way_of: Outcome | None
) -> None:
    before = held()
    known = after(before, STARTS[operation](before))
    assert known.payment.status is Status.PROCESSING
    attempt = known.attempts[-1].attempt_id
    if by_way_of is not None:
        known = after(known, settle(known, known.attempt(attempt), found(by_way_of), NOW))  # type: ignore[arg-type]
    failed = settle(known, known.attempt(attempt), found(outcome, Basis.LOOKUP), NOW)  # type: ignore[arg-type]
    assert failed.happened == (event,)
    assert sums(failed.payment) == sums(before.payment)
    assert not failed.postings


def test_an_increment_adds_and_is_posted() -> None:
    known = held()
    known = after(known, start_increment(known, 500, asking()))
    assert (known.payment.incrementing, known.attempts[-1].raises_to) == (500, 1_500)
    decided = settle(known, known.attempts[-1], found(Outcome.APPROVED), NOW)
    assert decided.happened == (EventType.PAYMENT_INCREMENTED,)
    assert (decided.payment.authorized, decided.payment.amount) == (1_500, 1_000)
    assert (decided.payment.incremented, decided.payment.incrementing) == (500, 0)
    assert not decided.discrepancy
    (posting,) = decided.postings
    assert (posting.debit, posting.credit, posting.amount) == ("holds", "authorizations", 500)


@pytest.mark.parametrize(
    ("known", "error"),
    [
        (held(estimated=False), PaymentNotReady),
        (after(held(), start_capture(held(), 1, asking(), final=False)), PaymentBusy),
        (after(held(), start_void(held(), asking())), PaymentBusy),
        (after(held(), start_increment(held(), 1, asking())), PaymentBusy),
    ],
)
def test_what_cannot_be_raised(known: Loaded, error: type[Exception]) -> None:
    with pytest.raises(error):
        start_increment(known, 1, asking())


def test_what_was_taken_in_part_is_not_raised_and_there_is_a_most() -> None:
    known = held()
    with pytest.raises(AmountBeyond):
        start_increment(known, AMOUNT_MAX - 999, asking())
    known = after(known, start_capture(known, 1, asking(), final=False))
    known = after(known, settle(known, known.attempts[-1], found(Outcome.APPROVED), NOW))
    with pytest.raises(PaymentNotReady):
        start_increment(known, 1, asking())


@pytest.mark.parametrize("start", [start_void, lambda k, a: start_capture(k, 1, a, final=False)])
def test_what_is_being_raised_is_neither_taken_nor_released(start: object) -> None:
    known = after(held(), start_increment(held(), 500, asking()))
    with pytest.raises(PaymentBusy):
        start(known, asking())  # type: ignore[operator]


def test_a_report_of_the_whole_is_of_the_first_authorization_and_its_increments() -> None:
    """Some processors say of an authorization what it came to; the increments are attempts of their own."""
    known = raised(held())
    first = known.attempts[0]
    whole = found(Outcome.APPROVED, Basis.NOTICE, amount=1_500, processor_reference="p-1")
    assert agrees(known.payment, first, whole)
    gone = found(
        Outcome.APPROVED, Basis.NOTICE, amount=1_500, processor_reference="p-1", released=1_500
    )
    decided = settle(known, first, gone, NOW)
    assert (decided.payment.authorized, decided.payment.voided) == (1_500, 1_500)
    assert (decided.payment.status, decided.discrepancy) == (Status.CANCELED, False)


def test_an_increment_that_nobody_knows_of_is_a_discrepancy() -> None:
    known = held()
    whole = found(Outcome.APPROVED, Basis.NOTICE, amount=1_500, processor_reference="p-1")
    decided = settle(known, known.attempts[0], whole, NOW)
    assert (decided.payment.authorized, decided.discrepancy) == (1_500, True)


def test_a_late_approval_counts_once() -> None:
    known = raised(held(), Outcome.NOT_SENT)
    late = found(Outcome.APPROVED, Basis.NOTICE)
    decided = settle(known, known.attempts[-1], late, NOW)
    assert (decided.payment.authorized, decided.payment.incremented) == (1_500, 500)
    again = after(known, decided)
    assert not settle(again, again.attempts[-1], late, NOW).changed


def test_a_sale_whose_capture_failed_holds_until_a_known_moment() -> None:
    known = loaded(capture_method=CaptureMethod.AUTOMATIC)
    known = after(known, start_authorization(known, CARD, asking()))
    sold = found(Outcome.APPROVED, amount=1_000, captured=1_000, capture_before=ENDS)
    known = after(known, settle(known, known.attempts[0], sold, NOW))
    assert known.payment.capture_before is None
    lost = found(Outcome.APPROVED, Basis.NOTICE, captured=0, capture_before=ENDS)
    known = after(known, settle(known, known.attempts[0], lost, NOW))
    assert known.payment.capture_before == ENDS
