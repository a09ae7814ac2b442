# SPDX-License-Identifier: Apache-2.0
"""What a spreadsheet gets of a compared report: RFC 4180, whole amounts, and nothing that it would run."""

import csv
import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.payments.settlement.download import COLUMNS, header, printed
from strongroom.payments.settlement.model import BEHIND_ALL_LINES, ComparedLine, Result

FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "＝1")


def line(**more: object) -> ComparedLine:
    return ComparedLine(
        **{
            "place": 3,
            "result": Result.AMOUNT_DIFFERS,
            "kind": "capture",
            "word": "capture",
            "attempt_id": None,
            "payment_id": None,
            "processor_reference": None,
            "our_reference": None,
            "batch": None,
            "booked_at": datetime(2026, 11, 20, 9, 30, tzinfo=UTC),
            "gross": -1_050,
            "fee": 0,
            "net": -1_050,
            "currency": "AED",
            "presented_amount": None,
            "presented_currency": None,
            "expected": 1_050,
            "expected_currency": "AED",
            **more,
        }  # type: ignore[arg-type]
    )


def read(content: bytes) -> list[dict[str, str]]:
    text = content.decode()
    assert text.count("\n") == text.count("\r\n")
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_that_a_spreadsheet_would_run_is_a_text(text: str) -> None:
    (row,) = read(header() + printed([line(our_reference=text, batch=text)]))
    assert row["our_reference"] == f"'{text}"
    assert row["batch"] == f"'{text}"


def test_amounts_below_0_stay_numbers_and_what_is_not_there_is_empty() -> None:
    (row,) = read(header() + printed([line()]))
    assert (row["gross"], row["fee"], row["attempt"]) == ("-1050", "0", "")
    (row,) = read(header() + printed([line(place=BEHIND_ALL_LINES + 1, gross=None)]))
    assert (row["line"], row["gross"]) == ("", "")


@given(text=st.text(min_size=1, max_size=40))
def test_every_text_comes_back_and_begins_no_formula(text: str) -> None:
    content = header() + printed([line(word=text)])
    ((names), values) = csv.reader(io.StringIO(content.decode(), newline=""), strict=True)
    assert tuple(names) == COLUMNS
    said = values[COLUMNS.index("word")]
    assert said in (text, f"'{text}")
    assert not said.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
