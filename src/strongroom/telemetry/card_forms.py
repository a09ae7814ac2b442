# SPDX-License-Identifier: Apache-2.0
"""The forms in which a card number can lie about: as text, grouped, encoded, packed. Pure.

For numbers of one length, each form is a layout: for every byte the values it can have, which finds candidates
fast, and a function from a candidate back to digits. Whether a candidate is one of the numbers, the caller decides.
"""

import base64
import enum
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from strongroom.kernel.cardlike import GROUPINGS


class Form(enum.StrEnum):
    """How a number was written where it was found."""

    CLEAR = "clear"
    GROUPED = "grouped"
    #: The alphabets of base64 and base64url do not differ for ASCII digits.
    BASE64 = "base64"
    #: The hexadecimal of ASCII digits has no letters, so no case.
    HEX = "hex"
    #: Packed decimal: two digits a byte (ISO 8583, EMV).
    BCD = "bcd"
    EBCDIC = "ebcdic"
    PERCENT = "percent"
    BACKSLASH_U = "backslash_u"
    BACKSLASH_X = "backslash_x"
    #: `52, 50, …` as programs print bytes.
    DECIMAL = "decimal"
    ENTITY = "entity"
    #: Little and big endian differ only in the zero bytes at the ends.
    UTF16 = "utf16"
    UTF32 = "utf32"
    ARABIC_INDIC = "arabic_indic"
    PERSIAN = "persian"
    FULL_WIDTH = "full_width"


Column: TypeAlias = frozenset[int]


@dataclass(frozen=True, slots=True)
class Layout:
    """One form of numbers of one length."""

    form: Form
    #: How many bytes it takes.
    size: int
    #: Matches the first byte of a candidate.
    pattern: re.Pattern[bytes]
    #: Gives the ASCII digits of a candidate.
    digits: Callable[[bytes], bytes]


#: Between two groups: single bytes, and what stands for a space elsewhere.
SHORT_SEPARATORS: Final = b" -.+_\t"
LONG_SEPARATORS: Final = (
    b"%20",
    b"%2D",
    b"&nbsp;",
    b"\\u00a0",
    "\u00a0".encode(),
    "\u2011".encode(),
)

#: Forms that write a digit as a fixed prefix and the digit's ASCII code, shifted.
AFFIXED: Final = (
    (Form.HEX, b"3", 0),
    (Form.PERCENT, b"%3", 0),
    (Form.BACKSLASH_U, b"\\u003", 0),
    (Form.BACKSLASH_X, b"\\x3", 0),
    (Form.EBCDIC, b"", 0xC0),
    (Form.ARABIC_INDIC, b"\xd9", 0x70),  # U+0660 … in UTF-8
    (Form.PERSIAN, b"\xdb", 0x80),  # U+06F0 …
    (Form.FULL_WIDTH, b"\xef\xbc", 0x60),  # U+FF10 …
)
#: Between the bytes of a dump.
DUMP_SEPARATORS: Final = b" :-"
_WIDE: Final = ((Form.UTF16, b"\x00"), (Form.UTF32, b"\x00\x00\x00"))
_ZERO: Final = ord("0")
_BYTES_A_TRIPLE: Final = 3
_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def layouts(numbers: Sequence[bytes]) -> Iterator[Layout]:
    """Yield every form of some numbers that all have the same length."""
    columns = [frozenset(column) for column in zip(*numbers, strict=True)]
    yield _layout(Form.CLEAR, columns, bytes)
    yield from _grouped(columns)
    for form, prefix, shift in AFFIXED:
        yield _affixed(form, columns, prefix, shift)
    for form, gap in _WIDE:
        fixed = [frozenset({code}) for code in gap]
        wide = [*itertools.chain.from_iterable([column, *fixed] for column in columns)]
        yield _layout(form, wide[: -len(gap)], _every(len(gap) + 1, 0))
    yield _dumped(columns)
    for form, before, behind in (
        (Form.ENTITY, b"&#", b";"),
        (Form.DECIMAL, b"", b", "),
        (Form.DECIMAL, b"", b","),
    ):
        yield _in_decimal(form, columns, before, behind)
    yield from _packed(numbers)
    for alignment in range(_BYTES_A_TRIPLE):
        yield _base64(numbers, alignment)


def _layout(form: Form, columns: Sequence[Column], digits: Callable[[bytes], bytes]) -> Layout:
    first, *rest = [
        b"[" + b"".join(b"\\x%02x" % code for code in sorted(column)) + b"]" for column in columns
    ]
    # Only the first byte is outside the lookahead: the engine skips to it by a table, and matches may overlap.
    return Layout(form, len(columns), re.compile(first + b"(?=" + b"".join(rest) + b")"), digits)


def _every(step: int, first: int) -> Callable[[bytes], bytes]:
    return lambda piece: piece[first::step]


def _fixed(text: bytes) -> list[Column]:
    return [frozenset({code}) for code in text]


