# SPDX-License-Identifier: Apache-2.0
"""Decides who somebody is here whom a provider vouches for, and begins their session, all in one transaction."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from strongroom.audit import Action, Origin, Recorder
from strongroom.crypto.ids import new_id
from strongroom.db.pool import Database, Transaction
from strongroom.identity.people import store as people_store
from strongroom.identity.people.model import Person, PersonStatus
from strongroom.identity.people.ports import People
from strongroom.identity.sessions.ports import Issued, Sessions
from strongroom.identity.sso import store
from strongroom.identity.sso.errors import SignInRefused
from strongroom.identity.sso.model import Identified, Provider
from strongroom.identity.sso.proofs import Proofs
from strongroom.identity.sso.rules import mapped_role, may_vouch
from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import PersonId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Role

NAME_CHARACTERS_MAX: Final = 100
#: What a session is told of how somebody proved themselves (RFC 8176): words that we know, and that there were several.
KNOWN_METHODS: Final = frozenset(
    "face fpt hwk iris kba mfa otp pin pop pwd retina sc swk user vbm".split()
)


class Admission:
    """People of providers, and their sessions."""

    def __init__(
        self,
        *,
        database: Database,
        people: People,
        sessions: Sessions,
        proofs: Proofs,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self._database = database
        self._people = people
        self._sessions = sessions
        self._proofs = proofs
        self._recorder = recorder
        self._clock = clock

    async def admit(
        self, provider: Provider, mode: Mode, who: Identified, *, origin: Origin
    ) -> Issued:
        """Begin a session of somebody whose token held.

        Somebody is known by (issuer, subject); the first time by their verified address, which must be of the
        provider's domains and of a person of its tenant whom no other subject has.

        Raises:
            SignInRefused: nobody here, suspended, the provider's word gives no role, or takes it from the last admin.
        """
        role = mapped_role(provider.terms, who)
        if provider.terms.role_claim is not None and role is None:
            raise SignInRefused("role_unmapped")
        now = self._clock.now()
        subject = self._proofs.subject_hash(provider.terms.issuer, who.subject)
        async with self._database.transaction([provider.merchant]) as tx:
            issuer = provider.terms.issuer
            # Before the person: all who may lower an admin lock them in this order, so that two at once wait and see.
            lowers = role not in {None, Role.ADMIN}
            admins = await people_store.lock_admins(tx, provider.merchant) if lowers else ()
            person = await store.linked_person(tx, provider.merchant, issuer, subject)
            if person is None:
                person = await self._linked(tx, provider, who, subject, role, origin, now)
            else:
                await store.use_link(tx, provider, subject, now)
            if person.status is PersonStatus.SUSPENDED:
                raise SignInRefused("person_suspended")
            if lowers and list(admins) == [person.person_id]:
                # Not let in, and an admin still: to let them in as one would go against the provider's word, to lower
                # them would leave nobody who lets others in. The operator's command line names another admin.
                raise SignInRefused("last_admin")
            person = await self._as_vouched(tx, person, role, provider, origin, now)
            await self._people.used(tx, person, now)
            await self._record(
                tx, Action.IDENTITY_LOGIN_SUCCEEDED, person, origin, now, {"method": "oidc"}, mode
            )
            methods = (who.methods & KNOWN_METHODS) | {"mfa"}
            return await self._sessions.begin(tx, person, mode, methods, origin=origin, now=now)

    async def _linked(
        self,
        tx: Transaction,
        provider: Provider,
        who: Identified,
        subject: bytes,
        role: Role | None,
        origin: Origin,
        now: datetime,
    ) -> Person:
        """Return whom a subject is from now on: whoever has the verified address, or somebody new."""
        email = who.email
        if email is None:
            raise SignInRefused("email_unverified")
        if not may_vouch(provider.terms, email):
            raise SignInRefused("email_domain_wrong")
        found = await self._people.by_email(tx, email)
        if found is None:
            person = await self._made(tx, provider, who, email, role, origin, now)
        elif found.merchant != provider.merchant:
            raise SignInRefused("person_unknown")
        else:
            locked = await store.person_for_link(tx, provider.merchant, found.person_id)
            if locked is None or locked.email != email:
                raise SignInRefused("person_unknown")
            person = locked
        if not await store.put_link(tx, provider, subject, person.person_id, now):
            raise SignInRefused("person_linked_otherwise")
        return person

    async def _made(
        self,
        tx: Transaction,
        provider: Provider,
        who: Identified,
        email: str,
        role: Role | None,
        origin: Origin,
        now: datetime,
    ) -> Person:
        if not provider.terms.creates_people or role is None:
            raise SignInRefused("person_unknown")
        person = Person(
            PersonId(new_id("usr")),
            provider.merchant,
            email,
            _name(who, email),
            role,
            PersonStatus.ACTIVE,
            provider.provider_id,
            now,
            None,
        )
        if not await store.insert_person(tx, person):
            raise SignInRefused("person_unknown")
        facts = {"role": role.value, "method": "oidc"}
        await self._record(tx, Action.IDENTITY_PERSON_CREATED, person, origin, now, facts)
        return person

    async def _as_vouched(
        self,
        tx: Transaction,
        person: Person,
        role: Role | None,
        provider: Provider,
        origin: Origin,
        now: datetime,
    ) -> Person:
        """Put what the provider's word makes of somebody: that an invitation is accepted, that the role is another."""
        after = replace(person, status=PersonStatus.ACTIVE, role=role or person.role)
        if after == person:
            return person
        await store.put_role_and_status(tx, after)
        if person.status is PersonStatus.INVITED:
            # The link could still set up a password: whoever has it, has nothing from now on.
            await people_store.withdraw_invitations(tx, after, now)
            facts = {"method": "oidc", "role": after.role.value}
            await self._record(tx, Action.IDENTITY_INVITATION_ACCEPTED, after, origin, now, facts)
        if after.role is not person.role:
            await self._record(
                tx,
                Action.IDENTITY_PERSON_CHANGED,
                after,
                origin,
                now,
                {"method": "oidc", "role": after.role.value},
                actor=provider.provider_id,
            )
            await self._sessions.end_all(tx, after, reason="role_changed", origin=origin, now=now)
        return after

    async def _record(
        self,
        tx: Transaction,
        action: Action,
        person: Person,
        origin: Origin,
        now: datetime,
        facts: Mapping[str, str | int],
        mode: Mode | None = None,
        *,
        actor: str | None = None,
    ) -> None:
        record = self._recorder.make(
            action,
            actor=actor or person.person_id,
            merchant=person.merchant,
            mode=mode,
            thing=person.person_id,
            origin=origin,
            now=now,
            details=facts,
        )
        await self._recorder.insert(tx, record)


def _name(who: Identified, email: str) -> str:
    """Return a name that can be shown; what a provider says of it is not believed to be one."""
    name = (who.name or "").strip()[:NAME_CHARACTERS_MAX]
    if not name or not name.isprintable() or has_cardlike(name):
        return email.partition("@")[0][:NAME_CHARACTERS_MAX]
    return name
