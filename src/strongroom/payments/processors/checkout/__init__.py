# SPDX-License-Identifier: Apache-2.0
"""The adapter of Checkout.com (docs/howto/connect-checkout.md)."""

from strongroom.payments.processors.checkout.adapter import CheckoutAdapter
from strongroom.payments.processors.checkout.declines import DECLINES

__all__ = ["DECLINES", "CheckoutAdapter"]
