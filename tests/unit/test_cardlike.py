# SPDX-License-Identifier: Apache-2.0
"""The detector: what it must find, what it must leave alone, and that nothing is left after redaction."""

import datetime as dt
import hashlib
import itertools
import json
import sys
import timeit
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.kernel import cardlike
from strongroom.kernel.cardlike import (
    GROUPINGS,
    REMOVED,
    Confidence,
    Detector,
    find_cardlike,
    has_cardlike,
    has_cardlike_bytes,
    redact,
)
from strongroom.kernel.ids import PREFIXES, encode_id
from strongroom.kernel.published import TEST_NUMBERS
from strongroom.kernel.schemes import (
    DEFAULT_TABLE,
    JAYWAN,
    complete_luhn,
    luhn_valid,
    synthetic_number,
)

VISA = "4242424242424242"
numbers = st.one_of(
    st.sampled_from(sorted(TEST_NUMBERS)),
    st.integers(1, 10**14 - 1).map(synthetic_number),
)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (VISA, REMOVED),
        (f"card={VISA}&x=1", f"card={REMOVED}&x=1"),
        (f'{{"number":"{VISA}"}}', f'{{"number":"{REMOVED}"}}'),
        (f'{{"number":{VISA}}}', f'{{"number":{REMOVED}}}'),
        (f"pan_{VISA}_x", f"pan_{REMOVED}_x"),
        ("4242 4242 4242 4242", REMOVED),
        ("4242-4242-4242-4242", REMOVED),
        ("4242.4242.4242.4242", REMOVED),
        ("4242\u00a04242\u202f4242\u20114242", REMOVED),
        ("4242 - 4242 - 4242 - 4242", REMOVED),
        ("3782 822463 10005", REMOVED),
        ("3056 930902 5904", REMOVED),
        ("4222 222 222 222", REMOVED),
        ("424242 4242424242", REMOVED),
        ("42424242 42424242", REMOVED),
        ("card=4242+4242+4242+4242&x=1", f"card={REMOVED}&x=1"),
        ("scan_4242_4242_4242_4242.txt", f"scan_{REMOVED}.txt"),
        ("6205 5000 0000 0000 004", REMOVED),
        ("2026 4242 4242 4242 4242 12", f"2026 {REMOVED} 12"),
        (f"{VISA} {VISA}", f"{REMOVED} {REMOVED}"),
        (f"{VISA},5555555555554444", f"{REMOVED},{REMOVED}"),
        ("٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢", REMOVED),
        ("٤٢٤٢ ٤٢٤٢ ٤٢٤٢ ٤٢٤٢", REMOVED),
        ("４２４２４２４２４２４２４２４２", REMOVED),
        ("رقم ٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢ البطاقة", f"رقم {REMOVED} البطاقة"),
        (f"é {VISA}", f"é {REMOVED}"),
        (f"'\\n{VISA}'", f"'\\n{REMOVED}'"),
        (f"\\u0000{VISA}", f"\\u0000{REMOVED}"),
        (f"?q=%20{VISA}", f"?q=%20{REMOVED}"),
        (f"100%{VISA}", f"100%{REMOVED}"),
        (f"%B{VISA}^DOE/JANE^25121010000?", f"%B{REMOVED}"),
        (f"pan{VISA}", f"pan{REMOVED}"),  # behind letters, before letters
        (f"cc{VISA} exp 12/29", f"cc{REMOVED} exp 12/29"),
        (f"user{VISA}@example.com", f"user{REMOVED}@example.com"),
        (f'{{"a":"card{VISA}"}}', f'{{"a":"card{REMOVED}"}}'),
        (f"card={VISA}abc", f"card={REMOVED}abc"),
        (f"CARD{VISA}END", f"CARD{REMOVED}END"),
        ("card4242 4242 4242 4242", f"card{REMOVED}"),
        (f"DE{VISA}", f"DE{REMOVED}"),  # no account number: the check digits do not hold
        (f"%B{VISA}^DOE/JANE^25121010000?x{VISA}", f"%B{REMOVED}x{REMOVED}"),
        (f";{VISA}=25121010000012300000?", f";{REMOVED}"),
        (f"{VISA}D25121010000012300000", REMOVED),
        ("6200000000000006", REMOVED),  # UnionPay without a check digit
        (synthetic_number(1), REMOVED),
    ],
)
def test_found_and_removed(text: str, left: str) -> None:
    assert redact(text) == left
    assert has_cardlike(text)
    assert has_cardlike_bytes(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4242424242424241",  # check digit wrong
        "9942424242424242",  # our alias: 99, check digit wrong
        "1234567812345670",  # nobody's prefix
        "0000000000000000",  # an absent trace id
        f"7a{VISA}",  # inside a word of letters and digits: hexadecimal, base32 …
        f"{VISA}a7",
        f"1{VISA}1",
        "abcd4242-4242-4242-4242-42424242abcd",
        "FI0873252372453390",  # an account number whose digits would be a card's
        "4 2 4 2 4 2 4 2 4 2 4 2 4 2 4 2",  # a list of digits
        "42 42424242424242",
        "4242    4242    4242    4242",
        "2026-11-20T22:07:31.123456Z",
        "2026-11-20 22:07:31.123456+04:00",
        "1763676451123456789",
        "1763676451123",
        "20261120220731123456",
        "550e8400-e29b-41d4-a716-446655440000",
        "41111111-1111-4111-8111-111111111111",
        "192.168.100.200:5432",
        "+971 50 123 4567",
        "AE070331234567890123456",
    ],
)
def test_left_alone(text: str) -> None:
    assert redact(text) == text
    assert not has_cardlike(text)
    assert not has_cardlike_bytes(text.encode())


