# SPDX-License-Identifier: Apache-2.0
"""What wishes and findings do to a payment: tables, and a machine that is driven against a model of its own."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from payment_makers import CARD, NOW, asking, found, loaded
from strongroom.crypto.ids import new_id
from strongroom.kernel.errors import Invalid, Refused
from strongroom.kernel.events import EventType
from strongroom.kernel.ids import RefundId
from strongroom.payments.decisions import Decided, after
from strongroom.payments.errors import (
    AmountBeyond,
    PaymentBusy,
    PaymentNotReady,
    PaymentUnresolved,
)
from strongroom.payments.findings import (
    APPROVED_BESIDE,
    agrees,
    is_early,
    settle,
    told_in_time,
)
from strongroom.payments.model import (
    Basis,
    CaptureMethod,
    Found,
    Loaded,
    Operation,
    Outcome,
    RefundStatus,
    Status,
)
from strongroom.payments.postings import Account
from strongroom.payments.wishes import (
    call_off,
    start_authorization,
    start_capture,
    start_refund,
    start_void,
)

FINAL = [Outcome.APPROVED, Outcome.DECLINED, Outcome.NOT_SENT]


def authorized(amount: int = 1_000, *, automatic: bool = False) -> Loaded:
    method = CaptureMethod.AUTOMATIC if automatic else CaptureMethod.MANUAL
    known = loaded(amount=amount, capture_method=method)
    known = after(known, start_authorization(known, CARD, asking()))
    (attempt,) = known.attempts
    return after(known, settle(known, attempt, found(Outcome.APPROVED, amount=amount), NOW))


def captured(amount: int = 1_000) -> Loaded:
    return authorized(amount, automatic=True)


def started(known: Loaded, decided: Decided) -> tuple[Loaded, str]:
    return after(known, decided), decided.attempts[0].attempt_id


@pytest.mark.parametrize(
    ("outcome", "automatic", "status", "events"),
    [
        (Outcome.APPROVED, False, Status.REQUIRES_CAPTURE, (EventType.PAYMENT_AUTHORIZED,)),
        (Outcome.APPROVED, True, Status.SUCCEEDED, (EventType.PAYMENT_CAPTURED,)),
        (Outcome.DECLINED, False, Status.REQUIRES_PAYMENT_METHOD, (EventType.PAYMENT_DECLINED,)),
        (Outcome.NOT_SENT, False, Status.REQUIRES_CONFIRMATION, ()),
        (Outcome.UNKNOWN, False, Status.PROCESSING, (EventType.PAYMENT_PROCESSING,)),
        (Outcome.PENDING, True, Status.PROCESSING, (EventType.PAYMENT_PROCESSING,)),
    ],
)
def test_an_authorization_ends(
    *, outcome: Outcome, automatic: bool, status: Status, events: tuple[EventType, ...]
) -> None:
    known = loaded(capture_method=CaptureMethod.AUTOMATIC if automatic else CaptureMethod.MANUAL)
    known = after(known, start_authorization(known, CARD, asking()))
    assert known.payment.status is Status.PROCESSING
    decided = settle(known, known.attempts[0], found(outcome), NOW)
    assert decided.payment.status is status
    assert decided.happened == events
    assert decided.payment.version == 3


def test_a_challenge_is_an_action_and_then_what_the_processor_says() -> None:
    known = loaded()
    known = after(known, start_authorization(known, CARD, asking()))
    asked = found(Outcome.PENDING, action_url="https://processor.example/challenge")
    known = after(known, settle(known, known.attempts[0], asked, NOW))
    assert known.payment.status is Status.REQUIRES_ACTION
    assert known.payment.action_url == "https://processor.example/challenge"
    with pytest.raises(PaymentUnresolved):
        start_authorization(known, CARD, asking())
    done = settle(known, known.attempts[0], found(Outcome.APPROVED, Basis.LOOKUP), NOW)
    assert done.payment.status is Status.REQUIRES_CAPTURE
    assert done.payment.action_url is None


def test_a_partial_approval_is_what_was_approved() -> None:
    known = loaded()
    known = after(known, start_authorization(known, CARD, asking()))
    decided = settle(known, known.attempts[0], found(Outcome.APPROVED, amount=400), NOW)
    assert decided.payment.authorized == decided.payment.capturable == 400
    with pytest.raises(AmountBeyond):
        start_capture(after(known, decided), 401, asking(), final=True)


def test_an_authorization_needs_a_card_and_a_payment_that_waits_for_one() -> None:
    with pytest.raises(Invalid):
        start_authorization(loaded(), None, asking())
    with pytest.raises(PaymentNotReady):
        start_authorization(authorized(), CARD, asking())
    ended = loaded()
    ended = after(ended, call_off(ended, "duplicate", NOW))
    assert ended.payment.status is Status.CANCELED
    with pytest.raises(PaymentNotReady):
        start_authorization(ended, CARD, asking())


@pytest.mark.parametrize(
    ("amount", "final", "captured_", "voided", "status"),
    [
        (None, True, 1_000, 0, Status.SUCCEEDED),
        (1_000, False, 1_000, 0, Status.SUCCEEDED),
        (300, True, 300, 700, Status.SUCCEEDED),
        (300, False, 300, 0, Status.REQUIRES_CAPTURE),
    ],
)
def test_a_capture_takes_and_releases(
    *, amount: int | None, final: bool, captured_: int, voided: int, status: Status
) -> None:
    known = authorized()
    decided = start_capture(known, amount, asking(), final=final)
    assert decided.payment.capturable == (0 if final or amount in (None, 1_000) else 700)
    known, attempt = started(known, decided)
    assert known.payment.status is Status.PROCESSING
    decided = settle(known, known.attempt(attempt), found(Outcome.APPROVED), NOW)  # type: ignore[arg-type]
    assert (decided.payment.captured, decided.payment.voided) == (captured_, voided)
    assert decided.payment.status is status


@pytest.mark.parametrize("amount", [0, -1, 1_001, 10**15])
def test_a_capture_beyond_what_is_left_is_refused(amount: int) -> None:
    with pytest.raises(AmountBeyond):
        start_capture(authorized(), amount, asking(), final=False)


def test_captures_at_once_share_what_is_left_and_none_releases_it_under_another() -> None:
    known, first = started(authorized(), start_capture(authorized(), 600, asking(), final=False))
    known = authorized()
    known, first = started(known, start_capture(known, 600, asking(), final=False))
    with pytest.raises(AmountBeyond):
        start_capture(known, 401, asking(), final=False)
    with pytest.raises(PaymentBusy):
        start_capture(known, 300, asking(), final=True)
    with pytest.raises(PaymentBusy):
        start_void(known, asking())
    known, second = started(known, start_capture(known, 400, asking(), final=False))
    assert known.payment.capturing == 1_000
    for each in (first, second):
        attempt = known.attempt(each)
        assert attempt is not None
        known = after(known, settle(known, attempt, found(Outcome.APPROVED), NOW))
    assert known.payment.captured == 1_000
    assert known.payment.status is Status.SUCCEEDED


def test_a_capture_that_fails_after_it_was_approved_gives_its_amount_back() -> None:
    known = authorized()
    known, name = started(known, start_capture(known, None, asking(), final=True))
    attempt = known.attempt(name)
    assert attempt is not None
    known = after(known, settle(known, attempt, found(Outcome.APPROVED), NOW))
    attempt = known.attempt(name)
    assert attempt is not None
    decided = settle(known, attempt, found(Outcome.DECLINED, Basis.NOTICE), NOW)
    assert decided.payment.status is Status.REQUIRES_CAPTURE
    assert decided.payment.capturable == 1_000
    assert decided.happened == (EventType.PAYMENT_CAPTURE_FAILED,)


def test_a_void_releases_what_is_left() -> None:
    known = authorized()
    known, name = started(known, start_void(known, asking()))
    attempt = known.attempt(name)
    assert attempt is not None
    with pytest.raises(AmountBeyond):
        start_capture(known, 1, asking(), final=False)
    decided = settle(known, attempt, found(Outcome.APPROVED), NOW)
    assert decided.payment.status is Status.CANCELED
    assert decided.happened == (EventType.PAYMENT_VOIDED, EventType.PAYMENT_CANCELED)


def test_refunds_never_exceed_what_was_captured() -> None:
    known = captured()
    known, _ = started(known, start_refund(known, 700, RefundId(new_id("ref")), asking()))
    assert known.payment.refundable == 300
    with pytest.raises(AmountBeyond):
        start_refund(known, 301, RefundId(new_id("ref")), asking())
    with pytest.raises(PaymentNotReady):
        start_refund(authorized(), 1, RefundId(new_id("ref")), asking())


def test_a_refund_that_fails_afterwards_gives_its_amount_back() -> None:
    known = captured()
    known, name = started(known, start_refund(known, 400, RefundId(new_id("ref")), asking()))
    for outcome, refunded, status in (
        (Outcome.APPROVED, 400, RefundStatus.SUCCEEDED),
        (Outcome.DECLINED, 0, RefundStatus.FAILED),
    ):
        attempt = known.attempt(name)
        assert attempt is not None
        decided = settle(known, attempt, found(outcome, Basis.NOTICE), NOW)
        assert decided.payment.refunded == refunded
        assert decided.refunds[0].status is status
        known = after(known, decided)


@pytest.mark.parametrize("before", FINAL)
@pytest.mark.parametrize("vague", [Outcome.UNKNOWN, Outcome.PENDING, Outcome.NOT_SENT])
def test_what_is_known_is_not_forgotten_for_something_vaguer(
    before: Outcome, vague: Outcome
) -> None:
    known = loaded()
    known = after(known, start_authorization(known, CARD, asking()))
    known = after(known, settle(known, known.attempts[0], found(before), NOW))
    decided = settle(known, known.attempts[0], found(vague, Basis.LOOKUP), NOW)
    assert not decided.changed


@pytest.mark.parametrize("outcome", list(Outcome))
def test_the_same_news_twice_changes_nothing(outcome: Outcome) -> None:
    known = loaded()
    known = after(known, start_authorization(known, CARD, asking()))
    known = after(known, settle(known, known.attempts[0], found(outcome), NOW))
    assert not settle(known, known.attempts[0], found(outcome, Basis.NOTICE), NOW).changed


def test_a_late_approval_counts_and_a_second_one_is_a_discrepancy() -> None:
    known = loaded()
    known = after(known, start_authorization(known, CARD, asking()))
    first = known.attempts[0]
    known = after(known, settle(known, first, found(Outcome.DECLINED), NOW))
    late = settle(known, known.attempts[0], found(Outcome.APPROVED, Basis.NOTICE), NOW)
    assert late.payment.status is Status.REQUIRES_CAPTURE
    known, second = started(known, start_authorization(known, CARD, asking()))
    attempt = known.attempt(second)
    assert attempt is not None
    known = after(known, settle(known, attempt, found(Outcome.APPROVED), NOW))
    declined = known.attempt(first.attempt_id)
    assert declined is not None
    twice = settle(known, declined, found(Outcome.APPROVED, Basis.NOTICE), NOW)
    assert twice.discrepancy
    assert twice.payment.discrepancy
    assert twice.payment.authorized == 1_000
    assert twice.happened == (EventType.PAYMENT_DISCREPANCY,)


@pytest.mark.parametrize("ended", [Outcome.DECLINED, Outcome.NOT_SENT])
@pytest.mark.parametrize("open_as", [None, Outcome.PENDING, Outcome.UNKNOWN])
@pytest.mark.parametrize("becomes", FINAL)
def test_an_approval_that_comes_while_another_attempt_is_open_is_marked_and_saved_when_that_has_ended(
    ended: Outcome, open_as: Outcome | None, becomes: Outcome
) -> None:
    """The database takes no approved attempt beside one that may live, so the first is not called approved yet."""
    known = loaded()
    known, one = started(known, start_authorization(known, CARD, asking()))
    known = after(known, settle(known, known.attempts[0], found(ended, Basis.LOOKUP), NOW))
    known, two = started(known, start_authorization(known, CARD, asking()))
    approved = found(Outcome.APPROVED, Basis.NOTICE, amount=1_000)

    def told(news: Found, name: str) -> Decided:
        nonlocal known
        attempt = known.attempt(name)
        assert attempt is not None
        decided = settle(known, attempt, news, NOW)
        known = after(known, decided)
        return decided

    if open_as is not None:
        told(found(open_as), two)
    marked = told(approved, one)
    assert (marked.discrepancy, marked.payment.discrepancy) == (True, True)
    assert marked.happened == (EventType.PAYMENT_DISCREPANCY,)
    assert (marked.attempts[0].outcome, marked.payment.authorized) == (ended, 0)
    assert marked.attempts[0].reason == APPROVED_BESIDE
    assert not told(approved, one).changed
    told(found(becomes, Basis.LOOKUP), two)
    if becomes is not Outcome.APPROVED:
        with pytest.raises(PaymentUnresolved):
            start_authorization(known, CARD, asking())
    again = told(approved, one)
    assert not again.discrepancy
    assert EventType.PAYMENT_DISCREPANCY not in again.happened
    assert (known.payment.authorized, known.payment.discrepancy) == (1_000, True)
    twice = becomes is Outcome.APPROVED
    assert again.attempts[0].outcome is (ended if twice else Outcome.APPROVED)
    assert again.attempts[0].reason == ("approved_twice" if twice else None)
    assert bool(again.postings) is not twice
    assert not told(approved, one).changed


def test_what_a_processor_reports_beyond_the_sums_is_recorded_and_marked() -> None:
    known = authorized()
    known, name = started(known, start_capture(known, 600, asking(), final=False))
    attempt = known.attempt(name)
    assert attempt is not None
    decided = settle(known, attempt, found(Outcome.APPROVED, Basis.NOTICE, amount=1_200), NOW)
    assert decided.payment.captured == 1_200
    assert decided.discrepancy
    assert EventType.PAYMENT_DISCREPANCY in decided.happened


def test_an_expiry_at_the_processor_releases_what_was_left() -> None:
    known = authorized()
    (attempt,) = known.attempts
    gone = found(Outcome.APPROVED, Basis.LOOKUP, amount=1_000, released=1_000)
    decided = settle(known, attempt, gone, NOW)
    assert decided.payment.status is Status.CANCELED
    assert decided.payment.cancel_reason == "expired"
    assert decided.happened == (EventType.PAYMENT_VOIDED, EventType.PAYMENT_CANCELED)


def test_a_release_reported_while_a_capture_is_unknown_waits_for_it() -> None:
    known = authorized()
    (first,) = known.attempts
    gone = found(Outcome.APPROVED, Basis.NOTICE, amount=1_000, released=1_000)
    known, name = started(known, start_capture(known, 600, asking(), final=True))
    assert is_early(known.payment, first, gone)
    attempt = known.attempt(name)
    assert attempt is not None
    known = after(known, settle(known, attempt, found(Outcome.NOT_SENT, Basis.LOOKUP), NOW))
    assert not is_early(known.payment, first, gone)
    assert not agrees(known.payment, first, gone)
    decided = settle(known, first, gone, NOW)
    assert (decided.payment.status, decided.payment.voided) == (Status.CANCELED, 1_000)
    assert not is_early(decided.payment, first, gone)


@dataclass
class Books:
    """A model that knows only what a processor did."""

    authorized: int = 0
    captured: int = 0
    voided: int = 0
    refunded: int = 0


@pytest.mark.parametrize(
    ("outcome", "seconds_left", "said"),
    [
        (None, 10, Outcome.NOT_SENT),
        # Its lease is over, or over when this is saved: somebody may have sent it meanwhile.
        (None, 1, Outcome.UNKNOWN),
        (None, -60, Outcome.UNKNOWN),
        (Outcome.UNKNOWN, 10, Outcome.UNKNOWN),
        (Outcome.PENDING, -60, Outcome.UNKNOWN),
    ],
)
def test_a_sender_who_comes_late_cannot_say_that_nothing_was_sent(
    outcome: Outcome | None, seconds_left: int, said: Outcome
) -> None:
    known = loaded()
    known = after(known, start_authorization(known, CARD, asking()))
    attempt = msgspec.structs.replace(
        known.attempts[0],
        outcome=outcome,
        basis=None if outcome is None else Basis.LOOKUP,
        lease_until=NOW + timedelta(seconds=seconds_left),
    )
    assert told_in_time(attempt, found(Outcome.NOT_SENT), NOW).outcome is said
    # A look that finds nothing, and whatever else is known, stay what they are.
    for other in (found(Outcome.NOT_SENT, Basis.LOOKUP), found(Outcome.DECLINED)):
        assert told_in_time(attempt, other, NOW) == other


@pytest.mark.parametrize("automatic", [False, True])
def test_another_authorization_of_the_same_attempt_is_a_discrepancy(*, automatic: bool) -> None:
    known = authorized(automatic=automatic)
    (attempt,) = known.attempts
    named = msgspec.structs.replace(attempt, processor_reference="first")
    known = Loaded(known.payment, (named,), ())
    for same in ("first", None):
        again = found(Outcome.APPROVED, Basis.NOTICE, amount=1_000, processor_reference=same)
        assert agrees(known.payment, named, again)
        assert not settle(known, named, again, NOW).changed
    other = found(Outcome.APPROVED, Basis.NOTICE, amount=1_000, processor_reference="second")
    assert not agrees(known.payment, named, other)
    decided = settle(known, named, other, NOW)
    assert (decided.discrepancy, decided.payment.discrepancy) == (True, True)
    assert decided.happened == (EventType.PAYMENT_DISCREPANCY,)
    assert decided.attempts[0].reason == "approved_twice"
    assert decided.payment.authorized == known.payment.authorized
    assert not settle(after(known, decided), decided.attempts[0], other, NOW).changed


class PaymentMachine(RuleBasedStateMachine):
    """Drives decisions with any order of wishes and findings; the books of the model must be the payment's."""

    def __init__(self) -> None:
        super().__init__()
        self.known = loaded()
        self.books = Books()
        self.open: list[str] = []
        self.accounts: Counter[Account] = Counter()
        self.causes: set[str] = set()

    def _start(self, decided: Decided) -> None:
        self.known = after(self.known, decided)
        self.open.append(decided.attempts[0].attempt_id)

    @precondition(lambda self: not self.open and not self.known.payment.authorized)
    @rule()
    def authorize(self) -> None:
        self._start(start_authorization(self.known, CARD, asking()))

    @rule(amount=st.integers(1, 1_200), final=st.booleans())
    def capture(self, *, amount: int, final: bool) -> None:
        left = self.known.payment.capturable
        try:
            decided = start_capture(self.known, amount, asking(), final=final)
        except Refused:
            return
        assert amount <= left
        self._start(decided)

    @rule()
    def void(self) -> None:
        try:
            decided = start_void(self.known, asking())
        except Refused:
            return
        self._start(decided)

    @rule(amount=st.integers(1, 1_200))
    def refund(self, amount: int) -> None:
        left = self.known.payment.refundable
        try:
            decided = start_refund(self.known, amount, RefundId(new_id("ref")), asking())
        except Refused:
            return
        assert amount <= left
        self._start(decided)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), outcome=st.sampled_from(list(Outcome)))
    def answer(self, data: st.DataObject, outcome: Outcome) -> None:
        name = data.draw(st.sampled_from(self.open))
        attempt = self.known.attempt(name)
        assert attempt is not None
        decided = settle(self.known, attempt, found(outcome), NOW)
        self.known = after(self.known, decided)
        for posting in decided.postings:
            assert posting.amount > 0
            assert posting.cause not in self.causes
            self.causes.add(posting.cause)
            self.accounts[posting.debit] += posting.amount
            self.accounts[posting.credit] -= posting.amount
        if outcome.is_final:
            self.open.remove(name)
        if outcome is Outcome.APPROVED:
            self._happened(attempt.operation, attempt.amount, attempt.releases)

    def _happened(self, operation: Operation, amount: int, releases: int) -> None:
        books = self.books
        if operation is Operation.AUTHORIZE:
            books.authorized += amount
        elif operation is Operation.CAPTURE:
            books.captured += amount
            books.voided += releases
        elif operation is Operation.VOID:
            books.voided += amount
        else:
            books.refunded += amount

    @invariant()
    def the_books_are_the_payments(self) -> None:
        payment = self.known.payment
        assert Books(payment.authorized, payment.captured, payment.voided, payment.refunded) == (
            self.books
        )

    @invariant()
    def the_ledger_is_the_payments(self) -> None:
        books, accounts = self.books, self.accounts
        held = books.authorized - books.captured - books.voided
        assert accounts[Account.HOLDS] == held == -accounts[Account.AUTHORIZATIONS]
        assert accounts[Account.SALES] == -books.captured
        assert accounts[Account.REFUNDS] == books.refunded
        assert accounts[Account.RECEIVABLE] == books.captured - books.refunded

    @invariant()
    def no_money_is_made(self) -> None:
        payment = self.known.payment
        asked = payment.captured + payment.capturing + payment.voided + payment.voiding
        assert asked <= payment.authorized <= payment.amount
        assert payment.refunded + payment.refunding <= payment.captured
        assert not payment.discrepancy
        assert min(payment.capturing, payment.voiding, payment.refunding) >= 0

    @invariant()
    def the_status_is_what_the_facts_say(self) -> None:
        payment = self.known.payment
        if self.open and any(
            attempt.operation is not Operation.REFUND
            for attempt in self.known.attempts
            if attempt.attempt_id in self.open
        ):
            assert payment.status is Status.PROCESSING


TestPaymentMachine = PaymentMachine.TestCase
TestPaymentMachine.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
