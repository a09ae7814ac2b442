# SPDX-License-Identifier: Apache-2.0
"""The words that merchants hear are for ever: a golden file keeps them, in order and by their grammar."""

import os
import re
from pathlib import Path

from strongroom.kernel.events import EventType

GOLDEN = Path(__file__).parents[1] / "golden" / "events.txt"


def test_the_words_are_those_that_were_shipped() -> None:
    printed = "".join(f"{each.value}\n" for each in EventType)
    if os.environ.get("STRONGROOM_REWRITE_GOLDEN") == "1":
        GOLDEN.write_text(printed, "utf-8")
    assert GOLDEN.read_text("utf-8") == printed


def test_words_are_sorted_and_have_their_form() -> None:
    words = [each.value for each in EventType]
    assert words == sorted(words)
    assert all(re.fullmatch(r"[a-z]+\.[a-z]+(_[a-z]+)*", word) for word in words)
    assert all(each.name == each.value.replace(".", "_").upper() for each in EventType)
