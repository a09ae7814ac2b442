# SPDX-License-Identifier: Apache-2.0
"""Takes card data, and the holder's address, out of a processor's answer before it leaves the vault. Pure.

Whatever looks like a card number goes (the detector), the number that was sent goes in whichever form it is echoed,
and so does a security code that is echoed under its name. An address goes by the names of members, never by its text:
a text is chosen by whoever gave the address, and could be one that an answer is read by.
"""

import re
from base64 import b64encode
from collections.abc import Sequence
from typing import Any, Final, final

import msgspec

from strongroom.kernel.cardlike import REMOVED, has_cardlike_bytes, redact

_REMOVED: Final = REMOVED.encode()
_QUOTED: Final = b'"' + _REMOVED + b'"'
#: A number in JSON that was taken out leaves a text without its quotes.
_BARE: Final = re.compile(rb"(?<=[:\[,])\s*" + re.escape(_REMOVED) + rb"(?=\s*[,\]}])")
_ENDS_A_VALUE: Final = re.compile(rb"[\"{}]")
_ESCAPE: Final = re.compile(rb"%[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}")
#: Half an escape in front of a cut would leave JSON that is none. Searched for with an end, which `$` then means.
_BEGINS_ESCAPE: Final = re.compile(rb"(?:\\u|\\x|%|&#x?)$")
_DIGITS: Final = frozenset(b"0123456789")
_NO_DIGITS: Final = bytes(code for code in range(256) if code not in _DIGITS)
_CODE: Final = re.compile(
    rb"(\"(?:card[_-]?)?(?:cvc|cvv|cvn|cid|csc|cvc2|cvv2|security[_-]?code|verification[_-]?value)\"\s*:\s*)"
    rb"(?:\"[0-9]{3,4}\"|[0-9]{3,4}(?![0-9.]))",
    re.IGNORECASE,
)
#: What a base64 text has before and behind a number mixes into the characters at its ends (`telemetry.card_forms`).
_BASE64_LEFT_OUT: Final = (0, 2, 3)
#: `billing_details`, `billing_address`, `billingAddress`, `billingAddress.street`.
_OF_ADDRESS: Final = re.compile(r"billing[_-]?(?:address|details)(?:\..*)?", re.IGNORECASE)
_NAMES_ADDRESS: Final = re.compile(rb"billing[_-]?(?:address|details)", re.IGNORECASE)
_IN_DECIMAL: Final = {code: str(code) for code in b"0123456789"}
_SCRIPTS: Final = tuple(
    {code: zero + code - ord("0") for code in b"0123456789"} for zero in (0x0660, 0x06F0, 0xFF10)
)
_EBCDIC: Final = bytes.maketrans(b"0123456789", bytes(range(0xF0, 0xFA)))


@final
class Cleaner:
    """Cleans one answer. `number` is the one that was sent, if one was."""

    __slots__ = ("_byte_needles", "_digit_needles")

    def __init__(self, number: str | None) -> None:
        self._digit_needles = () if number is None else _digit_needles(number)
        self._byte_needles = () if number is None else _byte_needles(number)

    def body(self, body: bytes) -> bytes:
        """Return a body without card data; the same object where there was none."""
        clean = self._without(_CODE.sub(rb"\1null", body))
        if has_cardlike_bytes(clean):
            clean = redact(clean.decode("utf-8", "replace")).encode()
        return body if clean == body else _readable(clean, body)

    def text(self, text: str) -> str:
        """Return a header's value without card data."""
        return redact(self._without(text.encode()).decode("utf-8", "replace"))

    def _without(self, body: bytes) -> bytes:
        """Take the number that was sent out, however it is separated or encoded."""
        for needle in self._digit_needles:
            body = _cut(body, body, needle)
        if b"%" in body or b"\\" in body:
            # `4242%204242`: the digits of what separates are not the number's.
            for needle in self._digit_needles[:1]:
                body = _cut(body, _ESCAPE.sub(_blank, body), needle)
        for needle in self._byte_needles:
            body = body.replace(needle, _REMOVED)
        return body


def without_addresses(body: bytes) -> bytes:
    """Return an answer without the members that hold a billing address; the same object where it names none.

    Of one that names one and is no JSON nothing is left: no adapter could read it either.
    """
    if _NAMES_ADDRESS.search(body) is None:
        return body
    try:
        return msgspec.json.encode(_without_addresses(msgspec.json.decode(body)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b""


def _without_addresses(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {
            name: _without_addresses(value)
            for name, value in tree.items()
            if _OF_ADDRESS.fullmatch(name) is None
        }
    if isinstance(tree, list):
        return [_without_addresses(value) for value in tree]
    return tree


def _blank(escape: re.Match[bytes]) -> bytes:
    return b" " * len(escape[0])


def _cut(body: bytes, view: bytes, needle: bytes) -> bytes:
    """Cut from the first to the last of these digits of the view, whatever stands between them within one value."""
    digits = view.translate(None, _NO_DIGITS)
    if needle not in digits:
        return body
    places = [at for at, code in enumerate(view) if code in _DIGITS]
    pieces: list[bytes] = []
    done = start = 0
    while (found := digits.find(needle, start)) >= 0:
        first, last = places[found], places[found + len(needle) - 1]
        if _ENDS_A_VALUE.search(body, first, last):
            start = found + 1  # digits of several values, in this order by chance
            continue
        begun = _BEGINS_ESCAPE.search(body, done, first)
        pieces += body[done : begun.start() if begun else first], _REMOVED
        start, done = found + len(needle), last + 1
    return b"".join([*pieces, body[done:]])


def _digit_needles(number: str) -> Sequence[bytes]:
    r"""Return what is left of a number's forms when everything but the digits is taken out.

    In clear with any separators, UTF-16 and UTF-32; the codes in hexadecimal, as bytes, percent or `\x` escapes;
    as `\u` escapes; the codes in decimal, as arrays and entities.
    """
    codes = number.encode()
    return (
        codes,
        codes.hex().encode(),
        b"00" + codes.hex(" ").encode().replace(b" ", b"00"),
        number.translate(_IN_DECIMAL).encode(),
    )


def _byte_needles(number: str) -> Sequence[bytes]:
    """Return a number's forms that are no digits: packed decimal, EBCDIC, other scripts' digits, base64."""
    codes = number.encode()
    size = len(codes)
    halves = (f"0{number}", f"{number}f") if size % 2 else (number,)
    aligned = [
        b64encode(b"\x00" * before + codes)[left_out : (before + size) * 8 // 6]
        for before, left_out in enumerate(_BASE64_LEFT_OUT)
    ]
    scripts = [number.translate(script).encode() for script in _SCRIPTS]
    return (*map(bytes.fromhex, halves), codes.translate(_EBCDIC), *scripts, *aligned)


def _readable(clean: bytes, before: bytes) -> bytes:
    """Keep JSON JSON: where a bare number was taken out of it, put quotes around what stands there now."""
    if not _is_json(before) or _is_json(clean):
        return clean
    quoted = _BARE.sub(_QUOTED, clean)
    return quoted if _is_json(quoted) else clean


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True
