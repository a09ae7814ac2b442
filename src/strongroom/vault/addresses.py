# SPDX-License-Identifier: Apache-2.0
"""What a holder's address becomes in a request to a processor, for the issuer to compare. Pure, but for its opening.

What a processor would refuse is left out, so that no address stands in the way of a payment.
"""

import re
from collections.abc import Mapping
from typing import Final

from strongroom.db.pool import Record
from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.vault.details import BILLING_ADDRESS, DetailSealer, SealedDetail
from strongroom.vault.template import Slot
from strongroom.vault.wire import BillingAddress

#: Checkout.com's bound of a city, which is the shortest.
CITY_CHARACTERS_MAX: Final = 50
#: Adyen's bound of a postal code; in the US it takes five digits.
PARTED_POSTAL_MAX: Final = 10

_HOUSE: Final = r"(?P<house>[0-9]{1,6}[A-Za-z]?(?:[-/][0-9]{1,6}[A-Za-z]?)?)"
_HOUSE_FIRST: Final = re.compile(_HOUSE + r",? +(?P<street>[^ 0-9].*)")
_HOUSE_LAST: Final = re.compile(r"(?P<street>[^0-9]*[^0-9 ,]),? +" + _HOUSE)
_ENDS_IN_NUMBER: Final = re.compile(r".*[0-9][A-Za-z]?")
#: Here the house comes first, whatever number comes last.
_HOUSE_LEADS: Final = frozenset({"CA", "GB", "US"})
_ZIP: Final = re.compile(r"([0-9]{5})(?:-?[0-9]{4})?")
_REGION_CODE: Final = re.compile(r"[A-Z]{2}")
#: Where an address without a region's code is refused.
_REGION_NEEDED: Final = frozenset({"CA", "US"})


async def opened_address(
    sealer: DetailSealer, row: Record, mode: Mode, merchant: MerchantId, token: TokenId
) -> Mapping[Slot, str]:
    """Open the address that came with a recorded use, and return what fills slots; nothing where there is none.

    Raises:
        CannotReadCard, KeyStoreUnavailable: see `DetailSealer.open`.
    """
    if row["address_sealed"] is None:
        return {}
    sealed = SealedDetail(BILLING_ADDRESS, row["address_sealed"], row["address_version"])
    details = await sealer.open([sealed], mode, merchant, token)
    return {} if details.billing_address is None else address_values(details.billing_address)


def address_values(address: BillingAddress) -> Mapping[Slot, str]:
    """Return what an address fills slots with, as it is and parted."""
    city = address.city
    if city is not None and len(city) > CITY_CHARACTERS_MAX:
        city = None
    whole = {
        Slot.ADDRESS_CITY: city,
        Slot.ADDRESS_COUNTRY: address.country,
        Slot.ADDRESS_LINE1: address.line1,
        Slot.ADDRESS_POSTAL_CODE: address.postal_code,
        Slot.ADDRESS_REGION: address.region,
    }
    return {slot: text for slot, text in whole.items() if text is not None} | _parted(address)


def _parted(address: BillingAddress) -> dict[Slot, str]:
    """Return an address with house and street apart; nothing where that would be a guess, or a part is not there."""
    house = _house(address.line1 or "", address.country)
    postal_code = _postal_code(address.postal_code or "", address.country)
    region = address.region or ""
    has_code = _REGION_CODE.fullmatch(region) is not None
    if house is None or postal_code is None or address.city is None:
        return {}
    if not has_code and address.country in _REGION_NEEDED:
        return {}
    return {
        Slot.PARTED_CITY: address.city,
        Slot.PARTED_COUNTRY: address.country,
        Slot.PARTED_HOUSE: house["house"],
        Slot.PARTED_POSTAL_CODE: postal_code,
        Slot.PARTED_STREET: house["street"],
    } | ({Slot.PARTED_REGION: region} if has_code else {})


def _house(line: str, country: str) -> re.Match[str] | None:
    first = _HOUSE_FIRST.fullmatch(line)
    if first is None:
        return _HOUSE_LAST.fullmatch(line)
    if country not in _HOUSE_LEADS and _ENDS_IN_NUMBER.fullmatch(line):
        return None  # `10 de Mayo 250`: which of the two it is, is not known
    return first


def _postal_code(text: str, country: str) -> str | None:
    if country == "US":
        found = _ZIP.fullmatch(text)
        return None if found is None else found[1]
    return text if 0 < len(text) <= PARTED_POSTAL_MAX else None
