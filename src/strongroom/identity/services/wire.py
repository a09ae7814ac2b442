# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of services."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from strongroom.identity.services.model import Granted, Service
from strongroom.kernel.clock import rfc3339
from strongroom.kernel.permissions import Permission


class ServiceIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wish for a service."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    permissions: Annotated[list[Permission], Meta(min_length=1)]
    jwks: Annotated[
        dict[str, Any],
        Meta(description="A JWK set, or one JWK: public keys, OKP with Ed25519 or EC with P-256"),
    ]
    certificate_bound: Annotated[
        bool,
        Meta(description="Give tokens only with a client certificate, bound to it (RFC 8705)"),
    ] = False


class KeysIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All keys that a service proves itself with from now on."""

    jwks: Annotated[dict[str, Any], Meta(description="A JWK set, or one JWK, likewise")]


class CertificateIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which client certificate."""

    thumbprint: Annotated[
        str,
        Meta(
            min_length=43,
            max_length=95,
            description="SHA-256 over its DER: `x5t#S256` in base64url, or hexadecimal with or without colons",
        ),
    ]


class ServiceOut(msgspec.Struct, frozen=True):
    """A service."""

    id: str
    object: str
    mode: str
    name: str
    permissions: list[str]
    keys: list[dict[str, str]]
    certificate_bound: bool
    created_at: str
    revoked_at: str | None
    last_used_at: str | None


class ServicesOut(msgspec.Struct, frozen=True):
    """A merchant's services of one mode, the newest first."""

    data: list[ServiceOut]
    has_more: bool
    next_cursor: str | None


class TokenIn(msgspec.Struct, frozen=True):
    """What a service asks for (RFC 6749 §4.4.2, RFC 7523 §2.2). Other parameters are not looked at."""

    grant_type: Annotated[str, Meta(max_length=100, description="`client_credentials`")]
    client_assertion_type: Annotated[
        str,
        Meta(
            max_length=100,
            description="`urn:ietf:params:oauth:client-assertion-type:jwt-bearer`",
        ),
    ]
    client_assertion: Annotated[
        str, Meta(max_length=4_096, description="A JWT that the service has signed")
    ]
    client_id: Annotated[str, Meta(max_length=100)] | None = None
    scope: (
        Annotated[str, Meta(max_length=2_000, description="Permissions with a space between two")]
        | None
    ) = None


class TokenOut(msgspec.Struct, frozen=True):
    """An access token (RFC 6749 §5.1). There is no refresh token: a service shows its assertion again."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str


def service_out(service: Service) -> ServiceOut:
    """Print a service."""
    return ServiceOut(
        service.service,
        "service",
        service.mode,
        service.name,
        sorted(service.permissions),
        [dict(each) for each in service.public_keys],
        service.certificate_bound,
        rfc3339(service.created_at),
        rfc3339(service.revoked_at) if service.revoked_at else None,
        rfc3339(service.last_used_at) if service.last_used_at else None,
    )


def token_out(granted: Granted) -> TokenOut:
    """Print an access token."""
    return TokenOut(granted.access.expose(), granted.token_type, granted.seconds, granted.scope)
