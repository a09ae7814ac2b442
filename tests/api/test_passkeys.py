# SPDX-License-Identifier: Apache-2.0
"""Passkeys over HTTP, with an authenticator in software that lies on request. A browser's turn is tests/browser."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import pytest_asyncio
from openapi_spec_validator import validate

from database import Databases, Server, fresh_databases
from passkey_examples import passkey_body
from people_ground import CONSOLE_ORIGIN, PeopleGround, people_ground
from soft_authenticator import (
    BACKED_UP,
    BOTH,
    ELIGIBLE,
    PRESENT,
    VERIFIED,
    SoftAuthenticator,
    b64,
    unb64,
)
from strongroom.audit import PLATFORM
from strongroom.db.logins import Domain, Login
from strongroom.http.openapi import openapi_document
from strongroom.identity.passkeys import api as passkeys_api
from strongroom.identity.people.model import Person, PersonStatus
from strongroom.kernel.clock import SteppedClock
from strongroom.kernel.principal import Role


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def clock() -> SteppedClock:
    return SteppedClock(datetime.now(UTC))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ground(
    databases: Databases, clock: SteppedClock, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[PeopleGround]:
    folder: Path = tmp_path_factory.mktemp("passkeys")
    async with people_ground(databases, folder, clock=clock) as lent:
        yield lent


async def last(ground: PeopleGround, action: str) -> dict[str, Any]:
    return (await ground.records(action))[-1]


async def refused(ground: PeopleGround, answer: Any, reason: str) -> None:
    """One answer for every reason; the record alone says which."""
    assert answer.status_code == 401
    assert answer.json()["code"] == "passkey_not_accepted"
    assert reason not in answer.text
    assert ground.counted.logins[-1] == ("passkey", "denied", reason)
    record = await last(ground, "identity.login.failed")
    assert record["details"]["reason"] == reason
    assert (record["outcome"], record["actor"]) == ("denied", "anonymous")


# --- registering ---------------------------------------------------------------------------------------


async def test_options_ask_for_a_discoverable_passkey_with_user_verification(
    ground: PeopleGround,
) -> None:
    person = await ground.person()
    answer = await (await ground.session(person)).post("/v1/own/passkeys/options")
    asked = answer.json()["public_key"]
    assert asked["authenticatorSelection"] == {
        "residentKey": "required",
        "requireResidentKey": True,
        "userVerification": "required",
    }
    assert asked["rp"]["id"] == "console.example"
    assert asked["attestation"] == "none"
    assert asked["user"]["id"] == b64(person.person_id.encode())
    assert len(asked["challenge"]) == 43


async def test_a_passkey_is_kept_with_its_record_and_without_anything_secret(
    ground: PeopleGround,
) -> None:
    person = await ground.person()
    authenticator = ground.authenticator(flags=BOTH | ELIGIBLE | BACKED_UP)
    kept = await ground.enrolled(person, authenticator, "  my phone ")
    assert kept["name"] == "my phone"
    assert (kept["backup_eligible"], kept["backed_up"]) == (True, True)
    assert (kept["attestation"], kept["transports"]) == ("none", ["internal"])
    record = await last(ground, "identity.factor.added")
    assert record["actor"] == person.person_id
    assert record["object"] == kept["id"]
    assert record["details"] == {"method": "passkey"}
    listed = await (await ground.session(person)).get("/v1/own/passkeys")
    assert [each["id"] for each in listed.json()["data"]] == [kept["id"]]


async def test_a_person_has_several_and_each_logs_in(ground: PeopleGround) -> None:
    person = await ground.person()
    first, second = ground.authenticator(), ground.authenticator()
    await ground.enrolled(person, first)
    await ground.enrolled(person, second, "another")
    for each in (first, second):
        answer = await ground.log_in(each.get(await ground.login_options()))
        assert answer.status_code == 200, answer.text
    options = await (await ground.session(person)).post("/v1/own/passkeys/options")
    assert len(options.json()["public_key"]["excludeCredentials"]) == 2


async def test_registering_asks_for_a_step_up(ground: PeopleGround, clock: SteppedClock) -> None:
    caller = await ground.session(await ground.person())
    options = (await caller.post("/v1/own/passkeys/options")).json()["public_key"]
    made = ground.authenticator().create(options)
    clock.step(timedelta(seconds=301))
    for path, body in (
        ("/v1/own/passkeys/options", None),
        ("/v1/own/passkeys", {"name": "late", "credential": made}),
    ):
        answer = await caller.post(path, body)
        assert answer.status_code == 401
        assert answer.json()["code"] == "step_up_needed"


@pytest.mark.parametrize(
    ("lie", "sentence"),
    [
        ({"origin": "https://console.example.evil.example"}, None),
        ({"origin": "http://console.example"}, None),
        ({"rp_id": "evil.example"}, None),
        ({"kind": "webauthn.get"}, None),
        ({"crossOrigin": True}, None),
        ({"topOrigin": "https://evil.example"}, None),
        ({"challenge": b64(bytes(32))}, None),
        ({"flags": PRESENT}, "did not check that it was you"),
        ({"flags": VERIFIED}, None),
        ({"flags": BOTH | BACKED_UP}, None),
        ({"rk": False}, "found without a user name"),
    ],
    ids=str,
)
async def test_what_is_not_a_registration_here_is_refused(
    ground: PeopleGround, lie: dict[str, Any], sentence: str | None
) -> None:
    person = await ground.person()
    caller = await ground.session(person)
    options = (await caller.post("/v1/own/passkeys/options")).json()["public_key"]
    made = ground.authenticator().create(options, **lie)
    answer = await caller.post("/v1/own/passkeys", {"name": "no", "credential": made})
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] == "passkey_refused"
    assert sentence is None or sentence in answer.json()["detail"]
    record = await last(ground, "identity.factor.added")
    assert (record["outcome"], record["object"]) == ("denied", person.person_id)
    assert (await caller.get("/v1/own/passkeys")).json()["data"] == []


async def test_a_registration_cannot_be_replayed(ground: PeopleGround) -> None:
    caller = await ground.session(await ground.person())
    options = (await caller.post("/v1/own/passkeys/options")).json()["public_key"]
    body = {"name": "one", "credential": ground.authenticator().create(options)}
    assert (await caller.post("/v1/own/passkeys", body)).status_code == 201
    assert (await caller.post("/v1/own/passkeys", body)).status_code == 422


async def test_another_sessions_challenge_is_none(ground: PeopleGround) -> None:
    """Neither another person's nor another session of the same person, nor one for another purpose."""
    person = await ground.person()
    caller, other_session = await ground.session(person), await ground.session(person)
    other_person = await ground.session(await ground.person(person.merchant))
    challenges = [
        (await other_session.post("/v1/own/passkeys/options")).json()["public_key"],
        (await other_person.post("/v1/own/passkeys/options")).json()["public_key"],
    ]
    own = (await caller.post("/v1/own/passkeys/options")).json()["public_key"]
    stepping = (await caller.post("/v1/step-up/passkey/options")).json()["public_key"]
    for challenge in [each["challenge"] for each in (*challenges, stepping)]:
        made = ground.authenticator().create({**own, "challenge": challenge})
        answer = await caller.post("/v1/own/passkeys", {"name": "no", "credential": made})
        assert answer.status_code == 422


