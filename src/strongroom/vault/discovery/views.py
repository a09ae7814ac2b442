# SPDX-License-Identifier: Apache-2.0
"""The ways in which bytes can be text with digits: as they stand, wide, escaped, encoded. Pure.

A view is a text with the place in the bytes of each of its characters. Cheap looks come first: most data has one view.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import unescape
from typing import Final

from strongroom.kernel.schemes import CARD_DIGITS_MIN
from strongroom.vault.discovery.model import Form

#: The longest form of one number, and what is looked at around it, in bytes.
REACH: Final = 1_024
#: Around what is wide or escaped, for the words beside it.
_CONTEXT: Final = 160
#: An encoded piece that is longer is decoded in pieces.
ENCODED_MAX: Final = 1 << 16

# In one-byte encodings: a no-break space, a soft hyphen, and dashes of Windows-1252.
_SINGLE_BYTES: Final = {0xDCA0: " ", 0xDCAD: "-", 0xDC96: "-", 0xDC97: "-"}

_ESCAPE: Final = re.compile(
    rb"(?P<percent>%[0-9A-Fa-f]{2})|\\u\{?(?P<unicode>[0-9A-Fa-f]{4})\}?|\\x(?P<hex>[0-9A-Fa-f]{2})"
    rb"|\\(?P<octal>[0-3][0-7]{2})|&#(?P<decimal>[0-9]{2,6});|&#[xX](?P<entity>[0-9A-Fa-f]{2,5});"
    rb"|(?P<name>&(?:nbsp|ensp|emsp|thinsp|shy|ndash|mdash|hyphen|minus);)"
    rb"|=(?P<quoted>3[0-9]|20|A0|2D)|(?P<soft>=\r?\n)"
)
# Each pattern begins with a set of bytes, which the engine skips to; what it lets through is looked at with care.
_ONE_ESCAPE: Final = (
    rb"[%\\&=](?:(?<=%)[0-9A-Fa-f]{2}|(?<=\\)(?:u\{?[0-9A-Fa-f]{4}\}?|x[0-9A-Fa-f]{2}|[0-3][0-7]{2})"
    rb"|(?<=&)(?:#(?:[0-9]{2,6}|[xX][0-9A-Fa-f]{2,5});|(?:nbsp|ensp|emsp|thinsp|shy|[nm]dash|hyphen|minus);)"
    rb"|(?<==)(?:3[0-9]|20|A0|2D|\r?\n))"
)
#: A character beyond ASCII that is as long as digits and separators are (UTF-8).
_BEYOND: Final = (
    rb"(?<=[\xc2\xd9\xdb\xdf])[\x80-\xbf]|(?<=[\xe0-\xef])[\x80-\xbf]{2}|(?<=\xf0)[\x80-\xbf]{3}"
)
#: Twelve more digits, with little between them; what is beyond ASCII, or escaped, may be a digit or stand between two.
_TWELVE: Final = (
    rb"(?:[ .+_\t\x96\x97\xa0\xad-]{0,3}(?:[0-9]|[\xc2\xd9\xdb\xdf\xe0-\xf0](?:"
    + _BEYOND
    + rb")|"
    + _ONE_ESCAPE
    + rb")){12,}"
)
_TEXT: Final = re.compile(
    rb"[0-9\xd9\xdb\xdf\xe0-\xf0](?:(?<=[0-9])(?<![0-9][0-9])|" + _BEYOND + rb")" + _TWELVE
)
_ESCAPED: Final = re.compile(_ONE_ESCAPE + _TWELVE)
_WIDE: Final[tuple[tuple[Form, str, int, re.Pattern[bytes]], ...]] = tuple(
    (form, codec, width, re.compile(rb"(?:" + unit + rb"){%d,}" % CARD_DIGITS_MIN))
    for form, codec, width, unit in (
        (Form.UTF16, "utf-16-le", 2, rb"[0-9 \t.+_\xa0\xad-]\x00"),
        (Form.UTF16, "utf-16-be", 2, rb"\x00[0-9 \t.+_\xa0\xad-]"),
        (Form.UTF32, "utf-32-le", 4, rb"[0-9 \t.+_\xa0\xad-]\x00\x00\x00"),
        (Form.UTF32, "utf-32-be", 4, rb"\x00\x00\x00[0-9 \t.+_\xa0\xad-]"),
    )
)
_HAS_ESCAPE: Final = re.compile(rb"[%\\&=]")

_BASE64: Final = re.compile(
    rb"[A-Za-z0-9+/_-]{18,}(?:(?<=[A-Za-z0-9+/]{60})\r?\n[A-Za-z0-9+/]+)*={0,2}"
)
# Three bytes that begin with a digit or a separator begin with one of these; so do wide digits, alternating with A.
_DIGITS_IN_BASE64: Final = re.compile(rb"[AIKLMNOX](?:[A-Za-z0-9+/_-]{3}[AIKLMNOX]){3}")
#: Packed by gzip.
_GZIP_IN_BASE64: Final = b"H4sI"
#: What is longer may be encoded once more, and is decoded in any case.
_SHORT_BASE64: Final = 400
_URL_ALPHABET: Final = bytes.maketrans(b"-_", b"+/")
#: The hexadecimal of digits, of what separates them, and of zero bytes between (UTF-16).
_HEX: Final = re.compile(rb"3[0-9](?:(?:00|20|09|2[bdeBDE]|5[fF]){0,3}3[0-9]){12,}")
_DUMP: Final = re.compile(rb"3[0-9](?:[ :-]3[0-9]){12,}|0x3[0-9](?:,? ?0x3[0-9]){12,}")
_CODES: Final = re.compile(rb"[45][0-9](?:, ?(?:4[89]|5[0-7])){12,}")
_EBCDIC: Final = re.compile(rb"[\xf0-\xf9](?:[\x40\x60\x4b]{0,2}[\xf0-\xf9]){12,}")
_PAIR: Final = re.compile(rb"3[0-9]")
_NUMBER: Final = re.compile(rb"[0-9]{2}")


@dataclass(frozen=True, slots=True)
class View:
    """A text, and where in the bytes it stands."""

    form: Form
    text: str
    #: Gives the byte at which a character of the text begins; of its length, where the text ends.
    at: Callable[[int], int]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Bytes that were encoded inside of others: they are searched as data of their own."""

    form: Form
    data: bytes
    start: int
    end: int


