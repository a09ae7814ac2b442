# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of approvals; one approval is `http.approval.ApprovalOut`."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from strongroom.http.approval import ApprovalOut
from strongroom.identity.approvals.model import Approval
from strongroom.identity.approvals.rules import state_at
from strongroom.identity.texts import REASON_CHARACTERS_MAX
from strongroom.kernel.clock import rfc3339


class DecisionIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why, for people; never in the audit log."""

    reason: Annotated[str, Meta(max_length=REASON_CHARACTERS_MAX)] | None = None


class ApprovalsOut(msgspec.Struct, frozen=True):
    """A page of approvals, newest first."""

    data: list[ApprovalOut]
    has_more: bool
    next_cursor: str | None


def approval_out(approval: Approval, now: datetime) -> ApprovalOut:
    """Print an approval as it stands now."""
    return ApprovalOut(
        id=approval.approval_id,
        object="approval",
        state=state_at(approval, now),
        mode=approval.mode,
        action=approval.action,
        method=approval.method,
        route=approval.route,
        object_id=approval.object_id,
        requested_by=approval.requested_by,
        requested_at=rfc3339(approval.requested_at),
        expires_at=rfc3339(approval.expires_at),
        decided_by=approval.decided_by,
        decided_at=rfc3339(approval.decided_at) if approval.decided_at else None,
        reason=approval.reason,
        used_at=rfc3339(approval.used_at) if approval.used_at else None,
        about=approval.about,
    )
