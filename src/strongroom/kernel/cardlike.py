# SPDX-License-Identifier: Apache-2.0
"""The card detector: finds in text what looks like a card number, and takes it out.

For logs and requests it prefers a false alarm to a miss, but never takes one of our ids for a card. It sees
text; what is encoded (base64, UTF-16, BCD …) is `telemetry.canary`'s work. No finding carries the number.
"""

import enum
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, final

from strongroom.kernel.schemes import (
    CARD_DIGITS_MAX,
    CARD_DIGITS_MIN,
    DEFAULT_TABLE,
    Scheme,
    SchemeTable,
    luhn_valid,
)

REMOVED: Final = "[card number removed]"


class Confidence(enum.StrEnum):
    """How sure the detector is."""

    #: Prefix, length and check digit are a scheme's.
    HIGH = "high"
    #: Prefix and length are those of a scheme that has numbers without a check digit.
    SUSPECT = "suspect"
    #: One of our own aliases (13–19 digits, begins 99, check digit wrong). Not a card.
    ALIAS = "alias"


@dataclass(frozen=True, slots=True)
class Found:
    """Where in the text, and what. `scheme` is None for an alias."""

    start: int
    end: int
    scheme: Scheme | None
    confidence: Confidence


# What stands in for a space, a dash or a dot between two groups of digits, invisible characters included.
_STAND_INS: Final = {
    " ": "\u00a0\u00ad\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202f\u205f\u2060\u3000\ufeff",
    "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63\uff0d",
    ".": "\u00b7\u066b\u066c\u2022\u2024\uff0e",
}
#: No decimal digit of Unicode stands behind the first two planes (a test looks).
_DECIMALS_END: Final = 0x20000


def _plain_characters() -> dict[str, str]:
    """Map what stands in for an ASCII digit or separator to it.

    Digits by decimal value: NFKC would leave the Arabic-Indic ones as they are.
    """
    decimals = (chr(code) for code in range(0x80, _DECIMALS_END) if chr(code).isdecimal())
    plain = {character: str(unicodedata.decimal(character)) for character in decimals}
    for separator, stand_ins in _STAND_INS.items():
        plain |= dict.fromkeys(stand_ins, separator)
    return plain


_PLAIN: Final = str.maketrans(_plain_characters())
_UNUSUAL: Final = frozenset(map(chr, _PLAIN))
_ASCII: Final = re.compile("[\x00-\x7f]+")

# The cheap look: every digit becomes 0, separators vanish, and thirteen digits in a row are searched for.
# Whatever the careful look finds has thirteen such digits, so a "no" is final.
# `+` is a space in a form or a query (application/x-www-form-urlencoded), `_` one in a file's name.
_SEPARATORS: Final = b" -.+_\t"
_TO_ZERO: Final = bytes.maketrans(b"123456789", b"000000000")
_ENOUGH: Final = b"0" * CARD_DIGITS_MIN

_RUN: Final = re.compile(r"[0-9]+(?:[ .+_\t-]{1,3}[0-9]+)*")
_GROUP: Final = re.compile(r"[0-9]+")
#: How people and printers group card numbers. One group: no separators at all.
GROUPINGS: Final = frozenset(
    {
        *((digits,) for digits in range(CARD_DIGITS_MIN, CARD_DIGITS_MAX + 1)),
        *((4, 4, 4, last) for last in range(1, 8)),
        *((4, 4, 4, 4, last) for last in range(1, 4)),
        (4, 6, 4),
        (4, 6, 5),
        (4, 3, 3, 3),
        (4, 5, 4),
        (4, 5, 6),
        *((6, last) for last in range(7, 14)),
        (8, 8),
    }
)
#: Sixteen zeros have the form of a synthetic number; in logs they say that a trace id is absent.
_NOBODYS: Final = "0" * 16
_GROUPS_MAX: Final = max(map(len, GROUPINGS))

# `\n4242…` in a quoted string and `%204242…` in a URL: the digits touch an escape, not a word.
_ESCAPE: Final = re.compile(
    r"\\(?:[abfnrtv0]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8})|%[0-9A-Fa-f]{2}"
)
# Behind the number on a magnetic stripe: name, expiry and discretionary data (ISO/IEC 7813), CVC1 among them.
_TRACK_TAIL: Final = re.compile(r"\^[^^\r\n\"]{0,26}\^[0-9A-Za-z ]*\??|[=D][0-9]{7,}\??")


# What a number may touch all the same: letters, with no digit on their other side.
_LETTERS_MAX: Final = 40
_BEFORE: Final = re.compile(r"(?<![0-9A-Za-z])[A-Za-z]+\Z")
_BEHIND: Final = re.compile(rf"[A-Za-z]{{1,{_LETTERS_MAX}}}(?![0-9A-Za-z])")
_HEXADECIMAL: Final = re.compile(r"[A-Fa-f]+")
_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{13,32}")


# The second look, at what the first let through: thirteen digits that do not begin behind letters and digits. Hashes in
# hexadecimal pass the first look one time in twelve, and would each cost the careful look's tens of microseconds.
_BEGINS_APART: Final = re.compile(rb"(?<![0-9A-Za-z])[A-Za-z]*[0-9](?:[ .+_\t-]{0,3}[0-9]){12}")
#: With these a number may touch a word all the same (an escape), so only the careful look decides.
_GLUE: Final = re.compile(rb"[%\\]")


