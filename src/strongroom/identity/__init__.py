# SPDX-License-Identifier: Apache-2.0
"""Merchants, API keys and services: values, errors and the port. Never the service or the store."""

from strongroom.identity.errors import KeyRefused, KeyUnknown, MerchantUnknown
from strongroom.identity.model import ApiKey, KeyWish, Merchant, NewKey
from strongroom.identity.ports import Identity
from strongroom.identity.services.model import Service, ServiceWish
from strongroom.identity.services.ports import ServiceBook
from strongroom.identity.signing_ports import SigningKeyBook, SigningKeyInfo

__all__ = [
    "ApiKey",
    "Identity",
    "KeyRefused",
    "KeyUnknown",
    "KeyWish",
    "Merchant",
    "MerchantUnknown",
    "NewKey",
    "Service",
    "ServiceBook",
    "ServiceWish",
    "SigningKeyBook",
    "SigningKeyInfo",
]
