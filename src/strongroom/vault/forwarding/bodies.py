# SPDX-License-Identifier: Apache-2.0
"""Bodies in the three forms that a destination can take, each filled so that no value breaks out of its place. Pure.

JSON texts are filled and then encoded; form values likewise; XML is escaped (`forwarding.xml`). Names, of members and
of form fields, are never filled.
"""

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, Union
from urllib.parse import urlencode

import msgspec

from strongroom.kernel.errors import FieldError, Invalid
from strongroom.vault.forwarding.language import OPEN, Slot, Text, has_slots, read_text
from strongroom.vault.forwarding.xml import Document, fill_xml, read_xml

DEPTH_MAX: Final = 16
FORM_FIELDS_MAX: Final = 256

_encode: Final = msgspec.json.Encoder().encode
Value: TypeAlias = Callable[[Slot], str]


class ContentType(enum.StrEnum):
    """What a destination takes."""

    FORM = "application/x-www-form-urlencoded"
    JSON = "application/json"
    XML = "application/xml"


class Body(Protocol):
    """A body that was read and may be filled."""

    @property
    def slots(self) -> Sequence[Slot]:
        """What it asks for."""

    def filled(self, value_of: Value) -> bytes:
        """Return its bytes.

        Raises:
            Invalid: a value does not fit.
        """


@dataclass(frozen=True, slots=True)
class _Filled:
    """A text of a JSON body that has slots."""

    text: Text


_Tree: TypeAlias = Union[bool, int, float, str, _Filled, "list[_Tree]", "dict[str, _Tree]", None]


@dataclass(frozen=True, slots=True)
class JsonBody:
    """A JSON value whose texts may have slots."""

    tree: _Tree
    slots: Sequence[Slot]

    def filled(self, value_of: Value) -> bytes:
        """Return its bytes."""
        return _encode(_filled(self.tree, value_of))


@dataclass(frozen=True, slots=True)
class FormBody:
    """A form's fields, in order."""

    fields: Sequence[tuple[str, Text]]
    slots: Sequence[Slot]

    def filled(self, value_of: Value) -> bytes:
        """Return its bytes (WHATWG URL, application/x-www-form-urlencoded)."""
        return urlencode([(name, joined(text, value_of)) for name, text in self.fields]).encode()


@dataclass(frozen=True, slots=True)
class XmlBody:
    """An XML document whose text may have slots."""

    document: Document
    slots: Sequence[Slot]

    def filled(self, value_of: Value) -> bytes:
        """Return its bytes."""
        return fill_xml(self.document, value_of)


def read_body(kind: ContentType, body: object, at: str = "/body") -> Body:
    """Read a body in the form that its destination takes.

    Raises:
        Invalid: it is not of that form, or a slot is malformed or stands where none may.
    """
    if kind is ContentType.JSON:
        tree = _tree(body, at, 0)
        return JsonBody(tree, tuple(_slots(tree)))
    if kind is ContentType.FORM:
        fields = tuple(_fields(body, at))
        if len(fields) > FORM_FIELDS_MAX:
            raise Invalid(FieldError(at, "form_refused", "a form has too many fields"))
        return FormBody(fields, tuple(slot for _, text in fields for slot in _in(text)))
    if not isinstance(body, str):
        raise Invalid(FieldError(at, "xml_refused", "this destination takes XML, as a text"))
    document = read_xml(body, at)
    return XmlBody(document, tuple(_in(document)))


def joined(text: Text, value_of: Value) -> str:
    """Return a text with its slots filled."""
    return "".join(piece if isinstance(piece, str) else value_of(piece) for piece in text)


def _in(text: Text) -> Iterator[Slot]:
    return (piece for piece in text if isinstance(piece, Slot))


def _tree(value: object, at: str, depth: int) -> _Tree:
    if depth > DEPTH_MAX:
        raise Invalid(FieldError("/body", "body_refused", "a body nests too deep"))
    if isinstance(value, str):
        text = read_text(value, at)
        return _Filled(text) if has_slots(text) else value
    if isinstance(value, list):
        return [_tree(each, f"{at}/{index}", depth + 1) for index, each in enumerate(value)]
    if isinstance(value, dict):
        return {
            _name(name, at): _tree(each, f"{at}/{_told(name)}", depth + 1)
            for name, each in value.items()
        }
    if value is None or isinstance(value, bool | int | float):
        return value
    raise Invalid(FieldError(at, "body_refused", "this destination takes JSON"))


def _slots(tree: _Tree) -> Iterator[Slot]:
    if isinstance(tree, _Filled):
        yield from _in(tree.text)
    elif isinstance(tree, list):
        for each in tree:
            yield from _slots(each)
    elif isinstance(tree, dict):
        for each in tree.values():
            yield from _slots(each)


def _filled(tree: _Tree, value_of: Value) -> object:
    if isinstance(tree, _Filled):
        (first, *more) = tree.text
        if isinstance(first, Slot) and first.as_integer and not more:
            return int(value_of(first)) if value_of(first).isdecimal() else value_of(first)
        return joined(tree.text, value_of)
    if isinstance(tree, list):
        return [_filled(each, value_of) for each in tree]
    if isinstance(tree, dict):
        return {name: _filled(each, value_of) for name, each in tree.items()}
    return tree


def _fields(body: object, at: str) -> Iterator[tuple[str, Text]]:
    """Yield a form's fields: a text each, or several under one name."""
    if not isinstance(body, Mapping):
        raise Invalid(FieldError(at, "form_refused", "this destination takes a form's fields"))
    for name, given in body.items():
        place = f"{at}/{_told(name)}"
        for each in given if isinstance(given, list) else [given]:
            if not isinstance(each, str):
                raise Invalid(FieldError(place, "form_refused", "a form's values are texts"))
            yield _name(name, at), read_text(each, place)


def _name(name: object, at: str) -> str:
    if not isinstance(name, str) or OPEN in name:
        raise Invalid(FieldError(at, "slot_malformed", "a name is never a slot"))
    return name


def _told(name: object) -> str:
    """Return a name as an error's pointer may repeat it (RFC 6901), cut short: it is the caller's own text."""
    text = str(name)[:40].replace("~", "~0").replace("/", "~1")
    return text if text.isascii() and text.isprintable() else "*"