async def test_only_the_newest_challenge_of_a_session_counts(ground: PeopleGround) -> None:
    caller = await ground.session(await ground.person())
    older = (await caller.post("/v1/own/passkeys/options")).json()["public_key"]
    await caller.post("/v1/own/passkeys/options")
    made = ground.authenticator().create(older)
    answer = await caller.post("/v1/own/passkeys", {"name": "no", "credential": made})
    assert answer.status_code == 422


async def test_a_credential_belongs_to_one_person(ground: PeopleGround) -> None:
    """Somebody who learns another's credential id cannot take it over by registering it."""
    victim, authenticator = await ground.person(), ground.authenticator()
    await ground.enrolled(victim, authenticator)
    caller = await ground.session(await ground.person())
    options = (await caller.post("/v1/own/passkeys/options")).json()["public_key"]
    thief = ground.authenticator()
    made = thief.create(options)
    stolen = authenticator.credentials[0].credential_id
    thief.credentials.clear()
    # The same authenticator data with the victim's credential id in it.
    data = made["response"]["attestationObject"]
    raw = unb64(data).replace(unb64(made["rawId"]), stolen)
    made = {**made, "id": b64(stolen), "rawId": b64(stolen)}
    made["response"] = {**made["response"], "attestationObject": b64(raw)}
    answer = await caller.post("/v1/own/passkeys", {"name": "mine now", "credential": made})
    assert (answer.status_code, answer.json()["code"]) == (409, "passkey_known")
    assert (await ground.log_in(authenticator.get(await ground.login_options()))).status_code == 200


