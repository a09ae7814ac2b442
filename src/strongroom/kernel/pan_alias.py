# SPDX-License-Identifier: Apache-2.0
"""Aliases of card numbers, for systems that insist on a card-shaped field. Pure.

An alias has the length and the last four digits of its card, begins with 99 (no scheme's range) and has a wrong check
digit, so that nothing takes it for a card: neither a terminal nor our own detector. What stands between is random.
"""

from collections.abc import Callable
from typing import Final

from strongroom.kernel.invariant import invariant
from strongroom.kernel.schemes import CARD_DIGITS_MAX, CARD_DIGITS_MIN, luhn_valid

PREFIX: Final = "99"
_LAST: Final = 4


def is_pan_alias(text: str) -> bool:
    """Tell whether a text has the form of an alias. Never true of a card number."""
    return (
        CARD_DIGITS_MIN <= len(text) <= CARD_DIGITS_MAX
        and text.startswith(PREFIX)
        and text.isascii()
        and text.isdigit()
        and not luhn_valid(text)
    )


def pan_alias(digits: int, last4: str, below: Callable[[int], int]) -> str:
    """Make an alias.

    Args:
        digits: how many the card number has, 13 to 19.
        last4: the card's last four.
        below: draws a random whole number from 0 to below its argument.
    """
    invariant(CARD_DIGITS_MIN <= digits <= CARD_DIGITS_MAX, "a card number has 13 to 19 digits")
    invariant(len(last4) == _LAST and last4.isdigit(), "an alias keeps four digits")
    between = digits - len(PREFIX) - _LAST
    while True:  # one in ten has a right check digit, and is drawn again
        alias = f"{PREFIX}{below(10**between):0{between}d}{last4}"
        if not luhn_valid(alias):
            return alias
