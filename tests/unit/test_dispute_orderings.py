# SPDX-License-Identifier: Apache-2.0
"""Disputes as each processor tells of them, in every order and doubled: they end alike, and no sum breaks silently."""

import itertools
import json
from collections.abc import Callable, Sequence
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.adyen_words import ADAPTER as ADYEN
from contracts.adyen_words import notification
from contracts.checkout_peer import ADAPTER as CHECKOUT
from contracts.checkout_reference import DISPUTE
from contracts.stripe_words import event, made, named
from payment_makers import CONNECTION, NOW, loaded
from strongroom.crypto.ids import new_id
from strongroom.kernel.ids import DisputeId
from strongroom.payments.decisions import after
from strongroom.payments.disputes import Opening, settle_dispute
from strongroom.payments.ledger import DISPUTE as DISPUTE_MOVE
from strongroom.payments.model import DisputeStatus, DisputeTold, Loaded, Status
from strongroom.payments.postings import Account
from strongroom.payments.processors.stripe import StripeAdapter

STRIPE: Final = StripeAdapter()
REFERENCE: Final = new_id("att")
PAID: Final = named("pi")


def _adyen(word: str, amount: int) -> DisputeTold | None:
    body = notification(
        word,
        f"{REFERENCE}-sale",
        pspReference="QFQTPCQ8HXSKGK82",
        amount={"currency": "AED", "value": amount},
    )
    report = ADYEN.report(body)
    return None if report is None else report.dispute


def _stripe(word: str, amount: int) -> DisputeTold | None:
    thing = made("dispute", amount=amount, currency="aed", payment_intent=PAID, status=word)
    report = STRIPE.report(event("charge.dispute.updated", thing))
    return None if report is None else report.dispute


def _checkout(word: str, amount: int) -> DisputeTold | None:
    data = {**DISPUTE["data"], "amount": amount, "currency": "AED", "payment_reference": REFERENCE}
    report = CHECKOUT.report(json.dumps({**DISPUTE, "type": word, "data": data}).encode())
    return None if report is None else report.dispute


Tell = Callable[[str, int], DisputeTold | None]
#: Stories as they happen, by whom they are told, and where they end.
STORIES: Final[list[tuple[Tell, str, DisputeStatus]]] = [
    (_adyen, "NOTIFICATION_OF_CHARGEBACK CHARGEBACK", DisputeStatus.OPENED),
    (_adyen, "CHARGEBACK CHARGEBACK_REVERSED", DisputeStatus.REVERSED),
    (_adyen, "CHARGEBACK CHARGEBACK_REVERSED SECOND_CHARGEBACK", DisputeStatus.OPENED),
    (
        _adyen,
        "REQUEST_FOR_INFORMATION CHARGEBACK CHARGEBACK_REVERSED SECOND_CHARGEBACK PREARBITRATION_LOST",
        DisputeStatus.LOST,
    ),
    (_adyen, "CHARGEBACK PREARBITRATION_LOST SCHEME_ARBITRATION_WON", DisputeStatus.WON),
    (_stripe, "warning_needs_response warning_under_review warning_closed", DisputeStatus.WON),
    (_stripe, "warning_needs_response needs_response under_review won", DisputeStatus.WON),
    (_stripe, "needs_response under_review lost", DisputeStatus.LOST),
    (_checkout, "dispute_received dispute_evidence_required dispute_expired", DisputeStatus.LOST),
    (
        _checkout,
        "dispute_received dispute_evidence_required dispute_evidence_submitted dispute_won",
        DisputeStatus.WON,
    ),
    (
        _checkout,
        "dispute_evidence_required dispute_evidence_submitted dispute_lost dispute_arbitration_won",
        DisputeStatus.WON,
    ),
]
TAKEN: Final = {
    DisputeStatus.INQUIRY: 0,
    DisputeStatus.LOST: 600,
    DisputeStatus.OPENED: 600,
    DisputeStatus.REVERSED: 0,
    DisputeStatus.UNDER_REVIEW: 600,
    DisputeStatus.WON: 0,
}


def captured() -> Loaded:
    return loaded(status=Status.SUCCEEDED, authorized=1_000, captured=1_000)


def told_in(tell: Tell, words: Sequence[str], amount: int = 600) -> tuple[Loaded, int]:
    """Tell a story; return the payment, and what the ledger says of it."""
    known, posted = captured(), 0
    for word in words:
        told = tell(word, amount)
        assert told is not None, word
        decided = settle_dispute(known, told, Opening(DisputeId(new_id("dsp")), CONNECTION, NOW))
        for each in decided.postings:
            assert {each.debit, each.credit} == {DISPUTE_MOVE.debit, DISPUTE_MOVE.credit}
            posted += each.amount if each.debit is Account.DISPUTES else -each.amount
        known = after(known, decided)
    return known, posted


@pytest.mark.parametrize(("tell", "story", "end"), STORIES)
def test_a_story_ends_alike_in_every_order(tell: Tell, story: str, end: DisputeStatus) -> None:
    for words in itertools.permutations(story.split()):
        known, posted = told_in(tell, words)
        (dispute,) = known.disputes
        assert dispute.status is end, words
        assert known.payment.disputed == dispute.counted == posted == TAKEN[end], words
        assert not known.payment.discrepancy
        assert known.payment.refundable == 1_000 - TAKEN[end]


@given(st.sampled_from(STORIES), st.data())
def test_doubled_and_disordered_it_ends_where_its_newest_word_says(
    story: tuple[Tell, str, DisputeStatus], data: st.DataObject
) -> None:
    tell, told, _ = story
    order = told.split()
    words = data.draw(st.lists(st.sampled_from(order), min_size=1, max_size=8))
    known, posted = told_in(tell, words)
    last = tell(max(words, key=order.index), 600)
    assert last is not None
    (dispute,) = known.disputes
    assert dispute.status is last.status
    assert known.payment.disputed == posted == TAKEN[last.status]


@pytest.mark.parametrize("tell", [_adyen, _stripe, _checkout])
def test_a_dispute_of_more_than_there_is_is_recorded_and_marked(tell: Tell) -> None:
    words: dict[Tell, str] = {_adyen: "CHARGEBACK", _stripe: "needs_response"}
    word = words.get(tell, "dispute_received")
    known, posted = told_in(tell, [word], amount=1_001)
    assert known.payment.discrepancy
    assert (known.payment.disputed, posted, known.payment.refundable) == (1_001, 1_001, 0)


@pytest.mark.parametrize("tell", [_adyen, _stripe, _checkout])
def test_two_ends_contradict_each_other_and_the_first_stays(tell: Tell) -> None:
    ends: dict[Tell, tuple[str, str]] = {
        _adyen: ("PREARBITRATION_WON", "PREARBITRATION_LOST"),
        _stripe: ("won", "lost"),
    }
    won, lost = ends.get(tell, ("dispute_won", "dispute_lost"))
    known, posted = told_in(tell, [won, lost])
    assert known.payment.discrepancy
    assert (known.disputes[0].status, known.payment.disputed, posted) == (DisputeStatus.WON, 0, 0)
