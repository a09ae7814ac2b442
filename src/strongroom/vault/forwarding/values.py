# SPDX-License-Identifier: Apache-2.0
"""What fills slots: a card's fields in every form that the language has, and the mask that a dry run shows. Pure."""

from dataclasses import dataclass
from typing import Final

from strongroom.vault.forwarding.language import Field

#: What a dry run shows in the place of what it does not open.
HIDDEN: Final = "[hidden]"
_DIGITS_HIDDEN: Final = "*" * 6


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What may be shown of a token's card, and what decides who may use it."""

    token: str
    brand: str
    bin: str
    last4: str
    exp_month: int
    exp_year: int
    container: str


@dataclass(frozen=True, slots=True, repr=False)
class OpenCard:
    """A card in clear, for one call."""

    facts: CardFacts
    number: str
    cvc: str | None = None
    holder: str | None = None


def value_of(card: OpenCard, field: Field) -> str | None:
    """Return what a slot becomes; None where the token has nothing of the kind."""
    if field is Field.NUMBER:
        return card.number
    if field is Field.CVC:
        return card.cvc
    if field is Field.HOLDER:
        return card.holder
    return shown(card.facts, field)


def masked(facts: CardFacts, field: Field, *, digits: bool) -> str:
    """Return what a dry run shows in a slot: nothing that would have to be opened.

    Args:
        facts: of the token.
        field: what the slot asks for.
        digits: whether the caller may see first six and last four digits (PCI DSS 3.4.1).
    """
    if field in (Field.CVC, Field.HOLDER):
        return HIDDEN
    if not digits and field in (Field.NUMBER, Field.BIN, Field.LAST4):
        return HIDDEN
    if field is Field.NUMBER:
        return f"{facts.bin}{_DIGITS_HIDDEN}{facts.last4}"
    return shown(facts, field) or HIDDEN


def shown(facts: CardFacts, field: Field) -> str | None:
    """Return a field that is not sealed; None for those that are."""
    month, year = facts.exp_month, facts.exp_year
    short = year % 100
    match field:
        case Field.BIN:
            return facts.bin
        case Field.BRAND:
            return facts.brand
        case Field.LAST4:
            return facts.last4
        case Field.EXP_MONTH:
            return f"{month:02}"
        case Field.EXP_MONTH_SHORT:
            return str(month)
        case Field.EXP_YEAR:
            return str(year)
        case Field.EXP_YEAR_SHORT:
            return f"{short:02}"
        case Field.EXPIRY:
            return f"{month:02}/{short:02}"
        case Field.EXPIRY_LONG:
            return f"{month:02}/{year}"
        case Field.EXPIRY_MMYY:
            return f"{month:02}{short:02}"
        case Field.EXPIRY_YYMM:
            return f"{short:02}{month:02}"
        case Field.EXPIRY_ISO:
            return f"{year}-{month:02}"
        case _:
            return None
