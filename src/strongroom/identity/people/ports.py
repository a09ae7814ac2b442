# SPDX-License-Identifier: Apache-2.0
"""What sessions, passkeys, single sign-on and approvals ask of people, and what people ask of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from strongroom.audit import Origin
from strongroom.db.pool import ReadOnly, Transaction
from strongroom.identity.people.model import (
    Act,
    KeptPasswords,
    NewInvitation,
    Person,
    PersonWish,
    SetupProof,
)
from strongroom.kernel.ids import MerchantId, PersonId, SessionId
from strongroom.kernel.principal import Role
from strongroom.kernel.secret import Secret


class People(Protocol):
    """Finds people. A row is seen either as its tenant's or as the one whose address or id was presented."""

    async def by_email(self, read: ReadOnly, email: str) -> Person | None:
        """Return whoever has this address (any letter case), before a tenant is known."""

    async def by_presented_id(self, read: ReadOnly, person: PersonId) -> Person | None:
        """Return whoever has this id, before a tenant is known (a passkey's user handle)."""

    async def of(self, read: ReadOnly, merchant: MerchantId, person: PersonId) -> Person | None:
        """Return a tenant's person."""

    async def used(self, tx: Transaction, person: Person, now: datetime) -> None:
        """Note that somebody logged in, for the review of unused access."""


class SetUp(Protocol):
    """Lets whoever opened a set-up link enrol a second factor: with the ticket that opening gave them.

    First `setup_person`, outside of any tenant; then, in one transaction of the person's merchant, the factor is kept
    and `finish` is called. A ticket holds for `setup.TICKET_SECONDS` and ends with its use.
    """

    async def setup_person(self, read: ReadOnly, ticket: Secret[str], now: datetime) -> Person:
        """Return who is setting up. Raises SetupRefused (401, counted and slowed down by address)."""

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
        """Use up the link and make the person active, with the audit record; return them as they are now.

        Call it in the transaction that keeps the confirmed factor, and only when the factor was shown to work.

        Raises:
            SetupRefused: the ticket no longer holds, or another one finished first.
            SetupIncomplete: the proof is a one-time code, and no password is set.
        """


class PasswordCheck(Protocol):
    """Checks a password at a login.

    `kept` needs a transaction of the person's merchant; `holds` needs none, so let the transaction end before: it
    takes a tenth of a second and may have to wait.
    """

    async def kept(self, read: ReadOnly, person: Person | None) -> KeptPasswords:
        """Return what is kept of a person's passwords, or what stands for it where there is nobody."""

    async def holds(self, kept: KeptPasswords, password: str) -> bool:
        """Tell whether the password is the current one. Raises PasswordsBusy (503)."""


class SessionsEnd(Protocol):
    """What people need of sessions: `sessions.ports.Sessions` is one."""

    async def end_all(
        self,
        tx: Transaction,
        person: Person,
        *,
        reason: str,
        origin: Origin,
        now: datetime,
        but: SessionId | None = None,
    ) -> int:
        """End a person's sessions (proof, role or status changed), but for one; return how many were open."""


class Factors(Protocol):
    """A person's second factors: one-time codes with their recovery codes, or passkeys."""

    async def clear(self, tx: Transaction, person: Person) -> int:
        """Remove every factor of this kind ("lost a phone"); return how many. The caller records it."""


class Lockouts(Protocol):
    """Who is locked out for too many failed logins."""

    async def clear(self, tx: Transaction, person: Person) -> bool:
        """Let a person try again; tell whether they were locked out. The caller records it."""


class PeopleOffice(Protocol):
    """What operators' commands do with people, at any tenant. See `service.PeopleService` for what each refuses."""

    async def all(self, merchant: MerchantId, after: str = "", rows: int = 100) -> Sequence[Person]:
        """Return a page of a tenant's people, oldest first."""

    async def anywhere(self, person: PersonId) -> Person:
        """Return a person by their id. Raises PersonUnknown."""

    async def invite(self, wish: PersonWish, act: Act) -> NewInvitation:
        """Invite somebody."""

    async def first_admin(self, email: str, name: str, act: Act) -> NewInvitation:
        """Make the link of the platform's first administrator."""

    async def change_role(
        self, merchant: MerchantId, person: PersonId, role: Role, act: Act
    ) -> Person:
        """Give a person another role."""

    async def suspend(
        self, merchant: MerchantId, person: PersonId, act: Act, *, reason: str = "by_admin"
    ) -> Person:
        """Keep a person out until they are enabled."""

    async def enable(self, merchant: MerchantId, person: PersonId, act: Act) -> Person:
        """Let a suspended person in again."""

    async def unlock(self, merchant: MerchantId, person: PersonId, act: Act) -> Person:
        """Let a person who failed too often try again."""

    async def reset(self, merchant: MerchantId, person: PersonId, act: Act) -> NewInvitation:
        """Take away all that proves a person and give them a link to set up anew."""
