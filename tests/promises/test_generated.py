# SPDX-License-Identifier: Apache-2.0
"""docs/reference/promises.md says what the tests say. `script/golden` rewrites it; the diff is the review."""

import os

import pytest

from promises.generate import PAGE, PROMISES, Promise, files_of, page, sentences_of

KEPT = [promise for promise in PROMISES if promise.kept]
ABSENT = [promise for promise in PROMISES if not promise.kept]


def test_the_page_is_what_the_tests_say() -> None:
    printed = page()
    if os.environ.get("STRONGROOM_REWRITE_GOLDEN") == "1":
        PAGE.write_text(printed, "utf-8")
    assert PAGE.exists(), "promises.md was never written: script/golden"
    assert PAGE.read_text("utf-8") == printed, "promises.md is out of date: script/golden"


def test_there_are_eight() -> None:
    assert [promise.number for promise in PROMISES] == list(range(1, 9))
    assert all(promise.absent for promise in PROMISES), "each says what is not there"


@pytest.mark.parametrize("promise", KEPT, ids=lambda promise: f"promise {promise.number}")
def test_what_is_said_to_be_kept_is_tested_and_the_tests_bite(promise: Promise) -> None:
    tests = [test for path in files_of(promise) for test in sentences_of(path)]
    assert any(test.is_sabotage for test in tests)
    assert any(not test.is_sabotage for test in tests)


def test_what_is_said_to_be_absent_has_no_test() -> None:
    tested = [promise.number for promise in ABSENT if files_of(promise)]
    assert not tested, "then it is no longer absent: say how far it is kept"
