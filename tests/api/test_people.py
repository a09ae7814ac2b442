# SPDX-License-Identifier: Apache-2.0
"""People over HTTP: invited, changed, suspended, reset; in their tenant, never oneself, always an admin left."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from database import Databases
from members import Member
from service import Caller, Service, running
from strongroom.audit import PLATFORM
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.identity.people.model import PersonStatus
from strongroom.kernel.clock import SteppedClock
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Role

CLOCK = SteppedClock(datetime(2026, 11, 20, 9, 30, tzinfo=UTC))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def office(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    folder: Path = tmp_path_factory.mktemp("people")
    async with running(databases, folder, clock=CLOCK, listens=False, worker=False) as served:
        yield served


class Staff:
    """A merchant's people, by role."""

    def __init__(self, service: Service, merchant: MerchantId, members: dict[str, Member]) -> None:
        self.service = service
        self.merchant = merchant
        self.members = members

    def __getitem__(self, name: str) -> Member:
        return self.members[name]

    def as_(self, name: str) -> Caller:
        return self.service.console(self.members[name].key)


async def staff(service: Service, merchant: MerchantId | None = None) -> Staff:
    if merchant is None:
        merchant = (await service.tenant()).merchant
    members = {
        name: await service.member(merchant, role)
        for name, role in {
            "admin": Role.ADMIN,
            "second": Role.ADMIN,
            "auditor": Role.AUDITOR,
            "operator": Role.OPERATOR,
            "developer": Role.DEVELOPER,
        }.items()
    }
    return Staff(service, merchant, members)


@pytest_asyncio.fixture(loop_scope="session")
async def shop(office: Service) -> Staff:
    return await staff(office)


async def actions(service: Service, person: str) -> list[tuple[str, str]]:
    """What was recorded of a person, and who did it."""
    rows = await service.look(
        Domain.CORE,
        "select convert_from(payload, 'UTF8')::jsonb as r from audit.event order by xmin::text::bigint, ctid",
    )
    records = [json.loads(row["r"]) for row in rows]
    return [(each["action"], each["actor"]) for each in records if each["object"] == person]


def invitation(
    email: str | None = None, role: str = "auditor", name: str = "Noor"
) -> dict[str, Any]:
    return {"email": email or f"{new_id('usr').lower()}@shop.example", "name": name, "role": role}


async def approved(service: Service, approver: Member, asked: Any) -> dict[str, str]:
    """Approve what was asked for; return what it is then sent again with."""
    approval = asked.json()["id"]
    said = await service.console(approver.key).post(f"/v1/approvals/{approval}/approve", {})
    assert said.status_code == 200, said.text
    return {"strongroom-approval": approval}


async def with_approval(
    shop: Staff, approver: Member, path: str, body: dict[str, Any] | None = None
) -> Any:
    """What the admin asks for, done after another has approved it."""
    asked = await shop.as_("admin").post(path, body)
    assert asked.status_code == 202, asked.text
    headers = await approved(shop.service, approver, asked)
    return await shop.as_("admin").post(path, body, headers=headers)


# --- inviting ----------------------------------------------------------------------------------------


async def test_an_invitation_is_a_person_and_a_link_shown_once(shop: Staff) -> None:
    admin = shop.as_("admin")
    made = await admin.post("/v1/invitations", invitation("Noor@Shop.Example"))
    assert made.status_code == 201, made.text
    body = made.json()
    assert body["link"].startswith("https://localhost:")
    assert "/setup#link_" in body["link"]
    assert body["expires_at"] == "2026-11-21T09:30:00.000000Z"
    assert (body["status"], body["reason"]) == ("open", "invited")
    person = (await admin.get(f"/v1/people/{body['person']}")).json()
    assert (person["email"], person["status"], person["role"]) == (
        "noor@shop.example",
        "invited",
        "auditor",
    )
    assert person["merchant"] == shop.merchant
    listed = (await admin.get("/v1/invitations?limit=100")).json()["data"]
    assert {each["link"] for each in listed} == {None}
    assert body["id"] in {each["id"] for each in listed}
    secret = body["link"].partition("#")[2]
    rows = await shop.service.look(Domain.CORE, "select i::text as t from identity.invitation i")
    assert not [row for row in rows if secret in row["t"]]
    assert secret not in shop.service.log_text()
    assert ("identity.person.created", shop["admin"].id) in await actions(
        shop.service, body["person"]
    )
    assert await actions(shop.service, body["id"]) == [
        ("identity.invitation.created", shop["admin"].id)
    ]


