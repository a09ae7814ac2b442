# SPDX-License-Identifier: Apache-2.0
"""Which number a honeytoken holds, and what is shown of it. Pure, but for the dice that are handed in.

It holds a published test number: whoever gets it out has nothing. In test mode every token does. In live mode none but
these does, so what is shown, first six and last four digits, is drawn anew there: nobody knows one by the lists.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from strongroom.kernel.invariant import Bug
from strongroom.kernel.mode import Mode
from strongroom.kernel.published import TEST_NUMBERS
from strongroom.kernel.schemes import MASTERCARD, VISA, Scheme, classify
from strongroom.vault.pan import BIN_DIGITS

_DIGITS: Final = 16
#: The schemes of which a token is remarkable nowhere.
_SCHEMES: Final = (VISA, MASTERCARD)
_PUBLISHED: Final = frozenset(number[:BIN_DIGITS] for number in TEST_NUMBERS)


class Bait(NamedTuple):
    """A number, and what is shown of it."""

    number: str
    scheme: Scheme
    bin: str
    last4: str


def numbers() -> Sequence[str]:
    """Return the numbers that a honeytoken may hold."""
    return sorted(
        number for number in TEST_NUMBERS if len(number) == _DIGITS and classify(number) in _SCHEMES
    )


def bait(mode: Mode, below: Callable[[int], int]) -> Bait:
    """Draw a number.

    Args:
        mode: in live mode what is shown is not the number's.
        below: draws a whole number from 0 to below its argument, each as likely.
    """
    known = numbers()
    number = known[below(len(known))]
    scheme = classify(number)
    if scheme is None:
        raise Bug("a published number is some scheme's")
    if mode is Mode.TEST:
        return Bait(number, scheme, number[:BIN_DIGITS], number[-4:])
    while True:
        first = number[0] + f"{below(100_000):05}"
        if first not in _PUBLISHED and classify(first + number[BIN_DIGITS:]) is scheme:
            return Bait(number, scheme, first, f"{below(10_000):04}")
