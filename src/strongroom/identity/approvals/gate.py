# SPDX-License-Identifier: Apache-2.0
"""The gate of a listener's marked routes: asks for approvals, takes each back once. Implements `http.approval.Gate`.

An approval is used before its act is tried: an act that then fails needs another approval. The other way round, one
approval could be tried with until something gives way.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import final

import msgspec

from strongroom.audit import PLATFORM, Action, Origin, Recorder, grouped
from strongroom.crypto.digest import equal
from strongroom.crypto.ids import new_id
from strongroom.db.pool import Database, ReadOnly
from strongroom.http import Answer, Request
from strongroom.http.approval import HEADER, ApprovalAbout, ApprovalAsked
from strongroom.identity.approvals import rules, store
from strongroom.identity.approvals.errors import (
    ApprovalNobody,
    ApprovalNotUsable,
    ApprovalsTooMany,
)
from strongroom.identity.approvals.fingerprint import fingerprints
from strongroom.identity.approvals.model import LIFETIME, OPEN_MAX, Approval
from strongroom.identity.approvals.records import record_of
from strongroom.identity.approvals.wire import approval_out
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import ApprovalId, is_id
from strongroom.kernel.invariant import Bug
from strongroom.kernel.principal import Principal
from strongroom.kernel.secret import Secret

_ACCEPTED = 202


@final
class ApprovalGate:
    """Stands before the marked routes of one listener, under that listener's login."""

    def __init__(
        self, database: Database, key: Secret[bytes], recorder: Recorder, clock: Clock
    ) -> None:
        self._database = database
        self._key = key
        self._recorder = recorder
        self._clock = clock

    async def admit(
        self,
        request: Request,
        action: str,
        object_id: str | None,
        names: Sequence[str] = (),
        about: ApprovalAbout | None = None,
    ) -> None:
        """Let a request through that another person has approved as it was shown to them; use the approval up.

        What was asked for by one id of a thing is not asked for again by another, and passes by either, once (see the
        port for `names`).

        Raises:
            ApprovalAsked: the request carries none: it waits now, and its sender is told so.
            ApprovalNotUsable, ApprovalNobody, ApprovalsTooMany: see each.
        """
        principal = request.principal
        if principal is None:
            raise Bug("the gate stands behind the permission")
        now = self._clock.now()
        prints = fingerprints(self._key, request, action, object_id, names, about)
        origin = await self._recorder.origin(
            principal.merchant, request.address, request.trace_hash, now
        )
        named = request.headers.get(HEADER)
        if named is not None:
            await self._use(principal, named, prints, about, origin, now)
            return
        wanted = Approval(
            ApprovalId(new_id("apr")),
            principal.merchant,
            principal.mode,
            action,
            request.listener,
            request.method,
            public_route(request.route),
            names[0] if names else object_id,
            prints[0],
            principal.subject,
            now,
            now + LIFETIME,
            about=about,
        )
        asked = await self._ask(wanted, prints, origin, now)
        body = msgspec.json.encode(approval_out(asked, now))
        raise ApprovalAsked(Answer(_ACCEPTED, body))

    async def _ask(
        self, wanted: Approval, prints: Sequence[bytes], origin: Origin, now: datetime
    ) -> Approval:
        """Let a request wait; one that waits already is not asked for twice."""
        async with self._database.transaction([wanted.merchant]) as tx:
            waiting = await store.open_of(tx, wanted.merchant, wanted.requested_by, now)
            for each in waiting:
                if any(equal(each.fingerprint, print_) for print_ in prints):
                    return each
            if len(waiting) >= OPEN_MAX:
                raise ApprovalsTooMany
            roles = rules.deciding_roles(wanted.mode, platform=wanted.merchant == PLATFORM)
            if not await store.others_who_decide(tx, wanted.merchant, wanted.requested_by, roles):
                raise ApprovalNobody
            await store.insert(tx, wanted)
            await self._recorder.insert(
                tx,
                record_of(
                    self._recorder,
                    Action.IDENTITY_APPROVAL_REQUESTED,
                    wanted,
                    actor=wanted.requested_by,
                    origin=origin,
                    now=now,
                ),
            )
        return wanted

    async def _use(
        self,
        principal: Principal,
        named: str,
        prints: Sequence[bytes],
        about: ApprovalAbout | None,
        origin: Origin,
        now: datetime,
    ) -> None:
        if not is_id("apr", named):
            raise ApprovalNotUsable("an approval's id is apr_ and 26 letters and digits")
        async with self._database.transaction([principal.merchant]) as tx:
            found = await store.by_id(tx, principal.merchant, named)
            approval = rules.require_usable(found, principal.subject, prints, now, about)
            approver = await self._approver(tx, approval)
            if not await store.use(tx, approval, now):
                raise ApprovalNotUsable("the approval was used by another request just now")
            await self._recorder.insert(
                tx,
                record_of(
                    self._recorder,
                    Action.IDENTITY_APPROVAL_USED,
                    approval,
                    actor=principal.subject,
                    origin=origin,
                    now=now,
                    approver=grouped(approver),
                ),
            )

    @staticmethod
    async def _approver(read: ReadOnly, approval: Approval) -> str:
        """Return who approved, if they still may: one who was suspended or lost the right takes their word along."""
        approver = approval.decided_by or ""
        standing = await store.standing(read, approval.merchant, approver)
        platform = approval.merchant == PLATFORM
        if standing is None or not rules.may_decide(*standing, approval.mode, platform=platform):
            raise ApprovalNotUsable("whoever approved this may not approve any more")
        return approver


def public_route(route: str) -> str:
    """Print a route as people and records know it: `{key_id:str}` is `{key_id}`."""
    return "/".join(
        f"{{{part[1:-1].partition(':')[0]}}}" if part.startswith("{") else part
        for part in route.split("/")
    )