@pytest.mark.parametrize("name", ["", "   ", "a\nb", "x" * 61, "4242 4242 4242 4242"])
async def test_a_name_is_printable_and_short(ground: PeopleGround, name: str) -> None:
    caller = await ground.session(await ground.person())
    options = (await caller.post("/v1/own/passkeys/options")).json()["public_key"]
    made = ground.authenticator().create(options)
    answer = await caller.post("/v1/own/passkeys", {"name": name, "credential": made})
    assert answer.status_code == 422
    # A wrong name does not use the challenge up.
    answer = await caller.post("/v1/own/passkeys", {"name": "right", "credential": made})
    assert answer.status_code == 201


# --- logging in ------------------------------------------------------------------------------------------


async def enrolled(ground: PeopleGround, **more: Any) -> tuple[Person, SoftAuthenticator]:
    person, authenticator = await ground.person(), ground.authenticator(**more)
    await ground.enrolled(person, authenticator)
    return person, authenticator


@pytest.mark.parametrize("mode", ["test", "live"])
async def test_a_passkey_is_a_login_with_two_factors(ground: PeopleGround, mode: str) -> None:
    person, authenticator = await enrolled(ground)
    answer = await ground.log_in(authenticator.get(await ground.login_options()), mode)
    assert answer.status_code == 200, answer.text
    tokens = answer.json()
    assert ground.counted.logins[-1] == ("passkey", "success", "proven")
    assert set(tokens) == {
        "object",
        "access_token",
        "token_type",
        "expires_in",
        "refresh_token",
        "session",
    }
    held = ground.sessions.held[tokens["session"]]
    assert held.person.person_id == person.person_id
    assert held.methods == {"hwk", "user", "mfa"}
    assert held.mode == mode
    record = await last(ground, "identity.login.succeeded")
    assert (record["actor"], record["merchant"], record["mode"]) == (
        person.person_id,
        person.merchant,
        mode,
    )
    row = await ground.service.look(
        Domain.CORE,
        "select last_used_at from identity.passkey where person_id = $1",
        held.person.person_id,
    )
    assert row[0]["last_used_at"] == ground.clock.now()


async def test_what_cannot_be_recorded_does_not_happen(ground: PeopleGround) -> None:
    """Promise 3: no passkey, no login and no removal without its record."""
    person, authenticator = await enrolled(ground)
    kept = await ground.enrolled(person, ground.authenticator(), "another")
    caller = await ground.session(person)
    asked = (await caller.post("/v1/own/passkeys/options")).json()["public_key"]
    body = {"name": "unrecorded", "credential": ground.authenticator().create(asked)}
    proof = authenticator.get(await ground.login_options())
    before = len(ground.sessions.held)
    columns = "(event_id, merchant_id, mode, payload, leaf_hash, row_mac)"
    await ground.service.look(
        Domain.CORE, f"revoke insert {columns} on audit.event from strongroom_console"
    )
    try:
        answers = [
            await caller.post("/v1/own/passkeys", body),
            await ground.log_in(proof),
            await caller.delete(f"/v1/own/passkeys/{kept['id']}"),
        ]
    finally:
        await ground.service.look(
            Domain.CORE, f"grant insert {columns} on audit.event to strongroom_console"
        )
    assert all(answer.status_code >= 500 for answer in answers)
    assert len(ground.sessions.held) == before
    own = (await caller.get("/v1/own/passkeys")).json()["data"]
    assert [each["name"] for each in own] == ["blue key", "another"]
    # Nothing of it happened: not even the challenges are used up.
    assert (await caller.post("/v1/own/passkeys", body)).status_code == 201
    assert (await ground.log_in(proof)).status_code == 200


