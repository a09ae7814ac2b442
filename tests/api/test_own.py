# SPDX-License-Identifier: Apache-2.0
"""One's own access over HTTP: who am I, and another password, which ends every other session."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from database import Databases
from members import ACT, Member
from service import Service, running
from strongroom.audit import PLATFORM, Origin
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.identity.grants import granted_to
from strongroom.identity.people.model import PersonWish, SetupProof
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Role

FIRST = "quiet harbour 7 kettles"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def office(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    folder: Path = tmp_path_factory.mktemp("own")
    async with running(databases, folder, listens=False, worker=False) as served:
        yield served


async def with_password(office: Service, merchant: MerchantId) -> Member:
    """Somebody who set up with a password."""
    desk = office.desk
    wish = PersonWish(merchant, f"{new_id('usr').lower()}@shop.example", "Amal", Role.OPERATOR)
    told = await desk.setup.open((await desk.people.invite(wish, ACT)).link)
    await desk.setup.set_password(told.ticket, FIRST, Origin())
    async with desk.people._parts.database.transaction([merchant]) as tx:
        person = await desk.setup.finish(
            tx,
            told.person,
            told.ticket,
            proof=SetupProof.TOTP,
            origin=Origin(),
            now=desk.clock.now(),
        )
    return await office.log_in(person)


@pytest_asyncio.fixture(loop_scope="session")
async def amal(office: Service) -> Member:
    return await with_password(office, (await office.tenant()).merchant)


async def change(office: Service, who: Member, current: str, new: str) -> httpx.Response:
    body = {"current": current, "new": new}
    return await office.console(who.key).post("/v1/own/password", body)


async def is_password(office: Service, who: Member, password: str) -> bool:
    async with office.desk.people._parts.database.transaction([who.person.merchant]) as read:
        return await office.desk.passwords.verify(read, who.person, password)


@pytest.mark.parametrize("role", [Role.ADMIN, Role.AUDITOR, Role.DEVELOPER, Role.OPERATOR])
async def test_everybody_may_ask_who_they_are(office: Service, role: Role) -> None:
    for merchant in ((await office.tenant("Lantern Books")).merchant, PLATFORM):
        who = await office.member(merchant, role)
        body = (await office.console(who.key).get("/v1/own")).json()
        assert body["person"]["id"] == who.id
        assert body["person"]["merchant"] == (None if merchant == PLATFORM else merchant)
        assert body["tenant"] == ("the platform" if merchant == PLATFORM else "Lantern Books")
        assert body["permissions"] == sorted(
            granted_to(role, Mode.TEST, platform=merchant == PLATFORM)
        )
        assert body["stepped_up"] is True


async def test_another_password_ends_every_other_session(office: Service, amal: Member) -> None:
    other = await office.log_in(amal.person)
    answer = await change(office, amal, FIRST, "9 copper kettles whistle")
    assert answer.status_code == 204, answer.text
    assert await office.ended.of(amal) == ["password_changed"]
    rows = await office.look(
        Domain.CORE, "select session_id from identity.session where ended_at is not null"
    )
    ended = {row["session_id"] for row in rows}
    assert other.session in ended
    assert amal.session not in ended
    assert await is_password(office, amal, "9 copper kettles whistle")
    assert not await is_password(office, amal, FIRST)


async def test_the_current_password_is_asked_for_and_a_recent_factor(
    office: Service, amal: Member
) -> None:
    wrong = await change(office, amal, FIRST + " ", "9 copper kettles whistle")
    assert (wrong.status_code, wrong.json()["code"]) == (403, "current_password_wrong")
    rows = await office.look(
        Domain.CORE,
        "select convert_from(payload, 'UTF8')::jsonb ->> 'outcome' as o from audit.event"
        " where convert_from(payload, 'UTF8')::jsonb ->> 'object' = $1"
        " order by xmin::text::bigint desc, ctid desc limit 1",
        amal.id,
    )
    assert rows[0]["o"] == "denied"
    earlier = office.composer.known.as_if(amal, stepped_up=False)
    stale = await change(office, earlier, FIRST, "9 copper kettles whistle")
    assert (stale.status_code, stale.json()["code"]) == (401, "step_up_needed")
    assert await is_password(office, amal, FIRST)
    assert await office.ended.of(amal) == []


async def test_whoever_took_over_a_session_guesses_slowly(office: Service, amal: Member) -> None:
    codes = [
        (await change(office, amal, f"guess number {number} x", "9 copper kettles")).status_code
        for number in range(7)
    ]
    assert codes == [403] * 5 + [429] * 2


async def test_the_last_four_do_not_come_back(office: Service, amal: Member) -> None:
    """PCI DSS 8.3.7. More than four changes at once would meet the limit of tries: those go around the route."""
    desk = office.desk
    used = [FIRST]

    async def next_is(password: str) -> None:
        await desk.own.change_password(
            amal.person, "", session=amal.session, current=used[-1], new=password, origin=Origin()
        )
        used.append(password)

    for number in range(4):
        desk.own._tries._buckets.clear()
        await next_is(f"{number} copper kettles whistle")
    for each in used[1:]:
        desk.own._tries._buckets.clear()
        answer = await change(office, amal, used[-1], each)
        (fault,) = answer.json()["errors"]
        assert (answer.status_code, fault["code"], fault["pointer"]) == (
            422,
            "password_used_before",
            "/new",
        )
    desk.own._tries._buckets.clear()
    assert (await change(office, amal, used[-1], used[0])).status_code == 204, "the fifth may"
    rows = await office.look(
        Domain.CORE, "select holds from identity.password where person_id = $1", amal.id
    )
    assert sorted(row["holds"] for row in rows) == [False, False, False, True]


async def test_of_two_changes_at_once_one_holds(office: Service, amal: Member) -> None:
    wishes = [f"{number} brass lanterns glow" for number in range(3)]
    answers = await asyncio.gather(*(change(office, amal, FIRST, each) for each in wishes))
    codes = [each.status_code for each in answers]
    assert codes.count(204) == 1, [each.text for each in answers]
    assert set(codes) <= {204, 403, 409}
    held = [each for each in wishes if await is_password(office, amal, each)]
    assert held == [wishes[codes.index(204)]]


async def test_what_cannot_end_sessions_changes_no_password(office: Service, amal: Member) -> None:
    await office.log_in(amal.person)
    async with office.ended.broken():
        answer = await change(office, amal, FIRST, "9 copper kettles whistle")
    assert answer.status_code >= 500
    assert await is_password(office, amal, FIRST)


async def test_a_password_is_nowhere_in_clear(office: Service, amal: Member) -> None:
    await change(office, amal, FIRST, "9 copper kettles whistle")
    await change(office, amal, "a wrong one 77 x", "another new 8 one")
    text = office.log_text()
    for table in ("identity.password", "identity.invitation", "audit.event"):
        rows = await office.look(Domain.CORE, f"select t::text as t from {table} t")
        text += "\n".join(row["t"] for row in rows)
    for each in (FIRST, "copper kettles", "a wrong one 77 x", "another new 8 one"):
        assert each not in text
        assert each.encode().hex() not in text
