# SPDX-License-Identifier: Apache-2.0
"""A service, as a value."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from strongroom.kernel.ids import MerchantId, ServiceId
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.secret import Secret


@dataclass(frozen=True, slots=True)
class ServiceWish:
    """What a new service shall be."""

    merchant: MerchantId
    mode: Mode
    name: str
    permissions: frozenset[Permission]
    #: A JWK set (RFC 7517 §5) or one JWK, as it was given.
    keys: Mapping[str, object]
    certificate_bound: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """A machine that proves itself with a key of its own."""

    service: ServiceId
    merchant: MerchantId
    mode: Mode
    name: str
    permissions: frozenset[Permission]
    #: Public JWKs, each with its `kid`.
    public_keys: tuple[Mapping[str, str], ...]
    certificate_bound: bool
    created_by: str
    created_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class TokenWish:
    """What a service asks for, and what it shows for it."""

    grant_type: str
    assertion_type: str
    assertion: Secret[str]
    client_id: str | None
    scope: str | None
    #: The thumbprint of the client certificate that a believed proxy saw.
    certificate: str | None


@dataclass(frozen=True, slots=True)
class Granted:
    """An access token of a service, shown once."""

    access: Secret[str]
    token_type: str
    seconds: int
    scope: str