async def test_a_person_of_the_platform_logs_in(ground: PeopleGround) -> None:
    person = await ground.person(PLATFORM)
    authenticator = ground.authenticator()
    await ground.enrolled(person, authenticator)
    answer = await ground.log_in(authenticator.get(await ground.login_options()))
    assert answer.status_code == 200, answer.text
    assert (await last(ground, "identity.login.succeeded"))["merchant"] is None


LIES: list[tuple[str, dict[str, Any]]] = [
    ("origin_wrong", {"origin": "https://console.example.evil.example"}),
    ("origin_wrong", {"origin": "https://console.example:444"}),
    ("origin_wrong", {"crossOrigin": True}),
    ("relying_party_wrong", {"rp_id": "evil.example"}),
    ("ceremony_wrong", {"kind": "webauthn.create"}),
    ("challenge_unknown", {"challenge": b64(bytes(32))}),
    ("user_not_verified", {"flags": PRESENT}),
    ("user_not_present", {"flags": VERIFIED}),
    ("backup_eligibility_changed", {"flags": BOTH | ELIGIBLE}),
    ("user_handle_missing", {"user_handle": None}),
    ("user_handle_wrong", {"user_handle": b64(b"usr_01KAHX3MZ4V8Q2T6N0R5W7Y9CB")}),
]


@pytest.mark.parametrize(("reason", "lie"), LIES, ids=str)
async def test_what_is_not_a_login_here_is_refused(
    ground: PeopleGround, reason: str, lie: dict[str, Any]
) -> None:
    _, authenticator = await enrolled(ground)
    before = len(ground.sessions.held)
    answer = await ground.log_in(authenticator.get(await ground.login_options(), **lie))
    await refused(ground, answer, reason)
    assert len(ground.sessions.held) == before


async def test_another_keys_signature_is_refused(ground: PeopleGround) -> None:
    _, authenticator = await enrolled(ground)
    _, other = await enrolled(ground)
    answer = await ground.log_in(
        authenticator.get(await ground.login_options(), key=other.credentials[0].key)
    )
    await refused(ground, answer, "signature_wrong")


async def test_a_login_cannot_be_replayed(ground: PeopleGround) -> None:
    _, authenticator = await enrolled(ground)
    proof = authenticator.get(await ground.login_options())
    assert (await ground.log_in(proof)).status_code == 200
    await refused(ground, await ground.log_in(proof), "challenge_unknown")


async def test_of_many_that_replay_at_once_one_logs_in(ground: PeopleGround) -> None:
    _, authenticator = await enrolled(ground)
    proof = authenticator.get(await ground.login_options())
    answers = await asyncio.gather(*(ground.log_in(proof) for _ in range(8)))
    assert sorted(each.status_code for each in answers) == [200, *[401] * 7]


async def test_a_challenge_is_used_up_by_a_proof_that_fails(ground: PeopleGround) -> None:
    _, authenticator = await enrolled(ground)
    options = await ground.login_options()
    await refused(
        ground, await ground.log_in(authenticator.get(options, flags=PRESENT)), "user_not_verified"
    )
    await refused(ground, await ground.log_in(authenticator.get(options)), "challenge_unknown")


async def test_a_challenge_of_a_strangers_credential_is_used_up(ground: PeopleGround) -> None:
    _, authenticator = await enrolled(ground)
    stranger = ground.authenticator()
    options = await ground.login_options()
    creation = {"rp": {"id": options["rpId"]}, "user": {"id": "dXNy"}, **options}
    stranger.create(creation)
    answer = await ground.log_in(stranger.get(options))
    assert (answer.status_code, answer.json()["code"]) == (401, "passkey_not_accepted")
    await refused(ground, await ground.log_in(authenticator.get(options)), "challenge_unknown")


