# SPDX-License-Identifier: Apache-2.0
"""How sure it is that digits are a card's: the way they are written, and what stands around them. Pure.

Digits alone cannot tell: of random numbers of sixteen digits, one in twenty or so has a scheme's prefix and a check
digit that holds. The weights are set by the labelled set of the tests, which says what they miss and what they invent.
"""

import re
from dataclasses import dataclass
from typing import Final

from strongroom.kernel.cardlike import Confidence, Found
from strongroom.kernel.published import is_published
from strongroom.kernel.schemes import SYNTHETIC, is_synthetic
from strongroom.vault.discovery.model import Kind, Level

#: How far before and behind a number is looked, in characters.
BEFORE: Final = 96
BEHIND: Final = 48
_HIGH: Final = 70
_MEDIUM: Final = 45
_CHECKED: Final = 50
_UNCHECKED: Final = 20
#: Zeros in front of an id are more common than anything of ours.
_SYNTHETIC: Final = 35
#: The length of most cards there are, and those of single schemes.
_USUAL: Final = {"amex": 15, "diners": 14}
_UNUSUAL_LENGTH: Final = -12
_GROUPED: Final = 25
_FOR: Final = 30
_BESIDE: Final = 15
_AGAINST: Final = -40
_FRACTION: Final = -45
#: Groups of a longer row of groups, such as an IBAN's.
_AMONG_OTHERS: Final = -40
_MONOTONOUS: Final = -15
_FEW_DIGITS: Final = 2

# Words of several languages, whole or as parts of names (`card_number`, `ccNum`, `numeroCarte`).
_FOR_WORDS: Final = re.compile(
    r"(?i:card(?!inal|io|igan)|credit|debit|visa|master ?card|maestro|amex|american.?express|discover|diners|union ?pay"
    r"|jcb\b|rupay|mada\b|jaywan|primary.?account|account.?num|cvv|cvc|cid\b|holder|carte|tarjeta|karte|kart\b|carta\b"
    r"|cartao|cartão|kaart|kredit|carte.?bleue|بطاقة|البطاقة|कार्ड|卡号|カード|карт)"
    r"|(?i:\b|_)(?i:pan|cc|ccn|cc_?num(?:ber)?)(?i:\b|_)|(?<=[a-z])(?:Pan|PAN|Cc)\b|\bPAN\b|\bccNum|%B|\bDE0?2\b"
)
_AGAINST_WORDS: Final = re.compile(
    r"(?i:trace|span|request|session|correlation|transaction|txn|message|event|order|invoice|tracking|parcel|shipment"
    r"|serial|imei|iccid|imsi|isbn|issn|ean\b|ean13|gtin|upc\b|sku|barcode|phone|mobile|tel\b|fax|iban|swift|routing"
    r"|timestamp|epoch|millis|micros|nanos|time\b|_at\b|checksum|hash|sha\d|md5|crc|digest|nonce|seed|random|offset"
    r"|latitude|longitude|\blat\b|\blng\b|\blon\b|version|build|snowflake|tweet|inode|pid\b|vin\b"
    r"|ref(?:erence)?\b|tax\b|passport|licen[cs]e"
    r"|(?:customer|user|member|employee|ticket|case|device|meter).?(?:no|num|ref|#))"
    r"|(?:\b|_)(?i:id|uid|uuid|guid)\b|(?<=[a-z])(?:Id|ID|Uuid|UUID)\b"
)
_EXPIRY: Final = re.compile(
    r"(?<![0-9])(?:0[1-9]|1[0-2]) ?[/-] ?(?:20)?[2-4][0-9](?![0-9])|20[2-4][0-9]-(?:0[1-9]|1[0-2])(?![-0-9])|(?i:exp(?:iry|ires|iration)?\b|valid.?thru)"
)
# A number that its own line speaks of: what ends before it does not count.
_LINE_END: Final = re.compile(r"[\r\n]")
_FRACTION_BEFORE: Final = re.compile(r"[0-9][.,]$")
_MORE_BEFORE: Final = re.compile(r"[0-9][ ._+\u00a0\u2000-\u2015-]{1,3}$")
_MORE_BEHIND: Final = re.compile(r"[ ._+\u00a0\u2000-\u2015-]{1,3}[0-9]")
_GROUP_BETWEEN: Final = re.compile(r"[0-9][^0-9]{1,3}[0-9]")
#: How a field's own name ends, right before its value: `"card_number": "`, `<PAN>`, `cc=`.
_NAME: Final = re.compile(
    r"([A-Za-z_][\w .-]{0,40}?)[\"']?\s{0,4}(?:[=:>]|=>|\|)\s{0,4}[\"'\[(]?\s{0,2}$"
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a number is, and how sure."""

    kind: Kind
    level: Level


def judge(text: str, found: Found, number: str, hint: str = "") -> Verdict:
    """Return what a candidate of the detector is.

    Args:
        text: where it stands, in ASCII digits and separators or as it was written.
        found: what the detector said of it.
        number: its digits.
        hint: what its surroundings are called: a table's column.
    """
    if found.confidence is Confidence.ALIAS:
        return Verdict(Kind.ALIAS, Level.LOW)
    kind = Kind.TEST if is_published(number) or is_synthetic(number) else Kind.CARD
    score = _base(found, number) + _around(text, found, hint)
    level = Level.HIGH if score >= _HIGH else Level.MEDIUM if score >= _MEDIUM else Level.LOW
    return Verdict(kind, level)


def _base(found: Found, number: str) -> int:
    scheme = found.scheme
    if scheme is SYNTHETIC:
        score = _SYNTHETIC
    else:
        score = _CHECKED if found.confidence is Confidence.HIGH else _UNCHECKED
        if scheme is not None and len(number) != _USUAL.get(scheme.name, 16):
            score += _UNUSUAL_LENGTH
    if len(set(number)) <= _FEW_DIGITS and not is_published(number):
        score += _MONOTONOUS
    return score


def _around(text: str, found: Found, hint: str) -> int:
    before = text[max(0, found.start - BEFORE) : found.start]
    behind = text[found.end : found.end + BEHIND]
    score = 0
    if _GROUP_BETWEEN.search(text, found.start, found.end):
        score += _GROUPED
        if _MORE_BEFORE.search(before) or _MORE_BEHIND.match(behind):
            score += _AMONG_OTHERS
    elif _FRACTION_BEFORE.search(before):
        score += _FRACTION
    return score + _words(before, behind, hint)


def _words(before: str, behind: str, hint: str) -> int:
    line = _LINE_END.split(before)[-1]
    rest = _LINE_END.split(behind, maxsplit=1)[0]
    named = _NAME.search(line)
    name = f"{hint} {named[1] if named else ''}"
    # A field's own name decides; words farther off count where it says nothing.
    if name.strip():
        if _FOR_WORDS.search(name):
            return _FOR
        if _AGAINST_WORDS.search(name):
            return _AGAINST
    speaks_for = _last(_FOR_WORDS, line)
    against = _last(_AGAINST_WORDS, line)
    score = 0
    if speaks_for >= 0 or against >= 0:
        # Of two words, the nearer one is meant.
        score += _FOR if speaks_for >= against else _AGAINST
    elif _FOR_WORDS.search(rest):
        score += _BESIDE
    if _EXPIRY.search(rest) or _EXPIRY.search(line):
        score += _BESIDE
    return score


def _last(words: re.Pattern[str], line: str) -> int:
    """Return where the last of the words begins; -1 where none is."""
    at = -1
    for found in words.finditer(line):
        at = found.start()
    return at
