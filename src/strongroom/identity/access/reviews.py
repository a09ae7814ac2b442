# SPDX-License-Identifier: Apache-2.0
"""Reviews of access: who can do what, what a reviewer says of each, and when the next is due.

PCI DSS 4.0.1 7.2.4 and 7.2.5.1. A decision is a record: what follows from it is done by its own route or command.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, final

from strongroom.audit import PLATFORM, Action, Recorder
from strongroom.crypto.ids import new_id
from strongroom.db.errors import ConstraintBroken
from strongroom.db.pool import Database, Transaction
from strongroom.identity.access import store
from strongroom.identity.access.errors import (
    ReviewClosed,
    ReviewItemUnknown,
    ReviewOpen,
    ReviewOwn,
    ReviewUnknown,
)
from strongroom.identity.access.model import By, Decision, Due, Item, Review, Subject
from strongroom.identity.access.subjects import Source
from strongroom.identity.tenants import EveryTenant
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import MerchantId, is_id

_EVER: Final = datetime(2000, 1, 1, tzinfo=UTC)


@final
class AccessReviews:
    """The reviews of every tenant. `sources` say who has access; others add theirs where this is composed."""

    def __init__(
        self,
        database: Database,
        recorder: Recorder,
        clock: Clock,
        sources: Sequence[Source],
        tenants: EveryTenant,
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._sources = sources
        self._tenants = tenants
        self.clock = clock

    async def now(self, merchant: MerchantId) -> Sequence[Subject]:
        """Return who and what has access at this moment, and every break-glass since the last review."""
        now = self.clock.now()
        async with self._database.transaction([merchant]) as read:
            known = await store.reviews(read, merchant)
            # Not since it was closed: what was done while it was open is in no review yet.
            since = max((each.started_at for each in known), default=_EVER)
            return [
                subject
                for source in self._sources
                for subject in await source.subjects(read, merchant, since, now)
            ]

    async def start(self, by: By) -> Review:
        """Begin a review of everything that has access now.

        Raises:
            ReviewOpen: one is open.
        """
        subjects = await self.now(by.merchant)
        now = self.clock.now()
        review = Review(
            new_id("rvw"), by.merchant, by.actor, now, None, len(subjects), len(subjects)
        )
        try:
            async with self._database.transaction([by.merchant]) as tx:
                await store.insert_review(tx, review)
                for subject in subjects:
                    await store.insert_item(tx, review, Item(subject, subject.unused(now)))
                await self._record(tx, by, review.review_id, "started", now)
                if await store.close_review(tx, by.merchant, review.review_id, now):
                    review = replace(review, closed_at=now)  # nobody and nothing has access
        except ConstraintBroken:
            raise ReviewOpen from None
        return review

    async def all(self, merchant: MerchantId) -> Sequence[Review]:
        """Return a tenant's reviews, newest first."""
        async with self._database.transaction([merchant]) as read:
            return await store.reviews(read, merchant)

    async def one(self, merchant: MerchantId, review: str) -> Review:
        """Return one. Raises ReviewUnknown."""
        if not is_id("rvw", review):
            raise ReviewUnknown
        async with self._database.transaction([merchant]) as read:
            found = await store.review_by_id(read, merchant, review)
        if found is None:
            raise ReviewUnknown
        return found

    async def items(
        self, merchant: MerchantId, review: str, *, after: str = "", limit: int = 100
    ) -> tuple[Sequence[Item], bool]:
        """Return a page of a review's items, and whether there is more. Raises ReviewUnknown."""
        await self.one(merchant, review)
        async with self._database.transaction([merchant]) as read:
            found = await store.items(read, merchant, review, after=after, limit=limit + 1)
        return found[:limit], len(found) > limit

    async def decide(self, by: By, review: str, subject: str, decision: Decision) -> Item:
        """Keep what a reviewer says of an item. The last one closes the review.

        Raises:
            ReviewUnknown, ReviewItemUnknown, ReviewOwn, ReviewClosed: see each.
        """
        await self.one(by.merchant, review)
        now = self.clock.now()
        async with self._database.transaction([by.merchant]) as tx:
            item = await store.item_by_subject(tx, by.merchant, review, subject)
            if item is None:
                raise ReviewItemUnknown
            if item.subject.person == by.actor:
                raise ReviewOwn
            if not await store.lock_review(tx, by.merchant, review):
                raise ReviewClosed
            decided = await store.decide_item(
                tx, by.merchant, review, subject, decision, actor=by.actor, now=now
            )
            if not decided:
                raise ReviewClosed
            await self._record(tx, by, subject, decision.value, now)
            if await store.close_review(tx, by.merchant, review, now):
                await self._record(tx, by, review, "closed", now)
        return replace(item, decision=decision, decided_by=by.actor, decided_at=now)

    async def due(self, merchant: MerchantId | None = None) -> Sequence[Due]:
        """Return when each tenant is to be reviewed next, or one of them."""
        groups = [[merchant]] if merchant is not None else await self._tenants.groups()
        found: list[Due] = []
        for merchants in groups:
            async with self._database.transaction(merchants) as read:
                found += await store.due(read, merchants)
        return found

    async def _record(
        self, tx: Transaction, by: By, thing: str, result: str, now: datetime
    ) -> None:
        record = self._recorder.make(
            Action.IDENTITY_ACCESS_REVIEWED,
            actor=by.actor,
            merchant=None if by.merchant == PLATFORM else by.merchant,
            mode=by.mode,
            thing=thing,
            origin=by.origin,
            now=now,
            details={"result": result},
        )
        await self._recorder.insert(tx, record)