async def test_a_challenge_lives_five_minutes(ground: PeopleGround, clock: SteppedClock) -> None:
    _, authenticator = await enrolled(ground)
    options = await ground.login_options()
    clock.step(timedelta(seconds=299))
    assert (await ground.log_in(authenticator.get(options))).status_code == 200
    options = await ground.login_options()
    clock.step(timedelta(seconds=300))
    await refused(ground, await ground.log_in(authenticator.get(options)), "challenge_unknown")


async def test_a_counter_that_goes_back_is_refused_recorded_and_told(ground: PeopleGround) -> None:
    person, authenticator = await enrolled(ground, counts=True)
    for _ in range(2):
        assert (
            await ground.log_in(authenticator.get(await ground.login_options()))
        ).status_code == 200
    for counter in (0, 1, 2):
        options = await ground.login_options()
        answer = await ground.log_in(authenticator.get(options, counter=counter))
        await refused(ground, answer, "counter_went_back")
    record = await last(ground, "identity.login.failed")
    assert record["details"]["severity"] == "high"
    alerts = [line for line in ground.service.log_text().splitlines() if "passkey_copied" in line]
    assert len(alerts) == 3
    assert all(person.person_id in line and '"level":"error"' in line for line in alerts)
    answer = await ground.log_in(authenticator.get(await ground.login_options(), counter=9))
    assert answer.status_code == 200, "what was refused changed nothing"


@pytest.mark.parametrize("status", [PersonStatus.SUSPENDED, PersonStatus.INVITED])
async def test_somebody_who_is_not_active_does_not_log_in(
    ground: PeopleGround, status: PersonStatus
) -> None:
    person, authenticator = await enrolled(ground)
    await ground.set_status(person, status)
    answer = await ground.log_in(authenticator.get(await ground.login_options()))
    await refused(ground, answer, "person_not_active")


async def test_nobody_of_a_suspended_merchant_logs_in(ground: PeopleGround) -> None:
    person, authenticator = await enrolled(ground)
    await ground.service.look(
        Domain.CORE,
        "update identity.merchant set status = 'suspended' where merchant_id = $1",
        person.merchant,
    )
    answer = await ground.log_in(authenticator.get(await ground.login_options()))
    await refused(ground, answer, "merchant_suspended")


async def test_challenges_are_kept_as_hashes_only_and_forgotten(
    ground: PeopleGround, clock: SteppedClock
) -> None:
    challenge = unb64((await ground.login_options())["challenge"])
    rows = await ground.service.look(
        Domain.CORE, "select * from identity.passkey_challenge where purpose = 'login'"
    )
    assert sha256(challenge).digest() in [row["challenge_hash"] for row in rows]
    assert not any(
        challenge in value for row in rows for value in row.values() if isinstance(value, bytes)
    )
    clock.step(timedelta(seconds=301))
    await ground.login_options()
    (count,) = await ground.service.look(
        Domain.CORE, "select count(*) from identity.passkey_challenge where purpose = 'login'"
    )
    assert count["count"] == 1


# --- stepping up -------------------------------------------------------------------------------------------


async def test_a_session_steps_up(ground: PeopleGround, clock: SteppedClock) -> None:
    person, authenticator = await enrolled(ground)
    caller = await ground.session(person)
    clock.step(timedelta(seconds=301))
    assert (await caller.post("/v1/own/passkeys/options")).json()["code"] == "step_up_needed"
    options = (await caller.post("/v1/step-up/passkey/options")).json()["public_key"]
    assert [each["id"] for each in options["allowCredentials"]] == [
        b64(authenticator.credentials[0].credential_id)
    ]
    # An authenticator need not tell whose a passkey is that was asked for by its id.
    proof = authenticator.get(options, user_handle=None)
    answer = await caller.post("/v1/step-up/passkey", {"credential": proof})
    assert answer.status_code == 200, answer.text
    fresh = ground.caller(answer.json()["access_token"])
    assert (await fresh.post("/v1/own/passkeys/options")).status_code == 200
    assert (await last(ground, "identity.step_up.succeeded"))["actor"] == person.person_id