def test_an_alias_is_known_as_ours() -> None:
    (found,) = find_cardlike("alias 9942424242424242.")
    assert (found.start, found.end, found.scheme) == (6, 22, None)
    assert found.confidence is Confidence.ALIAS


def test_a_number_without_check_digit_is_suspect() -> None:
    (found,) = find_cardlike("6200000000000006")
    assert found.confidence is Confidence.SUSPECT
    assert str(found.scheme) == "unionpay"


def test_a_finding_does_not_carry_the_number() -> None:
    (found,) = find_cardlike(f"x {VISA}")
    assert VISA not in repr(found)


def test_an_installation_adds_ranges() -> None:
    number = complete_luhn("784123123456789")
    assert not has_cardlike(number)
    assert Detector(DEFAULT_TABLE.with_ranges(JAYWAN, "784123")).has(number)


@given(numbers, st.sampled_from(sorted(GROUPINGS)), st.sampled_from([" ", "-", ".", "\u00a0"]))
def test_every_grouping_is_found(number: str, shape: tuple[int, ...], separator: str) -> None:
    if sum(shape) != len(number):
        return
    ends = list(itertools.accumulate(shape))
    text = separator.join(number[start:end] for start, end in zip([0, *ends], ends, strict=False))
    assert redact(f"({text})") == f"({REMOVED})"


@given(numbers, st.text(max_size=40), st.text(max_size=40))
def test_found_in_any_surroundings(number: str, before: str, after: str) -> None:
    text = f"{before}|{number}|{after}"
    assert any(found.start <= len(before) + 1 < found.end for found in find_cardlike(text))
    assert number not in redact(text)


fragments = st.one_of(
    st.text(max_size=8),
    st.text("0123456789", max_size=20),
    st.text("0123456789 -.%\\nx", max_size=30),
    st.sampled_from(
        ["4242", "4242424242424242", "%B", "^", "=", "D", "٤٢", "\\n", "%20", " ", "-"]
    ),
    numbers,
)


@given(st.lists(fragments, max_size=12).map("".join))
def test_redaction_leaves_nothing_to_find(text: str) -> None:
    left = redact(text)
    assert not has_cardlike(left)
    assert redact(left) == left
    assert has_cardlike(text) == (left != text)


@given(st.lists(fragments, max_size=12).map("".join))
def test_the_cheap_look_never_hides_a_finding(text: str) -> None:
    plain = text.translate(cardlike._PLAIN)
    careful = bool(list(cardlike._DETECTOR._find_plain(plain)))
    assert not careful or cardlike._made_plain(text) is not None


@given(
    st.sampled_from(sorted(PREFIXES)),
    st.integers(0, 2**48 - 1),
    st.binary(min_size=10, max_size=10),
)
def test_our_ids_are_never_taken_for_cards(prefix: str, milliseconds: int, entropy: bytes) -> None:
    identifier = encode_id(prefix, milliseconds, entropy)
    assert not list(find_cardlike(json.dumps({"id": identifier, "same": [identifier]})))


@given(st.binary(max_size=64), st.uuids())
def test_digests_and_uuids_are_left_alone(data: bytes, identifier: uuid.UUID) -> None:
    assert not has_cardlike(hashlib.sha256(data).hexdigest())
    assert not has_cardlike(f"id={identifier} urn:uuid:{identifier}")


@given(
    st.datetimes(
        min_value=dt.datetime(2000, 1, 1),  # noqa: DTZ001 - hypothesis asks for naive bounds
        max_value=dt.datetime(2099, 1, 1),  # noqa: DTZ001 - likewise
    )
)
def test_times_are_left_alone(moment: dt.datetime) -> None:
    epoch = moment.replace(tzinfo=dt.UTC)
    assert not has_cardlike(epoch.isoformat())
    assert not has_cardlike(moment.isoformat(" "))


@given(st.integers(1_500_000_000_000_000_000, 1_999_999_999_999_999_999))
def test_nanosecond_epochs_are_left_alone(nanoseconds: int) -> None:
    for unit in (1, 1_000, 1_000_000):
        assert not has_cardlike(f"t={nanoseconds // unit}")


@given(st.integers(10**10, 10**17 - 1))
def test_aliases_are_never_taken_for_cards(middle: int) -> None:
    alias = f"99{middle}"
    if not luhn_valid(alias):
        assert not has_cardlike(f"alias={alias}")


@given(st.binary(max_size=200))
def test_any_bytes_can_be_looked_at(data: bytes) -> None:
    has_cardlike_bytes(data)


def test_every_decimal_digit_of_unicode_is_known() -> None:
    decimals = {chr(code) for code in range(0x80, sys.maxunicode + 1) if chr(code).isdecimal()}
    assert decimals <= cardlike._UNUSUAL
    for zero in (chr(code) for code in range(0x80, sys.maxunicode) if chr(code).isdecimal()):
        value = int(zero)
        assert zero.translate(cardlike._PLAIN) == str(value)


def test_a_clean_log_line_costs_little() -> None:
    """The bound is far above the 0.7 µs it takes; a careful look costs 60."""
    line = json.dumps({"event_type": "http.request", "route": "/v1/tokens", "pad": "x" * 340})
    assert min(timeit.repeat(lambda: redact(line), number=1_000, repeat=20)) < 0.01