def texts(data: bytes) -> Iterator[View]:
    """Yield the texts in which thirteen digits may be, with what is around them."""
    for start, end in _windows(_TEXT, data):
        yield _as_it_stands(data, start, end)
        if _HAS_ESCAPE.search(data, start, end) is not None:
            yield _unescaped(data, start, end)
    if b"\x00" in data:
        yield from _wide(data)
    for start, end in _windows(_ESCAPED, data):
        yield _unescaped(data, start, end)
    for start, end in _windows(_EBCDIC, data):
        yield View(Form.EBCDIC, data[start:end].decode("cp037", "replace"), _every(1, start))


def _windows(pattern: re.Pattern[bytes], data: bytes) -> Iterator[tuple[int, int]]:
    """Yield where a pattern is, with what is around it; what is close together at once."""
    opened: tuple[int, int] | None = None
    for found in pattern.finditer(data):
        start, end = max(0, found.start() - _CONTEXT), min(len(data), found.end() + _CONTEXT)
        if opened is not None and start <= opened[1] and end - opened[0] < ENCODED_MAX:
            opened = opened[0], end
            continue
        if opened is not None:
            yield opened
        opened = start, end
    if opened is not None:
        yield opened


def _as_it_stands(data: bytes, start: int, end: int) -> View:
    # A window does not begin or end within a character.
    while start > 0 and end - start < ENCODED_MAX and data[start] & 0xC0 == 0x80:  # noqa: PLR2004 - RFC 3629
        start -= 1
    piece = data[start:end]
    if piece.isascii():
        return View(Form.TEXT, piece.decode("ascii"), _every(1, start))
    text = piece.decode("utf-8", "surrogateescape")

    def at(index: int) -> int:
        return start + len(text[:index].encode("utf-8", "surrogateescape"))

    return View(Form.TEXT, text.translate(_SINGLE_BYTES), at)


