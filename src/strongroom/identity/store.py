# SPDX-License-Identifier: Apache-2.0
"""Rows ↔ merchants and keys."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from strongroom.db.pool import ReadOnly, Transaction
from strongroom.db.queries import load_queries
from strongroom.identity.model import ApiKey, KeyWish, Merchant
from strongroom.kernel.ids import KeyId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import KeyKind

_QUERIES: Final = load_queries("strongroom.identity")
_WORDS: Final = {permission.value: permission for permission in Permission}


def permissions_of(words: Sequence[str]) -> frozenset[Permission]:
    """Read stored permission words; one that this release does not know grants nothing."""
    return frozenset(_WORDS[word] for word in words if word in _WORDS)


def _merchant(row: Mapping[str, Any]) -> Merchant:
    return Merchant(
        MerchantId(row["merchant_id"]), row["name"], row["status"], row["region"], row["created_at"]
    )


def _key(row: Mapping[str, Any]) -> ApiKey:
    return ApiKey(
        KeyId(row["key_id"]),
        MerchantId(row["merchant_id"]),
        Mode(row["mode"]),
        KeyKind(row["kind"]),
        row["name"],
        row["last4"],
        permissions_of(row["permissions"]),
        tuple(row["origins"]),
        row["expires_at"],
        row["revoked_at"],
        row["created_by"],
        row["created_at"],
    )


async def insert_merchant(
    tx: Transaction, merchant: MerchantId, name: str, region: str | None, now: datetime
) -> None:
    """Add a tenant."""
    await tx.run(_QUERIES["insert_merchant"], merchant, name, region, now)


async def merchant_by_id(read: ReadOnly, merchant: MerchantId) -> Merchant | None:
    """Return a tenant."""
    row = await read.row(_QUERIES["merchant_by_id"], merchant)
    return None if row is None else _merchant(row)


async def list_merchants(read: ReadOnly) -> Sequence[Merchant]:
    """Return every tenant that this login may see."""
    return [_merchant(row) for row in await read.rows(_QUERIES["list_merchants"])]


async def insert_key(
    tx: Transaction,
    key_id: KeyId,
    wish: KeyWish,
    *,
    key_hash: bytes,
    last4: str,
    permissions: frozenset[Permission],
    created_by: str,
    now: datetime,
) -> None:
    """Add a key."""
    await tx.run(
        _QUERIES["insert_key"],
        wish.merchant,
        wish.mode,
        key_id,
        wish.kind,
        key_hash,
        last4,
        wish.name,
        sorted(permissions),
        list(wish.origins),
        wish.expires_at,
        created_by,
        now,
    )


async def list_keys(read: ReadOnly, merchant: MerchantId, mode: Mode) -> Sequence[ApiKey]:
    """Return a tenant's keys of one mode."""
    return [_key(row) for row in await read.rows(_QUERIES["list_keys"], merchant, mode)]


async def revoke_key(
    tx: Transaction, merchant: MerchantId, mode: Mode, key: KeyId
) -> KeyKind | None:
    """End a key, by the database's clock; return its kind, or None when there is none."""
    row = await tx.row(_QUERIES["revoke_key"], merchant, mode, key)
    return None if row is None or row["kind"] is None else KeyKind(row["kind"])


async def key_by_hash(read: ReadOnly, key_hash: bytes) -> Mapping[str, Any] | None:
    """Return the row behind a presented hash; sees nothing else, because the transaction states the hash."""
    await read.row(_QUERIES["present_key"], key_hash.hex())
    return await read.row(_QUERIES["key_by_hash"], key_hash)
