# SPDX-License-Identifier: Apache-2.0
"""Reads a merchant's XML just far enough to know where text stands, and fills slots there and nowhere else. Pure.

No parser sees it: a body has elements, attributes, text and references to characters, and nothing else. A document
type, entities, comments, CDATA and processing instructions are refused, so that there is nothing to expand and no
other place for a value to be read as markup (XML 1.0 §2.4, §3.1; OWASP XXE).
"""

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from strongroom.kernel.errors import FieldError, Invalid
from strongroom.vault.forwarding.language import OPEN, Slot, Text, read_text

DEPTH_MAX: Final = 64
_NAME: Final = r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}"
_DECLARATION: Final = re.compile(
    r'<\?xml version="1\.0"(?: encoding="(?:UTF-8|utf-8)")?(?: standalone="(?:yes|no)")?\?>'
)
_TAG: Final = re.compile(
    rf"<(?:/(?P<end>{_NAME})[ \t\r\n]*>"
    rf"|(?P<name>{_NAME})(?P<attributes>(?:[ \t\r\n]+{_NAME}=(?:\"[^\"<]*\"|'[^'<]*'))*)[ \t\r\n]*(?P<empty>/)?>)"
)
_ATTRIBUTE: Final = re.compile(rf"({_NAME})=(?:\"([^\"<]*)\"|'([^'<]*)')")
_TEXT: Final = re.compile(r"[^<]+")
_REFERENCE: Final = re.compile(
    r"&(?:amp|lt|gt|quot|apos|#(?:[1-9][0-9]{0,6})|#x[1-9A-Fa-f][0-9A-Fa-f]{0,5});"
)
#: XML 1.0 §2.2, without the characters that no terminal and no form has.
_NO_CHARACTER: Final = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0010ffff]"
)
_ESCAPES: Final = {ord(each): f"&#{ord(each)};" for each in "&<>\"'\t\n\r"}

#: A body as it is written: pieces of markup, and texts with slots in between.
Document: TypeAlias = Sequence[str | Slot]


def read_xml(body: str, at: str) -> Document:
    """Read a body.

    Raises:
        Invalid: it is not one element of well-formed XML, has what is refused, or a slot outside of text.
    """
    if _NO_CHARACTER.search(body):
        raise _wrong(at, "there is a character that XML has not")
    places = _places(body, at)
    pieces: list[str | Slot] = []
    done = 0
    for start, end in places:
        if OPEN in body[done:start]:
            raise _wrong(at, "a slot stands in the text of an element or of an attribute")
        text = read_text(body[start:end], at)
        pieces += [body[done:start], *text]
        done = end
    if OPEN in body[done:]:
        raise _wrong(at, "a slot stands in the text of an element or of an attribute")
    pieces.append(body[done:])
    return tuple(pieces)


def fill_xml(document: Document, value_of: Callable[[Slot], str]) -> bytes:
    """Return the body with every slot filled, each value escaped for text and attributes alike.

    Raises:
        Invalid: a value holds what XML cannot.
    """
    return "".join(
        piece if isinstance(piece, str) else _escaped(value_of(piece)) for piece in document
    ).encode()


def _escaped(value: str) -> str:
    if _NO_CHARACTER.search(value):
        raise Invalid(FieldError("/body", "slot_unfit", "a value does not fit into XML"))
    return value.translate(_ESCAPES)


def _places(body: str, at: str) -> Sequence[tuple[int, int]]:
    """Return where text stands, from first to last; refuse what is not one element."""
    found: list[tuple[int, int]] = []
    open_elements: list[str] = []
    place, seen_root = _after_declaration(body), False
    while place < len(body):
        text = _TEXT.match(body, place)
        if text is not None:
            _require_text(text[0], at, inside=bool(open_elements))
            if open_elements:
                found.append(text.span())
            place = text.end()
            continue
        tag = _TAG.match(body, place)
        if tag is None:
            raise _wrong(at, "only elements, attributes and text are taken")
        if tag["end"] is not None:
            if not open_elements or open_elements.pop() != tag["end"]:
                raise _wrong(at, "elements do not end as they begin")
        else:
            if seen_root and not open_elements:
                raise _wrong(at, "a body is one element")
            seen_root = True
            found += _attributes(tag, at)
            if tag["empty"] is None:
                open_elements.append(tag["name"])
                if len(open_elements) > DEPTH_MAX:
                    raise _wrong(at, "elements nest too deep")
        place = tag.end()
    if open_elements or not seen_root:
        raise _wrong(at, "a body is one element")
    return found


def _after_declaration(body: str) -> int:
    declared = _DECLARATION.match(body)
    return 0 if declared is None else declared.end()


def _attributes(tag: re.Match[str], at: str) -> Sequence[tuple[int, int]]:
    found = []
    names: set[str] = set()
    for each in _ATTRIBUTE.finditer(tag.string, *tag.span("attributes")):
        if each[1] in names:
            raise _wrong(at, "an attribute stands twice")
        names.add(each[1])
        group = 2 if each[2] is not None else 3
        _require_text(each[group], at, inside=True)
        found.append(each.span(group))
    return found


def _require_text(text: str, at: str, *, inside: bool) -> None:
    if "]]>" in text or "&" in _REFERENCE.sub("", text):
        raise _wrong(at, "only the five entities of XML and numbers of characters are referred to")
    if not inside and text.strip(" \t\r\n"):
        raise _wrong(at, "text stands in an element")


def _wrong(at: str, why: str) -> Invalid:
    return Invalid(FieldError(at, "xml_refused", why))


__all__ = ["Document", "Text", "fill_xml", "read_xml"]
