# SPDX-License-Identifier: Apache-2.0
"""A request to a processor as an adapter writes it: everything but the card and the credentials. Pure.

In the place of a card's field stands a slot, `{"$slot": "card.number"}`, which is the whole value of a member of the
body. Slots stand in bodies only: a path, a query and a header are text, and text is never filled. A body is the same
tree whether it is sent as JSON or as a form. What an optional slot has no value for is not in the body: its member is
left out, and an object that would be empty then.
"""

import enum
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias, Union
from urllib.parse import urlencode

import msgspec

from strongroom.vault.errors import TemplateRefused

Json: TypeAlias = Union[bool, int, float, str, "list[Json]", "dict[str, Json]", None]

SLOT: Final = "$slot"
#: How deep a body nests; an adapter's reaches four.
DEPTH_MAX: Final = 16


class Slot(enum.StrEnum):
    """What the vault fills in. Number and code become text; month and year become whole numbers, the year in full.

    For processors that want them as text there are `…_digits`: the month in two digits, the year in four. What is of
    the holder's address is optional (`addresses` says what each becomes).
    """

    ADDRESS_CITY = "address.city"
    ADDRESS_COUNTRY = "address.country"
    ADDRESS_LINE1 = "address.line1"
    ADDRESS_POSTAL_CODE = "address.postal_code"
    ADDRESS_REGION = "address.region"
    #: Of a network token; serves once.
    CARD_CRYPTOGRAM = "card.cryptogram"
    CARD_CVC = "card.cvc"
    CARD_EXP_MONTH = "card.exp_month"
    CARD_EXP_MONTH_DIGITS = "card.exp_month_digits"
    CARD_EXP_YEAR = "card.exp_year"
    CARD_EXP_YEAR_DIGITS = "card.exp_year_digits"
    CARD_NUMBER = "card.number"
    #: The same address for processors that want house and street apart: all of it but the region, or nothing.
    PARTED_CITY = "address_parted.city"
    PARTED_COUNTRY = "address_parted.country"
    PARTED_HOUSE = "address_parted.house"
    PARTED_POSTAL_CODE = "address_parted.postal_code"
    PARTED_REGION = "address_parted.region"
    PARTED_STREET = "address_parted.street"


#: Of a token without an address they take their members out of the body.
OF_ADDRESS: Final = frozenset(slot for slot in Slot if slot.value.startswith("address"))

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
_FORM_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_encode: Final = msgspec.json.Encoder().encode
_SLOTS: Final[Mapping[str, Slot]] = {slot.value: slot for slot in Slot}
#: In the place of a member that is left out; told from other empty objects by its identity.
_LEFT_OUT: Final[dict[str, Json]] = {}


@dataclass(frozen=True, slots=True)
class Template:
    """A request without its secrets. It names a route that the processor's adapter registered, never a host."""

    route: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Json = None


def slot(kind: Slot) -> dict[str, Json]:
    """Write a slot into a body."""
    return {SLOT: kind.value}


def slots_of(body: Json) -> Mapping[str, Slot]:
    """Return where slots stand in a body, by JSON pointer (RFC 6901).

    Raises:
        TemplateRefused: what looks like a slot is none, stands in a list, or the body nests too deep.
    """
    return dict(_slots(body, "", 0))


def _slots(body: Json, at: str, depth: int) -> Iterator[tuple[str, Slot]]:
    if depth > DEPTH_MAX:
        raise TemplateRefused("a body nests too deep")
    if isinstance(body, dict):
        if SLOT in body:
            yield at, _slot_of(body)
            return
        for name, value in body.items():
            yield from _slots(
                value, f"{at}/{name.replace('~', '~0').replace('/', '~1')}", depth + 1
            )
    elif isinstance(body, list):
        for index, value in enumerate(body):
            if isinstance(value, dict) and SLOT in value:
                raise TemplateRefused("a slot is the value of a member")
            yield from _slots(value, f"{at}/{index}", depth + 1)


def _slot_of(body: Mapping[str, Json]) -> Slot:
    word = body[SLOT]
    known = _SLOTS.get(word) if isinstance(word, str) else None
    if known is None or len(body) != 1:
        raise TemplateRefused("this is not a slot")
    return known


def filled(body: Json, values: Mapping[Slot, str | int]) -> Json:
    """Return the body with every slot filled, or left out where it may be. Check it with `slots_of` first.

    Raises:
        TemplateRefused: there is no value for a slot that needs one.
    """
    if isinstance(body, dict):
        if SLOT in body:
            kind = _slot_of(body)
            if kind in values:
                return values[kind]
            if kind not in OF_ADDRESS:
                raise TemplateRefused("there is no value for a slot")
            return _LEFT_OUT
        tree = {name: filled(value, values) for name, value in body.items()}
        there = {name: value for name, value in tree.items() if value is not _LEFT_OUT}
        return there if there or not body else _LEFT_OUT
    if isinstance(body, list):
        return [filled(value, values) for value in body]
    return body


def encoded(body: Json, content_type: str) -> bytes:
    """Return a body as it is sent. Encoded after it is filled, so that no value breaks out of its place.

    Raises:
        TemplateRefused: it has no such form.
    """
    try:
        return urlencode(list(_fields_of(body))).encode() if content_type == FORM else _encode(body)
    except (TypeError, ValueError):
        raise TemplateRefused("a body is JSON, or a form") from None


def require_form(body: Json) -> None:
    """Refuse a body that has no form, before a card is opened for it: slots stand for values here.

    Raises:
        TemplateRefused: it is no object of texts, whole numbers and truth values, or a name could be read as two.
    """
    for _ in _fields_of(body):
        pass


def _fields_of(body: Json) -> Iterator[tuple[str, str]]:
    """Yield a form's fields, members in brackets, elements by their index (OpenAPI: `deepObject`)."""
    if not isinstance(body, dict):
        raise TemplateRefused("a form is an object")
    for name, value in body.items():
        yield from _field(_form_name(name), value)


def _field(at: str, value: Json) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and SLOT in value:
        yield at, _slot_of(value).value
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _field(f"{at}[{_form_name(name)}]", each)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _field(f"{at}[{index}]", each)
    elif isinstance(value, bool):
        yield at, "true" if value else "false"
    elif isinstance(value, str | int):
        yield at, str(value)
    else:
        raise TemplateRefused("a form's values are texts, whole numbers and truth values")


def _form_name(name: object) -> str:
    if not isinstance(name, str) or _FORM_NAME.fullmatch(name) is None:
        raise TemplateRefused("a form's names are words")
    return name
