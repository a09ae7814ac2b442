# SPDX-License-Identifier: Apache-2.0
"""Rows ↔ containers and rules."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from strongroom.db.pool import ReadOnly, Transaction
from strongroom.db.queries import load_queries
from strongroom.kernel.ids import AccessRuleId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.vault.containers.model import (
    Access,
    AccessRule,
    Container,
    GranteeKind,
    Transform,
)

_QUERIES: Final = load_queries("strongroom.vault.containers")


def _container(row: Mapping[str, Any]) -> Container:
    return Container(
        MerchantId(row["merchant_id"]),
        Mode(row["mode"]),
        row["name"],
        row["description"],
        row["retention_days"],
        row["created_by"],
        row["created_at"],
        row["updated_at"],
    )


def _rule(row: Mapping[str, Any]) -> AccessRule:
    return AccessRule(
        MerchantId(row["merchant_id"]),
        Mode(row["mode"]),
        AccessRuleId(row["rule_id"]),
        row["container"],
        row["priority"],
        GranteeKind(row["grantee_kind"]),
        row["grantee"],
        Access(row["access"]),
        Transform(row["transform"]),
        row["created_by"],
        row["created_at"],
    )


async def note_change(tx: Transaction, merchant: MerchantId) -> None:
    """Note that something changes here, and wait for another change of the same tenant to commit."""
    await tx.run(_QUERIES["note_change"], merchant)


async def list_changes(read: ReadOnly) -> Mapping[MerchantId, int]:
    """Return the number of the last change of every tenant that has or had containers or rules."""
    return {
        MerchantId(row["tenant"]): row["version"]
        for row in await read.rows(_QUERIES["list_changes"])
    }


async def change_of(read: ReadOnly, merchant: MerchantId) -> int:
    """Return the number of a tenant's last change; 0: there was none."""
    row = await read.row(_QUERIES["change_of"], merchant)
    return 0 if row is None else int(row["version"])


async def list_containers(read: ReadOnly, merchant: MerchantId) -> Sequence[Container]:
    """Return a tenant's containers, of both modes."""
    return [_container(row) for row in await read.rows(_QUERIES["list_containers"], merchant)]


async def list_rules(read: ReadOnly, merchant: MerchantId) -> Sequence[AccessRule]:
    """Return a tenant's rules, of both modes, in the order in which they are asked."""
    return [_rule(row) for row in await read.rows(_QUERIES["list_rules"], merchant)]


async def put_container(tx: Transaction, wanted: Container) -> Container:
    """Keep a container; of one that is there, only description and retention change."""
    row = await tx.row(
        _QUERIES["put_container"],
        wanted.merchant_id,
        wanted.mode,
        wanted.name,
        wanted.description,
        wanted.retention_days,
        wanted.created_by,
        wanted.updated_at,
    )
    return wanted if row is None else _container(row)


async def hold_container(tx: Transaction, merchant: MerchantId, mode: Mode, name: str) -> bool:
    """Let nobody put a token into a container until this transaction ends; tell whether it is there."""
    return await tx.row(_QUERIES["container_for_removal"], merchant, mode, name) is not None


async def is_used(read: ReadOnly, merchant: MerchantId, mode: Mode, name: str) -> bool:
    """Tell whether a token stands in a container."""
    return await read.row(_QUERIES["container_is_used"], merchant, mode, name) is not None


async def remove_container(tx: Transaction, merchant: MerchantId, mode: Mode, name: str) -> None:
    """End a container."""
    await tx.row(_QUERIES["remove_container"], merchant, mode, name)


async def insert_rule(tx: Transaction, rule: AccessRule) -> None:
    """Keep a new rule."""
    await tx.run(
        _QUERIES["insert_rule"],
        rule.merchant_id,
        rule.mode,
        rule.rule_id,
        rule.container,
        rule.priority,
        rule.grantee_kind,
        rule.grantee,
        rule.access,
        rule.transform,
        rule.created_by,
        rule.created_at,
    )


async def remove_rule(tx: Transaction, merchant: MerchantId, mode: Mode, rule: str) -> None:
    """End a rule."""
    await tx.row(_QUERIES["remove_rule"], merchant, mode, rule)
