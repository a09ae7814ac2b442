# SPDX-License-Identifier: Apache-2.0
"""People who have set up and logged in, without the steps of either; and why their sessions ended."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from database import Databases
from strongroom.audit import PLATFORM, Origin
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.db.pool import connect
from strongroom.http import Authenticator, Credential, Request
from strongroom.identity.grants import granted_to
from strongroom.identity.people.console import PeopleDesk
from strongroom.identity.people.model import Act, Person, PersonWish, SetupProof
from strongroom.identity.sessions.service import SessionService
from strongroom.kernel.ids import MerchantId, SessionId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import CallerKind, Presence, Principal, Role

ACT: Final = Act("operator:tests", Origin())
METHODS: Final = ("hwk", "mfa", "user")
_numbers: Final = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who is logged in: `key` is what a caller shows."""

    person: Person
    key: str
    session: SessionId
    mode: Mode

    @property
    def id(self) -> str:
        return str(self.person.person_id)


@dataclass
class KnownInTests:
    """Believes what a test says of a member besides what their token says; everybody else is really asked."""

    principals: dict[str, Principal] = field(default_factory=dict)

    def before(self, real: Authenticator) -> Authenticator:
        return _Before(self, real)

    def as_if(self, member: Member, *, stepped_up: bool) -> Member:
        """A credential of theirs that no revocation and no time reaches."""
        credential = new_id("ses")
        self.principals[credential] = Principal(
            member.id,
            CallerKind.PERSON,
            member.person.merchant,
            member.mode,
            granted_to(
                member.person.role, member.mode, platform=member.person.merchant == PLATFORM
            ),
            Presence(member.session, member.person.role, frozenset(METHODS), stepped_up),
        )
        return Member(member.person, credential, member.session, member.mode)


@dataclass
class _Before:
    known: KnownInTests
    real: Authenticator

    def recent(self, request: Request, credential: Credential) -> Principal | None:
        known = self.known.principals.get(credential.text)
        return known or self.real.recent(request, credential)

    async def authenticate(self, request: Request, credential: Credential) -> Principal:
        return await self.real.authenticate(request, credential)


async def set_up(desk: PeopleDesk, merchant: MerchantId, role: Role) -> Person:
    """Invite somebody, and let them set up with a passkey."""
    number = next(_numbers)
    wish = PersonWish(merchant, f"member-{number}@strongroom.example", f"Member {number}", role)
    opened = await desk.setup.open((await desk.people.invite(wish, ACT)).link)
    async with desk.people._parts.database.transaction([merchant]) as tx:
        return await desk.setup.finish(
            tx,
            opened.person,
            opened.ticket,
            proof=SetupProof.PASSKEY,
            origin=Origin(),
            now=desk.clock.now(),
        )


async def log_in(desk: PeopleDesk, sessions: SessionService, person: Person, mode: Mode) -> Member:
    """Begin a session, as whatever proves people does."""
    async with desk.people._parts.database.transaction([person.merchant]) as tx:
        issued = await sessions.begin(
            tx, person, mode, METHODS, origin=Origin(), now=desk.clock.now()
        )
    return Member(person, issued.access.expose(), issued.session, mode)


@dataclass(frozen=True, slots=True)
class Ended:
    """Which sessions ended, and why."""

    databases: Databases

    async def of(self, member: Member) -> list[str]:
        """Why a person's sessions were ended, in order."""
        connection = await connect(self.databases.administrator(Domain.CORE))
        try:
            rows = await connection.fetch(
                "select ended_reason from identity.session where person_id = $1 and ended_at is not null"
                " order by ended_at, session_id",
                member.id,
            )
        finally:
            await connection.close()
        return [row["ended_reason"] for row in rows]

    @asynccontextmanager
    async def broken(self) -> AsyncIterator[None]:
        """No session can be ended."""
        table = "alter table identity.session"
        await self.databases.run(
            Domain.CORE, f"{table} add constraint broken check (ended_at is null) not valid"
        )
        try:
            yield
        finally:
            await self.databases.run(Domain.CORE, f"{table} drop constraint broken")
