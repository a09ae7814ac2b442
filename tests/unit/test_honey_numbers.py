# SPDX-License-Identifier: Apache-2.0
"""What a honeytoken holds is nobody's card, and in live mode what is shown of it is on no list."""

import random

from hypothesis import given
from hypothesis import strategies as st

from strongroom.kernel.mode import Mode
from strongroom.kernel.published import TEST_NUMBERS, is_published
from strongroom.kernel.schemes import classify
from strongroom.vault.honey.numbers import bait, numbers


def test_there_are_enough_that_one_is_not_known_by_its_number() -> None:
    assert len(numbers()) >= 50
    assert set(numbers()) <= TEST_NUMBERS


@given(st.integers(0, 2**64), st.sampled_from(Mode))
def test_what_is_drawn(seed: int, mode: Mode) -> None:
    drawn = bait(mode, random.Random(seed).randrange)
    assert is_published(drawn.number)
    assert classify(drawn.number) is drawn.scheme
    assert (len(drawn.bin), len(drawn.last4)) == (6, 4)
    own = (drawn.number[:6], drawn.number[-4:])
    if mode is Mode.TEST:
        assert (drawn.bin, drawn.last4) == own
    else:
        assert drawn.bin not in {number[:6] for number in TEST_NUMBERS}
        assert classify(drawn.bin + drawn.number[6:]) is drawn.scheme
