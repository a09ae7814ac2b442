# SPDX-License-Identifier: Apache-2.0
"""Step-up, and people's own factors, over the console's routes."""

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import timedelta

import pyotp
import pytest_asyncio

from database import Databases
from logging_in import App, Ground, grounded
from service import Caller
from strongroom.audit import Action, Outcome
from strongroom.identity.people.model import Person

LATER = timedelta(minutes=6)


@pytest_asyncio.fixture(loop_scope="session")
async def ground(databases: Databases) -> AsyncIterator[Ground]:
    async with grounded(databases) as made:
        yield made


async def stepped_up(ground: Ground, caller: Caller, app: App) -> Caller:
    """Step up; half a minute passes."""
    answer = await caller.post("/v1/step-up/totp", {"code": app.code()})
    assert answer.status_code == 200, answer.text
    ground.clock.step(timedelta(seconds=30))
    return ground.caller(answer.json()["access_token"])


async def at_home(ground: Ground) -> tuple[Person, App, list[str], Caller]:
    """Somebody who is logged in."""
    person = await ground.person()
    app, codes = await ground.app(person)
    return person, app, codes, await ground.logged_in(person, app)


# --- step-up ------------------------------------------------------------------------------------------


async def test_what_is_sensitive_asks_for_a_code_again_after_five_minutes(ground: Ground) -> None:
    person, app, _, caller = await at_home(ground)
    assert (await caller.post("/v1/own/recovery-codes")).status_code == 201
    ground.clock.step(LATER)
    answer = await caller.post("/v1/own/recovery-codes")
    assert (answer.status_code, answer.json()["code"]) == (401, "step_up_needed")
    assert "insufficient_user_authentication" in answer.headers["www-authenticate"]
    caller = await stepped_up(ground, caller, app)
    assert (await caller.post("/v1/own/recovery-codes")).status_code == 201
    (record,) = await ground.records(Action.IDENTITY_STEP_UP_SUCCEEDED)
    assert (record.actor, record.details) == (person.person_id, {"method": "totp"})
    assert record.object in ground.sessions.open
    assert ground.metric("step_ups", method="totp", outcome="succeeded") == 1


async def test_a_step_up_answers_with_an_access_token_alone(ground: Ground) -> None:
    _, app, _, caller = await at_home(ground)
    body = (await caller.post("/v1/step-up/totp", {"code": app.code()})).json()
    assert set(body) == {"object", "session", "token_type", "access_token", "expires_in"}


async def test_a_code_that_logged_in_does_not_step_up(ground: Ground) -> None:
    person = await ground.person()
    app, _ = await ground.app(person)
    answer = await ground.log_in(person, app)
    caller = ground.caller(answer.json()["access_token"])
    assert (await caller.post("/v1/step-up/totp", {"code": app.code()})).status_code == 401
    (record,) = await ground.records(Action.IDENTITY_STEP_UP_FAILED)
    assert (record.details, record.outcome) == (
        {"method": "totp", "reason": "code"},
        Outcome.FAILED,
    )


