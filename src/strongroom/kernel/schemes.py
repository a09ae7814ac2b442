# SPDX-License-Identifier: Apache-2.0
"""Card schemes: which numbers are theirs, how long they are, whether their last digit checks (Luhn).

A table and three functions over digits. It names the scheme for display, routing and detection; it does not
know whether a number was ever issued. Longest prefix wins where ranges overlap.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, final

from strongroom.kernel.invariant import invariant

#: ISO/IEC 7812: a card number has at most 19 digits; below 13 no scheme here issues.
CARD_DIGITS_MIN: Final = 13
CARD_DIGITS_MAX: Final = 19

_INDEX_DIGITS: Final = 4
_PREFIX_DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class Scheme:
    """A card scheme: its word in the API, the lengths it issues, and how its numbers and codes are checked."""

    name: str
    lengths: frozenset[int]
    #: False where numbers without a valid check digit are in use.
    luhn_required: bool = True
    cvc_digits: int = 3

    def __str__(self) -> str:
        return self.name


def _lengths(first: int, last: int) -> frozenset[int]:
    return frozenset(range(first, last + 1))


AMEX: Final = Scheme("amex", frozenset({15}), cvc_digits=4)
DINERS: Final = Scheme("diners", _lengths(14, 19))
DISCOVER: Final = Scheme("discover", _lengths(16, 19))
ELO: Final = Scheme("elo", frozenset({16}))
HIPERCARD: Final = Scheme("hipercard", frozenset({16}))
#: The UAE's domestic scheme. Its ranges are not published; an installation adds them (`with_ranges`).
JAYWAN: Final = Scheme("jaywan", frozenset({16}))
JCB: Final = Scheme("jcb", _lengths(16, 19))
MAESTRO: Final = Scheme("maestro", _lengths(13, 19))
MASTERCARD: Final = Scheme("mastercard", frozenset({16}))
MIR: Final = Scheme("mir", _lengths(16, 19))
RUPAY: Final = Scheme("rupay", frozenset({16}))
#: Ours, for test mode: 16 digits, first digit 0 (ISO/IEC 7812: not for payment cards), Luhn-valid.
SYNTHETIC: Final = Scheme("synthetic", frozenset({16}))
UNIONPAY: Final = Scheme("unionpay", _lengths(16, 19), luhn_required=False)
VISA: Final = Scheme("visa", frozenset({13, 16, 19}))

SCHEMES: Final = (
    AMEX,
    DINERS,
    DISCOVER,
    ELO,
    HIPERCARD,
    JAYWAN,
    JCB,
    MAESTRO,
    MASTERCARD,
    MIR,
    RUPAY,
    SYNTHETIC,
    UNIONPAY,
    VISA,
)

#: Issuer ranges, `first-last` or one prefix, two to six digits. Of two ranges equally narrow the first row
#: wins, so domestic schemes stand before Maestro, which took what was left of 5 and 6.
RANGES: Final[tuple[tuple[Scheme, str], ...]] = (
    (AMEX, "34 37"),
    (DINERS, "300-305 309 36 38 39"),
    (DISCOVER, "6011 644-649 65"),
    (
        ELO,
        (
            "401178-401179 438935 451416 457631-457632 504175 506699-506778 509000-509999 627780 636297"
            " 636368 650031-650033 650035-650051 650405-650439 650485-650538 650541-650598"
            " 650700-650718 650720-650727 650901-650920 651652-651679 655000-655019 655021-655058"
        ),
    ),
    (HIPERCARD, "606282"),
    (JCB, "3528-3589"),
    (MASTERCARD, "51-55 2221-2720"),
    (MIR, "2200-2204"),
    (RUPAY, "508 60 652150-653149 8172-8199 82"),
    (SYNTHETIC, "00-09"),
    (UNIONPAY, "62 8100-8171"),
    (VISA, "4"),
    (MAESTRO, "50 56-58 60 61 63 640-643 66-69"),
)


@dataclass(frozen=True, slots=True)
class _Range:
    low: str
    high: str
    scheme: Scheme


def _parse(scheme: Scheme, word: str) -> _Range:
    low, dash, high = word.partition("-")
    high = high if dash else low
    invariant(
        all(part.isascii() and part.isdecimal() for part in (low, high)),
        "an issuer range is made of digits",
    )
    found = _Range(low.ljust(_PREFIX_DIGITS, "0"), high.ljust(_PREFIX_DIGITS, "9"), scheme)
    invariant(
        len(found.low) == len(found.high) == _PREFIX_DIGITS and found.low <= found.high,
        "an issuer range has at most six digits and runs upward",
    )
    return found


@final
class SchemeTable:
    """Issuer ranges, indexed by the first four digits."""

    __slots__ = ("_index", "_ranges")

    def __init__(self, ranges: Iterable[tuple[Scheme, str]]) -> None:
        self._ranges = tuple(ranges)
        rows = [_parse(scheme, word) for scheme, words in self._ranges for word in words.split()]
        rows.sort(key=lambda row: int(row.high) - int(row.low))  # stable: equal widths keep order
        index: dict[str, list[tuple[str, str, frozenset[int], Scheme]]] = {}
        for row in rows:
            first, last = int(row.low[:_INDEX_DIGITS]), int(row.high[:_INDEX_DIGITS])
            for prefix in range(first, last + 1):
                index.setdefault(f"{prefix:04d}", []).append(
                    (row.low, row.high, row.scheme.lengths, row.scheme)
                )
        self._index = {prefix: tuple(found) for prefix, found in index.items()}

    def with_ranges(self, scheme: Scheme, words: str) -> "SchemeTable":
        """Return a table that also knows these ranges; they win over equally narrow ones."""
        return SchemeTable(((scheme, words), *self._ranges))

    def classify(self, number: str) -> Scheme | None:
        """Return the scheme whose range and length fit a number of ASCII digits. Does not check Luhn."""
        if (candidates := self._index.get(number[:_INDEX_DIGITS])) is None:
            return None
        length = len(number)
        prefix = number[:_PREFIX_DIGITS]
        for low, high, lengths, scheme in candidates:
            if length in lengths and low <= prefix <= high:
                return scheme if number.isdecimal() and number.isascii() else None
        return None


DEFAULT_TABLE: Final = SchemeTable(RANGES)
classify = DEFAULT_TABLE.classify

# Luhn (ISO/IEC 7812-1 annex B): from the right, every second digit doubled and its digits added.
_DOUBLED: Final = bytes.maketrans(b"0123456789", b"0246813579")
_ZERO: Final = ord("0")


def luhn_valid(digits: str) -> bool:
    """Tell whether the last digit checks. False for anything but ASCII digits."""
    if not (digits.isdecimal() and digits.isascii()):
        return False
    codes = digits.encode()
    total = sum(codes[::-2]) + sum(codes[-2::-2].translate(_DOUBLED))
    return (total - _ZERO * len(codes)) % 10 == 0


def complete_luhn(payload: str) -> str:
    """Return the payload with its check digit behind it."""
    invariant(payload.isdecimal() and payload.isascii(), "a payload is made of digits")
    codes = payload.encode()
    total = sum(codes[::-2].translate(_DOUBLED)) + sum(codes[-2::-2])
    return payload + str(-(total - _ZERO * len(codes)) % 10)


_SYNTHETIC_DIGITS: Final = 16


def synthetic_number(serial: int) -> str:
    """Return the synthetic card number of a serial from 1 to 10¹⁴ - 1."""
    invariant(0 < serial < 10 ** (_SYNTHETIC_DIGITS - 2), "a serial has 1 to 14 digits")
    return complete_luhn(f"0{serial:014d}")


def is_synthetic(number: str) -> bool:
    """Tell whether a number is of our synthetic range."""
    return len(number) == _SYNTHETIC_DIGITS and number[0] == "0" and luhn_valid(number)