def _grouped(columns: Sequence[Column]) -> Iterator[Layout]:
    """Yield every grouping with one-byte separators, and the most usual one with longer ones."""
    shapes = sorted(
        (shape for shape in GROUPINGS if len(shape) > 1 and sum(shape) == len(columns)),
        key=len,
        reverse=True,
    )
    short = [frozenset(SHORT_SEPARATORS)]
    for shape in shapes:
        yield _layout(
            Form.GROUPED,
            _joined(columns, shape, short),
            lambda piece: piece.translate(None, SHORT_SEPARATORS),
        )
    printed = [shape for shape in shapes if len(shape) > 2]  # noqa: PLR2004 - in two only machines write them
    for shape, separator in itertools.product(printed, LONG_SEPARATORS):
        yield _layout(Form.GROUPED, _joined(columns, shape, _fixed(separator)), _without(separator))


def _without(separator: bytes) -> Callable[[bytes], bytes]:
    return lambda piece: piece.replace(separator, b"")


def _joined(
    columns: Sequence[Column], shape: Sequence[int], separator: Sequence[Column]
) -> list[Column]:
    joined: list[Column] = []
    ends = list(itertools.accumulate(shape))
    for start, end in zip([0, *ends], ends, strict=False):
        joined += [*(separator if start else []), *columns[start:end]]
    return joined


def _affixed(form: Form, columns: Sequence[Column], prefix: bytes, shift: int) -> Layout:
    fixed = _fixed(prefix)
    shifted = [frozenset(code + shift for code in column) for column in columns]
    plain = bytes((code - shift) % 256 for code in range(256))
    step, first = len(prefix) + 1, len(prefix)
    return _layout(
        form,
        [*itertools.chain.from_iterable([*fixed, column] for column in shifted)],
        lambda piece: piece[first::step].translate(plain),
    )


def _dumped(columns: Sequence[Column]) -> Layout:
    """Lay out `34 32 34 32 …`."""
    between = frozenset(DUMP_SEPARATORS)
    three = frozenset(b"3")
    wide = itertools.chain.from_iterable([three, column, between] for column in columns)
    return _layout(Form.HEX, [*wide][:-1], _every(3, 1))


def _in_decimal(form: Form, columns: Sequence[Column], before: bytes, behind: bytes) -> Layout:
    """Lay out the codes 48 to 57 in decimal, such as `&#52;&#50;…`."""
    wide: list[Column] = []
    for column in columns:
        codes = [b"%d" % code for code in column]
        wide += [
            *_fixed(before),
            *(frozenset(code[place] for code in codes) for place in range(2)),
            *_fixed(behind),
        ]
    step, first = len(before) + 2 + len(behind), len(before)

    def digits(piece: bytes) -> bytes:
        return bytes(
            10 * (tens - _ZERO) + ones - _ZERO
            for tens, ones in zip(piece[first::step], piece[first + 1 :: step], strict=True)
        )

    # What stands behind the last code may be missing: an array ends otherwise.
    return _layout(form, wide[: len(wide) - len(behind)], digits)


def _packed(numbers: Sequence[bytes]) -> Iterator[Layout]:
    """Yield packed decimal; an odd number of digits has a zero before it or an F behind it."""
    if len(numbers[0]) % 2 == 0:
        yield _of_examples(Form.BCD, (bytes.fromhex(n.decode()) for n in numbers), _unpacked)
        return
    before = (bytes.fromhex("0" + n.decode()) for n in numbers)
    behind = (bytes.fromhex(n.decode() + "f") for n in numbers)
    yield _of_examples(Form.BCD, before, lambda piece: _unpacked(piece)[1:])
    yield _of_examples(Form.BCD, behind, lambda piece: _unpacked(piece)[:-1])


def _unpacked(piece: bytes) -> bytes:
    return piece.hex().encode()


def _of_examples(form: Form, examples: Iterable[bytes], digits: Callable[[bytes], bytes]) -> Layout:
    return _layout(form, [frozenset(column) for column in zip(*examples, strict=True)], digits)


def _base64(numbers: Sequence[bytes], alignment: int) -> Layout:
    """Lay out base64 of a text in which the number begins `alignment` bytes into a triple.

    What stands before and behind the number mixes into the characters at its ends. In front only its first
    half byte does (always 3, a digit's), so those characters are left out; behind, the character's own bits count.
    """
    size = len(numbers[0])
    left_out = (0, 2, 3)[alignment]
    filler = b"AAA"[:alignment]
    shared_bits = (0, 4, 2)[(alignment + size) % _BYTES_A_TRIPLE]
    characters = -(-(alignment + size) * 8 // 6)
    examples = (base64.b64encode(filler + number)[left_out:characters] for number in numbers)
    columns = [set(column) for column in zip(*examples, strict=True)]
    if shared_bits:
        columns[-1] = {
            _ALPHABET[_ALPHABET.index(code) | below]
            for code in columns[-1]
            for below in range(1 << shared_bits)
        }
    head = base64.b64encode(b"\x00" * alignment + b"0\x00\x00")[:left_out]
    mask = bytes.maketrans(
        _ALPHABET, bytes(_ALPHABET[at >> shared_bits << shared_bits] for at in range(64))
    )
    padding = b"=" * (-characters % 4)

    def digits(piece: bytes) -> bytes:
        whole = head + piece[:-1] + piece[-1:].translate(mask) + padding
        return base64.b64decode(whole)[alignment:]

    return _layout(Form.BASE64, [frozenset(column) for column in columns], digits)
