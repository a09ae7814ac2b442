# SPDX-License-Identifier: Apache-2.0
"""The adapter of Checkout.com (docs/howto/connect-checkout.md)."""

from collections.abc import Mapping
from typing import Final

from strongroom.payments.declines import ADVICE_CODES, Advice
from strongroom.payments.processors.checkout.adapter import CheckoutAdapter
from strongroom.payments.processors.checkout.declines import DECLINES, declined

#: What each code advises: never more than its class allows.
ADVISED: Final[Mapping[str, Advice]] = {code: declined(code).advice for code in DECLINES}

__all__ = ["ADVICE_CODES", "ADVISED", "DECLINES", "CheckoutAdapter"]
