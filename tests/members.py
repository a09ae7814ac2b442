# SPDX-License-Identifier: Apache-2.0
"""People who are logged in without having logged in, and what stands beside them, written down as it ends."""
# ruff: noqa: ARG002 - what writes down looks at little

import itertools
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from strongroom.audit import PLATFORM, Origin
from strongroom.crypto.ids import new_id
from strongroom.db.pool import Transaction
from strongroom.http import Authenticator, Credential, Request
from strongroom.identity.grants import granted_to
from strongroom.identity.people.console import PeopleDesk
from strongroom.identity.people.model import Act, Person, PersonWish, SetupProof
from strongroom.kernel.ids import MerchantId, SessionId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import CallerKind, Presence, Principal, Role

ACT: Final = Act("operator:tests", Origin())
_numbers: Final = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who is logged in: `key` is what a caller shows."""

    person: Person
    key: str
    session: SessionId

    @property
    def id(self) -> str:
        return str(self.person.person_id)


@dataclass
class SignedIn:
    """Knows who is logged in by tests; everybody else is asked of the real authenticator."""

    principals: dict[str, Principal] = field(default_factory=dict)
    real: Authenticator | None = None

    def before(self, real: Authenticator) -> Authenticator:
        self.real = real
        return self

    def recent(self, request: Request, credential: Credential) -> Principal | None:
        assert self.real is not None
        return self.principals.get(credential.text) or self.real.recent(request, credential)

    async def authenticate(self, request: Request, credential: Credential) -> Principal:
        assert self.real is not None
        return await self.real.authenticate(request, credential)

    async def member(
        self,
        desk: PeopleDesk,
        merchant: MerchantId,
        role: Role,
        mode: Mode,
        *,
        stepped_up: bool = True,
    ) -> Member:
        """Invite somebody, set them up with a passkey, log them in."""
        number = next(_numbers)
        wish = PersonWish(merchant, f"member-{number}@strongroom.example", f"Member {number}", role)
        invited = await desk.people.invite(wish, ACT)
        opened = await desk.setup.open(invited.link)
        now = desk.clock.now()
        async with desk.people._parts.database.transaction([merchant]) as tx:
            person = await desk.setup.finish(
                tx,
                opened.person,
                opened.ticket,
                proof=SetupProof.PASSKEY,
                origin=Origin(),
                now=now,
            )
        return self.log_in(person, mode, stepped_up=stepped_up)

    def log_in(self, person: Person, mode: Mode, *, stepped_up: bool = True) -> Member:
        session = SessionId(new_id("ses"))
        self.principals[session] = Principal(
            person.person_id,
            CallerKind.PERSON,
            person.merchant,
            mode,
            granted_to(person.role, mode, platform=person.merchant == PLATFORM),
            Presence(session, person.role, frozenset({"hwk", "mfa", "user"}), stepped_up),
        )
        return Member(person, session, session)

    def forget_step_up(self, member: Member) -> None:
        principal = self.principals[member.key]
        assert principal.presence is not None
        self.principals[member.key] = replace(
            principal, presence=replace(principal.presence, stepped_up=False)
        )


@dataclass
class Beside:
    """Sessions, factors and lock-outs that write down whose were ended; with `broken`, none can be."""

    ended: list[tuple[str, str, str | None]] = field(default_factory=list)
    cleared: list[str] = field(default_factory=list)
    broken: bool = False

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
        if self.broken:
            raise OSError("no session can be ended")
        self.ended.append((person.person_id, reason, but))
        return 1

    async def clear(self, tx: Transaction, person: Person) -> None:
        self.cleared.append(person.person_id)

    def of(self, member: Member) -> list[str]:
        """Why a person's sessions were ended, in order."""
        return [reason for person, reason, _ in self.ended if person == member.id]
