# SPDX-License-Identifier: Apache-2.0
"""Lets people in and out: invite, list, change, suspend, enable, unlock, reset. Each act commits with its record.

Nobody changes their own access, and a tenant always keeps an active admin who can let others in. Whatever lowers or
proves access anew ends the person's sessions in the same transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from strongroom.audit import PLATFORM, Action, Recorder
from strongroom.crypto.ids import new_id
from strongroom.db.pool import Database, Transaction
from strongroom.identity import store as merchants
from strongroom.identity.errors import MerchantUnknown
from strongroom.identity.model import Merchant
from strongroom.identity.people import store
from strongroom.identity.people.errors import (
    AdministratorExists,
    EmailTaken,
    InvitationUnknown,
    LastAdmin,
    OwnAccess,
    PersonNotSuspended,
    PersonSetUp,
    PersonSuspended,
    PersonUnknown,
)
from strongroom.identity.people.inviting import Inviter, read_email, read_name
from strongroom.identity.people.model import (
    Act,
    Invitation,
    InvitationReason,
    NewInvitation,
    Person,
    PersonStatus,
    PersonWish,
)
from strongroom.identity.people.passwords import Passwords
from strongroom.identity.people.ports import Factors, Lockouts, SessionsEnd
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import InvitationId, MerchantId, PersonId, is_id
from strongroom.kernel.principal import Role

PAGE_ROWS_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class PeopleParts:
    """What managing people stands on. `factors` are all kinds of second factors that exist."""

    database: Database
    passwords: Passwords
    sessions: SessionsEnd
    factors: Sequence[Factors]
    lockouts: Lockouts
    inviter: Inviter
    recorder: Recorder
    clock: Clock


class PeopleService:
    """Who may log in, at every tenant."""

    def __init__(self, parts: PeopleParts) -> None:
        self._parts = parts
        self.table = store.PeopleTable()

    # --- read -----------------------------------------------------------------------------------

    async def all(
        self, merchant: MerchantId, after: str = "", rows: int = PAGE_ROWS_MAX
    ) -> Sequence[Person]:
        """Return a page of a tenant's people, oldest first."""
        async with self._parts.database.transaction([merchant]) as read:
            return await store.list_people(read, merchant, after, rows)

    async def one(self, merchant: MerchantId, person: PersonId) -> Person:
        """Return a tenant's person. Raises PersonUnknown."""
        async with self._parts.database.transaction([merchant]) as read:
            found = await self.table.of(read, merchant, person)
        if found is None:
            raise PersonUnknown
        return found

    async def anywhere(self, person: PersonId) -> Person:
        """Return a person by their id, whatever their tenant; for operators only. Raises PersonUnknown."""
        async with self._parts.database.transaction() as read:
            found = await self.table.by_presented_id(read, person)
        if found is None:
            raise PersonUnknown
        return found

    async def invitations(
        self, merchant: MerchantId, after: str = "", rows: int = PAGE_ROWS_MAX
    ) -> Sequence[Invitation]:
        """Return a page of a tenant's invitations, oldest first."""
        async with self._parts.database.transaction([merchant]) as read:
            return await store.list_invitations(read, merchant, after, rows)

    # --- invite ---------------------------------------------------------------------------------

    async def invite(self, wish: PersonWish, act: Act) -> NewInvitation:
        """Invite somebody. Who hands over the link, decides who gets it: it stands in no mail of ours.

        Raises:
            Invalid, EmailTaken: see `Inviter.add`.
            MerchantUnknown: there is no such tenant.
        """
        parts, now = self._parts, self._parts.clock.now()
        async with parts.database.transaction([wish.merchant]) as tx:
            if (
                wish.merchant != PLATFORM
                and await merchants.merchant_by_id(tx, wish.merchant) is None
            ):
                raise MerchantUnknown
            person = await parts.inviter.add(tx, wish, act, now)
            return await parts.inviter.invite(tx, person, InvitationReason.INVITED, act, now)

    async def renew(
        self, merchant: MerchantId, invitation: InvitationId, act: Act
    ) -> NewInvitation:
        """Give somebody who has not set up a new link; the old one ends.

        Raises:
            InvitationUnknown, PersonSetUp, PersonSuspended.
        """
        parts, now = self._parts, self._parts.clock.now()
        async with parts.database.transaction([merchant]) as tx:
            person = await self._invited(tx, merchant, invitation)
            if person.status is PersonStatus.ACTIVE:
                raise PersonSetUp
            if person.status is PersonStatus.SUSPENDED:
                raise PersonSuspended
            return await parts.inviter.invite(tx, person, InvitationReason.RENEWED, act, now)

    async def withdraw(
        self, merchant: MerchantId, invitation: InvitationId, act: Act
    ) -> Invitation:
        """End an open link. Safe to repeat; what was used stays used. Raises InvitationUnknown."""
        parts, now = self._parts, self._parts.clock.now()
        async with parts.database.transaction([merchant]) as tx:
            person = await self._invited(tx, merchant, invitation)
            found = await store.invitation_of(tx, merchant, invitation)
            if found is not None and found.used_at is None and found.withdrawn_at is None:
                await parts.inviter.withdraw(tx, person, act, now)
                found = await store.invitation_of(tx, merchant, invitation)
        if found is None:
            raise InvitationUnknown
        return found

    async def _invited(
        self, tx: Transaction, merchant: MerchantId, invitation: InvitationId
    ) -> Person:
        """Return whose an invitation is, theirs alone until the end of the transaction."""
        found = (
            await store.invitation_of(tx, merchant, invitation)
            if is_id("inv", invitation)
            else None
        )
        locked = found and await store.lock_person(tx, merchant, found.person_id)
        if not locked:
            raise InvitationUnknown
        return locked[0]

    # --- tenants and first admins ---------------------------------------------------------------

    async def found_merchant(
        self, name: str, email: str, admin: str, act: Act, *, region: str
    ) -> tuple[Merchant, NewInvitation]:
        """Make a tenant together with the link of its first admin. Raises Invalid, EmailTaken.

        Its cards rest in `region` for ever.
        """
        parts, now = self._parts, self._parts.clock.now()
        merchant = Merchant(MerchantId(new_id("mer")), read_name(name), "active", region, now)
        wish = PersonWish(
            merchant.merchant_id,
            read_email(email, "/admin/email"),
            read_name(admin, "/admin/name"),
            Role.ADMIN,
        )
        async with parts.database.transaction([merchant.merchant_id]) as tx:
            await merchants.insert_merchant(tx, merchant.merchant_id, merchant.name, region, now)
            record = parts.recorder.make(
                Action.IDENTITY_MERCHANT_CREATED,
                actor=act.actor,
                merchant=merchant.merchant_id,
                mode=None,
                thing=merchant.merchant_id,
                origin=act.origin,
                now=now,
            )
            await parts.recorder.insert(tx, record)
            person = await parts.inviter.add(tx, wish, act, now)
            invited = await parts.inviter.invite(tx, person, InvitationReason.FIRST_ADMIN, act, now)
        return merchant, invited

    async def first_admin(self, email: str, name: str, act: Act) -> NewInvitation:
        """Make the link of the platform's first administrator; asked again, the link before no longer holds.

        Raises:
            AdministratorExists: there is an active one, who invites everybody else.
            EmailTaken: the address is somebody's at a merchant, or of a person who is suspended.
        """
        parts, now = self._parts, self._parts.clock.now()
        wish = PersonWish(PLATFORM, read_email(email), read_name(name), Role.ADMIN)
        async with parts.database.transaction([PLATFORM]) as tx:
            await store.wait_for_turn(tx)
            if await store.lock_admins(tx, PLATFORM):
                raise AdministratorExists
            await parts.inviter.withdraw_admins(tx, PLATFORM, act, now)
            person = await self.table.by_email(tx, wish.email)
            if person is None:
                person = await parts.inviter.add(tx, wish, act, now)
            elif (person.merchant, person.role, person.status) != (
                PLATFORM,
                Role.ADMIN,
                PersonStatus.INVITED,
            ):
                raise EmailTaken
            return await parts.inviter.invite(tx, person, InvitationReason.FIRST_ADMIN, act, now)

    # --- change ---------------------------------------------------------------------------------

    async def change_role(
        self, merchant: MerchantId, person: PersonId, role: Role, act: Act
    ) -> Person:
        """Give a person another role; they log in anew. The same role is no change.

        Raises:
            PersonUnknown, OwnAccess, LastAdmin.
        """
        parts, now = self._parts, self._parts.clock.now()
        async with parts.database.transaction([merchant]) as tx:
            admins = await store.lock_admins(tx, merchant)
            found, before = await self._locked(tx, merchant, person, act)
            if found.role is role:
                return found
            _keep_one(admins, found)
            changed = replace(found, role=role)
            await store.update_person(tx, changed, before)
            await self._end_sessions(tx, found, "role_changed", act, now)
            await parts.inviter.record(
                tx, Action.IDENTITY_PERSON_CHANGED, found, act, now, details={"role": role.value}
            )
        return changed

    async def suspend(
        self, merchant: MerchantId, person: PersonId, act: Act, *, reason: str = "by_admin"
    ) -> Person:
        """Keep a person out until they are enabled: sessions and open links end. Safe to repeat.

        Args:
            reason: a word for the record, such as `by_admin` or `unused`.

        Raises:
            PersonUnknown, OwnAccess, LastAdmin.
        """
        parts, now = self._parts, self._parts.clock.now()
        async with parts.database.transaction([merchant]) as tx:
            admins = await store.lock_admins(tx, merchant)
            found, _ = await self._locked(tx, merchant, person, act)
            if found.status is PersonStatus.SUSPENDED:
                return found
            _keep_one(admins, found)
            suspended = replace(found, status=PersonStatus.SUSPENDED)
            await store.update_person(tx, suspended, found.status)
            await parts.inviter.withdraw(tx, found, act, now)
            await self._end_sessions(tx, found, "person_suspended", act, now)
            await parts.inviter.record(
                tx, Action.IDENTITY_PERSON_SUSPENDED, found, act, now, details={"reason": reason}
            )
        return suspended

    async def enable(self, merchant: MerchantId, person: PersonId, act: Act) -> Person:
        """Let a suspended person in again, as they were: who had not set up needs a new link.

        Raises:
            PersonUnknown, OwnAccess, PersonNotSuspended.
        """
        parts, now = self._parts, self._parts.clock.now()
        async with parts.database.transaction([merchant]) as tx:
            found, before = await self._locked(tx, merchant, person, act)
            if found.status is not PersonStatus.SUSPENDED:
                raise PersonNotSuspended
            enabled = replace(found, status=before or PersonStatus.INVITED)
            await store.update_person(tx, enabled)
            await parts.inviter.record(
                tx,
                Action.IDENTITY_PERSON_ENABLED,
                found,
                act,
                now,
                details={"state": enabled.status.value},
            )
        return enabled

    async def unlock(self, merchant: MerchantId, person: PersonId, act: Act) -> Person:
        """Let a person who failed too often try again at once (PCI DSS 8.3.4). Raises PersonUnknown, OwnAccess."""
        parts, now = self._parts, self._parts.clock.now()
        async with parts.database.transaction([merchant]) as tx:
            found, _ = await self._locked(tx, merchant, person, act)
            locked = await parts.lockouts.clear(tx, found)
            await parts.inviter.record(
                tx,
                Action.IDENTITY_PERSON_UNLOCKED,
                found,
                act,
                now,
                details={"state": "locked" if locked else "not_locked"},
            )
        return found

    async def reset(self, merchant: MerchantId, person: PersonId, act: Act) -> NewInvitation:
        """Take away all that proves a person ("lost a phone") and give them a link to set up anew.

        Password, one-time codes, recovery codes, passkeys and sessions hold no longer. The last admin can be reset
        only by an operator: it is the way back in. Whoever resets makes sure first that they speak with the person
        (PCI DSS 8.3.3, ASVS 5.0 V6.4.4).

        Raises:
            PersonUnknown, OwnAccess, PersonSuspended, LastAdmin.
        """
        parts, now = self._parts, self._parts.clock.now()
        async with parts.database.transaction([merchant]) as tx:
            admins = await store.lock_admins(tx, merchant)
            found, _ = await self._locked(tx, merchant, person, act)
            if found.status is PersonStatus.SUSPENDED:
                raise PersonSuspended
            if is_id("usr", act.actor):  # two admins who reset each other at once
                _keep_one(admins, found)
            waiting = replace(found, status=PersonStatus.INVITED)
            await store.update_person(tx, waiting)
            await parts.passwords.end(tx, found)
            cleared = sum([await factors.clear(tx, found) for factors in parts.factors])
            await parts.lockouts.clear(tx, found)
            await self._end_sessions(tx, found, "proofs_reset", act, now)
            await parts.inviter.record(
                tx, Action.IDENTITY_FACTOR_RESET, found, act, now, details={"count": cleared}
            )
            return await parts.inviter.invite(tx, waiting, InvitationReason.RESET, act, now)

    async def _locked(
        self, tx: Transaction, merchant: MerchantId, person: PersonId, act: Act
    ) -> tuple[Person, PersonStatus | None]:
        """Return a tenant's person, who is theirs alone to change until the end of this transaction."""
        if person == act.actor:
            raise OwnAccess
        found = await store.lock_person(tx, merchant, person) if is_id("usr", person) else None
        if found is None:
            raise PersonUnknown
        return found

    async def _end_sessions(
        self, tx: Transaction, person: Person, reason: str, act: Act, now: datetime
    ) -> None:
        await self._parts.sessions.end_all(tx, person, reason=reason, origin=act.origin, now=now)


def _keep_one(admins: Sequence[PersonId], person: Person) -> None:
    """Refuse what would leave a tenant without an active admin; `admins` are locked, so two who try meet here."""
    if list(admins) == [person.person_id]:
        raise LastAdmin
