# SPDX-License-Identifier: Apache-2.0
"""Rows ↔ approvals. Every change states the state that it changes: of two at once, one touches no row."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from strongroom.db.pool import ReadOnly, Transaction
from strongroom.db.queries import load_queries
from strongroom.http.approval import ApprovalAbout
from strongroom.identity.approvals.model import Approval, ApprovalState
from strongroom.identity.tenants import GROUP
from strongroom.kernel.ids import ApprovalId, MerchantId
from strongroom.kernel.mode import Mode

_QUERIES: Final = load_queries("strongroom.identity.approvals")


def _approval(row: Mapping[str, Any]) -> Approval:
    return Approval(
        ApprovalId(row["approval_id"]),
        MerchantId(row["merchant_id"]),
        Mode(row["mode"]),
        row["action"],
        row["listener"],
        row["method"],
        row["route"],
        row["object_id"],
        bytes(row["fingerprint"]),
        row["requested_by"],
        row["requested_at"],
        row["expires_at"],
        ApprovalState(row["state"]),
        row["decided_by"],
        row["decided_at"],
        row["reason"],
        row["used_at"],
        ApprovalAbout.read(row["about"]),
    )


async def insert(tx: Transaction, new: Approval) -> None:
    """Add one that waits."""
    await tx.run(
        _QUERIES["insert_approval"],
        new.merchant,
        new.approval_id,
        new.mode,
        new.action,
        new.listener,
        new.method,
        new.route,
        new.object_id,
        new.fingerprint,
        new.requested_by,
        new.requested_at,
        new.expires_at,
        None if new.about is None else new.about.text(),
    )


async def by_id(read: ReadOnly, merchant: MerchantId, approval: str) -> Approval | None:
    """Return one."""
    row = await read.row(_QUERIES["approval_by_id"], merchant, approval)
    return None if row is None else _approval(row)


async def open_of(
    read: ReadOnly, merchant: MerchantId, person: str, now: datetime
) -> Sequence[Approval]:
    """Return what waits or may be used of one person, newest first."""
    rows = await read.rows(_QUERIES["open_approvals_of"], merchant, person, now)
    return [_approval(row) for row in rows]


async def page(
    read: ReadOnly,
    merchant: MerchantId,
    mode: Mode,
    *,
    before: str | None,
    limit: int,
    of: str | None,
) -> Sequence[Approval]:
    """Return a page, newest first; `of` is the person whose alone are wanted."""
    rows = await read.rows(_QUERIES["list_approvals"], merchant, mode, before, limit, of)
    return [_approval(row) for row in rows]


async def use(tx: Transaction, approval: Approval, now: datetime) -> bool:
    """Use one; tell whether it was there to be used."""
    return await tx.run(_QUERIES["use_approval"], approval.merchant, approval.approval_id, now) == 1


async def decide(tx: Transaction, approval: Approval, now: datetime) -> bool:
    """Keep the second person's word; tell whether it still waited for it."""
    touched = await tx.run(
        _QUERIES["decide_approval"],
        approval.merchant,
        approval.approval_id,
        approval.state,
        approval.decided_by,
        approval.reason,
        now,
    )
    return touched == 1


async def withdraw(tx: Transaction, approval: Approval, now: datetime) -> bool:
    """Take one back; tell whether it was still open."""
    touched = await tx.run(
        _QUERIES["withdraw_approval"],
        approval.merchant,
        approval.approval_id,
        approval.requested_by,
        now,
    )
    return touched == 1


async def tenants_with_past(read: ReadOnly, now: datetime) -> Sequence[MerchantId]:
    """Return whose approvals are over and not ended, some at a time."""
    await read.row(_QUERIES["be_expiry_job"])
    rows = await read.rows(_QUERIES["tenants_with_past_approvals"], now, GROUP)
    return [MerchantId(row["merchant_id"]) for row in rows]


async def expire(
    tx: Transaction, merchants: Sequence[MerchantId], now: datetime
) -> Sequence[Approval]:
    """End what is over; return it."""
    rows = await tx.rows(_QUERIES["expire_approvals"], list(merchants), now)
    return [_approval(row) for row in rows]


async def tenants_with_old_abouts(read: ReadOnly) -> Sequence[MerchantId]:
    """Return who has approvals that are long over and still say what they were about, some at a time."""
    await read.row(_QUERIES["be_expiry_job"])
    rows = await read.rows(_QUERIES["tenants_with_old_abouts"], GROUP)
    return [MerchantId(row["merchant_id"]) for row in rows]


async def forget_abouts(tx: Transaction, merchants: Sequence[MerchantId]) -> int:
    """Take out what such approvals were about; return of how many."""
    return await tx.run(_QUERIES["forget_abouts"], list(merchants))


async def standing(read: ReadOnly, merchant: MerchantId, person: str) -> tuple[str, str] | None:
    """Return a person's role and status now."""
    row = await read.row(_QUERIES["standing_of_person"], merchant, person)
    return None if row is None else (row["role"], row["status"])


async def others_who_decide(
    read: ReadOnly, merchant: MerchantId, person: str, roles: Collection[str]
) -> int:
    """Count the people beside one who could decide."""
    row = await read.row(_QUERIES["others_who_decide"], merchant, person, list(roles))
    return 0 if row is None else int(row["others"])