async def test_another_persons_passkey_does_not_step_up(ground: PeopleGround) -> None:
    person, _ = await enrolled(ground)
    colleague, theirs = await ground.person(person.merchant), ground.authenticator()
    await ground.enrolled(colleague, theirs)
    _, of_another_tenant = await enrolled(ground)
    caller = await ground.session(person)
    for authenticator in (theirs, of_another_tenant):
        options = (await caller.post("/v1/step-up/passkey/options")).json()["public_key"]
        answer = await caller.post(
            "/v1/step-up/passkey", {"credential": authenticator.get(options)}
        )
        assert (answer.status_code, answer.json()["code"]) == (401, "passkey_not_accepted")
        record = await last(ground, "identity.step_up.failed")
        assert record["details"]["reason"] == "passkey_not_theirs"
        assert record["actor"] == person.person_id


async def test_a_step_up_belongs_to_its_session_and_is_no_login(ground: PeopleGround) -> None:
    person, authenticator = await enrolled(ground)
    first, second = await ground.session(person), await ground.session(person)
    options = (await first.post("/v1/step-up/passkey/options")).json()["public_key"]
    answer = await second.post("/v1/step-up/passkey", {"credential": authenticator.get(options)})
    assert answer.status_code == 401
    options = (await first.post("/v1/step-up/passkey/options")).json()["public_key"]
    await refused(ground, await ground.log_in(authenticator.get(options)), "challenge_unknown")
    login = authenticator.get(await ground.login_options())
    answer = await first.post("/v1/step-up/passkey", {"credential": login})
    assert answer.status_code == 401


async def test_stepping_up_without_user_verification_is_refused(ground: PeopleGround) -> None:
    person, authenticator = await enrolled(ground)
    caller = await ground.session(person)
    options = (await caller.post("/v1/step-up/passkey/options")).json()["public_key"]
    proof = authenticator.get(options, flags=PRESENT)
    assert (await caller.post("/v1/step-up/passkey", {"credential": proof})).status_code == 401
    record = await last(ground, "identity.step_up.failed")
    assert record["details"]["reason"] == "user_not_verified"


# --- one's own -----------------------------------------------------------------------------------------------


async def test_a_passkey_is_renamed_by_its_owner_only(ground: PeopleGround) -> None:
    person, authenticator = await ground.person(), ground.authenticator()
    kept = await ground.enrolled(person, authenticator)
    path = f"/v1/own/passkeys/{kept['id']}"
    answer = await (await ground.session(person)).post(path, {"name": "in the safe"})
    assert answer.json() == {**kept, "name": "in the safe"}
    for stranger in (await ground.person(person.merchant), await ground.person()):
        caller = await ground.session(stranger)
        assert (await caller.post(path, {"name": "mine"})).status_code == 404
        assert (await caller.delete(path)).status_code == 404
        assert (await caller.get("/v1/own/passkeys")).json()["data"] == []
    assert (await (await ground.session(person)).delete("/v1/own/passkeys/x")).status_code == 404


async def test_a_removed_passkey_logs_in_no_more_and_ends_other_sessions(
    ground: PeopleGround,
) -> None:
    person, lost, kept = await ground.person(), ground.authenticator(), ground.authenticator()
    gone = await ground.enrolled(person, lost)
    await ground.enrolled(person, kept, "kept")
    logged_in = (await ground.log_in(lost.get(await ground.login_options()))).json()
    caller = await ground.session(person)
    answer = await caller.delete(f"/v1/own/passkeys/{gone['id']}")
    assert answer.status_code == 204
    record = await last(ground, "identity.factor.removed")
    assert (record["actor"], record["object"]) == (person.person_id, gone["id"])
    assert ground.sessions.held[logged_in["session"]].ended == "factor_removed"
    assert (await caller.get("/v1/own/passkeys")).status_code == 200, "one's own session stays"
    answer = await ground.log_in(lost.get(await ground.login_options()))
    assert answer.json()["code"] == "passkey_not_accepted"
    assert (await ground.log_in(kept.get(await ground.login_options()))).status_code == 200


