# SPDX-License-Identifier: Apache-2.0
"""Setting up: a link is opened for a ticket, the ticket sets the password, a second factor's part finishes.

Nobody becomes active without password and one-time code, or a passkey. A link is used up when setting up is finished,
so that a browser that crashed can open it again; each opening ends the ticket before.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from time import monotonic
from typing import Final

from strongroom.audit import PLATFORM, Action, Origin
from strongroom.db.pool import Database, ReadOnly, Transaction
from strongroom.http.rate_limit import Rate, RateLimiter
from strongroom.identity import store as merchants
from strongroom.identity.people import store
from strongroom.identity.people.errors import SetupIncomplete, SetupRefused
from strongroom.identity.people.inviting import Inviter
from strongroom.identity.people.links import hash_of, link_hash, new_ticket, ticket_hash
from strongroom.identity.people.model import Act, Opened, Person, PersonStatus, SetupProof
from strongroom.identity.people.password_policy import Setter
from strongroom.identity.people.passwords import Passwords
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import MerchantId, PersonId
from strongroom.kernel.secret import Secret

TICKET_SECONDS: Final = 1_800
#: Whoever needs more asks for a new link.
OPENINGS_MAX: Final = 20
PLATFORM_NAME: Final = "the platform"
#: Passwords that one person may choose while setting up, in one process: each costs up to five hashes.
CHOICES: Final = Rate(per_second=1 / 10, burst=10)


class SetUpService:
    """Takes people from their link to their first login (`ports.SetUp`)."""

    def __init__(
        self,
        *,
        database: Database,
        hash_key: Secret[bytes],
        passwords: Passwords,
        inviter: Inviter,
        clock: Clock,
    ) -> None:
        self._database = database
        self._hash_key = hash_key
        self._passwords = passwords
        self._inviter = inviter
        self._clock = clock
        self._people = store.PeopleTable()
        self._choices = RateLimiter(CHOICES)

    async def open(self, link: Secret[str]) -> Opened:
        """Exchange a link that holds for a ticket. Raises SetupRefused."""
        now = self._clock.now()
        hashed = link_hash(self._hash_key, link)
        if hashed is None:
            raise SetupRefused("setup_link_malformed")
        async with self._database.transaction() as read:
            found = await store.invitation_by_link(read, hashed)
        if found is None:
            raise SetupRefused("setup_link_unknown")
        merchant, invitation, person_id = found
        ticket = new_ticket()
        async with self._database.transaction([merchant]) as tx:
            person = await self._waiting(tx, merchant, person_id)
            expires_at = await store.open_invitation(
                tx,
                merchant,
                invitation,
                ticket_hash=hash_of(self._hash_key, ticket),
                ticket_expires_at=now + timedelta(seconds=TICKET_SECONDS),
                now=now,
                openings_max=OPENINGS_MAX,
            )
            tenant = await tenant_name(tx, merchant)
        if expires_at is None:
            raise SetupRefused("setup_link_ended")
        return Opened(person, tenant, ticket, expires_at)

    async def setup_person(self, read: ReadOnly, ticket: Secret[str], now: datetime) -> Person:
        """Return who is setting up. Raises SetupRefused."""
        hashed = ticket_hash(self._hash_key, ticket)
        found = None if hashed is None else await store.invitation_by_ticket(read, hashed, now)
        person = None if found is None else await self._people.by_presented_id(read, found[2])
        if person is None or person.status is not PersonStatus.INVITED:
            raise SetupRefused("setup_ticket_unknown")
        return person

    async def set_password(self, ticket: Secret[str], password: str, origin: Origin) -> Person:
        """Set the password of whoever is setting up.

        Raises:
            SetupRefused, PasswordRefused, PasswordsBusy, PasswordChangedMeanwhile.
            TooMany: so many passwords were chosen that others would have to wait.
        """
        now = self._clock.now()
        async with self._database.transaction() as read:
            person = await self.setup_person(read, ticket, now)
        self._choices.take(person.person_id, monotonic())
        async with self._database.transaction([person.merchant]) as read:
            kept = await self._passwords.kept(read, person)
            tenant = await tenant_name(read, person.merchant)
        if kept.current is not None and await self._passwords.holds(kept, password):
            return person  # whoever opens their link again, after a browser that crashed, types what they typed before
        new = await self._passwords.ready(kept, setter_of(person, tenant), password)
        async with self._database.transaction([person.merchant]) as tx:
            # Hashing took a while: somebody may have suspended them, or opened the link again.
            await self._waiting(tx, person.merchant, person.person_id)
            await self.setup_person(tx, ticket, now)
            await self._passwords.set(tx, new, now)
            await self._inviter.record(
                tx,
                Action.IDENTITY_PASSWORD_CHANGED,
                person,
                Act(person.person_id, origin),
                now,
                details={"reason": "set_up"},
            )
        return person

    async def finish(
        self,
        tx: Transaction,
        person: Person,
        ticket: Secret[str],
        *,
        proof: SetupProof,
        origin: Origin,
        now: datetime,
    ) -> Person:
        """Use up the link and make the person active, in the transaction that keeps the confirmed factor.

        Raises:
            SetupRefused: the ticket no longer holds, or another one finished first.
            SetupIncomplete: the proof is a one-time code, and no password is set.
        """
        waiting = await self._waiting(tx, person.merchant, person.person_id)
        kept = await self._passwords.kept(tx, waiting)
        if proof is SetupProof.TOTP and kept.current is None:
            raise SetupIncomplete
        hashed = ticket_hash(self._hash_key, ticket)
        used = None if hashed is None else await store.use_invitation(tx, waiting, hashed, now)
        if used is None:
            raise SetupRefused("setup_ticket_unknown")
        active = replace(waiting, status=PersonStatus.ACTIVE)
        await store.update_person(tx, active)
        await self._inviter.record(
            tx,
            Action.IDENTITY_INVITATION_ACCEPTED,
            active,
            Act(active.person_id, origin),
            now,
            thing=used,
            details={"method": proof.value},
        )
        return active

    async def person_of(self, ticket: Secret[str]) -> Person:
        """Return who is setting up, for a request's first look. Raises SetupRefused."""
        async with self._database.transaction() as read:
            return await self.setup_person(read, ticket, self._clock.now())

    async def _waiting(self, tx: Transaction, merchant: MerchantId, person: PersonId) -> Person:
        """Return somebody who has to set up; nobody else changes them until the end of the transaction."""
        locked = await store.lock_person(tx, merchant, person)
        if locked is None or locked[0].status is not PersonStatus.INVITED:
            raise SetupRefused("setup_person_not_invited")
        return locked[0]


