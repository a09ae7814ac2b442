# SPDX-License-Identifier: Apache-2.0
"""Guessing over the routes: ten are looked at, all are counted, and the person at their usual place comes in."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

from database import Databases
from logging_in import ADDRESS, ELSEWHERE, PASSWORD, WRONG, App, Ground, grounded
from strongroom.audit import Action, Outcome
from strongroom.audit.ports import PLATFORM
from strongroom.db.logins import Domain
from strongroom.identity.people.model import Person

MINUTE = timedelta(minutes=1)
LOCKED = Action.IDENTITY_LOGIN_LOCKED


@pytest_asyncio.fixture(loop_scope="session")
async def ground(databases: Databases) -> AsyncIterator[Ground]:
    async with grounded(databases) as made:
        yield made


async def guess(ground: Ground, person: Person, times: int, address: str = ADDRESS) -> int:
    """Guess passwords, all at once; return for how many a person's password was looked at."""
    before = ground.passwords.somebodys
    await asyncio.gather(*(ground.begin(person, WRONG, address) for _ in range(times)))
    return ground.passwords.somebodys - before


async def failures(ground: Ground, person: Person) -> int:
    return int(
        await ground.value(
            "select coalesce(sum(failures), 0) from identity.login_network where account = $1",
            person.person_id,
        )
    )


async def comes_in(ground: Ground, person: Person, app: App, address: str = ADDRESS) -> bool:
    answer = await ground.log_in(person, app, address=address)
    ground.clock.step(timedelta(seconds=30))
    return answer.status_code == 200


async def test_of_a_hundred_wrong_guesses_at_once_all_count_and_ten_are_looked_at(
    ground: Ground,
) -> None:
    person = await ground.person()
    assert await guess(ground, person, 100) == 10
    assert await failures(ground, person) == 100
    assert ground.passwords.computed == 100  # equal work for those that were not
    records = await ground.records(Action.IDENTITY_LOGIN_FAILED)
    assert len(records) == 10
    (locked,) = await ground.records(LOCKED)
    assert (locked.object, locked.outcome) == (person.person_id, Outcome.DENIED)
    assert locked.details == {
        "count": 10,
        "lifetime_seconds": 1_800,
        "reason": "network",
    }
    assert ground.metric("login_locks", scope="network") == 1
    # What was not looked at is counted together, in one record or two.
    await ground.denials.flush(final=True)
    denied = await ground.records(Action.HTTP_REQUEST_DENIED, merchant=PLATFORM)
    assert sum(int(each.details["count"]) for each in denied) == 90
    assert len(denied) <= 2


async def test_of_many_wrong_codes_at_once_ten_are_looked_at(ground: Ground) -> None:
    person = await ground.person()
    app, _ = await ground.app(person)
    handle = await ground.begin(person)
    wrong = f"{(int(app.code()) + 1) % 10**6:06}"
    answers = await asyncio.gather(*(ground.finish(handle, wrong) for _ in range(30)))
    assert {answer.status_code for answer in answers} == {401}
    assert await failures(ground, person) == 30
    looked_at = await ground.records(Action.IDENTITY_LOGIN_FAILED)
    assert [record.details["reason"] for record in looked_at] == ["code"] * 10
    # The right one is too late, by either way.
    assert (await ground.finish(handle, app.code())).status_code == 401
    assert not ground.sessions.open


async def test_both_factors_failures_count_together(ground: Ground) -> None:
    person = await ground.person()
    app, _ = await ground.app(person)
    handle = await ground.begin(person)
    await guess(ground, person, 5)
    for _ in range(3):
        await ground.finish(handle, "x")
    await ground.finish(handle, "x", way="recovery")
    assert await failures(ground, person) == 9
    assert await guess(ground, person, 3) == 1
    assert not await comes_in(ground, person, app)


async def test_the_second_step_of_a_wrong_password_is_not_counted_again(ground: Ground) -> None:
    person = await ground.person()
    await ground.app(person)
    handle = await ground.begin(person, WRONG)
    await asyncio.gather(*(ground.finish(handle, "123456") for _ in range(5)))
    assert await failures(ground, person) == 1


@pytest.mark.parametrize(("minutes", "expected"), [(1, False), (29, False), (30, True)])
async def test_a_lock_lasts_half_an_hour(
    ground: Ground,
    minutes: int,
    expected: bool,  # noqa: FBT001 - a table
) -> None:
    person = await ground.person()
    app, _ = await ground.app(person)
    await guess(ground, person, 12)
    ground.clock.step(minutes * MINUTE)
    assert await comes_in(ground, person, app) is expected


async def test_a_locked_account_is_not_locked_longer_by_more_guesses(ground: Ground) -> None:
    person = await ground.person()
    app, _ = await ground.app(person)
    for _ in range(3):
        await guess(ground, person, 12)
        ground.clock.step(10 * MINUTE)
    assert await comes_in(ground, person, app)


async def test_a_login_begins_anew(ground: Ground) -> None:
    person = await ground.person()
    app, _ = await ground.app(person)
    for _ in range(3):
        assert await guess(ground, person, 9) == 9
        assert await comes_in(ground, person, app)
        assert await failures(ground, person) == 0