async def test_the_last_factor_stays(ground: PeopleGround) -> None:
    person, authenticator = await ground.person(), ground.authenticator()
    kept = await ground.enrolled(person, authenticator)
    caller = await ground.session(person)
    answer = await caller.delete(f"/v1/own/passkeys/{kept['id']}")
    assert (answer.status_code, answer.json()["code"]) == (409, "last_factor")
    ground.others.sufficient.add(person.person_id)
    assert (await caller.delete(f"/v1/own/passkeys/{kept['id']}")).status_code == 204


async def test_of_two_that_remove_the_last_two_at_once_one_is_refused(
    ground: PeopleGround,
) -> None:
    person = await ground.person()
    kept = [await ground.enrolled(person, ground.authenticator(), f"no {n}") for n in range(2)]
    caller = await ground.session(person)
    answers = await asyncio.gather(
        *(caller.delete(f"/v1/own/passkeys/{each['id']}") for each in kept)
    )
    assert sorted(each.status_code for each in answers) == [204, 409]


async def test_removing_asks_for_a_step_up(ground: PeopleGround, clock: SteppedClock) -> None:
    person = await ground.person()
    kept = await ground.enrolled(person, ground.authenticator())
    caller = await ground.session(person)
    clock.step(timedelta(seconds=301))
    answer = await caller.delete(f"/v1/own/passkeys/{kept['id']}")
    assert answer.json()["code"] == "step_up_needed"


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.DEVELOPER, Role.OPERATOR])
async def test_every_role_manages_its_own(ground: PeopleGround, role: Role) -> None:
    person = await ground.person(role=role)
    await ground.enrolled(person, ground.authenticator())


async def test_twenty_are_enough(ground: PeopleGround) -> None:
    person = await ground.person()
    for number in range(20):
        await ground.enrolled(person, ground.authenticator(), f"no {number}")
    answer = await (await ground.session(person)).post("/v1/own/passkeys/options")
    assert answer.status_code == 422
    assert "at most 20" in answer.json()["detail"]


async def test_a_person_who_is_reset_has_no_passkey_any_more(ground: PeopleGround) -> None:
    person, authenticator = await enrolled(ground)
    await ground.enrolled(person, ground.authenticator())
    own = ground.state["own_passkeys"]
    database = await ground.service.composer.database(Domain.CORE, Login.CONSOLE)
    async with database.transaction([person.merchant]) as tx:
        assert await own.count(tx, person) == 2
        assert await own.clear(tx, person) == 2
        assert await own.count(tx, person) == 0
    answer = await ground.log_in(authenticator.get(await ground.login_options()))
    assert answer.status_code == 401


# --- setting up ------------------------------------------------------------------------------------------------


async def test_a_new_person_is_set_up_with_a_passkey(ground: PeopleGround) -> None:
    person = await ground.person(status=PersonStatus.INVITED)
    ticket, nobody = ground.ticket(person), ground.caller()
    authenticator = ground.authenticator()
    asked = await nobody.post("/v1/setup/passkey/options", {"ticket": ticket})
    made = authenticator.create(asked.json()["public_key"])
    body = {"ticket": ticket, "name": "first", "credential": made}
    answer = await nobody.post("/v1/setup/passkey", body)
    assert answer.status_code == 201, answer.text
    assert ground.tickets.finished[-1] == person.person_id
    await ground.set_status(person, PersonStatus.ACTIVE)
    assert (await ground.log_in(authenticator.get(await ground.login_options()))).status_code == 200
    assert (await nobody.post("/v1/setup/passkey", body)).status_code == 422


