# SPDX-License-Identifier: Apache-2.0
"""What each test card and amount does. Pure. Takes published test numbers and the synthetic range only.

Whatever is not in a table here is approved. The numbers are those of docs.stripe.com/testing, with the outcomes
that are documented there. No card number leaves this file: what is known afterwards is brand and last four.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from strongroom.kernel.published import is_test_number
from strongroom.kernel.schemes import CARD_DIGITS_MAX, CARD_DIGITS_MIN, classify, luhn_valid
from strongroom.simulator.errors import Refusal

#: What to do about a decline, by its code.
ADVICE: Final[Mapping[str, str]] = {
    "acquirer_error": "other_processor",
    "authentication_failed": "authenticate",
    "authentication_required": "authenticate",
    "card_velocity_exceeded": "later",
    "expired_card": "new_card",
    "generic_decline": "later",
    "incorrect_cvc": "new_card",
    "insufficient_funds": "later",
    "lost_card": "never",
    "processing_error": "later",
    "stolen_card": "never",
}
#: Declined at once.
DECLINED: Final[Mapping[str, str]] = {
    "4000000000000002": "generic_decline",
    "4000000000009995": "insufficient_funds",
    "4000000000009987": "lost_card",
    "4000000000009979": "stolen_card",
    "4000000000000069": "expired_card",
    "4000000000000127": "incorrect_cvc",
    "4000000000000119": "processing_error",
    "4000000000006975": "card_velocity_exceeded",
    "4000008400001280": "processing_error",  # its authentication breaks
}
#: Asks for 3-D Secure; then approved (None), or declined with this.
CHALLENGED: Final[Mapping[str, str | None]] = {
    "4000002500003155": None,
    "4000002760003184": None,
    "4000003800000446": None,
    "4000000000003220": None,
    "4000000000003063": None,
    "4000008260003178": "insufficient_funds",
    "4000008400001629": "generic_decline",
}
#: Approved, although the CVC that came with it is not the card's.
CVC_FAILS: Final = frozenset({"4000000000000101"})
#: What the issuer says of the address, whatever it is: approved all the same.
AVS: Final[Mapping[str, str]] = {
    "4000000000000010": "mismatch",
    "4000000000000028": "partial",
    "4000000000000036": "partial",
    "4000000000000044": "unchecked",
}
#: Authorizes, but nothing can be captured.
CAPTURES_FAIL: Final = frozenset({"4000000000000341"})

_HUNDRED: Final = 100
#: Amounts whose last two digits are these.
PARTIAL_ENDING: Final = 77
PENDING_ENDING: Final = 88
#: Of what a merchant begins: declined the first time.
SHORT_ONCE_ENDING: Final = 66


class Card(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of a card after it was read: never its number."""

    brand: str
    last4: str
    #: Declined at once with this.
    declined: str | None = None
    challenged: bool = False
    #: Declined with this once the challenge is passed.
    declined_after: str | None = None
    captures_fail: bool = False
    #: What the issuer says of the address; None: nothing.
    avs: str | None = None
    #: Approved, although the CVC that comes with it is not the card's.
    cvc_fails: bool = False


def read_card(
    number: str,
    *,
    exp_month: int,
    exp_year: int,
    now: datetime,
    challenge: bool = False,
) -> Card:
    """Return what a card does. `challenge`: its customer has to prove who they are, whatever the card says.

    Raises:
        Refusal: 422 for what is no card number, and for a number that no test page shows.
    """
    if not (
        number.isascii()
        and number.isdecimal()
        and CARD_DIGITS_MIN <= len(number) <= CARD_DIGITS_MAX
        and luhn_valid(number)
        and (scheme := classify(number)) is not None
    ):
        raise Refusal(422, "card_number_wrong", "this is not a card number", "card.number")
    if not is_test_number(number):
        raise Refusal(
            422, "card_number_not_test", "the simulator takes test numbers only", "card.number"
        )
    expired = (exp_year, exp_month) < (now.year, now.month)
    return Card(
        brand=scheme.name,
        last4=number[-4:],
        declined="expired_card" if expired else DECLINED.get(number),
        challenged=number in CHALLENGED or challenge,
        declined_after=CHALLENGED.get(number),
        captures_fail=number in CAPTURES_FAIL,
        avs=AVS.get(number),
        cvc_fails=number in CVC_FAILS,
    )


def approved_amount(amount: int) -> int:
    """Return how much of an amount is approved: half, rounded down, if it ends in 77; else all of it."""
    return amount // 2 if amount % _HUNDRED == PARTIAL_ENDING else amount


def is_pending(amount: int) -> bool:
    """Tell whether an amount is decided later: those that end in 88."""
    return amount % _HUNDRED == PENDING_ENDING


def is_short_once(amount: int) -> bool:
    """Tell whether an amount that a merchant begins is declined once: those that end in 66."""
    return amount % _HUNDRED == SHORT_ONCE_ENDING
