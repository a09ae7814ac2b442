# SPDX-License-Identifier: Apache-2.0
"""Amounts on the command line: whole minor units (1050), or with exactly the decimals that the currency has (10.50)."""

import re
from typing import Final

from strongroom.kernel.money import Money

_MINOR: Final = re.compile(r"[0-9]{1,12}")
_MAJOR: Final = re.compile(r"(?P<whole>[0-9]{1,12})\.(?P<decimals>[0-9]{1,4})")


class AmountMalformed(ValueError):
    """An amount is whole minor units (1050), or has exactly its currency's decimals (10.50 AED, 1.050 KWD)."""


def has_decimals(text: str) -> bool:
    """Tell whether an amount can be read with its currency only."""
    return _MAJOR.fullmatch(text) is not None


def read_amount(text: str, currency: str) -> int:
    """Return an amount in minor units. `10.5` dirhams are refused: 10.50 was meant, or 1050, or something else.

    Raises:
        AmountMalformed: it is not written in either way, is nothing, or has other decimals than the currency.
        Invalid: there is no such currency.
    """
    exponent = Money(0, currency).exponent
    major = _MAJOR.fullmatch(text)
    if major is None:
        return read_minor_units(text)
    if len(major["decimals"]) != exponent:
        raise AmountMalformed(
            f"{currency} has {exponent} decimals: write all of them, or whole minor units"
            if exponent
            else f"{currency} has no decimals: write whole units"
        )
    return read_minor_units((major["whole"] + major["decimals"]).lstrip("0") or "0")


def read_minor_units(text: str) -> int:
    """Return an amount that is written in minor units.

    Raises:
        AmountMalformed: it is not, or is nothing.
    """
    if not _MINOR.fullmatch(text):
        raise AmountMalformed("an amount is whole minor units (1050), or has decimals (10.50)")
    if int(text) < 1:
        raise AmountMalformed("an amount is more than nothing")
    return int(text)


def shown(amount: int, currency: str) -> str:
    """Print an amount as people write it: `10.50 AED`."""
    return str(Money(amount, currency))