async def test_a_set_up_needs_its_ticket_and_its_own_challenge(ground: PeopleGround) -> None:
    first = ground.ticket(await ground.person(status=PersonStatus.INVITED))
    second = ground.ticket(await ground.person(status=PersonStatus.INVITED))
    nobody = ground.caller()
    assert (
        await nobody.post("/v1/setup/passkey/options", {"ticket": "another"})
    ).status_code == 404
    asked = await nobody.post("/v1/setup/passkey/options", {"ticket": first})
    finished = len(ground.tickets.finished)
    for ticket, status in (("another", 404), (second, 422), (first, 201)):
        made = ground.authenticator().create(asked.json()["public_key"])
        body = {"ticket": ticket, "name": "first", "credential": made}
        assert (await nobody.post("/v1/setup/passkey", body)).status_code == status
    assert len(ground.tickets.finished) == finished + 1


# --- the document ---


DOCUMENT = json.loads(openapi_document(passkeys_api.ROUTES, title="passkeys", description="d"))
OPERATIONS = [
    (method.upper(), path, says)
    for path, item in DOCUMENT["paths"].items()
    for method, says in item.items()
]


def test_the_document_is_openapi_3_1() -> None:
    validate(DOCUMENT)


@pytest.mark.parametrize(
    ("method", "path", "says"),
    OPERATIONS,
    ids=[f"{method} {path}" for method, path, _ in OPERATIONS],
)
async def test_examples_work_but_for_their_proofs(
    ground: PeopleGround, method: str, path: str, says: dict[str, Any]
) -> None:
    person, authenticator = await ground.person(), ground.authenticator()
    kept = await ground.enrolled(person, authenticator)
    await ground.enrolled(person, ground.authenticator())
    body, caller = None, await ground.session(person)
    if "requestBody" in says:
        (content,) = says["requestBody"]["content"].values()
        jsonschema.validate(
            content["example"], {**content["schema"], "components": DOCUMENT["components"]}
        )
        body = await passkey_body(
            path,
            content["example"],
            nobody=ground.caller(),
            me=caller,
            authenticator=authenticator,
            ticket=ground.ticket(await ground.person(status=PersonStatus.INVITED)),
        )
    answer = await caller.send(method, path.format(passkey_id=kept["id"]), body=body)
    success = min(says["responses"])
    assert str(answer.status_code) == success, answer.text
    shape = says["responses"][success].get("content", {}).get("application/json")
    if shape is not None:
        for shown in (answer.json(), shape["example"]):
            jsonschema.validate(shown, {**shape["schema"], "components": DOCUMENT["components"]})


# --- whatever is sent ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        lambda proof: proof["response"].update(clientDataJSON="!!!"),
        lambda proof: proof["response"].update(clientDataJSON=b64(b"not json")),
        lambda proof: proof["response"].update(clientDataJSON=b64(b"[1]")),
        lambda proof: proof["response"].update(authenticatorData=b64(bytes(36))),
        lambda proof: proof["response"].update(authenticatorData="é"),
        lambda proof: proof["response"].update(signature=b64(b"\x30\x00")),
        lambda proof: proof.update(rawId="a"),
        lambda proof: proof.update(id=b64(bytes(32))),
        lambda proof: proof["response"].update(userHandle="é"),
    ],
)
async def test_a_damaged_proof_is_refused_like_any_other(ground: PeopleGround, damage: Any) -> None:
    _, authenticator = await enrolled(ground)
    proof = authenticator.get(await ground.login_options())
    damage(proof)
    answer = await ground.log_in(proof)
    assert (answer.status_code, answer.json()["code"]) == (401, "passkey_not_accepted")


async def test_a_stranger_who_asks_too_often_waits(server: Server, tmp_path: Path) -> None:
    async with (
        fresh_databases(server) as fresh,
        people_ground(fresh, tmp_path, rate_login_per_minute=4) as slow,
    ):
        answers = [
            (await slow.caller().post("/v1/login/passkey/options")).status_code for _ in range(8)
        ]
    assert answers[:4] == [200] * 4
    assert 429 in answers


def test_the_origin_is_the_settings(ground: PeopleGround) -> None:
    assert ground.origin == CONSOLE_ORIGIN
