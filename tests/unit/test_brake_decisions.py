# SPDX-License-Identifier: Apache-2.0
"""What brakes decide: every measure and action, lists in their order, card testing sign by sign, and properties."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.payments.brakes.decisions import (
    WATCHED,
    checks_policy,
    counters,
    decide,
    exceeds,
    fits,
    is_small,
    listed,
    signs,
    subject_address,
)
from strongroom.payments.brakes.model import (
    HARDNESS,
    Brake,
    Counts,
    Detection,
    Entry,
    EntryId,
    Facts,
    Held,
    IncidentId,
    Kind,
    Listing,
    Measure,
    Policy,
    Rule,
    Setting,
    Subject,
)

NOW: Final = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
FACTS: Final = Facts(
    amount=1_000,
    exponent=2,
    token="tok_1",
    bin="424242",
    card="abcd",
    key="key_1",
    address="203.0.113.7",
    email_hash="efgh",
)


def rule(**more: Any) -> Rule:
    given: dict[str, Any] = {
        "name": "r",
        "subject": Subject.CARD,
        "measure": Measure.TRIES,
        "window_seconds": 600,
        "threshold": 3,
        "action": Brake.REFUSE,
    }
    return Rule(**{**given, **more})


def entry(listing: Listing, kind: Kind, value: str, **more: Any) -> Entry:
    given: dict[str, Any] = {"enforced": False, "reason": "r", "made_by": "key_1", "made_at": NOW}
    return Entry(
        entry_id=EntryId("blk_1"), list=listing, kind=kind, value=value, **{**given, **more}
    )


AT_THE_LIMIT: Final = {
    Measure.TRIES: Counts(tries=3),
    Measure.DECLINES: Counts(declines=3),
    Measure.CARDS: Counts(cards=3, new_card=True),
}
BELOW: Final = {
    Measure.TRIES: Counts(tries=2, declines=9, cards=9),
    Measure.DECLINES: Counts(tries=9, declines=2, cards=9),
    Measure.CARDS: Counts(tries=9, declines=9, cards=3, new_card=False),
}


@pytest.mark.parametrize(
    ("subject", "measure", "action"), list(itertools.product(Subject, Measure, Brake))
)
def test_every_rule_does_what_it_says_at_its_threshold(
    subject: Subject, measure: Measure, action: Brake
) -> None:
    setting = Setting(rules=(rule(subject=subject, measure=measure, action=action),))
    (counter,) = counters(setting, FACTS)
    assert (counter.subject, counter.value) == (subject, FACTS.subjects()[subject])
    below = decide(setting, [(counter, BELOW[measure])], [], NOW)
    assert (below.action, below.passes) == (None, True)
    at = decide(setting, [(counter, AT_THE_LIMIT[measure])], [], NOW)
    assert at.action is action
    assert at.passes is (action in (Brake.OBSERVE, Brake.AUTHENTICATE))
    assert at.challenge is (action is Brake.AUTHENTICATE)
    assert (at.retry_after_seconds > 0) is (action is Brake.THROTTLE)


def test_a_subject_that_is_not_known_is_not_counted() -> None:
    unknown = Facts(amount=1, exponent=2, token="t", bin="b", card="c", key="k")
    assert counters(Setting(rules=(rule(subject=Subject.ADDRESS),)), unknown) == []


def test_a_row_is_counted_once_whoever_asks_for_it() -> None:
    rules = (
        rule(name="a", threshold=9, action=Brake.REFUSE),
        rule(name="b", threshold=4, action=Brake.THROTTLE),
        rule(name="c", threshold=2, action=Brake.OBSERVE),
        rule(name="d", measure=Measure.CARDS, subject=Subject.KEY),
    )
    setting = Setting(rules=rules, card_testing=Detection(action="observe", window_seconds=600))
    found = {each.subject: each for each in counters(setting, FACTS)}
    assert set(found) == set(Subject)
    assert (found[Subject.CARD].tries_max, found[Subject.CARD].watches_cards) == (4, False)
    assert (found[Subject.KEY].cards_max, found[Subject.KEY].watches_cards) == (3, True)
    assert found[Subject.BIN].watches_cards


_measures = st.sampled_from(list(Measure))
_rules = st.lists(
    st.builds(
        Rule,
        name=st.sampled_from(["a", "b", "c"]),
        subject=st.sampled_from(list(Subject)),
        measure=_measures,
        window_seconds=st.sampled_from([60, 600]),
        threshold=st.integers(1, 5),
        action=st.sampled_from(list(Brake)),
    ),
    max_size=6,
)
_counts = st.builds(
    Counts,
    tries=st.integers(0, 7),
    declines=st.integers(0, 7),
    cards=st.integers(0, 7),
    new_card=st.booleans(),
)


@given(_rules, st.lists(_counts, min_size=12, max_size=12))
def test_what_passes_is_what_the_database_counts(rules: list[Rule], given: list[Counts]) -> None:
    """`payments.brake_ask` counts by the limits alone; the decision looks at the rules. Both must say the same."""
    setting = Setting(rules=tuple(rules))
    wanted = counters(setting, FACTS)
    counted = list(zip(wanted, given, strict=False))
    passes = all(
        (counter.tries_max is None or counts.tries < counter.tries_max)
        and (counter.declines_max is None or counts.declines < counter.declines_max)
        and (counter.cards_max is None or counts.cards + counts.new_card <= counter.cards_max)
        for counter, counts in counted
    )
    verdict = decide(setting, counted, [], NOW)
    assert verdict.passes is passes
    if verdict.tripped:
        assert verdict.action is max((each.action for each in verdict.tripped), key=HARDNESS.index)


@given(_rules, _counts, _measures)
def test_more_never_passes_where_less_did_not(
    rules: list[Rule], counts: Counts, measure: Measure
) -> None:
    more = {
        Measure.TRIES: Counts(tries=counts.tries + 1),
        Measure.DECLINES: Counts(declines=counts.declines + 1),
        Measure.CARDS: Counts(cards=counts.cards + 1, new_card=counts.new_card),
    }[measure]
    for each in rules:
        if each.measure is measure and exceeds(each, counts):
            assert exceeds(each, more)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], None),
        ([entry(Listing.BLOCK, Kind.BIN, "424242")], Listing.BLOCK),
        ([entry(Listing.BLOCK, Kind.BIN, "400000")], None),
        ([entry(Listing.BLOCK, Kind.CARD, "abcd")], Listing.BLOCK),
        ([entry(Listing.BLOCK, Kind.TOKEN, "tok_1")], Listing.BLOCK),
        ([entry(Listing.BLOCK, Kind.EMAIL, "efgh")], Listing.BLOCK),
        ([entry(Listing.BLOCK, Kind.ADDRESS, "203.0.113.0/24")], Listing.BLOCK),
        ([entry(Listing.BLOCK, Kind.ADDRESS, "203.0.113.8/32")], None),
        ([entry(Listing.BLOCK, Kind.ADDRESS, "2001:db8::/32")], None),
        ([entry(Listing.ALLOW, Kind.BIN, "424242")], Listing.ALLOW),
        (
            [entry(Listing.BLOCK, Kind.BIN, "424242"), entry(Listing.ALLOW, Kind.TOKEN, "tok_1")],
            Listing.ALLOW,
        ),
        (
            [
                entry(Listing.ALLOW, Kind.TOKEN, "tok_1"),
                entry(Listing.BLOCK, Kind.BIN, "424242", enforced=True),
            ],
            Listing.BLOCK,
        ),
        ([entry(Listing.BLOCK, Kind.BIN, "424242", expires_at=NOW)], None),
        (
            [entry(Listing.BLOCK, Kind.BIN, "424242", expires_at=NOW + timedelta(seconds=1))],
            Listing.BLOCK,
        ),
    ],
)
def test_lists_in_their_order(entries: list[Entry], expected: Listing | None) -> None:
    assert listed(entries, FACTS, NOW) is expected
    assert listed(list(reversed(entries)), FACTS, NOW) is expected


def test_an_address_of_ipv6_is_its_household() -> None:
    assert subject_address("2001:db8:1:2:3::4") == "2001:db8:1:2::/64"
    assert subject_address("203.0.113.7") == "203.0.113.7"
    home = Facts(
        amount=1, exponent=2, token="t", bin="b", card="c", key="k", address="2001:db8:1:2::/64"
    )
    assert fits(entry(Listing.BLOCK, Kind.ADDRESS, "2001:db8:1:2::9/128"), home)
    assert fits(entry(Listing.BLOCK, Kind.ADDRESS, "2001:db8::/32"), home)
    assert not fits(entry(Listing.BLOCK, Kind.ADDRESS, "2001:db8:1:3::/64"), home)


def test_an_entry_that_needs_what_is_not_known_does_not_fit() -> None:
    bare = Facts(amount=1, exponent=2, token="t", bin="b", card="c", key="k")
    assert not fits(entry(Listing.BLOCK, Kind.ADDRESS, "0.0.0.0/0"), bare)
    assert not fits(entry(Listing.BLOCK, Kind.EMAIL, "efgh"), bare)


DETECTS: Final = Detection(action="brake", cards=10, declines=8, decline_percent=50)


@pytest.mark.parametrize(
    ("subject", "counts", "words"),
    [
        (Subject.ADDRESS, Counts(tries=9, cards=9), None),
        (Subject.ADDRESS, Counts(tries=10, cards=10), ("many_cards",)),
        (Subject.ADDRESS, Counts(tries=20, declines=8), ("many_declines",)),
        # A shop's own key shows many cards all day.
        (Subject.KEY, Counts(tries=500, cards=480, declines=30), None),
        (
            Subject.KEY,
            Counts(tries=20, cards=20, declines=10),
            ("many_cards", "many_declines", "high_decline_share"),
        ),
        (Subject.BIN, Counts(tries=12, cards=12, declines=6), ("many_cards", "high_decline_share")),
        (
            Subject.KEY,
            Counts(tries=100, cards=90, declines=12, recent_tries=20, recent_declines=8),
            ("many_cards", "many_declines", "rising_decline_share"),
        ),
        (
            Subject.KEY,
            Counts(tries=100, cards=90, declines=12, recent_tries=20, recent_declines=4),
            None,
        ),
        # Where half of the amounts are small, half the figures do.
        (Subject.ADDRESS, Counts(tries=5, cards=5, small=3), ("many_cards", "small_amounts")),
        (Subject.ADDRESS, Counts(tries=5, cards=5, small=2), None),
        # One card is no testing of cards.
        (Subject.CARD, Counts(tries=99, cards=99, declines=99), None),
        (Subject.ADDRESS, Counts(), None),
    ],
)
def test_signs_of_card_testing(
    subject: Subject, counts: Counts, words: tuple[str, ...] | None
) -> None:
    found = signs(DETECTS, subject, "x", counts)
    assert (None if found is None else found.words) == words
    assert signs(Detection(action="off"), subject, "x", counts) is None


@given(_counts, st.sampled_from(WATCHED))
def test_signs_need_cards_or_declines(counts: Counts, subject: Subject) -> None:
    found = signs(DETECTS, subject, "x", counts)
    if counts.cards * 2 < DETECTS.cards and counts.declines * 2 < DETECTS.declines:
        assert found is None


@pytest.mark.parametrize(
    ("amount", "exponent", "small"),
    [
        (499, 2, True),
        (500, 2, False),
        (4, 0, True),
        (5, 0, False),
        (4_999, 3, True),
        (5_000, 3, False),
    ],
)
def test_an_amount_is_small_in_its_own_currency(amount: int, exponent: int, small: bool) -> None:  # noqa: FBT001 - a table
    assert is_small(Detection(), amount, exponent) is small


@pytest.mark.parametrize(
    ("after_seconds", "action", "wait"),
    [(0, Brake.AUTHENTICATE, 0), (-1, Brake.AUTHENTICATE, 0), (7.2, Brake.THROTTLE, 8)],
)
def test_while_cards_are_tried_one_passes_now_and_then_and_proves_itself(
    after_seconds: float, action: Brake, wait: int
) -> None:
    held = Held(
        id=IncidentId("inc_1"),
        subject=Subject.ADDRESS,
        until=NOW + timedelta(minutes=15),
        next_pass_at=NOW + timedelta(seconds=after_seconds),
    )
    verdict = decide(Setting(card_testing=DETECTS), [], [held], NOW)
    assert (verdict.action, verdict.retry_after_seconds) == (action, wait)


@pytest.mark.parametrize(
    ("avs", "cvc", "expected"),
    [
        (Policy.IGNORE, Policy.IGNORE, None),
        (Policy.MARK, Policy.IGNORE, "avs_mark"),
        (Policy.IGNORE, Policy.VOID, "cvc_void"),
        (Policy.VOID, Policy.MARK, "avs_void cvc_mark"),
    ],
)
def test_an_attempt_keeps_what_is_to_become_of_failed_checks(
    avs: Policy, cvc: Policy, expected: str | None
) -> None:
    assert checks_policy(Setting(avs=avs, cvc=cvc)) == expected
