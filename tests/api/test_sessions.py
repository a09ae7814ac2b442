# SPDX-License-Identifier: Apache-2.0
"""Sessions over HTTP: access tokens on every listener, refresh that rotates, reuse, idle and absolute ends, listing."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from database import Databases
from polling import until
from service import Caller, Service, running
from signed_in import begin, person_of, signed_in
from strongroom.audit import PLATFORM
from strongroom.db.logins import Domain
from strongroom.identity.sessions.decisions import ABSOLUTE, GRACE, IDLE
from strongroom.identity.sessions.ports import Issued
from strongroom.kernel.clock import SteppedClock
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Role


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stepped(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Service, SteppedClock]]:
    """A Strongroom whose clock moves when told to."""
    clock = SteppedClock(datetime.now(UTC))
    folder: Path = tmp_path_factory.mktemp("sessions")
    async with running(databases, folder, clock=clock, listens=False) as service:
        yield service, clock


async def refresh(service: Service, token: str, mode: str | None = None) -> httpx.Response:
    body = {"refresh_token": token} if mode is None else {"refresh_token": token, "mode": mode}
    return await service.console(None).post("/v1/session/refresh", body)


async def until_refused(caller: Caller, path: str = "/v1/merchant") -> None:
    async def refused() -> bool:
        return (await caller.get(path)).status_code == 401

    await until(refused, what="the token to hold no more")


async def reason_of(service: Service, issued: Issued) -> str | None:
    (row,) = await service.look(
        Domain.CORE,
        "select ended_reason from identity.session where session_id = $1",
        issued.session,
    )
    reason: str | None = row["ended_reason"]
    return reason


async def test_an_access_token_holds_on_every_listener_that_takes_one(service: Service) -> None:
    tenant = await service.tenant()
    issued = await signed_in(service, tenant.merchant)
    token = issued.access.expose()
    answer = await service.gateway(token).get("/v1/merchant")
    assert (answer.status_code, answer.json()["id"]) == (200, tenant.merchant)
    assert (await service.console(token).get("/v1/merchant")).status_code == 200
    auditor = await signed_in(service, tenant.merchant, Role.AUDITOR)
    assert (await service.vault(auditor.access.expose()).get("/v1/tokens")).status_code == 200
    # What the role does not permit is refused by name, not by guess.
    assert (await service.vault(token).get("/v1/tokens")).status_code == 403


async def test_a_refresh_gives_a_successor_and_the_mode_that_was_asked_for(
    service: Service,
) -> None:
    tenant = await service.tenant()
    issued = await signed_in(service, tenant.merchant)
    first = await refresh(service, issued.refresh.expose(), "live")
    assert first.status_code == 200, first.text
    body = first.json()
    assert body["refresh_token"] != issued.refresh.expose()
    assert body["session"] == issued.session
    shown = await service.gateway(body["access_token"]).get("/v1/merchant")
    assert shown.json()["mode"] == "live"
    second = (await refresh(service, body["refresh_token"])).json()
    shown = await service.gateway(second["access_token"]).get("/v1/merchant")
    assert shown.json()["mode"] == "test"


async def test_twenty_at_once_get_the_same_successor_and_the_session_lives(
    service: Service,
) -> None:
    issued = await signed_in(service)
    answers = await asyncio.gather(*(refresh(service, issued.refresh.expose()) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    successors = {answer.json()["refresh_token"] for answer in answers}
    assert len(successors) == 1
    assert (await refresh(service, successors.pop())).status_code == 200
    assert await reason_of(service, issued) is None


async def test_the_same_token_within_ten_seconds_is_answered_and_after_that_ends_the_session(
    stepped: tuple[Service, SteppedClock],
) -> None:
    service, clock = stepped
    issued = await signed_in(service)
    old = issued.refresh.expose()
    successor = (await refresh(service, old)).json()["refresh_token"]
    clock.step(GRACE)
    assert (await refresh(service, old)).json()["refresh_token"] == successor
    clock.step(timedelta(microseconds=1))
    before = service.metrics.exposition()
    assert (await refresh(service, old)).status_code == 401
    assert (await refresh(service, successor)).status_code == 401
    assert await reason_of(service, issued) == "refresh_reused"
    assert before != service.metrics.exposition()
    assert b"strongroom_refresh_reused_total 1.0" in service.metrics.exposition()
    await until_refused(service.console(issued.access.expose()), "/v1/sessions")
    rows = await service.look(
        Domain.CORE,
        "select payload from audit.event where convert_from(payload, 'UTF8') like $1",
        f"%{issued.session}%",
    )
    assert any(b"identity.session.reused" in bytes(row["payload"]) for row in rows)


async def test_a_token_two_rotations_old_ends_the_session_at_once(service: Service) -> None:
    issued = await signed_in(service)
    second = (await refresh(service, issued.refresh.expose())).json()["refresh_token"]
    third = (await refresh(service, second)).json()["refresh_token"]
    assert (await refresh(service, issued.refresh.expose())).status_code == 401
    assert (await refresh(service, third)).status_code == 401
    assert await reason_of(service, issued) == "refresh_reused"


async def test_who_knows_a_session_but_none_of_its_tokens_cannot_end_it(service: Service) -> None:
    issued = await signed_in(service)
    genuine = issued.refresh.expose()
    forged = genuine[:35] + ("A" if genuine[35] != "A" else "B") + genuine[36:]
    for text in (forged, genuine[:-1] + ("A" if genuine[-1] != "A" else "B"), "rt_", "x" * 200):
        assert (await refresh(service, text)).status_code == 401
    assert await reason_of(service, issued) is None
    assert (await refresh(service, genuine)).status_code == 200


async def test_a_session_ends_when_nobody_uses_it_and_when_it_is_old(
    stepped: tuple[Service, SteppedClock],
) -> None:
    service, clock = stepped
    idle = await signed_in(service)
    clock.step(IDLE)
    kept = (await refresh(service, idle.refresh.expose())).json()["refresh_token"]
    clock.step(IDLE + timedelta(seconds=1))
    assert (await refresh(service, kept)).status_code == 401
    assert await reason_of(service, idle) == "idle"

    old = await signed_in(service)
    token = old.refresh.expose()
    for _ in range(int(ABSOLUTE / IDLE)):
        clock.step(IDLE - timedelta(seconds=1))
        token = (await refresh(service, token)).json()["refresh_token"]
    # The last access token ends with the session, not five minutes after it started.
    answer = await refresh(service, token)
    assert 0 < answer.json()["expires_in"] <= 300
    token = answer.json()["refresh_token"]
    clock.step(IDLE - timedelta(seconds=1))
    assert (await refresh(service, token)).status_code == 401
    assert await reason_of(service, old) == "expired"


async def test_an_access_token_lives_five_minutes(stepped: tuple[Service, SteppedClock]) -> None:
    service, clock = stepped
    issued = await signed_in(service)
    caller = service.console(issued.access.expose())
    clock.step(timedelta(seconds=298))
    assert (await caller.get("/v1/sessions")).status_code == 200
    clock.step(timedelta(seconds=3))
    assert (await caller.get("/v1/sessions")).status_code == 401


async def test_a_person_who_was_suspended_does_not_refresh(service: Service) -> None:
    person = await person_of(service)
    issued = await begin(service, person)
    await service.databases.run(
        Domain.CORE,
        f"update identity.person set status = 'suspended' where person_id = '{person.person_id}'",
    )
    assert (await refresh(service, issued.refresh.expose())).status_code == 401
    assert await reason_of(service, issued) == "suspended"


async def test_logging_out_ends_the_session_everywhere(service: Service) -> None:
    tenant = await service.tenant()
    issued = await signed_in(service, tenant.merchant, Role.AUDITOR)
    token = issued.access.expose()
    callers = [service.vault(token), service.gateway(token), service.console(token)]
    for caller in callers:
        assert (await caller.get("/v1/audit/records")).status_code == 200
    assert (await service.console(token).post("/v1/session/end")).status_code == 204
    for caller in callers:
        await until_refused(caller, "/v1/audit/records")
    assert (await refresh(service, issued.refresh.expose())).status_code == 401


async def test_people_see_their_own_sessions_and_admins_their_merchants(service: Service) -> None:
    mine, theirs = await service.tenant(), await service.tenant()
    developer = await person_of(service, mine.merchant, Role.DEVELOPER)
    one, two = await begin(service, developer), await begin(service, developer)
    admin = await signed_in(service, mine.merchant, Role.ADMIN)
    stranger = await signed_in(service, theirs.merchant, Role.ADMIN)

    async def seen(issued: Issued, more: str = "") -> list[str]:
        answer = await service.console(issued.access.expose()).get(f"/v1/sessions{more}")
        return [each["id"] for each in answer.json()["data"]]

    assert await seen(one) == [two.session, one.session]
    assert await seen(one, "?limit=1") == [two.session]
    assert await seen(one, f"?limit=1&cursor={two.session}") == [one.session]
    assert await seen(admin) == [admin.session, two.session, one.session]
    assert await seen(stranger) == [stranger.session]

    path = f"/v1/sessions/{one.session}/end"
    assert (await service.console(stranger.access.expose()).post(path)).status_code == 404
    other = f"/v1/sessions/{admin.session}/end"
    assert (await service.console(two.access.expose()).post(other)).status_code == 404
    assert await reason_of(service, one) is None
    assert (await service.console(two.access.expose()).post(path)).status_code == 204
    assert await reason_of(service, one) == "ended_by_person"
    path = f"/v1/sessions/{two.session}/end"
    assert (await service.console(admin.access.expose()).post(path)).status_code == 204
    assert await reason_of(service, two) == "ended_by_admin"


async def test_a_person_of_the_platform_has_the_platforms_permissions(service: Service) -> None:
    issued = await signed_in(service, PLATFORM, Role.DEVELOPER)
    caller = service.console(issued.access.expose())
    assert (await caller.get("/v1/sessions")).status_code == 200
    assert (await caller.get("/v1/merchant")).status_code == 403


async def test_the_mode_is_one_of_two(service: Service) -> None:
    issued = await signed_in(service, mode=Mode.LIVE)
    assert (await refresh(service, issued.refresh.expose(), "demo")).status_code == 422
    assert (await refresh(service, issued.refresh.expose())).status_code == 200
