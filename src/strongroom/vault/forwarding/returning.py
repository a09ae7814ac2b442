# SPDX-License-Identifier: Apache-2.0
"""What of a destination's answer leaves the vault: no card number, no security code, none of the credentials. Pure.

Where the destination says so, a card in the answer becomes a token; whatever stands elsewhere is taken out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from strongroom.kernel.cardlike import has_cardlike_bytes
from strongroom.vault.answers import Cleaner
from strongroom.vault.forwarding.model import TokenizedCard

#: In the place of what a destination repeats of its credentials.
CREDENTIAL_REMOVED: Final = b"[credential removed]"
NOT_TEXT: Final = "not_text"
_CARD_DIGITS: Final = range(13, 20)
_MONTHS: Final = range(1, 13)
_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Clean:
    """An answer that may leave."""

    headers: Mapping[str, str]
    #: None where it is withheld.
    body: str | None
    withheld: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class CardInAnswer:
    """A card that an answer has where the destination said that cards stand."""

    place: str
    number: str
    exp_month: int
    exp_year: int


def clean(
    headers: Mapping[str, str],
    body: bytes,
    *,
    numbers: Sequence[str],
    echoes: Sequence[bytes],
    wanted: Sequence[str],
) -> Clean:
    """Take out what may not leave.

    Args:
        headers: the answer's, names in lower case.
        body: as it came, or with tokens in it already.
        numbers: that were sent.
        echoes: of the credentials, the longest first.
        wanted: the headers that the destination's merchant is told.
    """
    cleaners = [Cleaner(number) for number in numbers] or [Cleaner(None)]

    def without(content: bytes) -> bytes:
        for echo in echoes:
            content = content.replace(echo, CREDENTIAL_REMOVED)
        for cleaner in cleaners:
            content = cleaner.body(content)
        return content

    told = {
        name: without(headers[name].encode()).decode("utf-8", "replace")
        for name in wanted
        if name in headers
    }
    try:
        text = without(body).decode()
    except UnicodeDecodeError:
        # What is no text may hold a number in a form that nobody looked for.
        return Clean(told, None, NOT_TEXT)
    if "\x00" in text or has_cardlike_bytes(text.encode()):
        return Clean(told, None, NOT_TEXT)
    return Clean(told, text)


def cards_in(body: bytes, places: Sequence[TokenizedCard]) -> tuple[Any, Sequence[CardInAnswer]]:
    """Return an answer's JSON, and the cards that stand where they may; no JSON, no cards."""
    try:
        tree = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, ()
    found = []
    for place in places:
        number = _digits(_at(tree, place.number))
        month, year = _whole(_at(tree, place.exp_month)), _whole(_at(tree, place.exp_year))
        if number is None or month is None or year is None:
            continue
        if len(number) in _CARD_DIGITS and month in _MONTHS:
            found.append(CardInAnswer(place.number, number, month, _full(year)))
    return tree, found


def put(tree: Any, place: str, token: str) -> None:
    """Put a token's id where a number stood."""
    *parents, last = _steps(place)
    for step in parents:
        tree = _child(tree, step)
    if isinstance(tree, list):
        tree[int(last)] = token
    else:
        tree[last] = token


def encoded(tree: Any) -> bytes:
    """Return an answer's JSON as bytes."""
    return msgspec.json.encode(tree)


def _steps(pointer: str) -> Sequence[str]:
    return [each.replace("~1", "/").replace("~0", "~") for each in pointer.split("/")[1:]]


def _at(tree: Any, pointer: str) -> Any:
    for step in _steps(pointer):
        tree = _child(tree, step)
        if tree is _MISSING:
            return _MISSING
    return tree


def _child(tree: Any, step: str) -> Any:
    if isinstance(tree, dict):
        return tree.get(step, _MISSING)
    if isinstance(tree, list) and step.isascii() and step.isdecimal() and int(step) < len(tree):
        return tree[int(step)]
    return _MISSING


def _digits(value: Any) -> str | None:
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return text if text.isascii() and text.isdecimal() else None


def _whole(value: Any) -> int | None:
    digits = _digits(value)
    return None if digits is None or len(digits) > 4 else int(digits)  # noqa: PLR2004 - a year's


def _full(year: int) -> int:
    """Two digits of a year are this century's."""
    return year + 2_000 if year < 100 else year  # noqa: PLR2004