async def test_a_right_password_does_not_give_guesses_at_the_code(ground: Ground) -> None:
    """Whoever knows the password and shows it between guesses has ten of them all the same."""
    person = await ground.person()
    await ground.app(person)
    for _ in range(20):
        handle = await ground.begin(person)
        await ground.finish(handle, "000000")
    looked_at = await ground.records(Action.IDENTITY_LOGIN_FAILED)
    assert [record.details["reason"] for record in looked_at].count("code") == 10


async def test_a_stranger_locks_out_themselves_and_not_the_person(ground: Ground) -> None:
    person = await ground.person()
    app, _ = await ground.app(person)
    assert await comes_in(ground, person, app)
    for network in range(5):
        await guess(ground, person, 12, f"203.0.{network}.9")
        assert await comes_in(ground, person, app, "198.51.100.200")  # the same /24
    # From somewhere new the person is a stranger, too, while strangers guess.
    assert not await comes_in(ground, person, app, "192.0.2.1")
    assert (
        ground.metric("login_locks", scope="account")
        + ground.metric("login_locks", scope="network")
        >= 1
    )


async def test_many_networks_together_have_ten_guesses_and_one_every_three_minutes(
    ground: Ground,
) -> None:
    person = await ground.person()
    looked_at = 0
    for network in range(30):
        looked_at += await guess(ground, person, 1, f"203.0.{network}.9")
    assert looked_at == 10
    (alarm,) = await ground.records(LOCKED)
    assert alarm.details["reason"] == "account"
    ground.clock.step(3 * MINUTE)
    later = [await guess(ground, person, 1, f"203.1.{network}.9") for network in range(5)]
    assert later == [1, 0, 0, 0, 0]


async def test_where_somebody_logged_in_is_known_for_90_days(ground: Ground) -> None:
    person = await ground.person()
    app, _ = await ground.app(person)
    assert await comes_in(ground, person, app)
    ground.clock.step(timedelta(days=89))
    for network in range(12):
        await guess(ground, person, 1, f"203.0.{network}.9")
    assert await comes_in(ground, person, app)
    ground.clock.step(timedelta(days=91))
    for network in range(12):
        await guess(ground, person, 1, f"203.0.{network}.9")
    assert not await comes_in(ground, person, app)


async def test_an_administrator_lifts_it_all(ground: Ground) -> None:
    person, other = await ground.person(), await ground.person()
    app, _ = await ground.app(person)
    await guess(ground, person, 15)
    await guess(ground, person, 15, ELSEWHERE)
    await guess(ground, other, 15)
    lockouts, now = ground.parts.lockouts, ground.clock.now()
    async with ground.database.transaction([person.merchant]) as tx:
        assert await lockouts.locked_until(tx, person, now) == now + 30 * MINUTE
        assert await lockouts.clear(tx, person)
        assert not await lockouts.clear(tx, person)
        assert await lockouts.locked_until(tx, person, now) is None
        assert await lockouts.locked_until(tx, other, now) is not None
    assert await comes_in(ground, person, app)
    assert await comes_in(ground, person, app, ELSEWHERE)


async def test_what_could_not_be_looked_at_is_not_counted(ground: Ground) -> None:
    """Too many at once, or no key to open a secret with: an outage locks nobody out."""
    person = await ground.person()
    app, _ = await ground.app(person)
    body = {"email": person.email, "password": WRONG, "mode": "test"}
    ground.passwords.busy = True
    answers = await asyncio.gather(*(ground.caller().post("/v1/login", body) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {503}
    ground.passwords.busy = False
    assert await failures(ground, person) == 0
    spent = await ground.value("select spent_until from identity.login_account")
    assert spent == ground.clock.now()
    handle = await ground.begin(person)
    await ground.databases.run(
        Domain.CORE, "update identity.totp set sealed_secret = '\\x00' where state = 'active'"
    )
    assert (await ground.finish(handle, app.code())).status_code == 503
    assert await failures(ground, person) == 0


async def test_nobodys_account_counts_as_one(ground: Ground) -> None:
    before = ground.passwords.computed
    for _ in range(15):
        await ground.begin("nobody@shop.example")
    assert ground.passwords.computed - before == 15
    rows = await ground.value("select count(*) from identity.login_network")
    assert rows == 1
    assert not await ground.records(LOCKED, merchant=PLATFORM)
    for number in range(40):
        await ground.begin(f"nobody{number}@shop.example")
    names = await ground.value("select array_agg(account) from identity.login_network")
    assert all(name.startswith("nobody:") for name in names)


async def test_passkeys_do_not_meet_the_lock(ground: Ground) -> None:
    """What passkeys use of logging in asks no tally (D4)."""
    from store.test_login import visit  # noqa: PLC0415 - the same ground
    from strongroom.kernel.mode import Mode  # noqa: PLC0415

    person = await ground.person()
    await guess(ground, person, 50)
    async with ground.database.transaction([person.merchant]) as tx:
        issued = await ground.parts.logins.finish(
            tx, person, Mode.TEST, ("hwk", "user", "mfa"), await visit(ground), method="passkey"
        )
    assert issued.session in ground.sessions.open


async def test_networks_are_kept_as_keyed_hashes_of_their_own_for_each_account(
    ground: Ground,
) -> None:
    ada, eve = await ground.person(), await ground.person()
    await ground.begin(ada, WRONG)
    await ground.begin(eve, WRONG)
    networks = await ground.value("select array_agg(network) from identity.login_network")
    assert len(set(networks)) == 2
    assert PASSWORD.encode() not in b"".join(networks)
