# SPDX-License-Identifier: Apache-2.0
"""Merchants and API keys: values, errors and the port. Never the service or the store."""

from strongroom.identity.errors import KeyRefused, KeyUnknown, MerchantUnknown
from strongroom.identity.model import ApiKey, KeyWish, Merchant, NewKey
from strongroom.identity.ports import Identity

__all__ = [
    "ApiKey",
    "Identity",
    "KeyRefused",
    "KeyUnknown",
    "KeyWish",
    "Merchant",
    "MerchantUnknown",
    "NewKey",
]