def _worth_a_look(data: bytes) -> bool:
    if _ENOUGH not in data.translate(_TO_ZERO, _SEPARATORS):
        return False
    return _BEGINS_APART.search(data) is not None or _GLUE.search(data) is not None


@final
class Detector:
    """The detector over one table of schemes."""

    __slots__ = ("_classify",)

    def __init__(self, table: SchemeTable) -> None:
        self._classify = table.classify

    def find(self, text: str) -> Iterator[Found]:
        """Yield what looks like a card number, by start; findings may overlap."""
        plain = _made_plain(text)
        if plain is None:
            return
        found = set(self._find_plain(plain))
        if "\\" in plain or "%" in plain:
            blanked = _ESCAPE.sub(lambda escape: "\x00" * len(escape[0]), plain)
            found.update(self._find_plain(blanked))
        yield from sorted(found, key=lambda item: (item.start, -item.end))

    def has(self, text: str) -> bool:
        """Tell whether a card number (not an alias) is in the text."""
        return any(found.confidence is not Confidence.ALIAS for found in self.find(text))

    def has_bytes(self, data: bytes) -> bool:
        """Tell whether a card number is in bytes that are text in UTF-8 or something near it."""
        if data.isascii() and not _worth_a_look(data):
            return False
        return self.has(data.decode("utf-8", "replace"))

    def redact(self, text: str) -> str:
        """Return the text with `REMOVED` in the place of every card number."""
        while (left := self._without_found(text)) != text:
            text = left  # what touched a number stands apart now
        return text

    def _without_found(self, text: str) -> str:
        pieces: list[str] = []
        done = 0
        for found in self.find(text):
            if found.confidence is Confidence.ALIAS or found.end <= done:
                continue
            if found.start >= done:
                pieces += text[done : found.start], REMOVED
            done = found.end
        if not done:
            return text
        pieces.append(text[done:])
        return "".join(pieces)

    def _find_plain(self, plain: str) -> Iterator[Found]:
        for run in _RUN.finditer(plain):
            groups = [group.span() for group in _GROUP.finditer(plain, *run.span())]
            for first in range(len(groups)):
                if first == 0 and _touches_word_before(plain, groups):
                    continue
                yield from self._from_group(plain, groups, first)

    def _from_group(self, plain: str, groups: list[tuple[int, int]], first: int) -> Iterator[Found]:
        """Yield what begins with this group of a run."""
        shape: tuple[int, ...] = ()
        digits = ""
        for start, end in groups[first : first + _GROUPS_MAX]:
            shape += (end - start,)
            digits += plain[start:end]
            if len(digits) > CARD_DIGITS_MAX:
                return
            if shape in GROUPINGS and not _touches_word_after(plain, end):
                verdict = self._judge(digits)
                if verdict is not None:
                    scheme, confidence = verdict
                    tail = _TRACK_TAIL.match(plain, end)
                    yield Found(groups[first][0], tail.end() if tail else end, scheme, confidence)

    def _judge(self, digits: str) -> tuple[Scheme | None, Confidence] | None:
        checks = luhn_valid(digits)
        if digits.startswith("99") and not checks:
            return None, Confidence.ALIAS
        scheme = self._classify(digits)
        if scheme is None or digits == _NOBODYS:
            return None
        if checks:
            return scheme, Confidence.HIGH
        return None if scheme.luhn_required else (scheme, Confidence.SUSPECT)


def _made_plain(text: str) -> str | None:
    """Return the text with ASCII digits and separators, same length; None if no card number can be in it."""
    if not text.isascii() and not _UNUSUAL.isdisjoint(_ASCII.sub("", text)):
        text = text.translate(_PLAIN)
    return text if _worth_a_look(text.encode("utf-8", "replace")) else None


def _is_word(character: str) -> bool:
    return character.isascii() and character.isalnum()


def _touches_word_before(plain: str, groups: list[tuple[int, int]]) -> bool:
    """Tell whether what a run of groups begins behind makes it a part of something else.

    Letters do not (`pan4242…`, the `%B` of a magnetic stripe), but where groups may be those of a UUID.
    """
    start = groups[0][0]
    letters = _BEFORE.search(plain, max(0, start - _LETTERS_MAX), start)
    if letters is None:
        return start > 0 and _is_word(plain[start - 1])
    if len(groups) > 1 and _HEXADECIMAL.fullmatch(letters[0]):
        return True
    return _is_iban(plain[letters.start() : groups[0][1]])


def _touches_word_after(plain: str, end: int) -> bool:
    if end == len(plain) or not _is_word(plain[end]):
        return False
    # ISO/IEC 7813 track 2 as chips give it: `D` before the expiry.
    return _TRACK_TAIL.match(plain, end) is None and _BEHIND.match(plain, end) is None


def _is_iban(word: str) -> bool:
    """Tell whether a word is an account number whose check digits hold (ISO 13616): of some countries all digits."""
    if _IBAN.fullmatch(word) is None:
        return False
    country = "".join(str(int(letter, 36)) for letter in word[:2])
    return int(word[4:] + country + word[2:4]) % 97 == 1  # ISO/IEC 7064, MOD 97-10


_DETECTOR: Final = Detector(DEFAULT_TABLE)
find_cardlike = _DETECTOR.find
has_cardlike = _DETECTOR.has
has_cardlike_bytes = _DETECTOR.has_bytes
redact = _DETECTOR.redact
