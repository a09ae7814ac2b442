# SPDX-License-Identifier: Apache-2.0
"""Merchants, keys, services, allow-lists, people, access: values, errors and ports. Never a service or a store."""

from strongroom.identity.access.errors import ReviewUnknown as AccessReviewUnknown
from strongroom.identity.access.model import By as AccessBy
from strongroom.identity.access.model import Decision as AccessDecision
from strongroom.identity.access.model import Due as AccessDue
from strongroom.identity.access.model import Item as AccessItem
from strongroom.identity.access.model import Review as AccessReview
from strongroom.identity.errors import KeyRefused, KeyUnknown, MerchantUnknown
from strongroom.identity.jose import (
    EDDSA,
    Ed25519Signer,
    JoseRefused,
    PublicKey,
    ed25519_public_key,
    header_of,
    public_key,
    strict_json,
    verified,
)
from strongroom.identity.model import ApiKey, KeyWish, Merchant, NewKey
from strongroom.identity.networks.model import AllowList, ListMode, ListWish
from strongroom.identity.networks.ports import Changer, Networks
from strongroom.identity.people.model import Act, NewInvitation, Person, PersonWish
from strongroom.identity.people.ports import PeopleOffice
from strongroom.identity.ports import Identity
from strongroom.identity.services.model import Service, ServiceWish
from strongroom.identity.services.ports import ServiceBook
from strongroom.identity.signing_ports import SigningKeyBook, SigningKeyInfo
from strongroom.identity.sso.model import Provider, ProviderBy, ProviderTerms, RoleRule
from strongroom.identity.sso.ports import ProviderBook

__all__ = [
    "EDDSA",
    "AccessBy",
    "AccessDecision",
    "AccessDue",
    "AccessItem",
    "AccessReview",
    "AccessReviewUnknown",
    "Act",
    "AllowList",
    "ApiKey",
    "Changer",
    "Ed25519Signer",
    "Identity",
    "JoseRefused",
    "KeyRefused",
    "KeyUnknown",
    "KeyWish",
    "ListMode",
    "ListWish",
    "Merchant",
    "MerchantUnknown",
    "Networks",
    "NewInvitation",
    "NewKey",
    "PeopleOffice",
    "Person",
    "PersonWish",
    "Provider",
    "ProviderBook",
    "ProviderBy",
    "ProviderTerms",
    "PublicKey",
    "RoleRule",
    "Service",
    "ServiceBook",
    "ServiceWish",
    "SigningKeyBook",
    "SigningKeyInfo",
    "ed25519_public_key",
    "header_of",
    "public_key",
    "strict_json",
    "verified",
]
