# SPDX-License-Identifier: Apache-2.0
"""Adds passkeys: to a person with a session, or to one who is being set up. Each commits with its audit record.

To register (WebAuthn §7.1):
 1. Give a challenge, bound to person and session; five minutes; the newest replaces the one before.
 2. Take it back, once, whatever comes of it.
 3. Check what the browser and the authenticator say.
 4. Refuse a credential that is somebody's already, and more than a person may have.
 5. Keep the public key, with the record.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from strongroom.audit import PLATFORM, Action, Origin, Outcome, Recorder
from strongroom.crypto.ids import new_id
from strongroom.db.errors import ConstraintBroken
from strongroom.db.pool import Database, Transaction
from strongroom.http import Unauthenticated
from strongroom.identity.passkeys import ceremony, store
from strongroom.identity.passkeys.errors import PasskeyKnown, PasskeyRefused, ProofBroken
from strongroom.identity.passkeys.model import (
    NAME_CHARACTERS_MAX,
    PASSKEYS_MAX,
    Bound,
    Me,
    Passkey,
    Purpose,
    RelyingParty,
    Whence,
)
from strongroom.identity.passkeys.ports import SetupTickets
from strongroom.identity.people.model import Person, PersonStatus
from strongroom.identity.people.ports import People
from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid, Refused
from strongroom.kernel.ids import PasskeyId
from strongroom.kernel.secret import Secret

#: What a person can do something about is told; the rest is one answer.
_SENTENCES: Mapping[str, str] = {
    "model_not_allowed": "this model of authenticator is not taken here",
    "model_not_proven": "this authenticator does not prove its model, which is asked for here",
    "not_discoverable": "this authenticator cannot keep a passkey that is found without a user name",
    "user_not_verified": "the authenticator did not check that it was you (PIN, finger or face)",
}


def read_name(name: str) -> str:
    """Return a passkey's name without outer spaces.

    Raises:
        Invalid: it is empty, too long, not printable, or looks like a card number.
    """
    name = name.strip()
    if not 0 < len(name) <= NAME_CHARACTERS_MAX or not name.isprintable():
        sentence = f"a name has 1 to {NAME_CHARACTERS_MAX} printable characters"
        raise Invalid(FieldError("/name", "name_malformed", sentence))
    if has_cardlike(name):
        sentence = "the name looks like a card number"
        raise Invalid(FieldError("/name", "card_number_refused", sentence))
    return name


class Registration:
    """Adds passkeys."""

    def __init__(
        self,
        database: Database,
        recorder: Recorder,
        clock: Clock,
        party: RelyingParty,
        *,
        people: People,
        tickets: SetupTickets,
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._clock = clock
        self._party = party
        self._people = people
        self._tickets = tickets

    async def options(self, me: Me) -> dict[str, Any]:
        """Return what a person's browser is asked for a further passkey.

        Raises:
            Unauthenticated: the person is no longer active.
        """
        async with self._database.transaction([me.merchant]) as tx:
            person = await self._active(tx, me)
            return await self._asked(tx, person, _own(me))

    async def add(
        self, me: Me, name: str, credential: Mapping[str, Any], whence: Whence
    ) -> Passkey:
        """Keep a further passkey of a person.

        Raises:
            PasskeyRefused, PasskeyKnown, Invalid, Unauthenticated: see there.
        """
        async with self._database.transaction([me.merchant]) as read:
            person = await self._active(read, me)
        return await self._register(_own(me), person, name, credential, whence)

    async def set_up_options(self, ticket: Secret[str]) -> dict[str, Any]:
        """Return what the browser of somebody who is being set up is asked for.

        Raises:
            Refused: the ticket does not hold.
        """
        person = await self._invited(ticket)
        async with self._database.transaction([person.merchant]) as tx:
            return await self._asked(tx, person, _set_up(person))

    async def set_up(
        self, ticket: Secret[str], name: str, credential: Mapping[str, Any], whence: Whence
    ) -> Passkey:
        """Keep the first passkey of somebody who is being set up, and finish that.

        Raises:
            PasskeyRefused, PasskeyKnown, Invalid: see there.
            Refused: the ticket does not hold.
        """
        person = await self._invited(ticket)
        return await self._register(
            _set_up(person), person, name, credential, whence, ticket=ticket
        )

    async def _active(self, tx: Transaction, me: Me) -> Person:
        person = await self._people.of(tx, me.merchant, me.person)
        if person is None or person.status is not PersonStatus.ACTIVE:
            raise Unauthenticated("person_not_active")
        return person

    async def _invited(self, ticket: Secret[str]) -> Person:
        async with self._database.transaction() as read:
            return await self._tickets.person(read, ticket, self._clock.now())

    async def _asked(self, tx: Transaction, person: Person, bound: Bound) -> dict[str, Any]:
        known = await store.of_person(tx, person.merchant, person.person_id)
        _require_room(len(known))
        challenge = await store.new_challenge(tx, bound, self._clock.now())  # (1)
        return ceremony.creation_options(self._party, person, known, challenge)

    async def _register(
        self,
        bound: Bound,
        person: Person,
        name: str,
        credential: Mapping[str, Any],
        whence: Whence,
        ticket: Secret[str] | None = None,
    ) -> Passkey:
        name = read_name(name)
        now = self._clock.now()
        origin = await self._recorder.origin(
            person.merchant, whence.address, whence.request_hash, now
        )
        try:
            async with self._database.transaction([person.merchant]) as tx:
                kept = await self._kept(tx, bound, person, name, credential, now)
                await self._record(tx, person, kept, origin, now)
                if ticket is not None and isinstance(kept, Passkey):
                    await self._tickets.finish(tx, person, ticket, origin=origin, now=now)
        except ConstraintBroken:  # another request kept the same credential meanwhile
            raise PasskeyKnown from None
        if isinstance(
            kept, Refused
        ):  # after the commit: the challenge is used up, and the refusal on record
            raise kept
        return kept

    async def _kept(
        self,
        tx: Transaction,
        bound: Bound,
        person: Person,
        name: str,
        credential: Mapping[str, Any],
        now: datetime,
    ) -> Passkey | Refused:
        try:
            challenge = ceremony.answered_challenge(credential)
            if not await store.take_challenge(tx, challenge, bound, now):  # (2)
                raise ProofBroken("challenge_unknown")
            made = ceremony.check_registration(self._party, credential, challenge)  # (3)
        except ProofBroken as broken:
            return PasskeyRefused(_SENTENCES.get(broken.reason))
        await store.lock_person(tx, person.merchant, person.person_id)  # (4)
        try:
            _require_room(await store.count(tx, person.merchant, person.person_id))
        except Refused as full:
            return full
        if await store.owner_of_credential(tx, made.credential_id) is not None:
            return PasskeyKnown()
        return await store.insert(tx, person, PasskeyId(new_id("psk")), made, name, now)  # (5)

    async def _record(
        self,
        tx: Transaction,
        person: Person,
        kept: Passkey | Refused,
        origin: Origin,
        now: datetime,
    ) -> None:
        details = {"method": "passkey"}
        thing: str = person.person_id
        if isinstance(kept, Refused):
            details["reason"] = kept.code
        else:
            thing = kept.passkey_id
        record = self._recorder.make(
            Action.IDENTITY_FACTOR_ADDED,
            actor=person.person_id,
            merchant=None if person.merchant == PLATFORM else person.merchant,
            mode=None,
            thing=thing,
            origin=origin,
            now=now,
            details=details,
            outcome=Outcome.DENIED if "reason" in details else Outcome.SUCCESS,
        )
        await self._recorder.insert(tx, record)


def _own(me: Me) -> Bound:
    return Bound(Purpose.REGISTER, me.merchant, me.person, me.session)


def _set_up(person: Person) -> Bound:
    return Bound(Purpose.SET_UP, person.merchant, person.person_id)


def _require_room(count: int) -> None:
    if count >= PASSKEYS_MAX:
        raise PasskeyRefused(f"a person has at most {PASSKEYS_MAX} passkeys")
