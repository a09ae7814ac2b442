# SPDX-License-Identifier: Apache-2.0
"""Audit records of approvals. Both people stand in the record of the decision and in that of the use."""

from datetime import datetime

from strongroom.audit import PLATFORM, Action, NewRecord, Origin, Outcome, Recorder
from strongroom.identity.approvals.model import Approval


def record_of(
    recorder: Recorder,
    action: Action,
    approval: Approval,
    *,
    actor: str,
    origin: Origin,
    now: datetime,
    outcome: Outcome = Outcome.SUCCESS,
    **people: str,
) -> NewRecord:
    """Make a record about an approval; `people` are the facts `requester` and `approver`."""
    return recorder.make(
        action,
        actor=actor,
        merchant=None if approval.merchant == PLATFORM else approval.merchant,
        mode=approval.mode,
        thing=approval.approval_id,
        origin=origin,
        now=now,
        details={
            "operation": approval.action,
            "route": f"{approval.method} {approval.route}",
            **({} if approval.about is None else {"purpose": approval.about.purpose}),
            **people,
        },
        outcome=outcome,
    )
