# SPDX-License-Identifier: Apache-2.0
"""What each fact about an attempt posts: the accounts, both ways, to the last minor unit."""

import pytest

from payment_makers import CARD, NOW, asking, found, loaded
from strongroom.crypto.ids import new_id
from strongroom.kernel.ids import RefundId
from strongroom.payments.decisions import after
from strongroom.payments.findings import settle
from strongroom.payments.model import Basis, CaptureMethod, Found, Loaded, Outcome
from strongroom.payments.postings import Posting
from strongroom.payments.wishes import start_authorization, start_capture, start_refund, start_void

HOLD = ("holds", "authorizations")
RELEASE = ("authorizations", "holds")
CAPTURE = ("receivable", "sales")
CAPTURE_BACK = ("sales", "receivable")
REFUND = ("refunds", "receivable")
REFUND_BACK = ("receivable", "refunds")


def told(known: Loaded, finding: Found, attempt: str = "") -> tuple[Loaded, tuple[Posting, ...]]:
    """Settle an attempt, the newest if none is named."""
    name = attempt or known.attempts[-1].attempt_id
    of = known.attempt(name)
    assert of is not None
    decided = settle(known, of, finding, NOW)
    return after(known, decided), decided.postings


def moves(posted: tuple[Posting, ...]) -> list[tuple[str, str, int]]:
    return [(each.debit.value, each.credit.value, each.amount) for each in posted]


def authorized(amount: int = 1_000, *, sale: bool = False) -> tuple[Loaded, tuple[Posting, ...]]:
    method = CaptureMethod.AUTOMATIC if sale else CaptureMethod.MANUAL
    known = loaded(amount=amount, capture_method=method)
    known = after(known, start_authorization(known, CARD, asking()))
    return told(known, found(Outcome.APPROVED, amount=amount))


def test_an_authorization_is_held_and_a_sale_is_held_released_and_captured() -> None:
    assert moves(authorized()[1]) == [(*HOLD, 1_000)]
    assert moves(authorized(sale=True)[1]) == [(*HOLD, 1_000), (*RELEASE, 1_000), (*CAPTURE, 1_000)]


@pytest.mark.parametrize(
    "outcome", [Outcome.DECLINED, Outcome.NOT_SENT, Outcome.UNKNOWN, Outcome.PENDING]
)
def test_what_did_not_move_money_posts_nothing(outcome: Outcome) -> None:
    known = loaded()
    known = after(known, start_authorization(known, CARD, asking()))
    assert told(known, found(outcome))[1] == ()


def test_a_partial_approval_holds_what_was_approved() -> None:
    known = loaded()
    known = after(known, start_authorization(known, CARD, asking()))
    assert moves(told(known, found(Outcome.APPROVED, amount=400))[1]) == [(*HOLD, 400)]


def test_a_final_capture_releases_the_rest_and_gives_all_back_where_it_fails_later() -> None:
    known, _ = authorized()
    known = after(known, start_capture(known, 300, asking(), final=True))
    attempt = known.attempts[-1].attempt_id
    known, posted = told(known, found(Outcome.APPROVED, amount=300))
    assert moves(posted) == [(*RELEASE, 1_000), (*CAPTURE, 300)]
    again, posted = told(known, found(Outcome.DECLINED, Basis.NOTICE), attempt)
    assert moves(posted) == [(*HOLD, 1_000), (*CAPTURE_BACK, 300)]
    assert again.payment.captured == again.payment.voided == 0
    # Where the processor says that the rest stays released, so does the ledger.
    stays = found(Outcome.DECLINED, Basis.NOTICE, released=700)
    assert moves(told(known, stays, attempt)[1]) == [(*HOLD, 300), (*CAPTURE_BACK, 300)]


def test_a_void_and_an_expiry_at_the_processor_release() -> None:
    known, _ = authorized()
    voiding = after(known, start_void(known, asking()))
    assert moves(told(voiding, found(Outcome.APPROVED, amount=1_000))[1]) == [(*RELEASE, 1_000)]
    expired = found(Outcome.APPROVED, Basis.NOTICE, amount=1_000, released=1_000)
    assert moves(told(known, expired, known.attempts[0].attempt_id)[1]) == [(*RELEASE, 1_000)]


def test_a_sale_whose_capture_fails_is_an_authorization_again() -> None:
    known, _ = authorized(sale=True)
    failed = found(Outcome.APPROVED, Basis.NOTICE, amount=1_000, captured=0)
    assert moves(told(known, failed, known.attempts[0].attempt_id)[1]) == [
        (*HOLD, 1_000),
        (*CAPTURE_BACK, 1_000),
    ]


def test_a_refund_and_one_that_comes_back() -> None:
    known, _ = authorized(sale=True)
    known = after(known, start_refund(known, 250, RefundId(new_id("ref")), asking()))
    attempt = known.attempts[-1].attempt_id
    known, posted = told(known, found(Outcome.APPROVED, amount=250))
    assert moves(posted) == [(*REFUND, 250)]
    failed = found(Outcome.DECLINED, Basis.NOTICE)
    assert moves(told(known, failed, attempt)[1]) == [(*REFUND_BACK, 250)]


def test_saying_the_same_again_posts_nothing() -> None:
    known, _ = authorized(sale=True)
    again = found(Outcome.APPROVED, Basis.NOTICE, amount=1_000)
    assert told(known, again, known.attempts[0].attempt_id)[1] == ()


def test_causes_are_of_one_fact_each() -> None:
    known, posted = authorized(sale=True)
    (attempt,) = known.attempts
    version = known.payment.version
    assert [each.cause for each in posted] == [
        f"{attempt.attempt_id}:{version}:{word}" for word in ("authorize", "release", "capture")
    ]
