# SPDX-License-Identifier: Apache-2.0
"""Aliases of card numbers: what holds for every one, and that nothing takes one for a card."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.kernel.cardlike import Confidence, find_cardlike, has_cardlike, redact
from strongroom.kernel.invariant import Bug
from strongroom.kernel.pan_alias import is_pan_alias, pan_alias
from strongroom.kernel.schemes import CARD_DIGITS_MAX, CARD_DIGITS_MIN, classify, luhn_valid

_DIGITS = st.integers(CARD_DIGITS_MIN, CARD_DIGITS_MAX)
_LAST4 = st.integers(0, 9_999).map(lambda number: f"{number:04d}")


@given(_DIGITS, _LAST4, st.randoms(use_true_random=False))
def test_what_holds_for_every_alias(digits: int, last4: str, random: Random) -> None:
    alias = pan_alias(digits, last4, random.randrange)
    assert len(alias) == digits
    assert alias.startswith("99")
    assert alias.endswith(last4)
    assert not luhn_valid(alias)
    assert classify(alias) is None
    assert is_pan_alias(alias)


@given(_DIGITS, _LAST4, st.randoms(use_true_random=False))
def test_the_detector_knows_an_alias_for_what_it_is(
    digits: int, last4: str, random: Random
) -> None:
    alias = pan_alias(digits, last4, random.randrange)
    for text in (alias, f"alias {alias}, paid", f'{{"pan_alias":"{alias}"}}'):
        assert not has_cardlike(text)
        assert redact(text) == text
    assert {each.confidence for each in find_cardlike(alias)} <= {Confidence.ALIAS}


@pytest.mark.parametrize(
    "text",
    [
        "4242424242424242",
        "9930518846214242"[:12],
        "993051884621424" + "24242",
        "99305188462142a2",
        "٩٩30518846214242",
        "",
        "tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    ],
)
def test_what_is_no_alias(text: str) -> None:
    assert not is_pan_alias(text)


@given(st.from_regex(r"99[0-9]{11,17}", fullmatch=True))
def test_the_check_digit_tells(text: str) -> None:
    assert is_pan_alias(text) != luhn_valid(text)


def test_what_is_no_card_gets_none() -> None:
    for digits, last4 in ((12, "4242"), (20, "4242"), (16, "424"), (16, "42a2")):
        with pytest.raises(Bug):
            pan_alias(digits, last4, Random(1).randrange)
