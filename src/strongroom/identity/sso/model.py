# SPDX-License-Identifier: Apache-2.0
"""Identity providers and what they say, as values."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NewType

from strongroom.audit import Origin
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Role
from strongroom.kernel.secret import Secret

ProviderId = NewType("ProviderId", str)


class ProviderStatus(enum.StrEnum):
    """Whether people may log in by it."""

    ACTIVE = "active"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class RoleRule:
    """Whoever has this value in the provider's role claim has this role."""

    value: str
    role: Role


@dataclass(frozen=True, slots=True)
class ProviderTerms:
    """What a tenant says of its provider, but for the secret."""

    name: str
    #: As the provider spells it: compared character by character (OpenID Connect Discovery 1.0 §4.3).
    issuer: str
    client_id: str
    #: Whose addresses the provider may vouch for; lower case.
    domains: tuple[str, ...]
    #: Where the provider may send people back to; compared character by character (RFC 9700 §4.1.3).
    redirects: tuple[str, ...]
    role_claim: str | None
    roles: tuple[RoleRule, ...]
    #: Each of these must be among the token's `amr` (RFC 8176).
    required_amr: tuple[str, ...]
    #: The token's `acr` must be one of these, if there are any.
    required_acr: tuple[str, ...]
    #: How old the proof at the provider may be; None: the provider does not tell.
    max_age_seconds: int | None
    #: Whether somebody who is not known here is made at their first login, with the role of the mapping.
    creates_people: bool


@dataclass(frozen=True, slots=True)
class Provider:
    """A tenant's provider as it is kept."""

    merchant: MerchantId
    provider_id: ProviderId
    terms: ProviderTerms
    status: ProviderStatus
    sealed_secret: bytes = field(repr=False)
    key_version: int
    created_by: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ProviderBy:
    """Whose provider is made, changed or ended, by whom and whence. `actor` is a person's id, or names an operator."""

    merchant: MerchantId
    actor: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class Flow:
    """A login that is under way at a provider."""

    merchant: MerchantId
    provider_id: ProviderId
    mode: Mode
    redirect: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Started:
    """Where to send the browser, and what it keeps to itself until it comes back."""

    authorization_url: str
    ticket: Secret[str]
    expires_seconds: int


@dataclass(frozen=True, slots=True)
class Returned:
    """What a browser brings back from a provider."""

    state: str
    code: str = field(repr=False)
    ticket: str = field(repr=False)
    #: RFC 9207.
    issuer: str | None
    #: The provider whose redirect address it came to.
    provider_id: str | None


@dataclass(frozen=True, slots=True)
class Identified:
    """Somebody as a verified token of their provider says they are."""

    subject: str = field(repr=False)
    #: Lower case, and only if the provider says that it is verified.
    email: str | None = field(repr=False)
    name: str | None = field(repr=False)
    methods: frozenset[str]
    #: For the role.
    claims: Mapping[str, Any] = field(repr=False)
