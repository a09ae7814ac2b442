# SPDX-License-Identifier: Apache-2.0
"""Setting up over HTTP: a link works once and for a day, a ticket for half an hour, a password alone not at all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from database import Databases
from members import ACT
from service import Caller, Service, running
from strongroom.audit import PLATFORM, Origin
from strongroom.crypto.ids import new_id
from strongroom.crypto.passwords import sha1_hex
from strongroom.db.logins import Domain
from strongroom.identity.people.errors import SetupIncomplete, SetupRefused
from strongroom.identity.people.model import (
    NewInvitation,
    Person,
    PersonStatus,
    PersonWish,
    SetupProof,
)
from strongroom.identity.people.setup import OPENINGS_MAX
from strongroom.kernel.clock import SteppedClock
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.principal import Role
from strongroom.kernel.secret import Secret

CLOCK = SteppedClock(datetime(2026, 11, 20, 9, 30, tzinfo=UTC))
PASSWORD = "quiet harbour 7 kettles"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def office(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    folder: Path = tmp_path_factory.mktemp("setup")
    async with running(databases, folder, clock=CLOCK, listens=False, worker=False) as served:
        yield served


def beside(office: Service, **settings: Any) -> AbstractAsyncContextManager[Service]:
    """Another process of the same installation."""
    folder = office.settings.state.parent
    return running(office.databases, folder, clock=CLOCK, listens=False, worker=False, **settings)


@pytest_asyncio.fixture(loop_scope="session")
async def invited(office: Service) -> NewInvitation:
    return await invite(office, (await office.tenant("Lantern Books")).merchant)


async def invite(office: Service, merchant: MerchantId, role: Role = Role.AUDITOR) -> NewInvitation:
    wish = PersonWish(merchant, f"{new_id('usr').lower()}@shop.example", "Noor Rahmani", role)
    return await office.desk.people.invite(wish, ACT)


@pytest.fixture
def anybody(office: Service) -> Caller:
    return office.console(None)


async def opened(anybody: Caller, invited: NewInvitation) -> dict[str, Any]:
    answer = await anybody.post("/v1/setup", {"link": invited.link.expose()})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def finish(office: Service, person: Person, ticket: str, proof: SetupProof) -> Person:
    """What the part does that has just seen a second factor work."""
    async with office.desk.people._parts.database.transaction([person.merchant]) as tx:
        return await office.desk.setup.finish(
            tx, person, Secret(ticket), proof=proof, origin=Origin(), now=CLOCK.now()
        )


async def set_password(anybody: Caller, ticket: str, password: str = PASSWORD) -> int:
    answer = await anybody.post("/v1/setup/password", {"ticket": ticket, "password": password})
    return answer.status_code


async def is_password(office: Service, person: Person, password: str) -> bool:
    async with office.desk.people._parts.database.transaction([person.merchant]) as read:
        return await office.desk.passwords.verify(read, person, password)


async def test_a_link_says_who_and_what_is_needed(
    office: Service, anybody: Caller, invited: NewInvitation
) -> None:
    told = await opened(anybody, invited)
    assert (told["email"], told["name"], told["role"], told["tenant"]) == (
        invited.person.email,
        "Noor Rahmani",
        "auditor",
        "Lantern Books",
    )
    assert told["needs"] == [["password", "totp"], ["passkey"]]
    assert told["password"] == {
        "characters_min": 12,
        "characters_max": 128,
        "letter_and_digit": True,
    }
    assert told["ticket_expires_at"] == "2026-11-20T10:00:00.000000Z"
    rows = await office.look(Domain.CORE, "select i::text as t from identity.invitation i")
    assert not [row for row in rows if told["ticket"] in row["t"]]
    platform = await opened(anybody, await invite(office, PLATFORM))
    assert platform["password"]["letter_and_digit"] is False


async def test_the_secret_alone_opens_as_the_whole_link_does(
    anybody: Caller, invited: NewInvitation
) -> None:
    secret = invited.link.expose().partition("#")[2]
    assert (await anybody.post("/v1/setup", {"link": secret})).status_code == 200


async def test_password_and_one_time_code_make_a_person_active(
    office: Service, anybody: Caller, invited: NewInvitation
) -> None:
    ticket = (await opened(anybody, invited))["ticket"]
    with pytest.raises(SetupIncomplete):
        await finish(office, invited.person, ticket, SetupProof.TOTP)
    assert await set_password(anybody, ticket) == 204
    still = await office.desk.people.one(invited.person.merchant, invited.person.person_id)
    assert still.status is PersonStatus.INVITED, "a password is not enough"
    active = await finish(office, invited.person, ticket, SetupProof.TOTP)
    assert active.status is PersonStatus.ACTIVE
    assert await is_password(office, active, PASSWORD)
    assert not await is_password(office, active, PASSWORD + " ")
    kept = await office.look(Domain.CORE, "select password_hash as h from identity.password")
    assert all(row["h"].startswith("$argon2id$v=19$m=65536,t=3,p=1$") for row in kept)
    rows = await office.look(
        Domain.CORE,
        "select convert_from(payload, 'UTF8')::jsonb ->> 'action' as a,"
        " convert_from(payload, 'UTF8')::jsonb -> 'details' ->> 'method' as m from audit.event"
        " where convert_from(payload, 'UTF8')::jsonb ->> 'actor' = $1 order by xmin::text::bigint, ctid",
        active.person_id,
    )
    assert [tuple(row) for row in rows] == [
        ("identity.password.changed", None),
        ("identity.invitation.accepted", "totp"),
    ]


async def test_a_passkey_needs_no_password(
    office: Service, anybody: Caller, invited: NewInvitation
) -> None:
    ticket = (await opened(anybody, invited))["ticket"]
    assert (
        await finish(office, invited.person, ticket, SetupProof.PASSKEY)
    ).status is PersonStatus.ACTIVE
    assert not await is_password(office, invited.person, PASSWORD)


#: What is sent instead of a link or a ticket.
WRONG = [
    "x",
    "link_" + "0" * 43,
    "ticket_" + "0" * 43,
    "https://console.example/setup#link_" + "Z" * 43,
    "link_" + "\u0660" * 43,
    "#",
    "' or true --",
]


async def test_whatever_is_wrong_the_answer_is_the_same(
    office: Service, anybody: Caller, invited: NewInvitation
) -> None:
    used = await invite(office, invited.person.merchant)
    ticket = (await opened(anybody, used))["ticket"]
    await finish(office, used.person, ticket, SetupProof.PASSKEY)
    withdrawn = await invite(office, invited.person.merchant)
    await office.desk.people.withdraw(
        withdrawn.person.merchant, withdrawn.invitation.invitation_id, ACT
    )
    suspended = await invite(office, invited.person.merchant)
    stale = (await opened(anybody, suspended))["ticket"]
    await office.desk.people.suspend(suspended.person.merchant, suspended.person.person_id, ACT)
    replaced = (await opened(anybody, invited))["ticket"]
    await opened(anybody, invited)
    links = [*WRONG, *(each.link.expose() for each in (used, withdrawn, suspended))]
    answers = [await anybody.post("/v1/setup", {"link": each}) for each in links]
    for each in (*WRONG, ticket, stale, replaced):
        body = {"ticket": each, "password": PASSWORD}
        answers.append(await anybody.post("/v1/setup/password", body))
    told = [{**each.json(), "request_id": ""} for each in answers]
    assert {each["code"] for each in told} == {"setup_refused"}
    assert all(each == told[0] for each in told)
    for each in (*WRONG, ticket, stale, replaced):
        with pytest.raises(SetupRefused):
            await finish(office, invited.person, each, SetupProof.PASSKEY)


async def test_a_ticket_ends_with_its_half_hour(
    office: Service, anybody: Caller, invited: NewInvitation
) -> None:
    ticket = (await opened(anybody, invited))["ticket"]
    CLOCK.step(timedelta(minutes=29))
    assert await set_password(anybody, ticket) == 204
    CLOCK.step(timedelta(minutes=1))
    assert await set_password(anybody, ticket, PASSWORD + " 2") == 401
    with pytest.raises(SetupRefused):
        await finish(office, invited.person, ticket, SetupProof.TOTP)
    again = (await opened(anybody, invited))["ticket"]
    done = await finish(office, invited.person, again, SetupProof.TOTP)
    assert done.status is PersonStatus.ACTIVE, "the password was set before"


async def test_no_ticket_outlives_its_link(anybody: Caller, invited: NewInvitation) -> None:
    CLOCK.step(timedelta(hours=23, minutes=50))
    told = await opened(anybody, invited)
    until = datetime.fromisoformat(told["ticket_expires_at"])
    assert until == invited.invitation.expires_at
    CLOCK.step(timedelta(minutes=10))
    assert await set_password(anybody, told["ticket"]) == 401


async def test_a_link_is_opened_so_often_and_no_more(
    anybody: Caller, invited: NewInvitation
) -> None:
    for _ in range(OPENINGS_MAX):
        await opened(anybody, invited)
    answer = await anybody.post("/v1/setup", {"link": invited.link.expose()})
    assert answer.status_code == 401


async def test_of_two_who_open_at_once_one_holds_the_ticket(
    office: Service, anybody: Caller, invited: NewInvitation
) -> None:
    told = await asyncio.gather(*(opened(anybody, invited) for _ in range(4)))
    held = 0
    for each in told:
        try:
            async with office.desk.people._parts.database.transaction() as read:
                await office.desk.setup.setup_person(read, Secret(each["ticket"]), CLOCK.now())
            held += 1
        except SetupRefused:
            pass
    assert held == 1


async def test_of_two_who_finish_at_once_one_does(
    office: Service, anybody: Caller, invited: NewInvitation
) -> None:
    ticket = (await opened(anybody, invited))["ticket"]
    ended = await asyncio.gather(
        *(finish(office, invited.person, ticket, SetupProof.PASSKEY) for _ in range(4)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, Person) for each in ended) == 1
    assert sum(isinstance(each, SetupRefused) for each in ended) == 3


async def test_of_two_first_passwords_at_once_one_is_set(
    office: Service, anybody: Caller, invited: NewInvitation
) -> None:
    ticket = (await opened(anybody, invited))["ticket"]
    wishes = [f"{PASSWORD} {number}" for number in range(3)]
    codes = await asyncio.gather(*(set_password(anybody, ticket, each) for each in wishes))
    assert sorted(codes) == [204, 409, 409]
    held = [each for each in wishes if await is_password(office, invited.person, each)]
    assert held == [wishes[codes.index(204)]]


#: What is chosen, what is answered.
CHOSEN = [
    ("short 7", "password_too_short"),
    ("quiet harbour kettles", "password_without_digit"),
    ("password1234", "password_breached"),
    ("Noor-Rahmani-1990", "password_guessable"),
    ("lantern books 2026", "password_guessable"),
    ("k7 " * 50, "password_too_long"),
    (PASSWORD, "204"),
    ("k7vq " * 25 + "zp4", "204"),
    ("ثلاثة جمال في ٧ خيام", "204"),
]


@pytest.mark.parametrize(("chosen", "expected"), CHOSEN)
async def test_what_may_be_chosen(
    anybody: Caller, invited: NewInvitation, chosen: str, expected: str
) -> None:
    ticket = (await opened(anybody, invited))["ticket"]
    answer = await anybody.post("/v1/setup/password", {"ticket": ticket, "password": chosen})
    if answer.status_code == 204:
        assert expected == "204"
        return
    (fault,) = answer.json()["errors"]
    assert (answer.status_code, fault["pointer"], fault["code"]) == (422, "/password", expected)
    assert chosen not in answer.text


async def test_a_password_that_was_reset_does_not_come_back(
    office: Service, anybody: Caller, invited: NewInvitation
) -> None:
    ticket = (await opened(anybody, invited))["ticket"]
    assert await set_password(anybody, ticket) == 204
    person = await finish(office, invited.person, ticket, SetupProof.TOTP)
    reset = await office.desk.people.reset(person.merchant, person.person_id, ACT)
    assert not await is_password(office, person, PASSWORD)
    again = (await opened(anybody, reset))["ticket"]
    with pytest.raises(SetupIncomplete):
        await finish(office, person, again, SetupProof.TOTP)
    refused = await anybody.post("/v1/setup/password", {"ticket": again, "password": PASSWORD})
    assert refused.json()["errors"][0]["code"] == "password_used_before"


async def test_choosing_passwords_is_no_way_to_keep_others_waiting(
    anybody: Caller, invited: NewInvitation
) -> None:
    ticket = (await opened(anybody, invited))["ticket"]
    codes = [await set_password(anybody, ticket, "too short") for _ in range(12)]
    assert codes == [422] * 10 + [429] * 2


async def test_a_hash_copied_to_another_person_does_not_hold_there(
    office: Service, anybody: Caller, invited: NewInvitation
) -> None:
    other = await invite(office, invited.person.merchant)
    for each in (invited, other):
        assert await set_password(anybody, (await opened(anybody, each))["ticket"]) == 204
    await office.databases.run(
        Domain.CORE,
        "update identity.password set password_hash = (select password_hash from identity.password"
        f" where person_id = '{invited.person.person_id}') where person_id = '{other.person.person_id}'",
    )
    assert await is_password(office, invited.person, PASSWORD)
    assert not await is_password(office, other.person, PASSWORD)


async def test_nobody_has_no_password(office: Service) -> None:
    async with office.desk.people._parts.database.transaction() as read:
        for each in (PASSWORD, "", "x" * 1_000, "\ud800"):
            assert not await office.desk.passwords.verify(read, None, each)


async def test_strangers_with_wrong_links_are_slowed_down_and_counted(
    office: Service,
) -> None:
    async with beside(office, rate_stranger_per_second=2) as slow:
        anybody = slow.console(None)
        codes = [
            (await anybody.post("/v1/setup", {"link": f"link_{number:043}"})).status_code
            for number in range(8)
        ]
        assert codes[:4] == [401] * 4
        assert 429 in codes[4:]
        assert f"link_{0:043}" not in slow.log_text()
    rows = await office.look(
        Domain.CORE,
        "select convert_from(payload, 'UTF8') as r from audit.event"
        " where convert_from(payload, 'UTF8')::jsonb ->> 'action' = 'http.request.denied'",
    )
    assert any("setup_link_unknown" in row["r"] for row in rows)


async def test_an_installations_own_list_of_leaked_passwords_is_asked(
    office: Service, tmp_path: Path
) -> None:
    leaked = "plain ember 4 violins"
    listed = sorted(sha1_hex(each.encode()) for each in (leaked, "a", "b", "c"))
    file = tmp_path / "leaked"
    file.write_text("".join(f"{each}:9\n" for each in listed))
    async with beside(office, breached_passwords=file) as strict:
        invited = await invite(strict, (await strict.tenant()).merchant)
        ticket = (await opened(strict.console(None), invited))["ticket"]
        body = {"ticket": ticket, "password": leaked}
        refused = await strict.console(None).post("/v1/setup/password", body)
        assert refused.json()["errors"][0]["code"] == "password_breached"
        assert await set_password(strict.console(None), ticket) == 204
