# SPDX-License-Identifier: Apache-2.0
"""The adapter of Adyen's Checkout API, version 71 (docs/howto/connect-adyen.md)."""

from collections.abc import Mapping
from typing import Final

from strongroom.payments.declines import ADVICE_CODES, DeclineCode
from strongroom.payments.processors.adyen.adapter import AdyenAdapter
from strongroom.payments.processors.adyen.declines import DECLINES as _BY_NUMBER

#: Its number and its words, as they are printed.
DECLINES: Final[Mapping[str, DeclineCode]] = {
    f"{number} {words}": code for number, (words, code) in _BY_NUMBER.items()
}

__all__ = ["ADVICE_CODES", "DECLINES", "AdyenAdapter"]
