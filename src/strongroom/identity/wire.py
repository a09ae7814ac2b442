# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of identity."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from strongroom.identity.model import ApiKey, Merchant
from strongroom.kernel.clock import rfc3339
from strongroom.kernel.permissions import Permission


class MerchantOut(msgspec.Struct, frozen=True):
    """The merchant behind the calling key."""

    id: str
    object: str
    name: str
    status: str
    region: str | None
    mode: str
    created_at: str


class KeyIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wish for a key. Secret keys are made by an operator, not over HTTP."""

    kind: Annotated[Literal["pk", "rk"], Meta(description="pk (public) or rk (restricted)")]
    name: Annotated[str, Meta(min_length=1, max_length=100)]
    permissions: list[Permission] | None = None
    origins: list[Annotated[str, Meta(max_length=200)]] = []
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class KeyOut(msgspec.Struct, frozen=True):
    """A key without its text, but for the one answer that made it."""

    id: str
    object: str
    kind: str
    mode: str
    name: str
    last4: str
    permissions: list[str]
    origins: list[str]
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    #: The key itself, shown once.
    text: str | None = None


class KeysOut(msgspec.Struct, frozen=True):
    """A merchant's keys of one mode."""

    data: list[KeyOut]
    has_more: bool
    next_cursor: str | None


def merchant_out(merchant: Merchant, mode: str) -> MerchantOut:
    """Print a merchant."""
    return MerchantOut(
        merchant.merchant_id,
        "merchant",
        merchant.name,
        merchant.status,
        merchant.region,
        mode,
        rfc3339(merchant.created_at),
    )


def key_out(key: ApiKey, text: str | None = None) -> KeyOut:
    """Print a key."""
    return KeyOut(
        id=key.key_id,
        object="api_key",
        kind=key.kind,
        mode=key.mode,
        name=key.name,
        last4=key.last4,
        permissions=sorted(key.permissions),
        origins=list(key.origins),
        created_at=rfc3339(key.created_at),
        expires_at=rfc3339(key.expires_at) if key.expires_at else None,
        revoked_at=rfc3339(key.revoked_at) if key.revoked_at else None,
        text=text,
    )
