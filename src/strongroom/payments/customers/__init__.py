# SPDX-License-Identifier: Apache-2.0
"""Customers of a merchant: their saved cards, and what they agreed to."""

from strongroom.payments.customers.errors import (
    CardNotSaved,
    CustomerFull,
    CustomerUnknown,
    MandateMissing,
    MandateRevoked,
    MandateUnknown,
)
from strongroom.payments.customers.model import Customer, Mandate, MandateStatus, SavedCard
from strongroom.payments.customers.ports import CardsOnFile

__all__ = [
    "CardNotSaved",
    "CardsOnFile",
    "Customer",
    "CustomerFull",
    "CustomerUnknown",
    "Mandate",
    "MandateMissing",
    "MandateRevoked",
    "MandateStatus",
    "MandateUnknown",
    "SavedCard",
]
