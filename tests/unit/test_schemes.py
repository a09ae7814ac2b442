# SPDX-License-Identifier: Apache-2.0
"""The scheme table and the check digit, against published numbers and against the definition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.kernel import published, schemes
from strongroom.kernel.invariant import Bug
from strongroom.kernel.schemes import (
    DEFAULT_TABLE,
    JAYWAN,
    RANGES,
    SCHEMES,
    SchemeTable,
    classify,
    complete_luhn,
    is_synthetic,
    luhn_valid,
    synthetic_number,
)


@pytest.mark.parametrize(
    ("number", "scheme"),
    [
        ("4242424242424242", "visa"),
        ("4222222222222", "visa"),
        ("4917610000000000003", "visa"),
        ("5555555555554444", "mastercard"),
        ("2223003122003222", "mastercard"),
        ("2720990000000007", "mastercard"),
        ("378282246310005", "amex"),
        ("345678901234564", "amex"),
        ("6011111111111117", "discover"),
        ("6445644564456445", "discover"),
        ("6555900000604105", "discover"),
        ("30569309025904", "diners"),
        ("3056930009020004", "diners"),
        ("36227206271667", "diners"),
        ("38520000023237", "diners"),
        ("3566002020360505", "jcb"),
        ("3530111333300000", "jcb"),
        ("6200000000000005", "unionpay"),
        ("6205500000000000004", "unionpay"),
        ("8171999927660000", "unionpay"),
        ("6759649826438453", "maestro"),
        ("6000070736169237003", "maestro"),
        ("6799998900000099990", "maestro"),
        ("5066991111111118", "elo"),
        ("6062828888666688", "hipercard"),
        ("6521501234567895", "rupay"),
        ("5085001234567893", "rupay"),
        ("2200000000000004", "mir"),
        ("0000000000000018", "synthetic"),
        # near misses
        ("424242424242424", None),  # 15 digits
        ("2220990000000007", None),  # below the 2-series
        ("2721000000000000", None),  # above it
        ("2205000000000000", None),  # above Mir
        ("37828224631000", None),  # 14 digits
        ("9999999999999999", None),
        ("1234567812345670", None),
        ("", None),
        ("4", None),
        ("4242a24242424242", None),
        ("424242424242424٢", None),
    ],
)
def test_scheme_of_number(number: str, scheme: str | None) -> None:
    found = classify(number)
    assert (found and found.name) == scheme


def test_every_published_number_checks_and_has_a_scheme() -> None:
    assert all(luhn_valid(number) for number in published.TEST_NUMBERS)
    assert all(classify(number) for number in published.TEST_NUMBERS)


def test_every_scheme_but_jaywan_has_ranges_and_names_are_unique() -> None:
    assert {scheme for scheme, _ in RANGES} == set(SCHEMES) - {JAYWAN}
    assert len({scheme.name for scheme in SCHEMES}) == len(SCHEMES)


def test_an_installation_adds_ranges_and_they_win() -> None:
    number = complete_luhn("650900123456789")
    assert str(DEFAULT_TABLE.classify(number)) == "discover"
    table = DEFAULT_TABLE.with_ranges(JAYWAN, "6509 784000-784999")
    assert table.classify(number) is JAYWAN
    assert table.classify(complete_luhn("784123123456789")) is JAYWAN
    assert DEFAULT_TABLE.classify(complete_luhn("784123123456789")) is None


@pytest.mark.parametrize("words", ["41a", "1234567", "55-51", "51-", "-51"])
def test_a_bad_range_is_refused(words: str) -> None:
    with pytest.raises(Bug):
        SchemeTable([(JAYWAN, words)])


def slow_luhn(digits: str) -> bool:
    """ISO/IEC 7812-1 annex B, word for word."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if position % 2 else 1)
        total += value // 10 + value % 10
    return total % 10 == 0


digits = st.text("0123456789", min_size=1, max_size=24)


@given(digits)
def test_luhn_agrees_with_its_definition(text: str) -> None:
    assert luhn_valid(text) == slow_luhn(text)


@given(digits)
def test_a_completed_number_checks_and_a_changed_digit_does_not(payload: str) -> None:
    number = complete_luhn(payload)
    assert number[:-1] == payload
    assert luhn_valid(number)
    assert sum(luhn_valid(payload + last) for last in "0123456789") == 1


@given(st.text(max_size=24))
def test_luhn_refuses_what_is_not_ascii_digits(text: str) -> None:
    if not (text.isascii() and text.isdigit()):
        assert not luhn_valid(text)


def test_luhn_refuses_other_decimals() -> None:
    assert not luhn_valid("٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢")


@given(st.integers(1, 10**14 - 1))
def test_synthetic_numbers_are_of_their_range(serial: int) -> None:
    number = synthetic_number(serial)
    assert is_synthetic(number)
    assert published.is_test_number(number)
    assert str(classify(number)) == "synthetic"


@pytest.mark.parametrize("number", ["0000000000000019", "4242424242424242", "00000000000018", ""])
def test_what_is_not_synthetic(number: str) -> None:
    assert not is_synthetic(number)


def test_test_numbers() -> None:
    assert published.is_test_number("4242424242424242")
    assert not published.is_test_number("4242424242424241")
    assert not published.is_test_number("4242424242424259")
    assert published.is_published("378282246310005")
    assert not published.is_published(synthetic_number(7))


def test_cvc_lengths() -> None:
    assert {scheme.cvc_digits for scheme in SCHEMES if scheme is not schemes.AMEX} == {3}
    assert schemes.AMEX.cvc_digits == 4
