# SPDX-License-Identifier: Apache-2.0
"""The adapter of Checkout.com (docs/howto/connect-checkout.md)."""

from strongroom.payments.processors.checkout.adapter import CheckoutAdapter

__all__ = ["CheckoutAdapter"]