#: What is sent, what is answered.
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"email": "no address", "name": "N", "role": "auditor"}, "422 email_malformed"),
    ({"email": "a@b", "name": "N", "role": "auditor"}, "422 email_malformed"),
    ({"email": "a@b.example\n", "name": " ", "role": "auditor"}, "422 name_malformed"),
    ({"email": "a\u202e@b.example", "name": "N", "role": "auditor"}, "422 email_malformed"),
    ({"email": "<a@b.example>", "name": "N", "role": "auditor"}, "422 email_malformed"),
    ({"email": "\u0430dmin@b.example", "name": "N", "role": "auditor"}, "422 email_malformed"),
    ({"email": "a@b..example", "name": "N", "role": "auditor"}, "422 email_malformed"),
    ({"email": "a@b.example", "name": "a\0b", "role": "auditor"}, "422 name_malformed"),
    ({"email": "a@b.example", "name": "N", "role": "service"}, "422 value_wrong"),
    ({"email": "a@b.example", "name": "N", "role": "root"}, "422 value_wrong"),
    ({"email": "a@b.example", "name": "N"}, "422 field_missing"),
    ({"email": "a@b.example", "name": "N", "role": "auditor", "merchant": "x"}, "422 field_unknown"),
    ({"email": "4242424242424242@b.example", "name": "N", "role": "auditor"}, "422 card_number_refused"),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "expected"), REFUSED)
async def test_what_cannot_be_invited(office: Service, sent: dict[str, Any], expected: str) -> None:
    admin = await office.member(PLATFORM)
    answer = await office.console(admin.key).post("/v1/invitations", sent)
    body = answer.json()
    codes = [each["code"] for each in body.get("errors", [])] or [body["code"]]
    assert f"{answer.status_code} {codes[0]}" == expected


async def test_an_address_is_one_persons_and_whose_is_not_said(office: Service) -> None:
    here, there = await staff(office), await staff(office)
    taken = here["auditor"].person.email
    answers = [
        await each.as_("admin").post("/v1/invitations", invitation(taken.upper()))
        for each in (here, there)
    ]
    mine, theirs = [{**each.json(), "request_id": ""} for each in answers]
    assert {each.status_code for each in answers} == {409}
    assert mine == theirs
    assert mine["code"] == "email_taken"


async def test_of_two_who_invite_one_address_at_once_one_does(shop: Staff) -> None:
    wish = invitation()
    answers = await asyncio.gather(
        *(shop.as_(name).post("/v1/invitations", wish) for name in ("admin", "second") * 3)
    )
    assert sorted(each.status_code for each in answers) == [201, 409, 409, 409, 409, 409]


async def test_a_renewed_link_takes_the_place_of_the_one_before(shop: Staff) -> None:
    admin, desk = shop.as_("admin"), shop.service.desk
    first = (await admin.post("/v1/invitations", invitation())).json()
    second = await admin.post(f"/v1/invitations/{first['id']}/renew")
    assert second.status_code == 201, second.text
    assert (second.json()["person"], second.json()["reason"]) == (first["person"], "renewed")
    console = shop.service.console(None)
    assert (await console.post("/v1/setup", {"link": first["link"]})).status_code == 401
    assert (await console.post("/v1/setup", {"link": second.json()["link"]})).status_code == 200
    states = {
        each["id"]: each["status"]
        for each in (await admin.get("/v1/invitations?limit=100")).json()["data"]
    }
    assert (states[first["id"]], states[second.json()["id"]]) == ("withdrawn", "open")
    ended = await admin.post(f"/v1/invitations/{second.json()['id']}/withdraw")
    assert (ended.status_code, ended.json()["status"]) == (200, "withdrawn")
    again = await admin.post(f"/v1/invitations/{second.json()['id']}/withdraw")
    assert again.json() == ended.json()
    assert (await console.post("/v1/setup", {"link": second.json()["link"]})).status_code == 401
    done = await admin.post(f"/v1/invitations/{shop['admin'].id.replace('usr', 'inv')}/renew")
    assert done.status_code == 404
    assert desk is shop.service.desk


