# SPDX-License-Identifier: Apache-2.0
"""What people do with their own access: see it, and change their password."""

from time import monotonic
from typing import Final

from strongroom.audit import Action, Origin, Outcome, Recorder
from strongroom.db.pool import Database
from strongroom.http.rate_limit import Rate, RateLimiter
from strongroom.identity.people import store
from strongroom.identity.people.errors import (
    CurrentPasswordWrong,
    PersonUnknown,
)
from strongroom.identity.people.model import Act, Person, PersonStatus
from strongroom.identity.people.passwords import Passwords
from strongroom.identity.people.ports import SessionsEnd
from strongroom.identity.people.setup import setter_of, tenant_name
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import MerchantId, PersonId, SessionId

#: Tries at the current password of one person in one process: whoever has taken over a session guesses no faster.
TRIES: Final = Rate(per_second=1 / 60, burst=5)


class OwnService:
    """A person's own password."""

    def __init__(
        self,
        *,
        database: Database,
        passwords: Passwords,
        sessions: SessionsEnd,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._sessions = sessions
        self._recorder = recorder
        self._clock = clock
        self._tries = RateLimiter(TRIES)

    async def person(self, merchant: MerchantId, person: PersonId) -> tuple[Person, str]:
        """Return a person who is logged in, and their tenant's name. Raises PersonUnknown."""
        async with self._database.transaction([merchant]) as read:
            found = await store.PeopleTable().of(read, merchant, person)
            if found is None:
                raise PersonUnknown
            return found, await tenant_name(read, merchant)

    async def change_password(
        self,
        person: Person,
        tenant: str,
        *,
        session: SessionId,
        current: str,
        new: str,
        origin: Origin,
    ) -> None:
        """Change a person's own password; every other session of theirs ends (ASVS 5.0 V6.2.3, V7.4.3).

        Raises:
            TooMany: the current password was tried too often.
            CurrentPasswordWrong, PasswordRefused, PasswordsBusy, PasswordChangedMeanwhile.
        """
        self._tries.take(person.person_id, monotonic())
        now = self._clock.now()
        act = Act(person.person_id, origin)
        async with self._database.transaction([person.merchant]) as read:
            kept = await self._passwords.kept(read, person)
        if not await self._passwords.holds(kept, current):
            await self._record_refusal(person, act)
            raise CurrentPasswordWrong
        ready = await self._passwords.ready(kept, setter_of(person, tenant), new, "/new")
        async with self._database.transaction([person.merchant]) as tx:
            locked = await store.lock_person(tx, person.merchant, person.person_id)
            if locked is None or locked[0].status is not PersonStatus.ACTIVE:
                raise PersonUnknown
            await self._passwords.set(tx, ready, now)
            await self._sessions.end_all(
                tx, person, reason="password_changed", origin=origin, now=now, but=session
            )
            record = self._recorder.make(
                Action.IDENTITY_PASSWORD_CHANGED,
                actor=act.actor,
                merchant=person.tenant,
                mode=None,
                thing=person.person_id,
                origin=origin,
                now=now,
                details={"reason": "changed"},
            )
            await self._recorder.insert(tx, record)

    async def _record_refusal(self, person: Person, act: Act) -> None:
        """Say in the log that somebody in this session did not know the password."""
        async with self._database.transaction([person.merchant]) as tx:
            record = self._recorder.make(
                Action.IDENTITY_PASSWORD_CHANGED,
                actor=act.actor,
                merchant=person.tenant,
                mode=None,
                thing=person.person_id,
                origin=act.origin,
                now=self._clock.now(),
                details={"reason": "current_password_wrong"},
                outcome=Outcome.DENIED,
            )
            await self._recorder.insert(tx, record)
