# SPDX-License-Identifier: Apache-2.0
"""Decides, shows and ends approvals, at the console. Each change commits with its audit record."""

from collections.abc import Sequence
from typing import Final, final

from strongroom.audit import Action, Origin, Outcome, Recorder, grouped
from strongroom.db.pool import Database
from strongroom.identity.approvals import rules, store
from strongroom.identity.approvals.errors import ApprovalClosed, ApprovalUnknown
from strongroom.identity.approvals.model import Approval, By, Verdict
from strongroom.identity.approvals.records import record_of
from strongroom.identity.texts import read_reason
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import is_id

PAGE_MAX: Final = 100
_EXPIRER: Final = "system:approvals"
_ACTIONS: Final = {
    Verdict.APPROVED: (Action.IDENTITY_APPROVAL_GRANTED, Outcome.SUCCESS),
    Verdict.DENIED: (Action.IDENTITY_APPROVAL_DENIED, Outcome.DENIED),
}


@final
class ApprovalService:
    """The approvals of every tenant."""

    def __init__(self, database: Database, recorder: Recorder, clock: Clock) -> None:
        self._database = database
        self._recorder = recorder
        self.clock = clock

    async def page(self, by: By, before: str | None, limit: int) -> tuple[Sequence[Approval], bool]:
        """Return a page, newest first, and whether there is more; who may not see others' sees their own."""
        async with self._database.transaction([by.merchant]) as read:
            found = await store.page(
                read,
                by.merchant,
                by.mode,
                before=before,
                limit=limit + 1,
                of=None if by.sees_all else by.person,
            )
        return found[:limit], len(found) > limit

    async def one(self, by: By, approval: str) -> Approval:
        """Return one. Raises ApprovalUnknown, also for another mode's."""
        if not is_id("apr", approval):
            raise ApprovalUnknown
        async with self._database.transaction([by.merchant]) as read:
            found = await store.by_id(read, by.merchant, approval)
        if found is None or found.mode is not by.mode:
            raise ApprovalUnknown
        if not by.sees_all and found.requested_by != by.person:
            raise ApprovalUnknown
        return found

    async def decide(self, by: By, approval: str, verdict: Verdict, reason: str | None) -> Approval:
        """Approve or deny what another person asked for.

        Raises:
            ApprovalUnknown, ApprovalOwn, ApprovalClosed: see each.
            Invalid: the reason is too long or holds a card number.
        """
        reason = read_reason(reason)
        found = await self.one(by, approval)
        now = self.clock.now()
        after = rules.decided(found, by.person, verdict, reason, now)
        action, outcome = _ACTIONS[verdict]
        async with self._database.transaction([by.merchant]) as tx:
            if not await store.decide(tx, after, now):
                raise ApprovalClosed
            record = record_of(
                self._recorder,
                action,
                after,
                actor=by.person,
                origin=by.origin,
                now=now,
                outcome=outcome,
                requester=grouped(found.requested_by),
            )
            await self._recorder.insert(tx, record)
        return after

    async def withdraw(self, by: By, approval: str) -> Approval:
        """Take back what one asked for.

        Raises:
            ApprovalUnknown: also where somebody else asked for it.
            ApprovalClosed: it is over.
        """
        found = await self.one(by, approval)
        now = self.clock.now()
        after = rules.withdrawn(found, by.person, now)
        async with self._database.transaction([by.merchant]) as tx:
            if not await store.withdraw(tx, after, now):
                raise ApprovalClosed
            record = record_of(
                self._recorder,
                Action.IDENTITY_APPROVAL_WITHDRAWN,
                after,
                actor=by.person,
                origin=by.origin,
                now=now,
            )
            await self._recorder.insert(tx, record)
        return after

    async def forget_abouts(self) -> int:
        """Take out what approvals were about that are over for 400 days; return of how many."""
        async with self._database.transaction() as read:
            merchants = await store.tenants_with_old_abouts(read)
        if not merchants:
            return 0
        async with self._database.transaction(merchants) as tx:
            return await store.forget_abouts(tx, merchants)

    async def expire_past(self) -> int:
        """End what is over, each with its record; return how many. Whoever asks before this ran is told so too."""
        now = self.clock.now()
        async with self._database.transaction() as read:
            merchants = await store.tenants_with_past(read, now)
        if not merchants:
            return 0
        async with self._database.transaction(merchants) as tx:
            ended = await store.expire(tx, merchants, now)
            for each in ended:
                record = record_of(
                    self._recorder,
                    Action.IDENTITY_APPROVAL_EXPIRED,
                    each,
                    actor=_EXPIRER,
                    origin=Origin(),
                    now=now,
                )
                await self._recorder.insert(tx, record)
        return len(ended)
