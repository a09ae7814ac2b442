# SPDX-License-Identifier: Apache-2.0
"""The adapter of Stripe, at version 2023-08-16 of its API (docs/howto/connect-stripe.md)."""

from strongroom.payments.processors.stripe.adapter import StripeAdapter
from strongroom.payments.processors.stripe.declines import DECLINES

__all__ = ["DECLINES", "StripeAdapter"]
