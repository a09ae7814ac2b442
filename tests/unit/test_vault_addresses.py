# SPDX-License-Identifier: Apache-2.0
"""An address is sent as it is, or with house and street apart where that is no guess, or not at all."""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.vault.addresses import CITY_CHARACTERS_MAX, PARTED_POSTAL_MAX, address_values
from strongroom.vault.template import OF_ADDRESS, Slot
from strongroom.vault.wire import BillingAddress

PARTED: Final = {slot for slot in Slot if slot.value.startswith("address_parted.")}
NEEDED: Final = PARTED - {Slot.PARTED_REGION}


def parted(country: str, line1: str | None, **more: Any) -> tuple[str, str] | None:
    """Return house and street, or None where the address is not parted."""
    given = {"city": "Somewhere", "postal_code": "12345", "region": "CA", **more}
    values = address_values(BillingAddress(country, line1=line1, **given))
    if Slot.PARTED_HOUSE not in values:
        assert not PARTED & values.keys()
        return None
    assert values.keys() >= NEEDED
    return values[Slot.PARTED_HOUSE], values[Slot.PARTED_STREET]


@pytest.mark.parametrize(
    ("country", "line1", "expected"),
    [
        ("GB", "1 Harbour Street", ("1", "Harbour Street")),
        ("GB", "12b, High Street", ("12b", "High Street")),
        ("US", "123 Main St Apt 4B", ("123", "Main St Apt 4B")),
        ("FR", "8 rue de la Paix", ("8", "rue de la Paix")),
        ("DE", "Hauptstraße 5", ("5", "Hauptstraße")),
        ("NL", "Rokin 49-51", ("49-51", "Rokin")),
        ("GB", "Rose Cottage", None),  # a name: which word of it, nobody knows
        ("DE", "Straße des 17. Juni 135", None),  # two numbers
        ("AR", "10 de Mayo 250", None),
        ("US", "5th Avenue", None),
        ("GB", "12", None),
        ("GB", "12 34", None),
        ("GB", None, None),
    ],
)
def test_house_and_street_are_parted_where_that_is_no_guess(
    country: str, line1: str | None, expected: tuple[str, str] | None
) -> None:
    assert parted(country, line1) == expected


@pytest.mark.parametrize(
    ("country", "more", "is_sent"),
    [
        ("US", {"postal_code": "12345-6789"}, True),
        ("US", {"postal_code": "1234"}, False),
        ("US", {"region": "California"}, False),
        ("CA", {"region": None}, False),
        ("GB", {"region": "Greater London"}, True),
        ("GB", {"region": None}, True),
        ("GB", {"city": None}, False),
        ("GB", {"postal_code": None}, False),
        ("GB", {"postal_code": "x" * (PARTED_POSTAL_MAX + 1)}, False),
    ],
)
def test_a_parted_address_is_whole_or_not_there(
    country: str, more: dict[str, Any], *, is_sent: bool
) -> None:
    assert (parted(country, "1 High Street", **more) is not None) is is_sent


def test_in_the_us_five_digits_are_sent() -> None:
    address = BillingAddress("US", "1 High St", None, "Albany", "NY", "12345-6789")
    values = address_values(address)
    assert values[Slot.PARTED_POSTAL_CODE] == "12345"
    assert values[Slot.ADDRESS_POSTAL_CODE] == "12345-6789"


def test_what_is_not_there_or_too_long_fills_nothing() -> None:
    assert address_values(BillingAddress("AE")) == {Slot.ADDRESS_COUNTRY: "AE"}
    long = BillingAddress("AE", city="x" * (CITY_CHARACTERS_MAX + 1))
    assert address_values(long) == {Slot.ADDRESS_COUNTRY: "AE"}


line = st.none() | st.text("ab1 ,-/é", min_size=1, max_size=100)


@given(st.builds(BillingAddress, st.sampled_from(["AE", "GB", "US"]), line, line, line, line, line))
def test_any_address_becomes_texts_of_its_own_parts(address: BillingAddress) -> None:
    values = address_values(address)
    assert values == address_values(address)
    assert values.keys() <= OF_ADDRESS
    assert all(values.values())
    assert not PARTED & values.keys() or values.keys() >= NEEDED
    if Slot.PARTED_HOUSE in values:
        assert address.line1 is not None
        assert values[Slot.PARTED_HOUSE] in address.line1
        assert values[Slot.PARTED_STREET] in address.line1
