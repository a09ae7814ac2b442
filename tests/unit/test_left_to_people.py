# SPDX-License-Identifier: Apache-2.0
"""What is left to people, what two of them may say, and what a processor may say afterwards: tables."""

from typing import Any

import pytest

from payment_makers import CARD, NOW, asking, found, loaded
from strongroom.kernel.errors import Invalid
from strongroom.kernel.events import EventType
from strongroom.payments.decisions import Decided, after
from strongroom.payments.errors import AttemptUnknown, PaymentNotReady
from strongroom.payments.findings import settle
from strongroom.payments.leaving import LEFT_TO_PEOPLE, leave, resolve, said_by_people
from strongroom.payments.model import Basis, Loaded, Operation, Outcome, Status
from strongroom.payments.wishes import start_authorization, start_capture

EVIDENCE = "their support, case 4711"


def unknown(**more: Any) -> Loaded:
    known = loaded(**more)
    known = after(known, start_authorization(known, CARD, asking()))
    return after(known, settle(known, known.attempts[-1], found(Outcome.UNKNOWN), NOW))


def left(known: Loaded) -> Loaded:
    return after(known, leave(known, known.attempts[-1], NOW))


def said(known: Loaded, word: str, reference: str | None = None) -> Decided:
    people = said_by_people(word, reference)
    return resolve(known, known.attempts[-1], people, by="usr", evidence=EVIDENCE, now=NOW)


def test_what_nobody_found_out_is_left_once_and_stays_reserved() -> None:
    known = unknown()
    decided = leave(known, known.attempts[-1], NOW)
    assert decided.happened == (EventType.PAYMENT_UNRESOLVED,)
    known = after(known, decided)
    assert (known.payment.status, known.attempts[-1].reason) == (Status.PROCESSING, LEFT_TO_PEOPLE)
    assert not leave(known, known.attempts[-1], NOW).changed
    # A look that finds nothing takes nothing back.
    assert not settle(known, known.attempts[-1], found(Outcome.UNKNOWN, Basis.LOOKUP), NOW).changed


def test_of_a_challenge_that_nobody_finished_two_people_may_say_that_it_never_arrived() -> None:
    known = loaded()
    known = after(known, start_authorization(known, CARD, asking()))
    challenge = found(Outcome.PENDING, action_url="https://bank.example/challenge")
    known = left(after(known, settle(known, known.attempts[-1], challenge, NOW)))
    assert known.payment.status is Status.REQUIRES_ACTION
    assert said(known, "not_sent").payment.status is Status.REQUIRES_CONFIRMATION


@pytest.mark.parametrize(
    ("word", "status", "events"),
    [
        ("approved", Status.REQUIRES_CAPTURE, (EventType.PAYMENT_AUTHORIZED,)),
        ("declined", Status.REQUIRES_PAYMENT_METHOD, (EventType.PAYMENT_DECLINED,)),
        ("not_sent", Status.REQUIRES_CONFIRMATION, (EventType.PAYMENT_NOT_SENT,)),
    ],
)
def test_two_people_say_what_became_of_it(
    word: str, status: Status, events: tuple[EventType, ...]
) -> None:
    decided = said(left(unknown()), word, "p-1")
    attempt = decided.attempts[0]
    assert (decided.payment.status, decided.happened) == (status, events)
    assert (attempt.basis, attempt.evidence, attempt.resolved_by) == (Basis.PERSON, EVIDENCE, "usr")
    assert bool(decided.postings) is (word == "approved")
    assert not decided.discrepancy


def test_only_what_was_left_is_said_and_an_authorization_needs_its_name() -> None:
    with pytest.raises(PaymentNotReady):
        said(unknown(), "not_sent")
    with pytest.raises(Invalid):
        said(left(unknown()), "approved")
    known = left(unknown())
    settled = after(known, said(known, "not_sent"))
    with pytest.raises(PaymentNotReady):
        said(settled, "approved", "p-1")
    people = said_by_people("not_sent", None)
    with pytest.raises(AttemptUnknown):
        resolve(known, None, people, by="usr", evidence=EVIDENCE, now=NOW)


A, D, N = Outcome.APPROVED, Outcome.DECLINED, Outcome.NOT_SENT
#: What people said, what the processor says later → whether that is a discrepancy
LATER = [
    ("approved", A, False),
    ("approved", D, True),
    ("declined", A, True),
    ("declined", D, False),
    ("not_sent", A, True),
    ("not_sent", N, False),
    ("not_sent", D, False),
]


@pytest.mark.parametrize(("word", "later", "contradicts"), LATER)
@pytest.mark.parametrize("operation", [Operation.AUTHORIZE, Operation.CAPTURE])
def test_a_processor_that_says_otherwise_later_is_a_discrepancy(
    *, operation: Operation, word: str, later: Outcome, contradicts: bool
) -> None:
    known = unknown()
    if operation is Operation.CAPTURE:
        known = after(known, settle(known, known.attempts[-1], found(A, amount=1_000), NOW))
        known = after(known, start_capture(known, None, asking(), final=True))
        known = after(known, settle(known, known.attempts[-1], found(Outcome.UNKNOWN), NOW))
    known = left(known)
    known = after(known, said(known, word, "p-1"))
    tells = found(later, Basis.NOTICE, processor_reference="p-1")
    decided = settle(known, known.attempts[-1], tells, NOW)
    assert decided.discrepancy is contradicts
    assert decided.payment.discrepancy is contradicts
    if contradicts and later is A:  # money is real: it is recorded
        assert decided.attempts[0].outcome is A
