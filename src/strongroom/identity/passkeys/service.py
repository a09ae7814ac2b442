# SPDX-License-Identifier: Apache-2.0
"""A person's own passkeys: listed, renamed, removed. The last way to log in cannot be removed."""

from collections.abc import Sequence

from strongroom.audit import PLATFORM, Action, Recorder
from strongroom.db.pool import Database, ReadOnly, Transaction
from strongroom.http import Unauthenticated
from strongroom.identity.factors.errors import LastFactor
from strongroom.identity.passkeys import store
from strongroom.identity.passkeys.errors import PasskeyUnknown
from strongroom.identity.passkeys.model import Me, Passkey, Whence
from strongroom.identity.passkeys.ports import OtherFactors
from strongroom.identity.passkeys.registration import read_name
from strongroom.identity.people.model import Person
from strongroom.identity.people.ports import People
from strongroom.identity.sessions.ports import Sessions
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import PasskeyId


class OwnPasskeys:
    """A person's own passkeys. Implements `ports.PasskeyFactors`."""

    def __init__(
        self,
        database: Database,
        recorder: Recorder,
        clock: Clock,
        *,
        people: People,
        others: OtherFactors,
        sessions: Sessions,
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._clock = clock
        self._people = people
        self._others = others
        self._sessions = sessions

    async def count(self, read: ReadOnly, person: Person) -> int:
        """Return how many passkeys a person has."""
        return await store.count(read, person.merchant, person.person_id)

    async def clear(self, tx: Transaction, person: Person) -> int:
        """End all passkeys of a person who is reset; return how many that were. The caller records it."""
        await store.lock_person(tx, person.merchant, person.person_id)
        return await store.delete_all(tx, person.merchant, person.person_id)

    async def all_of(self, me: Me) -> Sequence[Passkey]:
        """Return a person's passkeys, oldest first."""
        async with self._database.transaction([me.merchant]) as read:
            return await store.of_person(read, me.merchant, me.person)

    async def rename(self, me: Me, passkey: PasskeyId, name: str) -> Passkey:
        """Give a passkey another name.

        Raises:
            PasskeyUnknown, Invalid: see there.
        """
        name = read_name(name)
        async with self._database.transaction([me.merchant]) as tx:
            renamed = await store.rename(tx, me.merchant, me.person, passkey, name)
        if renamed is None:
            raise PasskeyUnknown
        return renamed

    async def remove(self, me: Me, passkey: PasskeyId, whence: Whence) -> None:
        """End a passkey, and every other session of the person: it may be removed because it was lost (ASVS 7.4.3).

        Raises:
            PasskeyUnknown: the person has no such passkey.
            LastFactor: nothing else would let the person in (`factors.errors`).
            Unauthenticated: there is no such person any more.
        """
        now = self._clock.now()
        origin = await self._recorder.origin(me.merchant, whence.address, whence.request_hash, now)
        async with self._database.transaction([me.merchant]) as tx:
            # Two requests that remove the last two wait for each other here.
            await store.lock_person(tx, me.merchant, me.person)
            person = await self._people.of(tx, me.merchant, me.person)
            if person is None:
                raise Unauthenticated("person_not_active")
            own = await store.of_person(tx, me.merchant, me.person)
            if passkey not in {each.passkey_id for each in own}:
                raise PasskeyUnknown
            if len(own) == 1 and not await self._others.suffice(tx, person):
                raise LastFactor
            await store.delete(tx, me.merchant, me.person, passkey)
            record = self._recorder.make(
                Action.IDENTITY_FACTOR_REMOVED,
                actor=me.person,
                merchant=None if me.merchant == PLATFORM else me.merchant,
                mode=None,
                thing=passkey,
                origin=origin,
                now=now,
                details={"method": "passkey"},
            )
            await self._recorder.insert(tx, record)
            await self._sessions.end_all(
                tx, person, reason="factor_removed", origin=origin, now=now, but=me.session
            )
