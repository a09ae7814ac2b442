# SPDX-License-Identifier: Apache-2.0
"""What fills slots: a card's fields in every form that the language has, and the mask that a dry run shows. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from strongroom.kernel.schemes import SCHEMES
from strongroom.vault.details import BILLING_ADDRESS, HOLDER, NETWORK_TOKEN, Details
from strongroom.vault.forwarding.language import Field

#: What a dry run shows in the place of what it does not open.
HIDDEN: Final = "[hidden]"
_DIGITS_HIDDEN: Final = "*" * 6
#: No scheme has a shorter number.
_SHORTEST_NUMBER: Final = "0" * min(min(each.lengths) for each in SCHEMES)
#: A slot's field, and the member of a billing address that fills it.
_ADDRESS: Final[Mapping[Field, str]] = {
    Field.ADDRESS_CITY: "city",
    Field.ADDRESS_COUNTRY: "country",
    Field.ADDRESS_LINE1: "line1",
    Field.ADDRESS_LINE2: "line2",
    Field.ADDRESS_POSTAL_CODE: "postal_code",
    Field.ADDRESS_REGION: "region",
}
#: What is sealed beside a number and fills a slot, by the slot's field.
SEALED_BESIDE: Final[Mapping[Field, str]] = {
    **dict.fromkeys(_ADDRESS, BILLING_ADDRESS),
    Field.ECI: NETWORK_TOKEN,
    Field.HOLDER: HOLDER,
    Field.REQUESTOR_ID: NETWORK_TOKEN,
}
_NOT_SHOWN: Final = frozenset({*SEALED_BESIDE, Field.CRYPTOGRAM, Field.CVC})
_NOTHING: Final = Details()


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
class Proof:
    """What an issuer is shown once: the cryptogram of a network token or an authentication. Never stored."""

    cryptogram: str
    eci: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class OpenCard:
    """A card in clear, for one call."""

    facts: CardFacts
    number: str
    cvc: str | None = None
    details: Details = _NOTHING
    proof: Proof | None = None


def value_of(card: OpenCard, field: Field) -> str | None:
    """Return what a slot becomes; None where the token has nothing of the kind."""
    if field is Field.NUMBER:
        return card.number
    if field is Field.CVC:
        return card.cvc
    if field is Field.CRYPTOGRAM:
        return None if card.proof is None else card.proof.cryptogram
    if field is Field.ECI and card.proof is not None and card.proof.eci is not None:
        return card.proof.eci
    if field in SEALED_BESIDE:
        return _beside(card.details, field)
    return shown(card.facts, field)


def _beside(details: Details, field: Field) -> str | None:
    """Return what fills a slot of what is sealed beside the number."""
    if field is Field.HOLDER:
        return details.holder
    if field in _ADDRESS:
        address = details.billing_address
        return None if address is None else getattr(address, _ADDRESS[field])
    token = details.network_token
    if token is None:
        return None
    return token.eci if field is Field.ECI else token.requestor_id


def masked(facts: CardFacts, field: Field, *, digits: bool) -> str:
    """Return what a dry run shows in a slot: nothing that would have to be opened.

    Args:
        facts: of the token.
        field: what the slot asks for.
        digits: whether the caller may see first six and last four digits (PCI DSS 3.4.1).
    """
    if field in _NOT_SHOWN:
        return HIDDEN
    if not digits and field in (Field.NUMBER, Field.BIN, Field.LAST4):
        return HIDDEN
    if field is Field.NUMBER:
        return f"{facts.bin}{_DIGITS_HIDDEN}{facts.last4}"
    return shown(facts, field) or HIDDEN


def shortest(facts: CardFacts, field: Field) -> str:
    """Return what a slot becomes, or where it is sealed, something that is not longer."""
    if field is Field.NUMBER:
        return _SHORTEST_NUMBER
    known = shown(facts, field)
    return "0" if known is None else known


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
