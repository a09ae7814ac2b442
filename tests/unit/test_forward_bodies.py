# SPDX-License-Identifier: Apache-2.0
"""Bodies: slots are filled where text stands, and no value breaks out of its place."""

import json
from typing import Any, Final
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.kernel.errors import Invalid
from strongroom.vault.forwarding.bodies import ContentType, read_body
from strongroom.vault.forwarding.language import Slot

JSON, FORM, XML = ContentType.JSON, ContentType.FORM, ContentType.XML
SLOT: Final = "{{ card.number }}"


def fill(kind: ContentType, body: object, value: str = "4242") -> bytes:
    return read_body(kind, body).filled(lambda _: value)


@pytest.mark.parametrize(
    ("body", "filled"),
    [
        (SLOT, b'"4242"'),
        ({"a": SLOT, "b": [1, None, True, 1.5, f"x{SLOT}y"]}, b'{"a":"4242","b":[1,null,true,1.5,"x4242y"]}'),
        ({"m": "{{ card.exp_month | int }}"}, b'{"m":4242}'),
        ([], b"[]"),
    ],
)  # fmt: skip
def test_json_is_filled(body: object, filled: bytes) -> None:
    assert fill(JSON, body) == filled


def test_a_form_is_filled_in_order() -> None:
    body = {"a": SLOT, "b": ["1", f"x {SLOT}"], "c&d": "e=f&g"}
    assert fill(FORM, body) == b"a=4242&b=1&b=x+4242&c%26d=e%3Df%26g"


@pytest.mark.parametrize(
    ("body", "filled"),
    [
        (f"<a>{SLOT}</a>", b"<a>4242</a>"),
        (f'<a b="{SLOT}"/>', b'<a b="4242"/>'),
        (f"<a b='x{SLOT}'><c>{SLOT}</c> t </a>", b"<a b='x4242'><c>4242</c> t </a>"),
        (f'<?xml version="1.0" encoding="UTF-8"?>\n<n:a xmlns:n="urn:x">{SLOT}</n:a>\n',
         b'<?xml version="1.0" encoding="UTF-8"?>\n<n:a xmlns:n="urn:x">4242</n:a>\n'),
        (f"<a>&amp;&#10;&#x41;{SLOT}</a>", b"<a>&amp;&#10;&#x41;4242</a>"),
        (f"<a b='>'>{SLOT}</a>", b"<a b='>'>4242</a>"),
    ],
)  # fmt: skip
def test_xml_is_filled(body: str, filled: bytes) -> None:
    assert fill(XML, body) == filled


REFUSED: Final[list[tuple[ContentType, Any, str]]] = [
    (JSON, {SLOT: 1}, "slot_malformed"),
    (JSON, {"a": "{{ x }}"}, "slot_malformed"),
    (FORM, "a=b", "form_refused"),
    (FORM, {"a": 1}, "form_refused"),
    (FORM, {"a": [["b"]]}, "form_refused"),
    (FORM, {SLOT: "a"}, "slot_malformed"),
    (FORM, {f"f{n}": "" for n in range(257)}, "form_refused"),
    (XML, {"a": 1}, "xml_refused"),
    (XML, "", "xml_refused"),
    (XML, "text", "xml_refused"),
    (XML, "<a>", "xml_refused"),
    (XML, "<a></b>", "xml_refused"),
    (XML, "<a/><b/>", "xml_refused"),
    (XML, "<a/>x", "xml_refused"),
    (XML, "<a b='1' b='2'/>", "xml_refused"),
    (XML, "<a b=1/>", "xml_refused"),
    (XML, "<a b='<'/>", "xml_refused"),
    (XML, "<a>&lol;</a>", "xml_refused"),
    (XML, "<a>a & b</a>", "xml_refused"),
    (XML, "<a b='&x;'/>", "xml_refused"),
    (XML, "<a>]]></a>", "xml_refused"),
    (XML, "<a>\x00</a>", "xml_refused"),
    (XML, "<a>\x1b</a>", "xml_refused"),
    (XML, "<a>\ufffe</a>", "xml_refused"),
    # nothing that a parser expands, and no place besides text
    (XML, '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "xml_refused"),
    (XML, '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "xml_refused"),
    (XML, f"<a><!-- {SLOT} --></a>", "xml_refused"),
    (XML, f"<a><![CDATA[{SLOT}]]></a>", "xml_refused"),
    (XML, f"<a><?pi {SLOT}?></a>", "xml_refused"),
    (XML, '<a><?xml version="1.0"?></a>', "xml_refused"),
    (XML, '<?xml version="1.0" encoding="UTF-7"?><a/>', "xml_refused"),
    (XML, f"<a {SLOT}='x'/>", "xml_refused"),
    (XML, f"<a><{SLOT}/></a>", "xml_refused"),
    (XML, "<a>" * 65 + "</a>" * 65, "xml_refused"),
    (XML, "<a>{{ card.pin }}</a>", "slot_unknown"),
    (XML, "<a b='{{ card.'>number }}</a>", "slot_malformed"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "body", "code"), REFUSED)
def test_what_does_not_fit_is_refused(kind: ContentType, body: object, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_body(kind, body)
    assert refused.value.errors[0].code == code


def test_json_nests_so_deep_and_no_deeper() -> None:
    body: object = SLOT
    for _ in range(17):
        body = [body]
    with pytest.raises(Invalid):
        read_body(JSON, body)


@given(st.text())
def test_no_value_breaks_out_of_json(value: str) -> None:
    body = {"a": f"<{SLOT}>", "b": SLOT, "c": 1}
    try:
        filled = fill(JSON, body, value)
    except UnicodeEncodeError:
        return  # half a surrogate: no card has one
    assert json.loads(filled) == {"a": f"<{value}>", "b": value, "c": 1}


@given(st.text(st.characters(codec="utf-8")))
def test_no_value_breaks_out_of_a_form(value: str) -> None:
    filled = fill(FORM, {"a": SLOT, "b": "1"}, value)
    assert parse_qsl(filled.decode(), keep_blank_values=True) == [("a", value), ("b", "1")]


@given(st.text(st.characters(codec="utf-8")))
def test_no_value_breaks_out_of_xml(value: str) -> None:
    try:
        filled = fill(XML, f"<r><a b=\"{SLOT}\" c='{SLOT}'>{SLOT}</a><d/></r>", value)
    except Invalid:
        return
    root = ET.fromstring(filled)  # noqa: S314 - our own output, without entities
    (first, second) = root
    assert (first.attrib, first.text or "") == ({"b": value, "c": value}, value)
    assert second.tag == "d"


@given(st.text())
def test_whatever_xml_is_given_is_read_or_refused(text: str) -> None:
    try:
        body = read_body(XML, text)
    except Invalid:
        return
    ET.fromstring(body.filled(lambda _: "1"))  # noqa: S314 - our own output, without entities


_TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda each: st.lists(each) | st.dictionaries(st.text(), each),
    max_leaves=20,
)


@given(_TREES)
def test_a_body_without_slots_stays_as_it_is(body: object) -> None:
    try:
        read = read_body(JSON, body)
    except Invalid:
        return
    assert not read.slots
    try:
        assert json.loads(read.filled(lambda _: "")) == body
    except (UnicodeEncodeError, OverflowError):
        return


def test_slots_are_told() -> None:
    assert [slot.field for slot in read_body(XML, f'<a b="{SLOT}">{SLOT}</a>').slots] == [
        "number",
        "number",
    ]
    assert all(isinstance(slot, Slot) for slot in read_body(FORM, {"a": SLOT}).slots)
