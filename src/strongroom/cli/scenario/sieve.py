# SPDX-License-Identifier: Apache-2.0
"""A fast exact search for tens of thousands of card numbers: hundreds of megabytes a second, in the usual forms.

Undoes each form for a whole chunk at once (separators, zero bytes and prefixes out, other scripts' digits to ours),
and looks up every long run of digits. `telemetry.canary` knows more forms and is slower; its decoys test this one.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Final

from strongroom.kernel.schemes import CARD_DIGITS_MIN
from strongroom.telemetry.card_forms import Form

#: What this search finds.
FORMS: Final = frozenset(Form) - {Form.BCD}
CHUNK_BYTES: Final = 8 * 1024 * 1024
#: A number takes at most this many bytes, whatever the form.
OVERLAP_BYTES: Final = 1024


def _to_digits() -> bytes:
    """Map the last byte of every digit of every script that is known here to the ASCII digit."""
    table = bytearray(range(256))
    for value in range(10):
        # EBCDIC; Arabic-Indic U+0660 and Persian U+06F0 in UTF-8; full width U+FF10 in UTF-8
        for code in (0xF0 + value, 0xA0 + value, 0xB0 + value, 0x90 + value):
            table[code] = ord("0") + value
    return bytes(table)


def _to_scripts() -> bytes:
    """Map the same bytes to one letter a script: what is joined of several scripts is no number."""
    table = bytearray(range(256))
    for code in range(256):
        if _TO_DIGITS[code] in b"0123456789":
            table[code] = ord("A") + (code >> 4)
    return bytes(table)


_TO_DIGITS: Final = _to_digits()
_TO_SCRIPTS: Final = _to_scripts()
#: Separators, the zero bytes of UTF-16 and UTF-32, the first bytes of other scripts' digits, and what stands
#: before an encoded digit: `%34`, `\\x34`, `\\u0034`, `&#52;`. What is joined by this is only looked at more closely.
_LEFT_OUT: Final = b" -.+_\t\r\n\x00,:;%\\xu&#[]()/" + b"\xd9\xdb\xef\xbc\xc2\xe2\x80"
#: Separators that would read as digits: a space in a URL, a no-break space in UTF-8.
_SEPARATORS_WITH_DIGITS: Final = (b"%20", b"\xc2\xa0")
_TO_ZERO: Final = bytes.maketrans(b"123456789", b"000000000")
_ENOUGH: Final = b"0" * CARD_DIGITS_MIN
_LONG: Final = 512
#: Empty pages, printed: no number has so many zeros.
_ZEROS: Final = re.compile(rb"0{64,}")
_FEWER_ZEROS: Final = b"0" * 32
#: Codes of digits, thirteen or more: `34`, `0034`, `52`.
_HEX: Final = re.compile(rb"(?:3[0-9]){13,}")
_FOUR_HEX: Final = re.compile(rb"(?:003[0-9]){13,}")
_DECIMAL: Final = re.compile(rb"(?:4[89]|5[0-7]){13,}")


def _base64_class() -> bytes:
    """Map the 25 characters of which base64 of digits consists to 0, and all others away from it."""
    table = bytearray(b"." * 256)
    for code in b"MNO" + b"DTjz" + b"AEIMQUYcgk" + b"wxyz012345":
        table[code] = ord("0")
    return bytes(table)


_BASE64_CLASS: Final = _base64_class()
_BASE64_ENOUGH: Final = (
    b"0" * 14
)  # of 13 digits, without the characters at the ends that mix with neighbours
_BASE64_BETWEEN: Final = b"\r\n\\"
_ALPHABET: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")


@dataclass(frozen=True, slots=True)
class Hit:
    """A number was found: where, in which form, and its last four digits."""

    place: str
    form: Form
    last_four: str


@dataclass(slots=True)
class Searched:
    """What a search came to."""

    hits: list[Hit] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    seconds: float = 0.0

    def add(self, other: "Searched") -> None:
        """Take another search's results in."""
        self.hits += other.hits
        self.unread += other.unread
        self.files += other.files
        self.bytes += other.bytes
        self.seconds += other.seconds