def _every(width: int, start: int) -> Callable[[int], int]:
    return lambda index: start + index * width


def _wide(data: bytes) -> Iterator[View]:
    for form, codec, width, pattern in _WIDE:
        for found in pattern.finditer(data):
            before = min(found.start() // width, _CONTEXT // width)
            start = found.start() - before * width
            end = found.end() + min((len(data) - found.end()) // width, _CONTEXT // width) * width
            # One code unit is one character for all that matters here.
            units = [data[at : at + width] for at in range(start, end, width)]
            text = "".join(_character(each, codec) for each in units)
            yield View(form, text, _every(width, start))


def _character(unit: bytes, codec: str) -> str:
    text = unit.decode(codec, "replace")
    return text if len(text) == 1 else "\ufffd"


def _unescaped(data: bytes, start: int, end: int) -> View:
    plain = bytearray()
    places: list[int] = []
    done = start
    for found in _ESCAPE.finditer(data, start, end):
        plain += data[done : found.start()]
        places += range(done, found.start())
        meant = _meant(found)
        plain += meant
        places += [found.start()] * len(meant)
        done = found.end()
    plain += data[done:end]
    places += [*range(done, end), end]
    text = bytes(plain).decode("utf-8", "surrogateescape")
    return View(Form.ESCAPED, text.translate(_SINGLE_BYTES), _through(text, places))


def _through(text: str, places: list[int]) -> Callable[[int], int]:
    if text.isascii():
        return lambda index: places[index]
    return lambda index: places[len(text[:index].encode("utf-8", "surrogateescape"))]


def _meant(found: re.Match[bytes]) -> bytes:
    kind = found.lastgroup
    if kind == "soft":
        return b""
    if kind == "name":
        return unescape(found[0].decode("ascii")).encode()
    digits = found[kind or 0].lstrip(b"%")
    if kind in {"percent", "hex", "quoted"}:
        return bytes([int(digits, 16)])
    if kind == "octal":
        return bytes([int(digits, 8)])
    code = int(digits, 10 if kind == "decimal" else 16)
    return chr(code).encode("utf-8", "surrogatepass") if code <= 0x10FFFF else b"?"  # noqa: PLR2004 - Unicode's last


def encoded(data: bytes, *, cut: bool) -> Iterator[Encoded]:
    """Yield what was encoded inside data. `cut`: the data begins in the middle of something."""
    for found in _BASE64.finditer(data):
        run = found[0].translate(_URL_ALPHABET, b"\r\n").rstrip(b"=")
        if (
            len(run) < _SHORT_BASE64
            and _DIGITS_IN_BASE64.search(run) is None
            and not run.startswith(_GZIP_IN_BASE64)
        ):
            continue
        # A piece that begins in the middle begins anywhere in a group of four.
        for skipped in range(4) if cut and found.start() == 0 else (0,):
            piece = run[skipped:]
            try:
                plain = base64.b64decode(piece[: len(piece) // 4 * 4] + _rest(piece))
            except binascii.Error:
                continue
            yield Encoded(Form.BASE64, plain, found.start(), found.end())
    for found in _HEX.finditer(data):
        yield Encoded(
            Form.CODES, bytes.fromhex(found[0].decode("ascii")), found.start(), found.end()
        )
    for found in _DUMP.finditer(data):
        plain = bytes(int(pair, 16) for pair in _PAIR.findall(found[0].replace(b"0x", b"")))
        yield Encoded(Form.CODES, plain, found.start(), found.end())
    for found in _CODES.finditer(data):
        plain = bytes(map(int, _NUMBER.findall(found[0])))
        yield Encoded(Form.CODES, plain, found.start(), found.end())


def _rest(piece: bytes) -> bytes:
    """Return the last group, filled up; one character alone says nothing."""
    left = piece[len(piece) // 4 * 4 :]
    return b"" if len(left) < 2 else left + b"=" * (4 - len(left))  # noqa: PLR2004 - a byte takes two