async def test_of_many_step_ups_with_one_code_exactly_one_passes(ground: Ground) -> None:
    _, app, _, caller = await at_home(ground)
    answers = await asyncio.gather(
        *(caller.post("/v1/step-up/totp", {"code": app.code()}) for _ in range(8))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 7


async def test_wrong_codes_count_for_the_lock_out(ground: Ground) -> None:
    person, app, _, caller = await at_home(ground)
    wrong = f"{(int(app.code()) + 1) % 10**6:06}"
    for _ in range(12):
        answer = await caller.post("/v1/step-up/totp", {"code": wrong})
        assert (answer.status_code, answer.json()["code"]) == (401, "step_up_refused")
    reasons = [
        record.details["reason"] for record in await ground.records(Action.IDENTITY_STEP_UP_FAILED)
    ]
    assert reasons == ["code"] * 10 + ["locked"] * 2
    assert (await caller.post("/v1/step-up/totp", {"code": app.code()})).status_code == 401
    assert (await ground.log_in(person, app)).status_code == 401
    assert len(await ground.records(Action.IDENTITY_LOGIN_LOCKED)) == 1


async def test_a_session_that_ended_does_not_step_up(ground: Ground) -> None:
    _, app, _, caller = await at_home(ground)
    ground.sessions.open.clear()
    assert (await caller.post("/v1/step-up/totp", {"code": app.code()})).status_code == 401


async def test_step_up_takes_a_session(ground: Ground) -> None:
    answer = await ground.caller().post("/v1/step-up/totp", {"code": "123456"})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


# --- own factors --------------------------------------------------------------------------------------


async def test_what_one_has_is_shown_without_secrets(ground: Ground) -> None:
    _, app, codes, caller = await at_home(ground)
    body = (await caller.get("/v1/own/factors")).json()
    assert body["totp"]["active"]
    assert body["recovery_codes"]["left"] == 10
    assert app.secret not in str(body)
    assert codes[0] not in str(body)


async def test_an_enrolment_is_an_uri_and_a_picture_of_it(ground: Ground) -> None:
    person, _, _, caller = await at_home(ground)
    body = (await caller.post("/v1/own/totp")).json()
    read = pyotp.parse_uri(body["uri"])
    assert isinstance(read, pyotp.TOTP)
    assert (read.secret, read.name) == (body["secret"], person.email)
    assert len(base64.b32decode(body["secret"])) == 20
    assert base64.b64decode(body["qr_png"]).startswith(b"\x89PNG")


async def test_a_new_app_takes_over_when_it_has_shown_a_code(ground: Ground) -> None:
    person, old, codes, caller = await at_home(ground)
    second = await ground.logged_in(person, old)  # a session elsewhere
    new = App((await caller.post("/v1/own/totp")).json()["secret"], ground.clock)
    assert (await ground.log_in(person, new)).status_code == 401  # not yet
    assert (await ground.log_in(person, old)).status_code == 200
    answer = await caller.post("/v1/own/totp/confirm", {"code": new.code()})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"object": "totp", "active": True, "recovery_codes": None}
    assert (
        await ground.log_in(person, new)
    ).status_code == 401  # the code that confirmed is used up
    ground.clock.step(timedelta(seconds=30))
    assert (await ground.log_in(person, old)).status_code == 401
    assert (await ground.log_in(person, new)).status_code == 200
    assert (await caller.get("/v1/own/factors")).status_code == 200
    assert (await second.get("/v1/own/factors")).status_code == 401  # ended
    added = await ground.records(Action.IDENTITY_FACTOR_ADDED)
    assert [record.details["result"] for record in added] == ["first", "replaced"]
    handle = await ground.begin(person)
    assert (await ground.finish(handle, codes[0], way="recovery")).status_code == 200


async def test_a_wrong_code_confirms_nothing(ground: Ground) -> None:
    _, old, _, caller = await at_home(ground)
    await caller.post("/v1/own/totp")
    answer = await caller.post("/v1/own/totp/confirm", {"code": old.code()})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == "code_wrong"


async def test_an_enrolment_waits_a_quarter_of_an_hour(ground: Ground) -> None:
    _, _, _, caller = await at_home(ground)
    new = App((await caller.post("/v1/own/totp")).json()["secret"], ground.clock)
    ground.clock.step(timedelta(seconds=901))
    answer = await caller.post("/v1/own/totp/confirm", {"code": new.code()})
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_to_confirm")


async def test_the_last_enrolment_counts(ground: Ground) -> None:
    _, _, _, caller = await at_home(ground)
    first = App((await caller.post("/v1/own/totp")).json()["secret"], ground.clock)
    second = App((await caller.post("/v1/own/totp")).json()["secret"], ground.clock)
    assert (await caller.post("/v1/own/totp/confirm", {"code": first.code()})).status_code == 422
    assert (await caller.post("/v1/own/totp/confirm", {"code": second.code()})).status_code == 200
    answer = await caller.post("/v1/own/totp/confirm", {"code": second.code(1)})
    assert answer.status_code == 409


