# SPDX-License-Identifier: Apache-2.0
"""The adapter of Stripe, at version 2023-08-16 of its API (docs/howto/connect-stripe.md)."""

from collections.abc import Mapping
from typing import Final

from strongroom.payments.declines import Advice
from strongroom.payments.processors.stripe.adapter import StripeAdapter
from strongroom.payments.processors.stripe.declines import ADVICE_CODES, DECLINES, read_decline

#: What each word advises, where no code of the network's stands beside it.
ADVISED: Final[Mapping[str, Advice]] = {word: read_decline(word, None)[1] for word in DECLINES}

__all__ = ["ADVICE_CODES", "ADVISED", "DECLINES", "StripeAdapter"]
