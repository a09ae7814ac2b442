# SPDX-License-Identifier: Apache-2.0
"""The language of slots: what may stand between `{{` and `}}` in a merchant's request. Pure.

    slot  = "{{" [space] token [space] "." field [space "|" space "int"] [space] "}}"
    token = a name of the request's `tokens`, or a token's id
    field = one of `Field`

A slot may be a whole text or a part of it. `| int` makes a whole JSON text a number. Every other `{{` is refused, so
that a slot that was mistyped is never sent as it stands. There are no conditions, no functions and no nesting.
"""

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from strongroom.kernel.errors import FieldError, Invalid

OPEN: Final = "{{"
#: In one request, so that a short body does not become a long one.
SLOTS_MAX: Final = 64

_TOKEN_ID: Final = r"tok_[0-7][0-9A-HJKMNP-TV-Z]{25}"  # noqa: S105 - the form of an id
#: What a request may call a token.
NAME: Final = re.compile(r"(?!tok_)[a-z][a-z0-9_]{0,31}")
_SLOT: Final = re.compile(
    r"\{\{ ?(?P<token>" + _TOKEN_ID + r"|[a-z][a-z0-9_]{0,31}) ?\. ?(?P<field>[a-z][a-z0-9_]{0,31})"
    r"(?: \| (?P<form>[a-z]{1,16}))? ?\}\}"
)


class Field(enum.StrEnum):
    """What a slot can ask for. A word once shipped is never given another meaning."""

    ADDRESS_CITY = "address_city"
    ADDRESS_COUNTRY = "address_country"
    ADDRESS_LINE1 = "address_line1"
    ADDRESS_LINE2 = "address_line2"
    ADDRESS_POSTAL_CODE = "address_postal_code"
    ADDRESS_REGION = "address_region"
    BIN = "bin"
    BRAND = "brand"
    #: Given with the request, for this one use; never the one that is kept for a payment.
    CRYPTOGRAM = "cryptogram"
    CVC = "cvc"
    #: Given with the request, or else the network token's.
    ECI = "eci"
    #: Two digits: `04`.
    EXP_MONTH = "exp_month"
    #: Without a leading zero: `4`.
    EXP_MONTH_SHORT = "exp_month_short"
    #: Four digits: `2034`.
    EXP_YEAR = "exp_year"
    #: Two digits: `34`.
    EXP_YEAR_SHORT = "exp_year_short"
    #: `04/34`.
    EXPIRY = "expiry"
    #: `04/2034`.
    EXPIRY_LONG = "expiry_long"
    #: `0434`.
    EXPIRY_MMYY = "expiry_mmyy"
    #: `3404`, as ISO 8583 has it.
    EXPIRY_YYMM = "expiry_yymm"
    #: `2034-04`.
    EXPIRY_ISO = "expiry_iso"
    HOLDER = "holder"
    LAST4 = "last4"
    NUMBER = "number"
    REQUESTOR_ID = "requestor_id"


_FIELDS: Final = {each.value: each for each in Field}
#: What may become a number of JSON: never what begins with a zero that counts.
_INTEGERS: Final = frozenset(
    {Field.EXP_MONTH, Field.EXP_MONTH_SHORT, Field.EXP_YEAR, Field.EXP_YEAR_SHORT}
)


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot: which token, by the name that the request gives it or by its id, and what of it."""

    token: str
    field: Field
    as_integer: bool = False


#: A text as it is written: pieces that stand as they are, and slots.
Text: TypeAlias = Sequence[str | Slot]


def read_text(text: str, at: str) -> Text:
    """Read a text with slots in it.

    Args:
        text: as the merchant wrote it.
        at: JSON pointer of the text in the request, for errors.

    Raises:
        Invalid: something begins like a slot and is none.
    """
    if OPEN not in text:
        return (text,)
    pieces: list[str | Slot] = []
    done = 0
    for found in _SLOT.finditer(text):
        before = text[done : found.start()]
        _require_plain(before + OPEN[0] if before.endswith(OPEN[0]) else before, at)
        if found.start() > done:
            pieces.append(text[done : found.start()])
        whole = found.start() == 0 and found.end() == len(text)
        pieces.append(_slot(found, at, whole=whole))
        done = found.end()
    _require_plain(text[done:], at)
    if done < len(text):
        pieces.append(text[done:])
    return tuple(pieces)


def has_slots(text: Text) -> bool:
    """Tell whether there is anything to fill."""
    return any(isinstance(piece, Slot) for piece in text)


def _slot(found: re.Match[str], at: str, *, whole: bool) -> Slot:
    field = _FIELDS.get(found["field"])
    if field is None:
        raise Invalid(FieldError(at, "slot_unknown", "a slot asks for a field that no card has"))
    form = found["form"]
    if form is None:
        return Slot(found["token"], field)
    if form != "int" or field not in _INTEGERS or not whole:
        raise Invalid(
            FieldError(
                at, "slot_form", "only a whole text that is a month or a year becomes a number"
            )
        )
    return Slot(found["token"], field, as_integer=True)


def _require_plain(text: str, at: str) -> None:
    if OPEN in text:
        raise Invalid(FieldError(at, "slot_malformed", "what begins like a slot is none"))
