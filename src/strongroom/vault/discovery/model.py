# SPDX-License-Identifier: Apache-2.0
"""What a search finds: where, in which form, how sure, and at most the first six and last four digits."""

import enum
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from strongroom.crypto.digest import hmac_sha256
from strongroom.crypto.random import random_bytes
from strongroom.kernel.schemes import Scheme

#: PCI DSS 3.4.1: at most the first six and the last four digits are shown.
HEAD_MAX: Final = 6
LAST: Final = 4
#: So many digits stay hidden, of short numbers too.
HIDDEN_MIN: Final = 6
#: A report keeps so many findings one by one; what is found beyond is counted.
FINDINGS_MAX: Final = 10_000


class Level(enum.StrEnum):
    """How sure it is that a number is a card's."""

    #: Its digits fit, and little else speaks for it or something speaks against it.
    LOW = "low"
    #: Its digits fit, and nothing speaks against it.
    MEDIUM = "medium"
    #: The way it is written, or the words around it, say so too.
    HIGH = "high"

    def reaches(self, least: "Level") -> bool:
        """Tell whether this is at least as sure."""
        order = [*Level]
        return order.index(self) >= order.index(least)


class Kind(enum.StrEnum):
    """What a number is, as far as its digits tell."""

    CARD = "card"
    #: Published by a processor for testing, or of our synthetic range.
    TEST = "test"
    #: One of our own aliases (begins 99, check digit wrong): no card, and nothing to worry about.
    ALIAS = "alias"


class Form(enum.StrEnum):
    """How a number is written where it was found."""

    TEXT = "text"
    UTF16 = "utf16"
    UTF32 = "utf32"
    #: Percent signs, backslashes, entities, quoted-printable.
    ESCAPED = "escaped"
    BASE64 = "base64"
    #: The codes of its digits, in hexadecimal or decimal.
    CODES = "codes"
    EBCDIC = "ebcdic"
    #: In a file of SQLite, outside of every row: deleted, and still there.
    LEFTOVER = "leftover"
    #: The very name of a file.
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Hit:
    """A number in a piece of data. Its digits are gone; `tag` compares it with others of the same search only."""

    start: int
    end: int
    form: Form
    kind: Kind
    level: Level
    scheme: str
    masked: str
    tag: bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """A number, where it was found."""

    #: A file with what is inside it (`dump.tar.gz!orders.csv`), or `schema.table.column`.
    place: str
    #: The line, or the row; from 1.
    line: int
    #: In bytes, from 1; of what was decoded, where something was.
    column: int
    #: In bytes, from 0.
    offset: int
    form: Form
    kind: Kind
    level: Level
    scheme: str
    masked: str
    tag: bytes = field(repr=False, compare=False, default=b"")


@dataclass(frozen=True, slots=True)
class Unread:
    """What could not be looked at, and why. A search with one of these has not shown absence."""

    place: str
    reason: str


@dataclass(slots=True)
class Report:
    """What a search came to."""

    findings: list[Finding] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    files: int = 0
    rows: int = 0
    bytes: int = 0
    #: All that was found, wanted or not.
    found: Counter[tuple[Kind, Level]] = field(default_factory=Counter)
    #: Which findings are told; the others are counted.
    wanted: Callable[[Finding], bool] = lambda _: True
    #: How many are wanted and were not kept, for want of room.
    overflowed: int = 0

    def add(self, finding: Finding) -> None:
        """Count a finding, and keep it if it is wanted and there is room."""
        self.found[finding.kind, finding.level] += 1
        if not self.wanted(finding):
            return
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(finding)
        else:
            self.overflowed += 1

    def not_read(self, place: str, reason: str) -> None:
        """Note what could not be looked at."""
        self.unread.append(Unread(place, reason))


def masked(number: str) -> str:
    """Return a number with its middle hidden: of 16 digits the first six and last four show, of 13 the first three."""
    head = min(HEAD_MAX, len(number) - LAST - HIDDEN_MIN)
    return f"{number[:head]}{'*' * (len(number) - head - LAST)}{number[-LAST:]}"


class Tagger:
    """Tells whether two numbers of one search are the same, under a key that ends with the search."""

    def __init__(self) -> None:
        self._key = random_bytes(32)

    def tag(self, number: str) -> bytes:
        """Return what stands for the number in this search."""
        return hmac_sha256(self._key, number.encode("ascii"))[:16]


def name_of(scheme: Scheme | None) -> str:
    """Return a scheme's word; an alias has none."""
    return "" if scheme is None else scheme.name
