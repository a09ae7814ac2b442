# SPDX-License-Identifier: Apache-2.0
"""The language of slots, as a table: what is a slot, what is refused, and what each becomes."""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.kernel.errors import Invalid
from strongroom.vault.details import Details, NetworkToken
from strongroom.vault.forwarding.language import OPEN, Field, Slot, has_slots, read_text
from strongroom.vault.forwarding.values import (
    SEALED_BESIDE,
    CardFacts,
    OpenCard,
    Proof,
    masked,
    value_of,
)
from strongroom.vault.wire import BillingAddress

TOKEN: Final = "tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
NUMBER: Final = Slot("card", Field.NUMBER)

TEXTS: Final[list[tuple[str, tuple[Any, ...]]]] = [
    ("", ("",)),
    ("plain", ("plain",)),
    ("{ {x} }} {", ("{ {x} }} {",)),
    ("{{card.number}}", (NUMBER,)),
    ("{{ card.number }}", (NUMBER,)),
    ("{{ card . number }}", (NUMBER,)),
    ("a{{ card.number }}b", ("a", NUMBER, "b")),
    ("{{ card.number }}{{ card.cvc }}", (NUMBER, Slot("card", Field.CVC))),
    (f"{{{{ {TOKEN} .last4 }}}}", (Slot(TOKEN, Field.LAST4),)),
    ("{{ a1_b.exp_month | int }}", (Slot("a1_b", Field.EXP_MONTH, as_integer=True),)),
]
REFUSED: Final = [
    ("{{ card.pin }}", "slot_unknown"),
    ("{{ card.Number }}", "slot_malformed"),
    ("{{ card.number", "slot_malformed"),
    ("{{ card }}", "slot_malformed"),
    ("{{ .number }}", "slot_malformed"),
    ("{{  card.number }}", "slot_malformed"),
    ("{{{ card.number }}}", "slot_malformed"),
    ("{{{{ card.number }}", "slot_malformed"),
    ("{{ card.number }} {{", "slot_malformed"),
    ("{{\tcard.number }}", "slot_malformed"),
    ("{{ card.number }}\n{{ card.number\n}}", "slot_malformed"),
    ("{{ Card.number }}", "slot_malformed"),
    ("{{ tok_01KAHX.number }}", "slot_malformed"),
    ("{{ card.number | upper }}", "slot_form"),
    ("{{ card.number | int }}", "slot_form"),
    ("{{ card.exp_month | int }}.", "slot_form"),
    ("{{ card.number; drop }}", "slot_malformed"),
    ("{{ card.number.number }}", "slot_malformed"),
]


@pytest.mark.parametrize(("text", "pieces"), TEXTS)
def test_texts_are_read(text: str, pieces: tuple[Any, ...]) -> None:
    assert tuple(read_text(text, "/body")) == pieces


@pytest.mark.parametrize(("text", "code"), REFUSED)
def test_what_looks_like_a_slot_and_is_none_is_refused(text: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_text(text, "/body/x")
    assert [(each.pointer, each.code) for each in refused.value.errors] == [("/body/x", code)]
    assert "drop" not in str(refused.value)


@given(st.text())
def test_nothing_but_a_slot_is_ever_left_open(text: str) -> None:
    """Whatever is read has no `{{` in what stands as it is."""
    try:
        pieces = read_text(text, "/body")
    except Invalid:
        return
    assert not any(OPEN in piece for piece in pieces if isinstance(piece, str))
    assert has_slots(pieces) == any(isinstance(piece, Slot) for piece in pieces)


FACTS: Final = CardFacts(TOKEN, "visa", "424242", "4242", 4, 2034, "default")
BESIDE: Final = Details(
    "A. Person",
    BillingAddress("AE", "1 Palm Street", "Flat 2", "Dubai", "DU", "00000"),
    NetworkToken("40012345678", "05"),
)
PROOF: Final = Proof("AJkBByEyYgAAAASwgmEodQAAAAA=", "07")
CARD: Final = OpenCard(FACTS, "4242424242424242", "737", BESIDE, PROOF)
VALUES: Final = {
    Field.NUMBER: ("4242424242424242", "424242******4242", "[hidden]"),
    Field.CVC: ("737", "[hidden]", "[hidden]"),
    Field.HOLDER: ("A. Person", "[hidden]", "[hidden]"),
    Field.ADDRESS_CITY: ("Dubai", "[hidden]", "[hidden]"),
    Field.ADDRESS_COUNTRY: ("AE", "[hidden]", "[hidden]"),
    Field.ADDRESS_LINE1: ("1 Palm Street", "[hidden]", "[hidden]"),
    Field.ADDRESS_LINE2: ("Flat 2", "[hidden]", "[hidden]"),
    Field.ADDRESS_POSTAL_CODE: ("00000", "[hidden]", "[hidden]"),
    Field.ADDRESS_REGION: ("DU", "[hidden]", "[hidden]"),
    Field.CRYPTOGRAM: ("AJkBByEyYgAAAASwgmEodQAAAAA=", "[hidden]", "[hidden]"),
    Field.ECI: ("07", "[hidden]", "[hidden]"),
    Field.REQUESTOR_ID: ("40012345678", "[hidden]", "[hidden]"),
    Field.BIN: ("424242", "424242", "[hidden]"),
    Field.LAST4: ("4242", "4242", "[hidden]"),
    Field.BRAND: ("visa", "visa", "visa"),
    Field.EXP_MONTH: ("04", "04", "04"),
    Field.EXP_MONTH_SHORT: ("4", "4", "4"),
    Field.EXP_YEAR: ("2034", "2034", "2034"),
    Field.EXP_YEAR_SHORT: ("34", "34", "34"),
    Field.EXPIRY: ("04/34", "04/34", "04/34"),
    Field.EXPIRY_LONG: ("04/2034", "04/2034", "04/2034"),
    Field.EXPIRY_MMYY: ("0434", "0434", "0434"),
    Field.EXPIRY_YYMM: ("3404", "3404", "3404"),
    Field.EXPIRY_ISO: ("2034-04", "2034-04", "2034-04"),
}


@pytest.mark.parametrize("field", Field)
def test_every_field_has_its_form_and_its_mask(field: Field) -> None:
    clear, seen, hidden = VALUES[field]
    assert value_of(CARD, field) == clear
    assert masked(FACTS, field, digits=True) == seen
    assert masked(FACTS, field, digits=False) == hidden
    assert "4242424242424242" not in repr(CARD)
    assert "AJkB" not in repr(PROOF)


def test_what_a_token_does_not_hold_fills_nothing() -> None:
    bare = OpenCard(FACTS, "4242424242424242")
    country = OpenCard(FACTS, "4242424242424242", details=Details(None, BillingAddress("AE")))
    assert {field for field in Field if value_of(bare, field) is None} == {
        Field.CRYPTOGRAM,
        Field.CVC,
        *SEALED_BESIDE,
    }
    assert value_of(country, Field.ADDRESS_COUNTRY) == "AE"
    assert value_of(country, Field.ADDRESS_LINE1) is None
    # Without one of the request's own, it is the network token's.
    kept = OpenCard(FACTS, "4242424242424242", None, BESIDE, Proof("AJkBByEyYgAAAASw"))
    assert value_of(kept, Field.ECI) == "05"