async def test_who_has_set_up_needs_no_link(shop: Staff) -> None:
    (row,) = await shop.service.look(
        Domain.CORE,
        "select invitation_id from identity.invitation where person_id = $1",
        shop["auditor"].id,
    )
    path = f"/v1/invitations/{row['invitation_id']}"
    answer = await shop.as_("admin").post(f"{path}/renew")
    assert (answer.status_code, answer.json()["code"]) == (409, "person_set_up")
    ended = await shop.as_("admin").post(f"{path}/withdraw")
    assert (ended.status_code, ended.json()["status"]) == (200, "used")


# --- who may -----------------------------------------------------------------------------------------

#: Route, what is sent, whether a second factor is asked for again.
ACTS: list[tuple[str, dict[str, Any] | None, bool]] = [
    ("/v1/invitations", {"email": "x@shop.example", "name": "X", "role": "admin"}, True),
    ("/v1/people/{id}/role", {"role": "auditor"}, True),
    ("/v1/people/{id}/suspend", None, False),
    ("/v1/people/{id}/enable", None, True),
    ("/v1/people/{id}/unlock", None, True),
    ("/v1/people/{id}/reset", None, True),
    ("/v1/merchants", {"name": "M", "admin": {"email": "m@m.example", "name": "M"}}, True),
]


@pytest.mark.parametrize(("path", "body", "sensitive"), ACTS, ids=[each[0] for each in ACTS])
async def test_only_admins_may_and_only_with_a_recent_factor(
    shop: Staff,
    path: str,
    body: dict[str, Any] | None,
    sensitive: bool,  # noqa: FBT001 - a column
) -> None:
    path = path.format(id=shop["developer"].id)
    for name in ("auditor", "operator", "developer"):
        refused = await shop.as_(name).post(path, body)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    asker = await shop.service.member(
        PLATFORM if path == "/v1/merchants" else shop.merchant, stepped_up=False
    )
    answer = await shop.service.console(asker.key).post(path, body)
    if sensitive:
        assert (answer.status_code, answer.json()["code"]) == (401, "step_up_needed")
        assert "insufficient_user_authentication" in answer.headers["www-authenticate"]
    else:
        assert answer.status_code == 200
    assert (await shop.service.console(None).post(path, body)).status_code == 401


async def test_a_key_manages_nobody(office: Service) -> None:
    tenant = await office.tenant()
    caller = office.console(tenant.keys[Mode.LIVE])
    for path in ("/v1/people", "/v1/invitations", "/v1/own"):
        assert (await caller.get(path)).status_code == 403
    assert (await caller.post("/v1/invitations", invitation())).status_code == 403


async def test_another_tenants_people_are_nobody(office: Service) -> None:
    """The same answer, word for word, as for an id that nobody has."""
    mine, theirs, platform = await staff(office), await staff(office), await staff(office, PLATFORM)
    invited = (await theirs.as_("admin").post("/v1/invitations", invitation())).json()
    acts = [
        ("GET", "/v1/people/{id}", None),
        ("POST", "/v1/people/{id}/role", {"role": "auditor"}),
        *(("POST", f"/v1/people/{{id}}/{each}", None) for each in ("suspend", "enable", "unlock", "reset")),
        *(("POST", f"/v1/invitations/{{id}}/{each}", None) for each in ("renew", "withdraw")),
    ]  # fmt: skip
    before = await office.look(Domain.CORE, "select * from identity.person order by person_id")
    for asker in (mine, platform):
        for method, path, body in acts:
            kind = "inv" if "invitations" in path else "usr"
            foreign = invited["id"] if kind == "inv" else theirs["auditor"].id
            told = []
            for each in (foreign, new_id(kind), "x", f"{kind}_%"):
                answer = await asker.as_("admin").send(method, path.format(id=each), body=body)
                assert answer.status_code == 404, (path, each, answer.text)
                told.append({**answer.json(), "request_id": ""})
            assert all(each == told[0] for each in told)
    after = await office.look(Domain.CORE, "select * from identity.person order by person_id")
    assert before == after
    assert await office.ended.of(theirs["auditor"]) == []
    for asker in (mine, platform):
        seen = (await asker.as_("admin").get("/v1/people?limit=100")).json()["data"]
        names = {each["id"] for each in seen}
        assert {each.id for each in asker.members.values()} <= names
        assert not {each.id for each in theirs.members.values()} & names