class Tickets:
    """Set-up tickets as a second factor's part takes them: what is proved at the end is that part's."""

    def __init__(self, setup: SetUpService, proof: SetupProof) -> None:
        self._setup = setup
        self._proof = proof

    async def person(self, read: ReadOnly, ticket: Secret[str], now: datetime) -> Person:
        """Return who is setting up. Raises SetupRefused."""
        return await self._setup.setup_person(read, ticket, now)

    async def finish(
        self,
        tx: Transaction,
        person: Person,
        ticket: Secret[str],
        *,
        origin: Origin,
        now: datetime,
    ) -> None:
        """Make the person active with this part's proof. Raises SetupRefused, SetupIncomplete."""
        await self._setup.finish(tx, person, ticket, proof=self._proof, origin=origin, now=now)


def setter_of(person: Person, tenant: str) -> Setter:
    """Say who sets a password. Every role at a merchant reaches the vault, or lets somebody in who does."""
    return Setter(person.email, person.name, tenant, reaches_vault=person.merchant != PLATFORM)


async def tenant_name(read: ReadOnly, merchant: MerchantId) -> str:
    """Return a tenant's name, for people."""
    if merchant == PLATFORM:
        return PLATFORM_NAME
    found = await merchants.merchant_by_id(read, merchant)
    return "" if found is None else found.name
