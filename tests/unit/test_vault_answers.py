# SPDX-License-Identifier: Apache-2.0
"""An answer leaves the vault without the card that was sent, whichever its form, and otherwise as it was."""

import json
import timeit
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.kernel.cardlike import REMOVED
from strongroom.kernel.published import TEST_NUMBERS
from strongroom.kernel.schemes import synthetic_number
from strongroom.telemetry.canary import decoys, needles
from strongroom.vault.answers import Cleaner, without_addresses

VISA: Final = "4242424242424242"
OTHER: Final = "5555555555554444"
ORDINARY: Final = json.dumps(
    {
        "id": "sp_01HZY3M6TQ8V5W2X4Y6Z8A0B1C",
        "reference": "att_01HZY3M6TQ8V5W2X4Y6Z8A0B1C",
        "amount": 1_234,
        "created": "2026-01-02T03:04:05.000000Z",
        "card": {"brand": "visa", "last4": "4242", "bin": "424242", "cvc_check": "pass"},
        "cvc_result": "000",
    }
).encode()
numbers = st.sampled_from(sorted(TEST_NUMBERS)) | st.integers(1, 10**14 - 1).map(synthetic_number)


def cleaned(body: bytes, number: str | None) -> bytes:
    return Cleaner(number).body(body)


def cleaned_text(text: str, number: str | None) -> str:
    return Cleaner(number).text(text)


def test_an_ordinary_answer_is_the_same_object() -> None:
    assert cleaned(ORDINARY, VISA) is ORDINARY
    assert cleaned(ORDINARY, None) is ORDINARY


@given(numbers)
def test_the_number_that_was_sent_goes_in_every_form(number: str) -> None:
    for form, encoded in decoys(number):
        clean = cleaned(b'{"a": "' + encoded + b'", "b": 1}', number)
        assert not any(needle in clean for needle in needles(number)), form
        assert clean.endswith(b'"b": 1}')


@pytest.mark.parametrize(
    "echo",
    [VISA, "4242 4242 4242 4242", "4242-4242-4242-4242", "42 42 42 42 42 42 42 42", "4/2/4/2" * 4,
     "\\u0034\\u0032" * 8, "4242%204242\\u00a04242%2042+42", "4242&nbsp;4242<b>4242</b>4242"],
)  # fmt: skip
def test_json_stays_json(echo: str) -> None:
    clean = cleaned(('{"card": {"number": "' + echo + '"}, "id": "sp_1"}').encode(), VISA)
    assert json.loads(clean) == {"card": {"number": REMOVED}, "id": "sp_1"}


#: An answer, what it is afterwards.
TABLE: Final[list[tuple[str, Any]]] = [
    (f'{{"number": {VISA}, "id": 1}}', {"number": REMOVED, "id": 1}),
    (f"[{VISA},{OTHER}]", [REMOVED, REMOVED]),
    (f'{{"other": "{OTHER}"}}', {"other": REMOVED}),
    (f'{{"text": "card {OTHER} was declined"}}', {"text": f"card {REMOVED} was declined"}),
    ('{"cvc": "123", "x": 1}', {"cvc": None, "x": 1}),
    ('{"card": {"securityCode" : 1234}}', {"card": {"securityCode": None}}),
    ('{"card_cvv":"999"}', {"card_cvv": None}),
    ('{"cvc": "pass", "cvv": 1.5, "code": "123"}', {"cvc": "pass", "cvv": 1.5, "code": "123"}),
]


@pytest.mark.parametrize(("answer", "expected"), TABLE)
def test_what_else_looks_like_card_data_goes_too(answer: str, expected: Any) -> None:
    assert json.loads(cleaned(answer.encode(), VISA)) == expected


def test_the_digits_of_several_values_are_not_a_number() -> None:
    number = synthetic_number(1)
    body = b'{"a": "0000-00-00T00:00:00", "b": 0, "c": "18", "d": "000018"}'
    assert "".join(c for c in body.decode() if c.isdigit()).find(number) >= 0
    assert cleaned(body, number) == body


@given(st.binary(max_size=200), st.none() | numbers)
def test_any_bytes_are_cleaned(body: bytes, number: str | None) -> None:
    clean = cleaned(body, number)
    assert cleaned(clean, number) == clean
    if number is not None:
        assert number.encode() not in clean


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), st.none() | numbers)
def test_any_header_is_cleaned(text: str, number: str | None) -> None:
    clean = cleaned_text(text, number)
    assert cleaned_text(clean, number) == clean


def test_headers_are_cleaned() -> None:
    assert cleaned_text("application/json", VISA) == "application/json"
    assert cleaned_text(f"/cards/{VISA}", VISA) == f"/cards/{REMOVED}"
    assert cleaned_text(f"/cards/{OTHER}", None) == f"/cards/{REMOVED}"


def test_it_is_fast() -> None:
    taken = min(timeit.repeat(lambda: cleaned(ORDINARY, VISA), number=100, repeat=5)) / 100
    assert taken < 0.001


# --- addresses --------------------------------------------------------------------------------------

BILLED: Final = {"address": {"line1": "1 Harbour Street", "postal_code": "12345"}, "name": None}


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        ({"id": "pm_1", "billing_details": BILLED, "card": {"last4": "4242"}},
         {"id": "pm_1", "card": {"last4": "4242"}}),
        ({"error": {"payment_method": {"billing_details": BILLED, "id": "pm_1"}}},
         {"error": {"payment_method": {"id": "pm_1"}}}),
        ({"source": {"billing_address": {"zip": "12345"}, "avs_check": "S"}, "approved": True},
         {"source": {"avs_check": "S"}, "approved": True}),
        ({"additionalData": {"billingAddress.street": "Harbour Street", "avsResult": "7 Both"}},
         {"additionalData": {"avsResult": "7 Both"}}),
        ([{"billingAddress": "1 Harbour Street"}, {"billing_address_check": "pass"}],
         [{}, {"billing_address_check": "pass"}]),
    ],
)  # fmt: skip
def test_an_address_that_is_echoed_goes_by_the_names_of_members(answer: Any, left: Any) -> None:
    assert json.loads(without_addresses(json.dumps(answer).encode())) == left


def test_an_answer_that_names_no_address_is_the_same_object() -> None:
    told = json.dumps({"checks": {"address_line1_check": "pass"}, "note": "1.10"}).encode()
    for body in (ORDINARY, told, b"", b"\xff\x00"):
        assert without_addresses(body) is body


def test_of_what_names_an_address_and_is_no_json_nothing_is_left() -> None:
    deep = b"[" * 100_000 + b'{"billing_details": 1}' + b"]" * 100_000
    for body in (b'{"billing_details": {"line1"', b"<billing_address>1 Harbour Street", deep):
        assert without_addresses(body) == b""


def test_the_text_of_an_address_does_not_choose_what_is_taken_out() -> None:
    """An address may be called as an answer is; what the answer says of itself stays."""
    told = {"status": "succeeded", "billing_details": {"address": {"city": "succeeded"}}}
    assert json.loads(without_addresses(json.dumps(told).encode())) == {"status": "succeeded"}
