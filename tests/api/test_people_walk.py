# SPDX-License-Identifier: Apache-2.0
"""Long random walks of one tenant's people beside a model: the same refusals, the same states, always an admin."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from database import Databases
from service import Service, running
from strongroom.audit import PLATFORM, Origin
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.identity.people import errors
from strongroom.identity.people.model import (
    Act,
    NewInvitation,
    Person,
    PersonWish,
    SetupProof,
)
from strongroom.kernel.errors import Refused
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.principal import Role
from strongroom.kernel.secret import Secret

STEPS = 120
ROLES = [Role.ADMIN, Role.ADMIN, Role.AUDITOR, Role.OPERATOR, Role.DEVELOPER]
OPERATOR = "operator:tests"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def office(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    folder: Path = tmp_path_factory.mktemp("walk")
    async with running(databases, folder, listens=False, worker=False) as served:
        yield served


@dataclass
class Known:
    """What the model knows of a person."""

    person: Person
    role: Role
    status: str
    before: str | None
    invitation: NewInvitation
    #: Whether the newest link is open; the ticket that holds, and those that no longer do.
    open: bool = True
    ticket: Secret[str] | None = None
    stale: list[Secret[str]] = field(default_factory=list)

    def closed(self) -> None:
        self.open = False
        self.replaced()

    def replaced(self) -> None:
        if self.ticket is not None:
            self.stale.append(self.ticket)
        self.ticket = None

    def invited(self, made: NewInvitation) -> None:
        self.replaced()
        self.invitation, self.open = made, True


class Walk:
    """One tenant, its model, and the acts that either refuses."""

    def __init__(self, office: Service, merchant: MerchantId, seed: int) -> None:
        self.office, self.merchant, self.dice = office, merchant, random.Random(seed)
        self.desk = office.desk
        self.known: list[Known] = []
        self.wanted = Role.AUDITOR

    def admins(self) -> list[Known]:
        return [each for each in self.known if each.role is Role.ADMIN and each.status == "active"]

    def is_last(self, who: Known) -> bool:
        return self.admins() == [who]

    async def step(self) -> str:
        who = self.dice.choice(self.known)
        actor = self.dice.choice([*self.known, None])
        name = self.dice.choice(
            "invite renew withdraw open open finish finish stale role role suspend enable enable reset".split()
        )
        by = Act(OPERATOR if actor is None else actor.person.person_id, Origin())
        expected = self.expected(name, who, actor)
        try:
            await getattr(self, name)(who, by)
            happened = None
        except Refused as refused:
            happened = type(refused)
        assert happened is expected, (name, who.status, who.role)
        return name

    def expected(self, name: str, who: Known, actor: Known | None) -> type[Refused] | None:
        """Say which refusal is due, by the model alone."""
        suspended = who.status == "suspended"
        if name in ("role", "suspend", "enable", "reset") and actor is who:
            return errors.OwnAccess
        match name:
            case "renew":
                if who.status == "active":
                    return errors.PersonSetUp
                return errors.PersonSuspended if suspended else None
            case "open":
                return None if who.open else errors.SetupRefused
            case "finish":
                return None if who.ticket is not None else errors.SetupRefused
            case "stale":
                return errors.SetupRefused
            case "role":
                self.wanted = self.dice.choice(ROLES)
                changes = self.wanted is not who.role
                return errors.LastAdmin if changes and self.is_last(who) else None
            case "suspend":
                return errors.LastAdmin if self.is_last(who) else None
            case "enable":
                return None if suspended else errors.PersonNotSuspended
            case "reset":
                if suspended:
                    return errors.PersonSuspended
                return errors.LastAdmin if actor is not None and self.is_last(who) else None
        return None

    # Each act is done for real first, and then to the model.

    async def invite(self, _: Known | None, by: Act) -> None:
        role = self.dice.choice(ROLES)
        email = f"{new_id('usr').lower()}@shop.example"
        made = await self.desk.people.invite(PersonWish(self.merchant, email, "N", role), by)
        self.known.append(Known(made.person, role, "invited", None, made))

    async def renew(self, who: Known, by: Act) -> None:
        invitation = who.invitation.invitation.invitation_id
        who.invited(await self.desk.people.renew(self.merchant, invitation, by))

    async def withdraw(self, who: Known, by: Act) -> None:
        invitation = who.invitation.invitation.invitation_id
        await self.desk.people.withdraw(self.merchant, invitation, by)
        who.closed()

    async def open(self, who: Known, _: Act) -> None:
        opened = await self.desk.setup.open(who.invitation.link)
        who.replaced()
        who.ticket = opened.ticket

    async def finish(self, who: Known, _: Act) -> None:
        await self._finish(who, who.ticket or Secret("ticket_" + "0" * 43))
        who.closed()
        who.status = "active"

    async def stale(self, who: Known, _: Act) -> None:
        await self._finish(who, self.dice.choice([*who.stale, Secret("ticket_" + "0" * 43)]))

    async def _finish(self, who: Known, ticket: Secret[str]) -> None:
        async with self.desk.people._parts.database.transaction([self.merchant]) as tx:
            await self.desk.setup.finish(
                tx,
                who.person,
                ticket,
                proof=SetupProof.PASSKEY,
                origin=Origin(),
                now=self.desk.clock.now(),
            )

    async def role(self, who: Known, by: Act) -> None:
        await self.desk.people.change_role(self.merchant, who.person.person_id, self.wanted, by)
        who.role = self.wanted

    async def suspend(self, who: Known, by: Act) -> None:
        await self.desk.people.suspend(self.merchant, who.person.person_id, by)
        if who.status != "suspended":
            who.closed()
            who.status, who.before = "suspended", who.status

    async def enable(self, who: Known, by: Act) -> None:
        await self.desk.people.enable(self.merchant, who.person.person_id, by)
        who.status, who.before = who.before or "", None

    async def reset(self, who: Known, by: Act) -> None:
        made = await self.desk.people.reset(self.merchant, who.person.person_id, by)
        who.invited(made)
        who.status = "invited"

    async def compare(self) -> None:
        rows = await self.office.look(
            Domain.CORE,
            "select p.person_id, p.role, p.status, p.suspended_from,"
            " (select count(*) from identity.invitation i where i.person_id = p.person_id"
            "   and i.used_at is null and i.withdrawn_at is null) as open"
            " from identity.person p where merchant_id = $1 order by person_id",
            self.merchant,
        )
        found = [tuple(row) for row in rows]
        model = [
            (each.person.person_id, each.role.value, each.status, each.before, int(each.open))
            for each in sorted(self.known, key=lambda each: each.person.person_id)
        ]
        assert found == model


@pytest.mark.parametrize("seed", range(4))
async def test_people_do_what_the_model_does(office: Service, seed: int) -> None:
    walk = Walk(office, (await office.tenant()).merchant, seed)
    by = Act(OPERATOR, Origin())
    for _ in range(4):
        await walk.invite(None, by)
    first = walk.known[0]
    await walk.open(first, by)
    await walk.finish(first, by)
    if first.role is not Role.ADMIN:
        walk.wanted = Role.ADMIN
        await walk.role(first, by)
    done = []
    for number in range(STEPS):
        done.append(await walk.step())
        if number % 10 == 0 or number == STEPS - 1:
            await walk.compare()
        resets_by_operator = not walk.admins()
        if (
            resets_by_operator
        ):  # the one way to be without an admin; the operator's link is the way back
            assert done[-1] == "reset"
            admin = next(each for each in walk.known if each.role is Role.ADMIN and each.open)
            await walk.open(admin, by)
            await walk.finish(admin, by)
    assert len(set(done)) > 8, "the walk went everywhere"


async def test_of_several_who_ask_for_the_first_admin_at_once_one_link_holds(
    office: Service,
) -> None:
    by = Act(OPERATOR, Origin())
    emails = [f"root-{number % 2}@platform.example" for number in range(6)]
    made = await asyncio.gather(
        *(office.desk.people.first_admin(email, "Root", by) for email in emails)
    )
    holding = []
    for each in made:
        try:
            holding.append(await office.desk.setup.open(each.link))
        except errors.SetupRefused:
            continue
    assert len(holding) == 1
    (opened,) = holding
    async with office.desk.people._parts.database.transaction([PLATFORM]) as tx:
        await office.desk.setup.finish(
            tx,
            opened.person,
            opened.ticket,
            proof=SetupProof.PASSKEY,
            origin=Origin(),
            now=office.desk.clock.now(),
        )
    with pytest.raises(errors.AdministratorExists):
        await office.desk.people.first_admin("late@platform.example", "Late", by)