async def test_the_last_factor_stays(ground: Ground) -> None:
    person, app, _, caller = await at_home(ground)
    answer = await caller.delete("/v1/own/totp")
    assert (answer.status_code, answer.json()["code"]) == (409, "last_factor")
    ground.passkeys.of[person.person_id] = 1
    assert (await caller.delete("/v1/own/totp")).status_code == 204
    assert (await caller.delete("/v1/own/totp")).status_code == 404
    assert (await ground.log_in(person, app)).status_code == 401
    (record,) = await ground.records(Action.IDENTITY_FACTOR_REMOVED)
    assert (record.actor, record.details) == (person.person_id, {"method": "totp"})


async def test_new_recovery_codes_end_the_old(ground: Ground) -> None:
    person, _, old, caller = await at_home(ground)
    new = (await caller.post("/v1/own/recovery-codes")).json()["codes"]
    assert len(set(new) | set(old)) == 20
    for code, status in ((old[0], 401), (new[0], 200)):
        handle = await ground.begin(person)
        assert (await ground.finish(handle, code, way="recovery")).status_code == status
    made = await ground.records(Action.IDENTITY_RECOVERY_CODES_MADE)
    assert [record.details["count"] for record in made] == [10, 10]


async def test_changing_factors_takes_a_step_up(ground: Ground) -> None:
    _, _, _, caller = await at_home(ground)
    ground.clock.step(LATER)
    for answer in (
        await caller.post("/v1/own/totp"),
        await caller.delete("/v1/own/totp"),
        await caller.post("/v1/own/recovery-codes"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (401, "step_up_needed")


async def test_a_reset_takes_everything(ground: Ground) -> None:
    person, app, codes, _ = await at_home(ground)
    async with ground.database.transaction([person.merchant]) as tx:
        assert await ground.parts.factors.clear(tx, person) == 2
        assert await ground.parts.factors.clear(tx, person) == 0
    assert (await ground.log_in(person, app)).status_code == 401
    handle = await ground.begin(person)
    assert (await ground.finish(handle, codes[0], way="recovery")).status_code == 401


# --- set-up links -------------------------------------------------------------------------------------


async def test_a_ticket_sets_up_once(ground: Ground) -> None:
    person = await ground.person()
    ticket = ground.tickets.new(person)
    caller = ground.caller()
    secret = (await caller.post("/v1/setup/totp", {"ticket": ticket})).json()["secret"]
    app = App(secret, ground.clock)
    body = {"ticket": ticket, "code": app.code()}
    answers = await asyncio.gather(*(caller.post("/v1/setup/totp/confirm", body) for _ in range(5)))
    assert min(answer.status_code for answer in answers) == 200
    assert all(answer.status_code in (401, 409) for answer in answers if answer.status_code != 200)
    assert sum(answer.status_code == 200 for answer in answers) == 1
    (first,) = [answer for answer in answers if answer.status_code == 200]
    assert len(first.json()["recovery_codes"]) == 10
    assert (await caller.post("/v1/setup/totp", {"ticket": ticket})).status_code == 401
    assert len(await ground.records(Action.IDENTITY_FACTOR_ADDED)) == 1


async def test_a_ticket_that_is_none_sets_up_nothing(ground: Ground) -> None:
    for path, body in (("totp", {}), ("totp/confirm", {"code": "123456"})):
        answer = await ground.caller().post(f"/v1/setup/{path}", {"ticket": "x", **body})
        assert (answer.status_code, answer.json()["code"]) == (401, "ticket_refused")


async def test_without_a_password_nothing_is_finished(ground: Ground) -> None:
    person = await ground.person()
    ground.tickets.passwordless.add(person.person_id)
    ticket = ground.tickets.new(person)
    caller = ground.caller()
    enrolled = (await caller.post("/v1/setup/totp", {"ticket": ticket})).json()
    body = {"ticket": ticket, "code": App(enrolled["secret"], ground.clock).code()}
    assert (await caller.post("/v1/setup/totp/confirm", body)).status_code == 409
    assert await ground.value("select count(*) from identity.totp where state = 'active'") == 0
    assert not await ground.records(Action.IDENTITY_FACTOR_ADDED)
    ground.tickets.passwordless.clear()
    assert (await caller.post("/v1/setup/totp/confirm", body)).status_code == 200
