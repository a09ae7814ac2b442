# SPDX-License-Identifier: Apache-2.0
"""Merchants, API keys and allow-lists: values, errors and the port. Never the service or the store."""

from strongroom.identity.errors import KeyRefused, KeyUnknown, MerchantUnknown
from strongroom.identity.model import ApiKey, KeyWish, Merchant, NewKey
from strongroom.identity.networks.model import AllowList, ListMode, ListWish
from strongroom.identity.networks.ports import Changer, Networks
from strongroom.identity.ports import Identity

__all__ = [
    "AllowList",
    "ApiKey",
    "Changer",
    "Identity",
    "KeyRefused",
    "KeyUnknown",
    "KeyWish",
    "ListMode",
    "ListWish",
    "Merchant",
    "MerchantUnknown",
    "Networks",
    "NewKey",
]