async def test_people_are_listed_in_pages(shop: Staff) -> None:
    asker, seen, cursor = shop.as_("auditor"), [], ""
    for _ in range(3):
        page = (await asker.get(f"/v1/people?limit=2{cursor}")).json()
        seen += [each["id"] for each in page["data"]]
        cursor = f"&cursor={page['next_cursor']}"
    assert not page["has_more"]
    assert page["next_cursor"] is None
    assert seen == sorted(each.id for each in shop.members.values())
    assert (await asker.get("/v1/people?cursor=x")).status_code == 422


# --- roles, suspension -------------------------------------------------------------------------------


async def test_another_role_ends_every_session(shop: Staff) -> None:
    service, target = shop.service, shop["developer"]
    answer = await shop.as_("admin").post(f"/v1/people/{target.id}/role", {"role": "operator"})
    assert (answer.status_code, answer.json()["role"]) == (200, "operator")
    assert await service.ended.of(target) == ["role_changed"]
    same = await shop.as_("admin").post(f"/v1/people/{target.id}/role", {"role": "operator"})
    assert same.status_code == 200
    assert await service.ended.of(target) == ["role_changed"], "the same role is no change"
    assert (await actions(service, target.id))[-1] == (
        "identity.person.changed",
        shop["admin"].id,
    )


async def test_suspended_and_enabled(shop: Staff) -> None:
    service, target, admin = shop.service, shop["operator"], shop.as_("admin")
    for _ in range(2):
        answer = await admin.post(f"/v1/people/{target.id}/suspend")
        assert (answer.status_code, answer.json()["status"]) == (200, "suspended")
    assert await service.ended.of(target) == ["person_suspended"], "once"
    reset = await with_approval(shop, shop["second"], f"/v1/people/{target.id}/reset")
    assert (reset.status_code, reset.json()["code"]) == (409, "person_suspended")
    assert (await admin.post(f"/v1/people/{target.id}/enable")).json()["status"] == "active"
    again = await admin.post(f"/v1/people/{target.id}/enable")
    assert (again.status_code, again.json()["code"]) == (409, "person_not_suspended")
    done = [action for action, _ in await actions(service, target.id)]
    assert done[-2:] == ["identity.person.suspended", "identity.person.enabled"]


async def test_who_had_not_set_up_still_has_to_when_enabled(shop: Staff) -> None:
    admin = shop.as_("admin")
    invited = (await admin.post("/v1/invitations", invitation())).json()
    person = f"/v1/people/{invited['person']}"
    assert (await admin.post(f"{person}/suspend")).json()["status"] == "suspended"
    opened = await shop.service.console(None).post("/v1/setup", {"link": invited["link"]})
    assert opened.status_code == 401
    renewed = await admin.post(f"/v1/invitations/{invited['id']}/renew")
    assert (renewed.status_code, renewed.json()["code"]) == (409, "person_suspended")
    assert (await admin.post(f"{person}/role", {"role": "developer"})).status_code == 200
    assert (await admin.post(f"{person}/enable")).json()["status"] == "invited"
    assert (await admin.post(f"/v1/invitations/{invited['id']}/renew")).status_code == 201


