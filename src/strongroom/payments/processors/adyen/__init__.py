# SPDX-License-Identifier: Apache-2.0
"""The adapter of Adyen's Checkout API, version 71 (docs/howto/connect-adyen.md)."""

from strongroom.payments.processors.adyen.adapter import AdyenAdapter

__all__ = ["AdyenAdapter"]
