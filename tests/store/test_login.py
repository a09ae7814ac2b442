# SPDX-License-Identifier: Apache-2.0
"""Logging in over the console's routes: two steps that tell nothing, codes that hold once, records of every end."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from database import Databases
from jwt_maker import EdKey, jws
from logging_in import ADDRESS, ELSEWHERE, PASSWORD, WRONG, Ground, grounded
from strongroom.audit import Action, Outcome
from strongroom.audit.ports import PLATFORM
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.http.rate_limit import Rate
from strongroom.identity.factors.service import CannotReadFactor
from strongroom.identity.jose import public_key
from strongroom.identity.login.errors import LoginRefused
from strongroom.identity.login.model import Visit
from strongroom.identity.people.model import PersonStatus
from strongroom.kernel.mode import Mode


@pytest_asyncio.fixture(loop_scope="session")
async def ground(databases: Databases) -> AsyncIterator[Ground]:
    async with grounded(databases) as made:
        yield made


def shape(answer: Any) -> Any:
    """An answer without what differs between any two."""
    body = answer.json() if hasattr(answer, "json") else answer
    return {
        "status": answer.status_code,
        "headers": sorted(set(answer.headers) - {"content-length"}),
        "body": {k: v for k, v in body.items() if k not in ("handle", "expires_at", "request_id")},
    }


async def test_password_and_code_begin_a_session(ground: Ground) -> None:
    person = await ground.person()
    app, _ = await ground.app(person)
    answer = await ground.log_in(person, app)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 300)
    session = ground.sessions.open[body["session"]]
    assert session.mode is Mode.TEST
    assert session.methods == {"pwd", "otp", "mfa"}
    (record,) = await ground.records(Action.IDENTITY_LOGIN_SUCCEEDED)
    assert (record.actor, record.object, record.mode) == (
        person.person_id,
        person.person_id,
        Mode.TEST,
    )
    assert (record.details, record.outcome) == ({"method": "totp"}, Outcome.SUCCESS)
    used = await ground.value(
        "select last_used_at from identity.person where person_id = $1", person.person_id
    )
    assert used == ground.clock.now()
    assert ground.metric("logins", method="totp", outcome="succeeded", reason="none") == 1


async def test_somebody_of_the_platform_logs_in(ground: Ground) -> None:
    person = await ground.person(merchant=PLATFORM)
    app, _ = await ground.app(person)
    assert (await ground.log_in(person, app)).status_code == 200
    (record,) = await ground.records(Action.IDENTITY_LOGIN_SUCCEEDED, merchant=PLATFORM)
    assert record.merchant is None


async def test_an_address_in_other_letters_is_the_same(ground: Ground) -> None:
    person = await ground.person()
    app, _ = await ground.app(person)
    handle = await ground.begin(person.email.upper())
    assert (await ground.finish(handle, app.code())).status_code == 200


# --- nothing is told before both were shown -----------------------------------------------------------


async def wrong_ways(ground: Ground) -> dict[str, tuple[str, str, str]]:
    """Every way to fail: e-mail, password, code."""
    person, suspended, invited, codeless = [await ground.person() for _ in range(4)]
    app, _ = await ground.app(person)
    theirs, _ = await ground.app(suspended)
    await ground.suspend(suspended)
    await ground.databases.run(
        Domain.CORE,
        f"update identity.person set status = '{PersonStatus.INVITED}' where person_id = '{invited.person_id}'",
    )
    right, wrong = app.code(), f"{(int(app.code()) + 1) % 10**6:06}"
    return {
        "unknown": ("nobody@shop.example", PASSWORD, right),
        "wrong password": (person.email, WRONG, right),
        "wrong code": (person.email, PASSWORD, wrong),
        "both wrong": (person.email, WRONG, wrong),
        "no app": (codeless.email, PASSWORD, right),
        "suspended": (suspended.email, PASSWORD, theirs.code()),
        "invited": (invited.email, PASSWORD, right),
        "no code at all": (person.email, PASSWORD, "x"),
    }


async def test_every_failure_is_answered_alike_and_only_in_the_end(ground: Ground) -> None:
    begun, ended, work = {}, {}, {}
    for way, (email, password, code) in (await wrong_ways(ground)).items():
        caller = ground.caller()
        computed = ground.passwords.computed
        body = {"email": email, "password": password, "mode": "test"}
        first = await caller.post("/v1/login", body)
        work[way] = ground.passwords.computed - computed
        begun[way] = shape(first)
        assert len(first.json()["handle"]) == 43
        ended[way] = shape(await ground.finish(first.json()["handle"], code))
    right = shape(
        await ground.caller().post(
            "/v1/login",
            {"email": (await ground.person()).email, "password": PASSWORD, "mode": "test"},
        )
    )
    assert all(each == right for each in begun.values()), begun
    (one,) = {json.dumps(each) for each in ended.values()}
    assert json.loads(one)["body"]["code"] == "login_refused"
    assert json.loads(one)["status"] == 401
    # Equal work: one argon2 each, whoever it was.
    assert set(work.values()) == {1}


async def test_the_database_is_asked_the_same_of_somebody_and_of_nobody(ground: Ground) -> None:
    """But for the record that somebody's failure has, and that nobody's have together."""
    person = await ground.person()
    await ground.app(person)
    asked = ground.database.asked

    async def steps(email: str, password: str) -> tuple[list[str], list[str]]:
        asked.clear()
        handle = await ground.begin(email, password)
        first = [name for name in asked if name != "insert_event"]
        asked.clear()
        await ground.finish(handle, "000000")
        return first, [name for name in asked if name != "insert_event"]

    await steps(
        person.email, WRONG
    )  # an address that is new today is put down once, whoever it tries
    wrong, nobodys = await steps(person.email, WRONG), await steps("nobody@shop.example", WRONG)
    assert wrong == nobodys
    right = await steps(person.email, PASSWORD)
    assert right == wrong


async def test_every_failure_of_somebody_has_a_record(ground: Ground) -> None:
    ways = await wrong_ways(ground)
    for email, password, code in ways.values():
        await ground.finish(await ground.begin(email, password), code)
    records = await ground.records(Action.IDENTITY_LOGIN_FAILED)
    told = [(record.details["method"], record.details["reason"]) for record in records]
    assert told == [
        ("password", "password"),  # wrong password: the first step, and what came of the second
        ("totp", "password"),
        ("totp", "code"),
        ("password", "password"),
        ("totp", "password"),
        ("totp", "code"),
        ("password", "suspended"),
        ("totp", "suspended"),
        ("password", "suspended"),
        ("totp", "suspended"),
        ("totp", "code"),
    ]
    assert {(record.actor, record.outcome) for record in records} == {("anonymous", Outcome.FAILED)}
    assert all(record.object is not None and record.request_hash for record in records)


async def test_nobodys_failures_are_counted_together(ground: Ground) -> None:
    for number in range(30):
        await ground.finish(await ground.begin(f"nobody{number}@shop.example"), "123456")
    await ground.denials.flush(final=True)
    records = await ground.records(merchant=PLATFORM)
    assert {record.action for record in records} == {Action.HTTP_REQUEST_DENIED}
    counts: dict[str, int] = {}
    for record in records:
        reason = str(record.details["reason"])
        counts[reason] = counts.get(reason, 0) + int(record.details["count"])
    assert counts == {
        "login_unknown": 90
    }  # the first step, the second, and the edge's own count of refusals
    assert len(records) == 2


async def test_a_handle_of_nobody_is_kept_like_any_other(ground: Ground) -> None:
    person = await ground.person()
    await ground.begin(person)
    await ground.begin(person, WRONG)
    await ground.begin("nobody@shop.example")
    rows = await ground.value(
        "select array_agg((merchant_id, account like 'usr_%', proved)::text) from identity.login"
    )
    assert sorted(rows) == sorted(
        [f"({person.merchant},t,t)", f"({person.merchant},t,f)", "(platform,f,f)"]
    )


# --- handles ------------------------------------------------------------------------------------------


async def test_a_handle_is_hashed_at_rest_and_ends_after_five_minutes(ground: Ground) -> None:
    person = await ground.person()
    app, _ = await ground.app(person)
    handle = await ground.begin(person)
    kept = await ground.value("select encode(handle_hash, 'escape') from identity.login")
    assert handle not in kept
    ground.clock.step(timedelta(seconds=299))
    other = await ground.begin(person)
    ground.clock.step(timedelta(seconds=1))
    assert (await ground.finish(handle, app.code())).status_code == 401
    assert (await ground.finish(other, app.code())).status_code == 200


async def test_a_handle_begins_one_session(ground: Ground) -> None:
    person = await ground.person()
    app, codes = await ground.app(person)
    handle = await ground.begin(person)
    answers = await asyncio.gather(
        ground.finish(handle, app.code()),
        ground.finish(handle, app.code(1)),
        *(ground.finish(handle, code, way="recovery") for code in codes[:4]),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401, 401, 401]
    assert len(ground.sessions.open) == 1


async def test_a_handle_is_no_persons_but_its_own(ground: Ground) -> None:
    """The app of one does not end the login of another."""
    ada, eve = await ground.person(), await ground.person()
    await ground.app(ada)
    hers, codes = await ground.app(eve)
    handle = await ground.begin(ada)
    assert (await ground.finish(handle, hers.code())).status_code == 401
    assert (await ground.finish(handle, codes[0], way="recovery")).status_code == 401


async def test_there_is_no_session_without_a_second_factor(ground: Ground) -> None:
    person = await ground.person()
    handle = await ground.begin(person)
    for way in ("totp", "recovery"):
        assert (await ground.finish(handle, "000000", way=way)).status_code == 401
    assert not ground.sessions.open


# --- each code once -----------------------------------------------------------------------------------


async def test_a_code_is_taken_once(ground: Ground) -> None:
    person = await ground.person()
    app, _ = await ground.app(person)
    assert (await ground.log_in(person, app)).status_code == 200
    assert (await ground.log_in(person, app)).status_code == 401
    ground.clock.step(timedelta(seconds=30))
    assert (await ground.log_in(person, app)).status_code == 200


async def test_of_many_that_show_one_code_at_once_exactly_one_passes(ground: Ground) -> None:
    person = await ground.person()
    app, _ = await ground.app(person)
    handles = [await ground.begin(person) for _ in range(8)]
    answers = await asyncio.gather(*(ground.finish(handle, app.code()) for handle in handles))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 7


async def test_of_many_that_show_one_recovery_code_at_once_exactly_one_passes(
    ground: Ground,
) -> None:
    person = await ground.person()
    _, codes = await ground.app(person)
    handles = [await ground.begin(person) for _ in range(8)]
    answers = await asyncio.gather(
        *(ground.finish(handle, codes[3], way="recovery") for handle in handles)
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 7


@pytest.mark.parametrize(("steps", "status"), [(-2, 401), (-1, 200), (0, 200), (1, 200), (2, 401)])
async def test_a_phones_clock_may_be_wrong_by_half_a_minute(
    ground: Ground, steps: int, status: int
) -> None:
    person = await ground.person()
    app, _ = await ground.app(person)
    ground.clock.step(timedelta(minutes=5))
    handle = await ground.begin(person)
    assert (await ground.finish(handle, app.code(steps))).status_code == status


async def test_recovery_codes_let_in_once_each(ground: Ground) -> None:
    person = await ground.person()
    _, codes = await ground.app(person)
    for number, code in enumerate(codes):
        handle = await ground.begin(person)
        typed = code.lower().replace("-", " ") if number % 2 else code
        answer = await ground.finish(handle, typed, way="recovery")
        assert answer.status_code == 200, answer.text
        assert answer.json()["recovery_codes_left"] == 9 - number
    for code in codes[:3]:
        handle = await ground.begin(person)
        assert (await ground.finish(handle, code, way="recovery")).status_code == 401
    records = await ground.records(Action.IDENTITY_RECOVERY_CODE_USED)
    assert [record.details["count"] for record in records] == list(range(9, -1, -1))
    assert ground.metric("logins", method="recovery_code", outcome="succeeded", reason="none") == 10


async def test_recovery_codes_are_kept_as_hashes(ground: Ground) -> None:
    person = await ground.person()
    app, codes = await ground.app(person)
    kept = await ground.value("select string_agg(c::text, '') from identity.recovery_code c")
    assert not any(code.replace("-", "") in kept or code in kept for code in codes)
    sealed = await ground.value("select sealed_secret from identity.totp")
    assert app.secret.encode() not in sealed


# --- what is sealed for one does not open for another ---------------------------------------------------


async def test_a_secret_moved_to_another_person_does_not_open(ground: Ground) -> None:
    ada, eve = await ground.person(), await ground.person()
    await ground.app(ada)
    hers, _ = await ground.app(eve)
    await ground.databases.run(
        Domain.CORE,
        "update identity.totp set sealed_secret = (select sealed_secret from identity.totp"
        f" where person_id = '{eve.person_id}') where person_id = '{ada.person_id}'",
    )
    handle = await ground.begin(ada)
    answer = await ground.finish(handle, hers.code())
    assert answer.status_code == 503
    assert answer.json()["code"] == CannotReadFactor.code
    assert not ground.sessions.open


# --- a key of the caller's own ------------------------------------------------------------------------


def proof(ground: Ground, key: EdKey, **changes: Any) -> dict[str, str]:
    claims = {
        "jti": new_id("req"),
        "htm": "POST",
        "htu": "https://console.test/v1/login/totp",
        "iat": int(ground.clock.now().timestamp()),
        **changes,
    }
    header = {"alg": key.algorithm, "typ": "dpop+jwt", "jwk": key.jwk}
    return {"dpop": jws(header, claims, key.sign)}


async def test_a_login_that_shows_a_key_begins_a_session_bound_to_it(ground: Ground) -> None:
    person, key = await ground.person(), EdKey()
    app, _ = await ground.app(person)
    shown = proof(ground, key)
    for headers, status in (
        (proof(ground, key, htu="https://elsewhere.test/v1/login/totp"), 401),
        (shown, 200),
        (shown, 401),  # a proof holds once
    ):
        body = {"handle": await ground.begin(person), "code": app.code()}
        answer = await ground.caller().post("/v1/login/totp", body, headers=headers)
        assert answer.status_code == status, answer.text
        ground.clock.step(timedelta(seconds=30 * (status == 200) + 1))
    (session,) = ground.sessions.open.values()
    assert session.thumbprint == public_key(key.jwk).thumbprint


# --- what others use ----------------------------------------------------------------------------------


async def visit(ground: Ground) -> Visit:
    origin = await ground.recorder.origin(PLATFORM, ADDRESS, "ab" * 32, ground.clock.now())
    return Visit(ADDRESS, "ab" * 32, origin)


async def test_a_passkey_ends_a_login_that_a_password_began(ground: Ground) -> None:
    person = await ground.person()
    logins, came = ground.parts.logins, await visit(ground)
    handle, wrong = await ground.begin(person), await ground.begin(person, WRONG)
    nobodys = await ground.begin("nobody@shop.example")
    async with ground.database.transaction() as tx:
        found = await logins.person_of(tx, handle)
        assert found is not None
        assert (found[0].person_id, found[1]) == (person.person_id, Mode.TEST)
        for other in (wrong, nobodys, "x"):
            assert await logins.person_of(tx, other) is None
    methods = ("pwd", "hwk", "user", "mfa")
    async with ground.database.transaction([person.merchant]) as tx:
        issued = await logins.finish(
            tx, person, Mode.LIVE, methods, came, method="passkey", handle=handle
        )
    assert issued.session in ground.sessions.open
    for other in (handle, wrong, nobodys):  # used, never proved, nobody's
        with pytest.raises(LoginRefused):
            async with ground.database.transaction([person.merchant]) as tx:
                await logins.finish(
                    tx, person, Mode.LIVE, methods, came, method="passkey", handle=other
                )
    (record,) = await ground.records(Action.IDENTITY_LOGIN_SUCCEEDED)
    assert (record.details, record.mode) == ({"method": "passkey"}, Mode.LIVE)


async def test_another_persons_handle_ends_nothing(ground: Ground) -> None:
    ada, eve = await ground.person(), await ground.person()
    handle = await ground.begin(ada)
    with pytest.raises(LoginRefused):
        async with ground.database.transaction([eve.merchant]) as tx:
            await ground.parts.logins.finish(
                tx, eve, Mode.TEST, ("mfa",), await visit(ground), method="passkey", handle=handle
            )


async def test_nobody_suspended_comes_in_whatever_they_show(ground: Ground) -> None:
    person = await ground.suspend(await ground.person())
    with pytest.raises(LoginRefused) as refused:
        async with ground.database.transaction([person.merchant]) as tx:
            await ground.parts.logins.finish(
                tx, person, Mode.TEST, ("mfa",), await visit(ground), method="sso"
            )
    assert refused.value.reason == "login_suspended"


async def test_nobody_of_a_suspended_merchant_comes_in(ground: Ground) -> None:
    person = await ground.person()
    app, _ = await ground.app(person)
    await ground.databases.run(Domain.CORE, "update identity.merchant set status = 'suspended'")
    assert (await ground.log_in(person, app)).status_code == 401
    (record,) = await ground.records(Action.IDENTITY_LOGIN_FAILED)
    assert record.details["reason"] == "merchant"


async def test_others_failures_are_recorded_in_the_same_place(ground: Ground) -> None:
    person, came = await ground.person(), await visit(ground)
    await ground.parts.logins.failed(person, came, method="passkey", reason="signature")
    await ground.parts.logins.failed(None, came, method="passkey", reason="unknown")
    (record,) = await ground.records(Action.IDENTITY_LOGIN_FAILED)
    assert record.details == {"method": "passkey", "reason": "signature"}
    assert ground.denials.waiting == 1
    assert ground.metric("logins", method="passkey", outcome="refused", reason="signature") == 1


# --- bounds -------------------------------------------------------------------------------------------


async def test_one_address_is_slowed_down(databases: Databases) -> None:
    async with grounded(databases, Rate(0.001, 5)) as ground:
        body = {"email": "nobody@shop.example", "password": PASSWORD}
        answers = [await ground.caller().post("/v1/login", body) for _ in range(7)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
        assert ground.passwords.computed == 5
        assert (await ground.caller(address=ELSEWHERE).post("/v1/login", body)).status_code == 200
        for path in ("login/totp", "login/recovery"):
            answer = await ground.caller().post(f"/v1/{path}", {"handle": "x", "code": "1"})
            assert answer.status_code == 429
        answer = await ground.caller().post("/v1/setup/totp", {"ticket": "x"})
        assert answer.status_code == 429


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": "a@b"},
        {"email": "", "password": "x"},
        {"email": "a" * 255, "password": "x"},
        {"email": "a@b", "password": "x" * 1025},
        {"email": "a@b", "password": "x", "mode": "prod"},
        {"email": "a@b", "password": "x", "more": 1},
    ],
)
async def test_what_has_not_the_form_is_refused_without_an_echo(
    ground: Ground, body: dict[str, Any]
) -> None:
    answer = await ground.caller().post("/v1/login", body)
    assert answer.status_code == 422
    assert "a" * 255 not in answer.text
    assert ground.passwords.computed == 0


async def test_a_zero_byte_is_an_address_that_nobody_has(ground: Ground) -> None:
    body = {"email": "ada\u0000@shop.example", "password": "x\u0000y", "mode": "test"}
    answer = await ground.caller().post("/v1/login", body)
    assert answer.status_code == 200
    handle = answer.json()["handle"]
    assert (await ground.finish(handle, "\u0000")).status_code == 401
    assert (await ground.finish("\u0000", "123456")).status_code == 401


async def test_no_secret_is_logged_or_recorded(ground: Ground) -> None:
    person = await ground.person()
    app, codes = await ground.app(person)
    secrets = [PASSWORD, WRONG, app.secret, *codes, app.code(), person.email]
    handle = await ground.begin(person, WRONG)
    await ground.finish(handle, app.code())
    secrets.append(handle)
    secrets.append(await ground.begin(person))
    await ground.finish(secrets[-1], codes[0], way="recovery")
    payloads = await ground.value(
        "select string_agg(convert_from(payload, 'UTF8'), '') from audit.event"
    )
    lines = b"".join(ground.lines.lines).decode()
    for secret in secrets:
        assert secret not in payloads
        assert secret not in lines


async def test_what_is_past_is_swept_out(ground: Ground) -> None:
    """By the server's own clock, whoever's it is: the tests' clock stands still."""
    person = await ground.person()
    for account in (person.email, "nobody@shop.example"):
        await ground.begin(account, WRONG)
    await ground.databases.run(
        Domain.CORE,
        "update identity.login set expires_at = now() - interval '2 hours'",
        "update identity.login_network set forget_at = now() - interval '2 hours'",
        "update identity.login_account set forget_at = now() - interval '2 hours'",
    )
    await ground.parts.lockouts.sweep()
    for table in ("login", "login_network", "login_account"):
        assert await ground.value(f"select count(*) from identity.{table}") == 0
    await ground.begin(person, WRONG)
    await ground.databases.run(
        Domain.CORE,
        "update identity.login set expires_at = now() + interval '1 minute'",
        "update identity.login_network set forget_at = now() + interval '1 day'",
        "update identity.login_account set forget_at = now() + interval '1 day'",
    )
    await ground.parts.lockouts.sweep()
    for table in ("login", "login_network", "login_account"):
        assert await ground.value(f"select count(*) from identity.{table}") == 1
