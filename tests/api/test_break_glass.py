# SPDX-License-Identifier: Apache-2.0
"""Break-glass: what a role may take and no more, for an hour and no longer, told at once and looked at later."""

import asyncio
import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from database import Databases
from persons import People, Someone
from polling import until
from service import Service, Tenant, running
from strongroom.audit import PLATFORM
from strongroom.db.logins import Domain
from strongroom.identity.access.break_glass import BreakGlass
from strongroom.identity.grants import BREAK_GLASS, PLATFORM_BREAK_GLASS, breakable
from strongroom.identity.people.model import Person, PersonStatus
from strongroom.kernel.clock import SteppedClock, SystemClock
from strongroom.kernel.ids import PersonId
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import Role

WISH: dict[str, Any] = {
    "permissions": ["identity:key:revoke", "identity:key:read"],
    "minutes": 30,
    "reason": "the admins are on a plane",
}
TAKEN = frozenset({Permission.IDENTITY_KEY_READ, Permission.IDENTITY_KEY_REVOKE})


@dataclass
class Desk:
    service: Service
    people: People
    clock: SteppedClock
    tenant: Tenant
    operator: Someone
    admin: Someone

    @property
    def glass(self) -> BreakGlass:
        app: Any = self.service.edges["console"]._app
        found: BreakGlass = app.state.break_glass
        return found

    async def active(self, role: Role = Role.OPERATOR) -> frozenset[Permission]:
        """What an access token of the operator's session would carry besides."""
        who = self.operator.principal
        assert who.presence is not None
        person = Person(
            PersonId(who.subject), who.merchant, "", "", role, PersonStatus.ACTIVE, "", self.clock.now(), None
        )  # fmt: skip
        database = self.glass._database
        async with database.transaction([who.merchant]) as read:
            return await self.glass.active(
                read, person, self.clock.now(), session=who.presence.session
            )

    async def post(self, who: Someone, path: str, body: object = None, **more: Any) -> Any:
        return await self.people.at("console", who).post(path, body, **more)

    async def broken(self) -> str:
        answer = await self.post(self.operator, "/v1/break-glass", WISH)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def revoked(self) -> list[str]:
        """The sessions that the feed names."""
        rows = await self.service.look(
            Domain.CORE, "select subject from identity.revocation where kind = 'session'"
        )
        return [row["subject"] for row in rows]

    @property
    def session(self) -> str:
        assert self.operator.principal.presence is not None
        return self.operator.principal.presence.session


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def stepped(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Any:
    clock = SteppedClock(SystemClock().now())
    folder = tmp_path_factory.mktemp("glass")
    async with running(databases, folder, clock=clock, listens=False, worker=False) as service:
        yield service, clock


@pytest_asyncio.fixture(loop_scope="session")
async def desk(stepped: Any) -> Desk:
    service, clock = stepped
    people = People(service)
    tenant = await service.tenant()
    operator = await people.make(tenant.merchant, Role.OPERATOR, Mode.LIVE)
    member = await service.member(tenant.merchant, Role.OPERATOR)  # with a session that can end
    assert operator.principal.presence is not None
    presence = replace(operator.principal.presence, session=member.session)
    operator = people.again(operator, subject=member.id, presence=presence)
    admin = await people.make(tenant.merchant, Role.ADMIN, Mode.LIVE)
    return Desk(service, people, clock, tenant, operator, admin)


def test_nobody_takes_what_makes_access_or_decides_it() -> None:
    never = {
        permission
        for permission in Permission
        if permission.endswith(
            (":create", ":invite", ":decide", ":review", ":reset", ":reveal", ":start")
        )
    } - {Permission.PAYMENTS_REFUND_CREATE}
    never |= {Permission.IDENTITY_PERSON_UPDATE, Permission.IDENTITY_NETWORK_UPDATE}
    for table in (BREAK_GLASS, PLATFORM_BREAK_GLASS):
        for taken in table.values():
            assert not taken & never
    for role in (Role.AUDITOR, Role.DEVELOPER, Role.SERVICE):
        assert not breakable(role, platform=False) | breakable(role, platform=True)


async def test_it_gives_what_was_named_to_this_session(desk: Desk) -> None:
    assert await desk.active() == frozenset()
    await desk.broken()
    assert await desk.active() == TAKEN
    assert await desk.active(Role.DEVELOPER) == frozenset()  # demoted meanwhile
    other = desk.people.again(desk.operator)
    assert other.principal.presence == desk.operator.principal.presence


async def test_it_is_told_at_once(desk: Desk) -> None:
    glass = await desk.broken()
    lines = [json.loads(line) for line in desk.service.log_text().splitlines()]
    told = [each for each in lines if each.get("object_id") == glass]
    assert {(each["action"], each["severity"]) for each in told} == {
        ("identity.break_glass.started", "high")
    }
    records = await desk.people.records(glass)
    assert {each["details"]["permission"] for each in records} == set(WISH["permissions"])
    assert all(each["actor"] == desk.operator.id for each in records)
    assert "plane" not in json.dumps(records)


async def test_it_ends_by_itself_with_its_session(desk: Desk) -> None:
    glass = await desk.broken()
    desk.clock.step(timedelta(minutes=29))
    assert await desk.active() == TAKEN
    desk.clock.step(timedelta(minutes=1))
    assert await desk.active() == frozenset()  # whether or not the job has been there

    async def ended() -> bool:
        return desk.session in await desk.revoked()

    await until(ended, what="the job of the running console")
    last = (await desk.people.records(glass))[-1]
    assert (last["action"], last["details"]["reason"]) == ("identity.break_glass.ended", "expired")


async def test_it_ends_by_command(desk: Desk) -> None:
    glass = await desk.broken()
    developer = await desk.people.make(desk.tenant.merchant, Role.DEVELOPER, Mode.LIVE)
    path = f"/v1/break-glass/{glass}/end"
    assert (await desk.post(developer, path)).status_code == 403
    another = await desk.people.make(desk.tenant.merchant, Role.OPERATOR, Mode.LIVE)
    assert (await desk.post(another, path)).status_code == 404
    assert (await desk.post(desk.admin, path)).status_code == 204
    assert (await desk.post(desk.admin, path)).status_code == 409
    assert await desk.active() == frozenset()
    assert desk.session in await desk.revoked()


async def test_one_at_a_time(desk: Desk) -> None:
    answers = await asyncio.gather(
        *(desk.post(desk.operator, "/v1/break-glass", WISH) for _ in range(4))
    )
    assert sorted(each.status_code for each in answers) == [201, 409, 409, 409]


@pytest.mark.parametrize(
    "change",
    [
        {"permissions": ["identity:key:create"]},
        {"permissions": ["identity:approval:decide"]},
        {"permissions": ["payments:refund:create"]},  # had already
        {"permissions": []},
        {"permissions": ["identity:person:suspend"] * 6},
        {"permissions": ["no:such:word"]},
        {"minutes": 0},
        {"minutes": 61},
        {"reason": "because"},
        {"reason": "          x"},
        {"reason": "x" * 501},
        {"reason": "the card 4242424242424242 has leaked"},
    ],
)
async def test_what_is_not_given(desk: Desk, change: dict[str, Any]) -> None:
    answer = await desk.post(desk.operator, "/v1/break-glass", {**WISH, **change})
    assert answer.status_code == 422, answer.text
    assert await desk.active() == frozenset()


async def test_it_takes_a_second_factor(desk: Desk) -> None:
    tired = await desk.people.make(desk.tenant.merchant, Role.OPERATOR, Mode.LIVE, stepped_up=False)
    answer = await desk.post(tired, "/v1/break-glass", WISH)
    assert (answer.status_code, answer.json()["code"]) == (401, "step_up_needed")


async def test_an_extension_takes_another_person_and_is_given_once(desk: Desk) -> None:
    glass = await desk.broken()
    path, body = f"/v1/break-glass/{glass}/extend", {"minutes": 60}
    asked = await desk.post(desk.operator, path, body)
    assert asked.status_code == 202
    approval = asked.json()["id"]
    assert (await desk.post(desk.admin, f"/v1/approvals/{approval}/approve", {})).status_code == 200
    headers = {"strongroom-approval": approval}
    extended = await desk.post(desk.operator, path, body, headers=headers)
    assert extended.status_code == 200, extended.text
    desk.clock.step(timedelta(minutes=59))
    assert await desk.active() == TAKEN
    asked = await desk.post(desk.operator, path, {"minutes": 1})
    approval = asked.json()["id"]
    await desk.post(desk.admin, f"/v1/approvals/{approval}/approve", {})
    headers = {"strongroom-approval": approval}
    again = await desk.post(desk.operator, path, {"minutes": 1}, headers=headers)
    assert (again.status_code, again.json()["code"]) == (409, "break_glass_over")


async def test_each_sees_their_own_and_an_auditor_all(desk: Desk) -> None:
    glass = await desk.broken()
    another = await desk.people.make(desk.tenant.merchant, Role.OPERATOR, Mode.LIVE)
    auditor = await desk.people.make(desk.tenant.merchant, Role.AUDITOR, Mode.LIVE)
    for who, expected in ((desk.operator, [glass]), (another, []), (auditor, [glass])):
        page = (await desk.people.at("console", who).get("/v1/break-glass")).json()
        assert [each["id"] for each in page["data"]] == expected


async def test_the_platforms_own_people_do_it_among_themselves(desk: Desk) -> None:
    operator = await desk.people.make(PLATFORM, Role.OPERATOR, Mode.LIVE)
    admin = await desk.people.make(PLATFORM, Role.ADMIN, Mode.LIVE)
    wish = {**WISH, "permissions": ["identity:person:suspend"]}
    broken = await desk.post(operator, "/v1/break-glass", wish)
    assert broken.status_code == 201, broken.text
    path, body = f"/v1/break-glass/{broken.json()['id']}/extend", {"minutes": 60}
    approval = (await desk.post(operator, path, body)).json()["id"]
    assert (await desk.post(desk.admin, f"/v1/approvals/{approval}/approve", {})).status_code == 404
    assert (await desk.post(admin, f"/v1/approvals/{approval}/approve", {})).status_code == 200
    extended = await desk.post(operator, path, body, headers={"strongroom-approval": approval})
    assert extended.status_code == 200, extended.text
    (used,) = [
        each
        for each in await desk.people.records(approval)
        if each["action"] == "identity.approval.used"
    ]
    assert used["merchant"] is None