async def test_nobody_changes_their_own_access(shop: Staff) -> None:
    me = f"/v1/people/{shop['admin'].id}"
    for path, body in (
        ("role", {"role": "auditor"}),
        ("suspend", None),
        ("enable", None),
        ("unlock", None),
        ("reset", None),
    ):
        if path == "reset":  # with another's approval neither
            answer = await with_approval(shop, shop["second"], f"{me}/{path}")
        else:
            answer = await shop.as_("admin").post(f"{me}/{path}", body)
        assert (answer.status_code, answer.json()["code"]) == (403, "own_access_refused"), path
    assert await shop.service.ended.of(shop["admin"]) == []


async def test_the_last_active_admin_stays(shop: Staff) -> None:
    """Whoever asks: here a session that outlived its person's role, for the second it may."""
    first, second = shop["admin"], shop["second"]
    outlived = shop.service.composer.known.as_if(second, stepped_up=True)
    demoted = await shop.as_("admin").post(f"/v1/people/{second.id}/role", {"role": "auditor"})
    assert demoted.status_code == 200
    for path, body in (("role", {"role": "auditor"}), ("suspend", None), ("reset", None)):
        caller, where = shop.service.console(outlived.key), f"/v1/people/{first.id}/{path}"
        answer = await caller.post(where, body)
        if path == "reset":
            headers = await approved(shop.service, first, answer)
            answer = await caller.post(where, body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (409, "last_admin"), path
    person = await shop.service.desk.people.one(shop.merchant, first.person.person_id)
    assert (person.role, person.status) == (Role.ADMIN, PersonStatus.ACTIVE)


@pytest.mark.parametrize("act", ["role", "suspend", "reset"])
async def test_of_two_admins_who_end_each_other_at_once_one_stays(
    office: Service, act: str
) -> None:
    for _ in range(4):
        shop = await staff(office)
        body = {"role": "auditor"} if act == "role" else None
        pairs = (("admin", "second"), ("second", "admin"))
        headers: dict[str, dict[str, str]] = {"admin": {}, "second": {}}
        if act == "reset":  # each approves what the other asks for
            for who, whom in pairs:
                asked = await shop.as_(who).post(f"/v1/people/{shop[whom].id}/{act}", body)
                headers[who] = await approved(office, shop[whom], asked)
        answers = await asyncio.gather(
            *(
                shop.as_(who).post(f"/v1/people/{shop[whom].id}/{act}", body, headers=headers[who])
                for who, whom in pairs
            )
        )
        codes = sorted(each.status_code for each in answers)
        assert codes[1] == 409, [each.text for each in answers]
        rows = await office.look(
            Domain.CORE,
            "select from identity.person where merchant_id = $1 and role = 'admin' and status = 'active'",
            shop.merchant,
        )
        assert len(rows) == 1


async def test_what_cannot_end_sessions_does_not_happen(shop: Staff) -> None:
    """One transaction: role, sessions and record together, or none of them."""
    target = shop["developer"]
    before = await actions(shop.service, target.id)
    async with shop.service.ended.broken():
        for path, body in (("role", {"role": "auditor"}), ("suspend", None), ("reset", None)):
            where = f"/v1/people/{target.id}/{path}"
            if path == "reset":
                answer = await with_approval(shop, shop["second"], where)
            else:
                answer = await shop.as_("admin").post(where, body)
            assert answer.status_code >= 500
    person = await shop.service.desk.people.one(shop.merchant, target.person.person_id)
    assert (person.role, person.status) == (Role.DEVELOPER, PersonStatus.ACTIVE)
    assert await actions(shop.service, target.id) == before


async def test_unlocking_clears_the_lockout_and_says_so(shop: Staff) -> None:
    target = shop["auditor"]
    answer = await shop.as_("admin").post(f"/v1/people/{target.id}/unlock")
    assert (answer.status_code, answer.json()["id"]) == (200, target.id)
    assert (await actions(shop.service, target.id))[-1][0] == "identity.person.unlocked"


async def test_a_reset_takes_every_proof_away_and_gives_a_link(shop: Staff) -> None:
    service, target = shop.service, shop["second"]
    third = await service.member(shop.merchant, Role.ADMIN)
    answer = await with_approval(shop, third, f"/v1/people/{target.id}/reset")
    assert answer.status_code == 201, answer.text
    assert (answer.json()["reason"], answer.json()["person"]) == ("reset", target.id)
    assert await service.ended.of(target) == ["proofs_reset"]
    person = await service.desk.people.one(shop.merchant, target.person.person_id)
    assert person.status is PersonStatus.INVITED
    opened = await service.console(None).post("/v1/setup", {"link": answer.json()["link"]})
    assert opened.status_code == 200
    assert [action for action, _ in await actions(service, target.id)][
        -1
    ] == "identity.factor.reset"


# --- tenants -----------------------------------------------------------------------------------------


async def test_the_platforms_admin_makes_a_merchant_with_its_first_admin(office: Service) -> None:
    admin = await office.member(PLATFORM)
    console = office.console(admin.key)
    wish = {
        "name": "New Shop",
        "admin": {"email": f"{new_id('usr').lower()}@new.example", "name": "Layla"},
    }
    made = await console.post("/v1/merchants", wish)
    assert made.status_code == 201, made.text
    body = made.json()
    opened = await office.console(None).post("/v1/setup", {"link": body["invitation"]["link"]})
    assert (opened.json()["tenant"], opened.json()["role"]) == ("New Shop", "admin")
    assert (
        await office.desk.people.one(body["id"], body["invitation"]["person"])
    ).role is Role.ADMIN
    assert await actions(office, body["id"]) == [("identity.merchant.created", admin.id)]
    count = len(await office.operator.merchants())
    taken = await console.post("/v1/merchants", wish)
    assert (taken.status_code, taken.json()["code"]) == (409, "email_taken")
    assert len(await office.operator.merchants()) == count, "no merchant without its admin"
    shop = await office.member(body["id"])
    assert (await office.console(shop.key).post("/v1/merchants", wish)).status_code == 403


async def test_a_link_ends_with_its_day(shop: Staff) -> None:
    invited = (await shop.as_("admin").post("/v1/invitations", invitation())).json()
    console = shop.service.console(None)
    CLOCK.step(timedelta(hours=23, minutes=59))
    assert (await console.post("/v1/setup", {"link": invited["link"]})).status_code == 200
    CLOCK.step(timedelta(minutes=1))
    assert (await console.post("/v1/setup", {"link": invited["link"]})).status_code == 401
    later = shop.service.console((await shop.service.log_in(shop["admin"].person)).key)
    listed = (await later.get("/v1/invitations?limit=100")).json()["data"]
    assert {each["status"] for each in listed if each["id"] == invited["id"]} == {"expired"}


async def test_an_admin_is_made_by_two(shop: Staff) -> None:
    """Invited or promoted: one asks, another approves; any other role one admin gives alone."""
    wish = invitation(role="admin")
    invited = await with_approval(shop, shop["second"], "/v1/invitations", wish)
    assert invited.status_code == 201, invited.text
    path = f"/v1/people/{shop['auditor'].id}/role"
    promoted = await with_approval(shop, shop["second"], path, {"role": "admin"})
    assert (promoted.status_code, promoted.json()["role"]) == (200, "admin")
    doubled = b'{"role": "auditor", "role": "admin"}'
    path = f"/v1/people/{shop['operator'].id}/role"
    assert (await shop.as_("admin").send("POST", path, content=doubled)).status_code == 202


async def test_a_lone_admin_is_sent_to_the_operator(office: Service) -> None:
    merchant = (await office.tenant()).merchant
    alone, other = [await office.member(merchant, role) for role in (Role.ADMIN, Role.OPERATOR)]
    caller = office.console(alone.key)
    for path, body in (
        ("/v1/invitations", invitation(role="admin")),
        (f"/v1/people/{other.id}/role", {"role": "admin"}),
        (f"/v1/people/{other.id}/reset", None),
    ):
        answer = await caller.post(path, body)
        assert (answer.status_code, answer.json()["code"]) == (403, "approval_nobody")
