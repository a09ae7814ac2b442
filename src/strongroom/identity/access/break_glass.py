# SPDX-License-Identifier: Apache-2.0
"""Break-glass: named permissions beside a role, for at most an hour, with a reason; alerted, and reviewed later.

They belong to one session and come with its next access token. When they end, that session ends: whoever held them logs
in again, and nothing that carries them is left anywhere.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, final

from strongroom.audit import PLATFORM, Action, Origin, Recorder
from strongroom.crypto.ids import new_id
from strongroom.db.errors import ConstraintBroken
from strongroom.db.pool import Database, ReadOnly, Transaction
from strongroom.identity.access import store
from strongroom.identity.access.ending import Ends
from strongroom.identity.access.errors import (
    BreakGlassOpen,
    BreakGlassOver,
    BreakGlassRefused,
    BreakGlassUnknown,
)
from strongroom.identity.access.model import (
    BREAK_GLASS_MINUTES_MAX,
    BREAK_GLASS_PERMISSIONS_MAX,
    BREAK_GLASS_REASON_MIN,
    Breaker,
    By,
    Glass,
)
from strongroom.identity.grants import breakable
from strongroom.identity.people.model import Person
from strongroom.identity.texts import read_reason
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import MerchantId, PersonId, SessionId, is_id
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import Role

_ITSELF: Final = "system:access"


@final
class BreakGlass:
    """Gives and ends extra permissions, at the console."""

    def __init__(
        self, database: Database, recorder: Recorder, clock: Clock, sessions: Ends
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._sessions = sessions
        self.clock = clock

    async def active(
        self, read: ReadOnly, person: Person, now: datetime, *, session: SessionId
    ) -> frozenset[Permission]:
        """Return what a session may do now beside its person's role: asked whenever an access token is issued.

        Only what the person's present role may take: a demotion meanwhile counts.
        """
        glass = await store.active_glass(read, person.merchant, person.person_id, session, now)
        if glass is None:
            return frozenset()
        return glass.permissions & breakable(person.role, platform=person.merchant == PLATFORM)

    async def beside_role(
        self,
        read: ReadOnly,
        merchant: MerchantId,
        person: PersonId,
        role: Role,
        session: SessionId,
        now: datetime,
    ) -> tuple[frozenset[Permission], datetime | None]:
        """Return what a session may do now beside its person's role, and until when (`sessions.ports.Extras`).

        Only what the person's present role may take: a demotion meanwhile counts.
        """
        glass = await store.active_glass(read, merchant, person, session, now)
        if glass is None:
            return frozenset(), None
        return glass.permissions & breakable(role, platform=merchant == PLATFORM), glass.expires_at

    async def ends_at(
        self, read: ReadOnly, person: Person, now: datetime, *, session: SessionId
    ) -> datetime | None:
        """Return when that ends; an access token with it is not to hold longer."""
        glass = await store.active_glass(read, person.merchant, person.person_id, session, now)
        return None if glass is None else glass.expires_at

    async def start(
        self, breaker: Breaker, permissions: Sequence[Permission], minutes: int, reason: str
    ) -> Glass:
        """Give a person's session named permissions for a while.

        Raises:
            BreakGlassRefused: their role may not take these, or has them already.
            BreakGlassOpen: they have some already.
            Invalid: too long, too short, or a reason that says nothing or holds a card number.
        """
        by, now = breaker.by, self.clock.now()
        wanted = frozenset(permissions)
        _require_takeable(breaker, wanted)
        _require_minutes(minutes)
        glass = Glass(
            new_id("brk"),
            by.merchant,
            by.mode,
            by.actor,
            breaker.session,
            wanted,
            read_reason(reason, characters_min=BREAK_GLASS_REASON_MIN) or "",
            now,
            now + timedelta(minutes=minutes),
        )
        try:
            async with self._database.transaction([by.merchant]) as tx:
                await store.insert_glass(tx, glass)
                for permission in sorted(wanted):  # a record each: a fact has one value
                    await self._record(
                        tx,
                        Action.IDENTITY_BREAK_GLASS_STARTED,
                        glass,
                        by,
                        now,
                        permission=permission.value,
                        lifetime_seconds=minutes * 60,
                    )
        except ConstraintBroken:
            raise BreakGlassOpen from None
        return glass

    async def extend(self, breaker: Breaker, glass_id: str, minutes: int) -> Glass:
        """Let one's own last up to an hour from now, once. The route takes another person's approval.

        Raises:
            BreakGlassUnknown, BreakGlassOver, Invalid: see each.
        """
        by, now = breaker.by, self.clock.now()
        _require_minutes(minutes)
        glass = await self._one(by, glass_id)
        if glass.person != by.actor or glass.session != breaker.session:
            raise BreakGlassUnknown
        async with self._database.transaction([by.merchant]) as tx:
            if not await store.extend_glass(tx, glass, now, now + timedelta(minutes=minutes)):
                raise BreakGlassOver
            await self._record(
                tx,
                Action.IDENTITY_BREAK_GLASS_STARTED,
                glass,
                by,
                now,
                reason="extended",
                lifetime_seconds=minutes * 60,
            )
        return await self._one(by, glass_id)

    async def end(self, by: By, glass_id: str, *, others: bool) -> None:
        """End one, and the session that has it, everywhere within two seconds.

        Args:
            by: whoever ends it.
            glass_id: which.
            others: whether they may end other people's.

        Raises:
            BreakGlassUnknown, BreakGlassOver: see each.
        """
        glass = await self._one(by, glass_id)
        if glass.person != by.actor and not others:
            raise BreakGlassUnknown
        now = self.clock.now()
        async with self._database.transaction([by.merchant]) as tx:
            if not await store.end_glass(tx, glass, now, by.actor):
                raise BreakGlassOver
            await self._ended(tx, glass, by, now, "ended")

    async def end_past(self) -> int:
        """End what is over; return how many. A periodic job, about once a second."""
        now = self.clock.now()
        async with self._database.transaction() as read:
            merchants = await store.tenants_with_past_glasses(read, now)
        if not merchants:
            return 0
        async with self._database.transaction(merchants) as tx:
            ended = await store.end_past_glasses(tx, merchants, now, _ITSELF)
            for glass in ended:
                by = By(glass.merchant, glass.mode, _ITSELF, Origin())
                await self._ended(tx, glass, by, now, "expired")
        return len(ended)

    async def page(
        self, by: By, before: str | None, limit: int, *, others: bool
    ) -> tuple[Sequence[Glass], bool]:
        """Return a page, newest first, and whether there is more."""
        async with self._database.transaction([by.merchant]) as read:
            found = await store.glasses(
                read,
                by.merchant,
                by.mode,
                before=before,
                limit=limit + 1,
                of=None if others else by.actor,
            )
        return found[:limit], len(found) > limit

    async def _one(self, by: By, glass_id: str) -> Glass:
        if not is_id("brk", glass_id):
            raise BreakGlassUnknown
        async with self._database.transaction([by.merchant]) as read:
            found = await store.glass_by_id(read, by.merchant, glass_id)
        if found is None or found.mode is not by.mode:
            raise BreakGlassUnknown
        return found

    async def _ended(
        self, tx: Transaction, glass: Glass, by: By, now: datetime, reason: str
    ) -> None:
        """Put the end on record, and end the session that carries it."""
        await self._record(tx, Action.IDENTITY_BREAK_GLASS_ENDED, glass, by, now, reason=reason)
        await self._sessions.end(
            tx, glass.session, reason="break_glass_ended", origin=by.origin, now=now
        )

    async def _record(
        self,
        tx: Transaction,
        action: Action,
        glass: Glass,
        by: By,
        now: datetime,
        **facts: str | int,
    ) -> None:
        record = self._recorder.make(
            action,
            actor=by.actor,
            merchant=None if glass.merchant == PLATFORM else glass.merchant,
            mode=glass.mode,
            thing=glass.glass_id,
            origin=by.origin,
            now=now,
            details=facts,
        )
        await self._recorder.insert(tx, record)


def _require_takeable(breaker: Breaker, wanted: frozenset[Permission]) -> None:
    if not 0 < len(wanted) <= BREAK_GLASS_PERMISSIONS_MAX:
        raise BreakGlassRefused(f"1 to {BREAK_GLASS_PERMISSIONS_MAX} permissions are taken at once")
    platform = breaker.by.merchant == PLATFORM
    if excess := wanted - breakable(breaker.role, platform=platform):
        raise BreakGlassRefused(
            f"the role {breaker.role} cannot take {', '.join(sorted(excess))}, in no emergency"
        )
    if had := wanted & breaker.permissions:
        raise BreakGlassRefused(f"you may {', '.join(sorted(had))} already")


def _require_minutes(minutes: int) -> None:
    if not 0 < minutes <= BREAK_GLASS_MINUTES_MAX:
        raise Invalid(
            FieldError(
                "/minutes", "minutes_wrong", f"it lasts 1 to {BREAK_GLASS_MINUTES_MAX} minutes"
            )
        )