class Sieve:
    """The numbers, made ready."""

    def __init__(self, numbers: Iterable[str]) -> None:
        self._numbers = frozenset(number.encode() for number in numbers)
        self._lengths = sorted({len(number) for number in self._numbers})

    def __len__(self) -> int:
        return len(self._numbers)

    def scan(self, data: bytes) -> set[tuple[Form, str]]:
        """Return the form and the last four digits of every number in the data."""
        found: set[tuple[Form, str]] = set()
        if not data.strip(b"\x00"):
            return found
        for separator in _SEPARATORS_WITH_DIGITS:
            if separator in data:
                data = data.replace(separator, b"")
        plain = data.translate(_TO_DIGITS, _LEFT_OUT)
        zeroed = plain.translate(_TO_ZERO)
        for start, end in _runs(zeroed, _ENOUGH):
            run = _ZEROS.sub(_FEWER_ZEROS, plain[start:end])
            for form, digits in _undone(run):
                found.update(
                    (form, number[-4:].decode())
                    for number in self._in(digits)
                    if form is not Form.CLEAR or _is_of_one_script(data, plain, number)
                )
        joined = data.translate(None, _BASE64_BETWEEN)
        for start, end in _runs(joined.translate(_BASE64_CLASS), _BASE64_ENOUGH):
            for digits in _debased(joined, start, end):
                found.update((Form.BASE64, number[-4:].decode()) for number in self._in(digits))
        return found

    def stream(self, chunks: Iterable[bytes], place: str) -> Searched:
        """Search a stream, however it is cut into chunks."""
        searched = Searched(files=1)
        begun = perf_counter()
        tail = b""
        seen: set[tuple[Form, str]] = set()
        for chunk in chunks:
            seen |= self.scan(tail + chunk)
            searched.bytes += len(chunk)
            tail = (tail + chunk)[-OVERLAP_BYTES:]
        searched.hits = [Hit(place, form, last_four) for form, last_four in sorted(seen)]
        searched.seconds = perf_counter() - begun
        return searched

    def file(self, path: Path) -> Searched:
        """Search a file and its name. What cannot be read is named; what is gone meanwhile counts as nothing."""
        searched = Searched()
        for form, last_four in sorted(self.scan(str(path).encode("utf-8", "surrogateescape"))):
            searched.hits.append(Hit("a file's name", form, last_four))
        try:
            searched.add(self.stream(_chunks(path), str(path)))
        except FileNotFoundError:
            pass  # the server's own housekeeping: a temporary file, a recycled segment
        except OSError as error:
            searched.unread.append(f"{path}: {error.strerror}")
        return searched

    def _in(self, digits: bytes) -> Iterator[bytes]:
        """Yield every number that stands somewhere in a run of digits."""
        for at in range(len(digits) - CARD_DIGITS_MIN + 1):
            for length in self._lengths:
                if digits[at : at + length] in self._numbers:
                    yield digits[at : at + length]


def _is_of_one_script(data: bytes, plain: bytes, number: bytes) -> bool:
    """Tell whether a number stands somewhere in one script's digits.

    Equal fractions in a row, as a database keeps of its statistics, read as digits of two scripts by turns.
    """
    scripts = data.translate(_TO_SCRIPTS, _LEFT_OUT)
    at = plain.find(number)
    if at < 0:
        return True  # shortened zeros are in between: looked at as it is
    while at >= 0:
        if len(set(scripts[at : at + len(number)])) == 1:
            return True
        at = plain.find(number, at + 1)
    return False


def _runs(zeroed: bytes, enough: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of every run of at least so many zeros."""
    at = zeroed.find(enough)
    while at >= 0:
        end = at + len(enough)
        rest = zeroed[end : end + _LONG]
        while rest:
            more = len(rest) - len(rest.lstrip(b"0"))
            end += more
            rest = zeroed[end : end + _LONG] if more == len(rest) else b""
        yield at, end
        at = zeroed.find(enough, end)


def _undone(run: bytes) -> Iterator[tuple[Form, bytes]]:
    """Yield what a run of digits says: itself, and what it encodes as hexadecimal or decimal codes of digits."""
    yield Form.CLEAR, run
    if len(run) < 2 * CARD_DIGITS_MIN:
        return
    for match in _HEX.finditer(run):
        yield Form.HEX, match[0][1::2]
    for match in _FOUR_HEX.finditer(run):
        yield Form.BACKSLASH_U, match[0][3::4]
    for match in _DECIMAL.finditer(run):
        codes = match[0]
        yield Form.DECIMAL, bytes(int(codes[at : at + 2]) for at in range(0, len(codes), 2))


def _debased(data: bytes, start: int, end: int) -> Iterator[bytes]:
    """Yield runs of digits that a stretch of base64 decodes to, at each of the four alignments.

    The characters at the ends mix with what stands beside the number, so a few more on each side are taken along.
    """
    low, high = max(0, start - 4), min(len(data), end + 4)
    piece = bytes(code if code in _ALPHABET else ord("A") for code in data[low:high])
    for first in range(4):
        part = piece[first:]
        whole = part + b"A" * (-len(part) % 4)
        try:
            decoded = base64.b64decode(whole, validate=True)
        except binascii.Error:
            continue
        digits = bytes(code if 48 <= code <= 57 else 32 for code in decoded)  # noqa: PLR2004 - ASCII 0 to 9
        for run in digits.split():
            if len(run) >= CARD_DIGITS_MIN:
                yield run


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
