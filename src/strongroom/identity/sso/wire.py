# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of single sign-on."""

from dataclasses import replace
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from strongroom.identity.sessions.ports import Issued
from strongroom.identity.sso.model import Provider, ProviderTerms, RoleRule, Started
from strongroom.kernel.clock import rfc3339
from strongroom.kernel.principal import Role

_Word: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]
_Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100)]
_Address: TypeAlias = Annotated[str, Meta(min_length=1, max_length=500)]
_Secret: TypeAlias = Annotated[str, Meta(min_length=1, max_length=1_000)]
_Age: TypeAlias = Annotated[int, Meta(ge=1, le=43_200)]
_RoleWord: TypeAlias = Literal["admin", "auditor", "developer", "operator"]


class RoleRuleIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whoever has this value in the role claim has this role."""

    value: _Word
    role: _RoleWord


class ProviderIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wish for an identity provider."""

    name: _Name
    issuer: Annotated[_Address, Meta(description="Exactly as the provider spells it")]
    client_id: _Word
    client_secret: Annotated[_Secret, Meta(description="Kept sealed, never shown again")]
    domains: Annotated[
        list[_Word],
        Meta(min_length=1, max_length=20, description="Whose addresses it may vouch for"),
    ]
    redirects: Annotated[
        list[_Address],
        Meta(min_length=1, max_length=5, description="Where it may send people back to"),
    ]
    role_claim: Annotated[str | None, Meta(description="The claim that gives a role")] = None
    roles: Annotated[
        list[RoleRuleIn], Meta(max_length=50, description="The first that matches counts")
    ] = []
    required_amr: Annotated[
        list[_Word], Meta(max_length=10, description="Each must be stated (RFC 8176)")
    ] = []
    required_acr: Annotated[list[_Word], Meta(max_length=10, description="One must be stated")] = []
    max_age_seconds: Annotated[
        _Age | None, Meta(description="How old the proof there may be; null: it does not tell")
    ] = 300
    creates_people: Annotated[
        bool, Meta(description="Whether somebody new is made at their first login")
    ] = False

    def __repr__(self) -> str:
        return "ProviderIn(***)"

    def terms(self) -> ProviderTerms:
        """Return what is said, but for the secret."""
        return ProviderTerms(
            self.name,
            self.issuer,
            self.client_id,
            tuple(sorted(set(self.domains))),
            tuple(dict.fromkeys(self.redirects)),
            self.role_claim,
            _rules(self.roles),
            tuple(dict.fromkeys(self.required_amr)),
            tuple(dict.fromkeys(self.required_acr)),
            self.max_age_seconds,
            self.creates_people,
        )


class ProviderChangeIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be put in place of what was; what is left out stays."""

    name: _Name | UnsetType = UNSET
    client_secret: _Secret | UnsetType = UNSET
    domains: Annotated[list[_Word], Meta(min_length=1, max_length=20)] | UnsetType = UNSET
    redirects: Annotated[list[_Address], Meta(min_length=1, max_length=5)] | UnsetType = UNSET
    role_claim: str | UnsetType | None = UNSET
    roles: Annotated[list[RoleRuleIn], Meta(max_length=50)] | UnsetType = UNSET
    required_amr: Annotated[list[_Word], Meta(max_length=10)] | UnsetType = UNSET
    required_acr: Annotated[list[_Word], Meta(max_length=10)] | UnsetType = UNSET
    max_age_seconds: _Age | UnsetType | None = UNSET
    creates_people: bool | UnsetType = UNSET

    def __repr__(self) -> str:
        return "ProviderChangeIn(***)"

    def applied(self, before: ProviderTerms) -> ProviderTerms:
        """Return the terms with what is given in place of what was."""
        given: dict[str, Any] = {}
        for name in ("name", "role_claim", "max_age_seconds", "creates_people"):
            if (value := getattr(self, name)) is not UNSET:
                given[name] = value
        for name in ("redirects", "required_amr", "required_acr"):
            if (value := getattr(self, name)) is not UNSET:
                given[name] = tuple(dict.fromkeys(value))
        if self.domains is not UNSET:
            given["domains"] = tuple(sorted(set(self.domains)))
        if self.roles is not UNSET:
            given["roles"] = _rules(self.roles)
        return replace(before, **given)


def _rules(roles: list[RoleRuleIn]) -> tuple[RoleRule, ...]:
    return tuple(RoleRule(each.value, Role(each.role)) for each in roles)


class RoleRuleOut(msgspec.Struct, frozen=True):
    """A rule."""

    value: str
    role: str


class ProviderOut(msgspec.Struct, frozen=True):
    """A provider without its secret."""

    id: str
    object: str
    name: str
    issuer: str
    client_id: str
    domains: list[str]
    redirects: list[str]
    role_claim: str | None
    roles: list[RoleRuleOut]
    required_amr: list[str]
    required_acr: list[str]
    max_age_seconds: int | None
    creates_people: bool
    status: str
    created_at: str
    updated_at: str


class ProvidersOut(msgspec.Struct, frozen=True):
    """A tenant's providers."""

    data: list[ProviderOut]
    has_more: bool
    next_cursor: str | None


class StartIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which provider to go to: by its id, or by the domain of an address. One of the two."""

    redirect: _Address
    mode: Literal["live", "test"]
    provider: Annotated[str, Meta(max_length=40)] | None = None
    email: Annotated[str, Meta(max_length=254)] | None = None


class StartOut(msgspec.Struct, frozen=True):
    """Where to send the browser. The ticket stays in it: whoever brings the answer shows it."""

    object: str
    authorization_url: str
    ticket: str
    expires_seconds: int


class FinishIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the provider sent the browser back with, and the ticket of the start."""

    state: Annotated[str, Meta(min_length=1, max_length=200)]
    code: Annotated[str, Meta(min_length=1, max_length=4_000)]
    ticket: Annotated[str, Meta(min_length=1, max_length=200)]
    iss: (
        Annotated[str, Meta(max_length=500, description="As the provider said it (RFC 9207)")]
        | None
    ) = None
    provider: (
        Annotated[
            str,
            Meta(
                max_length=40, description="Whose redirect address it came to; needed without iss"
            ),
        ]
        | None
    ) = None

    def __repr__(self) -> str:
        return "FinishIn(***)"


class SignedInOut(msgspec.Struct, frozen=True):
    """A session's tokens, shown once."""

    object: str
    session: str
    access_token: str
    token_type: str
    expires_in: int
    refresh_token: str

    def __repr__(self) -> str:
        return "SignedInOut(***)"


def provider_out(provider: Provider) -> ProviderOut:
    """Print a provider."""
    terms = provider.terms
    return ProviderOut(
        id=provider.provider_id,
        object="identity_provider",
        name=terms.name,
        issuer=terms.issuer,
        client_id=terms.client_id,
        domains=list(terms.domains),
        redirects=list(terms.redirects),
        role_claim=terms.role_claim,
        roles=[RoleRuleOut(each.value, each.role) for each in terms.roles],
        required_amr=list(terms.required_amr),
        required_acr=list(terms.required_acr),
        max_age_seconds=terms.max_age_seconds,
        creates_people=terms.creates_people,
        status=provider.status,
        created_at=rfc3339(provider.created_at),
        updated_at=rfc3339(provider.updated_at),
    )


def started_out(started: Started) -> StartOut:
    """Print where to go."""
    return StartOut(
        "sso_start", started.authorization_url, started.ticket.expose(), started.expires_seconds
    )


def signed_in_out(issued: Issued) -> SignedInOut:
    """Print a session's tokens."""
    return SignedInOut(
        "session_tokens",
        issued.session,
        issued.access.expose(),
        "Bearer",
        issued.access_seconds,
        issued.refresh.expose(),
    )
