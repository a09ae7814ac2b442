# SPDX-License-Identifier: Apache-2.0
"""What may happen to an approval, and when: pure. The table's own checks and the store's conditions say it again.

pending ─approve→ approved ─use→ used          each at most once, before `expires_at`
   │ └─deny→ denied   └─ (time) → expired      nobody decides their own; nobody uses another's
   ├─withdraw→ withdrawn (also from approved)
   └─ (time) → expired
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Final

from strongroom.crypto.digest import equal
from strongroom.http.approval import ApprovalAbout
from strongroom.identity.approvals.errors import (
    ApprovalClosed,
    ApprovalNotUsable,
    ApprovalOwn,
    ApprovalUnknown,
)
from strongroom.identity.approvals.model import Approval, ApprovalState, Verdict
from strongroom.identity.grants import granted_to
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import Role

_OPEN: Final = frozenset({ApprovalState.PENDING, ApprovalState.APPROVED})
_SENTENCES: Final = {
    ApprovalState.PENDING: "the approval still waits for another person",
    ApprovalState.DENIED: "the approval was denied",
    ApprovalState.WITHDRAWN: "the approval was withdrawn",
    ApprovalState.EXPIRED: "the approval is over: it lasts 60 minutes",
    ApprovalState.USED: "the approval was used: each lets one request through, once",
}


def state_at(approval: Approval, now: datetime) -> ApprovalState:
    """Return where an approval stands now, whether or not the clean-up has been there."""
    if approval.used_at is not None:
        return ApprovalState.USED
    if approval.state in _OPEN and now >= approval.expires_at:
        return ApprovalState.EXPIRED
    return approval.state


def decided(
    approval: Approval, person: str, verdict: Verdict, reason: str | None, now: datetime
) -> Approval:
    """Return an approval as the second person leaves it.

    Raises:
        ApprovalOwn: the person asked for it themselves.
        ApprovalClosed: there is nothing left to decide.
    """
    if person == approval.requested_by:
        raise ApprovalOwn
    if state_at(approval, now) is not ApprovalState.PENDING:
        raise ApprovalClosed
    state = ApprovalState(verdict.value)
    return replace(approval, state=state, decided_by=person, decided_at=now, reason=reason)


def withdrawn(approval: Approval, person: str, now: datetime) -> Approval:
    """Return an approval as who asked for it leaves it when they think better.

    Raises:
        ApprovalUnknown: somebody else asked for it.
        ApprovalClosed: it is used, denied or over.
    """
    if person != approval.requested_by:
        raise ApprovalUnknown
    if state_at(approval, now) not in _OPEN:
        raise ApprovalClosed
    return replace(approval, state=ApprovalState.WITHDRAWN)


def require_usable(
    approval: Approval | None,
    person: str,
    fingerprints: Collection[bytes],
    now: datetime,
    about: ApprovalAbout | None = None,
) -> Approval:
    """Return the approval that lets a request through, or refuse it. Whose it is comes before all that is told of it.

    The fingerprints are the request's, by each id that what it is about may be asked by.

    Raises:
        ApprovalNotUsable: see the sentence.
    """
    if approval is None or approval.requested_by != person:
        raise ApprovalNotUsable("there is no such approval of yours")
    state = state_at(approval, now)
    if state is not ApprovalState.APPROVED:
        raise ApprovalNotUsable(_SENTENCES[state])
    if not any(equal(approval.fingerprint, each) for each in fingerprints):
        raise ApprovalNotUsable(
            "the approval is for another request: method, path, query and body are to be the same"
        )
    # The fingerprint says so too, unless a row was altered after it was made: then a person decided on something else.
    if approval.about != about:
        raise ApprovalNotUsable("what the approver was shown is not what this request does")
    return approval


def may_decide(role: str, status: str, mode: Mode, *, platform: bool) -> bool:
    """Tell whether a person of that role and standing may decide approvals."""
    return status == "active" and role in deciding_roles(mode, platform=platform)


def deciding_roles(mode: Mode, *, platform: bool) -> Collection[str]:
    """Return the roles of people who may decide approvals."""
    return [
        role.value
        for role in Role
        if role is not Role.SERVICE
        and Permission.IDENTITY_APPROVAL_DECIDE in granted_to(role, mode, platform=platform)
    ]
