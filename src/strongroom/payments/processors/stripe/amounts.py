# SPDX-License-Identifier: Apache-2.0
"""Amounts as Stripe writes them: minor units too, with exceptions (docs.stripe.com/currencies). Refuses to round.

Where Stripe's minor unit is not certain to be the currency's own, nothing is sent: a factor of a hundred is no detail.
"""

from typing import Final

from strongroom.kernel.money import CURRENCIES, Money
from strongroom.payments.errors import CommandNotTaken
from strongroom.payments.ports import AnswerSurprising

#: A whole króna is written as a hundred.
_WRITTEN_AS_HUNDREDTHS: Final = frozenset({"ISK"})
#: The ariary's and the shilling's minor units are Stripe's own.
_NOT_TAKEN: Final = frozenset({"MGA", "UGX"})
_THREE: Final = 3


def amount_for_stripe(amount: int, currency: str) -> int:
    """Return an amount as Stripe takes it.

    Raises:
        CommandNotTaken: of three decimals Stripe takes no third but 0; and of some currencies it takes none from here.
    """
    exponent = Money(amount, currency).exponent
    if currency in _NOT_TAKEN or exponent > _THREE:
        raise CommandNotTaken("this currency is not taken to this processor")
    if exponent == _THREE and amount % 10:
        raise CommandNotTaken("of a currency with three decimals this processor takes no third")
    return amount * 100 if currency in _WRITTEN_AS_HUNDREDTHS else amount


def amount_from_stripe(amount: int, currency: str) -> tuple[int, str]:
    """Return an amount and a currency of Stripe's in our words.

    Raises:
        AnswerSurprising: it is no amount that we write so.
    """
    ours = currency.upper()
    if ours not in CURRENCIES or ours in _NOT_TAKEN:
        raise AnswerSurprising
    if ours in _WRITTEN_AS_HUNDREDTHS:
        whole, rest = divmod(amount, 100)
        if rest:
            raise AnswerSurprising
        return whole, ours
    return amount, ours
