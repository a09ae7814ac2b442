# SPDX-License-Identifier: Apache-2.0
"""Amounts as people type them: minor units or the currency's own decimals, nothing in between."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.cli.amounts import AmountMalformed, has_decimals, read_amount, shown
from strongroom.kernel.errors import Invalid
from strongroom.kernel.money import CURRENCIES, Money

#: What is typed, the currency, minor units.
READ = [
    ("1050", "AED", 1_050),
    ("10.50", "AED", 1_050),
    ("0.01", "AED", 1),
    ("007.10", "AED", 710),
    ("1050", "JPY", 1_050),
    ("1.050", "KWD", 1_050),
    ("0.0001", "CLF", 1),
    ("999999999999", "AED", 999_999_999_999),
]
#: What is typed, the currency, why not.
REFUSED = [
    ("10.5", "AED", "AED has 2 decimals"),
    ("10.500", "AED", "AED has 2 decimals"),
    ("10.0", "JPY", "JPY has no decimals"),
    ("1.05", "KWD", "KWD has 3 decimals"),
    ("0", "AED", "more than nothing"),
    ("0.00", "AED", "more than nothing"),
    ("-10.50", "AED", "whole minor units"),
    ("+1050", "AED", "whole minor units"),
    ("1,050", "AED", "whole minor units"),
    ("1e3", "AED", "whole minor units"),
    ("10.", "AED", "whole minor units"),
    (".50", "AED", "whole minor units"),
    ("1050\n", "AED", "whole minor units"),
    ("١٠", "AED", "whole minor units"),
    ("", "AED", "whole minor units"),
    ("9999999999999", "AED", "whole minor units"),
    ("99999999999.00", "AED", "whole minor units"),
]


@pytest.mark.parametrize(("typed", "currency", "minor"), READ)
def test_an_amount_is_read(typed: str, currency: str, minor: int) -> None:
    assert read_amount(typed, currency) == minor


@pytest.mark.parametrize(("typed", "currency", "why"), REFUSED)
def test_what_could_mean_two_things_is_refused(typed: str, currency: str, why: str) -> None:
    with pytest.raises(AmountMalformed, match=why):
        read_amount(typed, currency)


def test_a_currency_must_be_one() -> None:
    with pytest.raises(Invalid):
        read_amount("1050", "aed")


@given(st.integers(1, 999_999_999_999), st.sampled_from(sorted(CURRENCIES)))
def test_what_is_printed_is_read_back(minor: int, currency: str) -> None:
    printed = shown(minor, currency).removesuffix(f" {currency}")
    assert read_amount(printed, currency) == minor
    assert has_decimals(printed) is (Money(minor, currency).exponent > 0)


@given(st.text(max_size=20), st.sampled_from(["AED", "JPY", "KWD"]))
def test_anything_else_is_refused_in_one_way(typed: str, currency: str) -> None:
    try:
        amount = read_amount(typed, currency)
    except AmountMalformed:
        return
    assert 0 < amount < 10**12
