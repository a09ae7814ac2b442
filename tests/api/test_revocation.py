# SPDX-License-Identifier: Apache-2.0
"""What was revoked ends in every process within two seconds, and where that cannot be known nothing signed holds.

Two Strongrooms over one state folder and one database are two processes of it: each has its own memory.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from database import Databases, Server, fresh_databases
from service import Caller, Service, running
from signed_in import begin, desk_of, person_of, signed_in
from strongroom.audit import Origin
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import connect
from strongroom.identity.access_tokens import OUTLIVED_BY
from strongroom.identity.revocation import LOST_AFTER_SECONDS, Trust, revoke
from strongroom.identity.signing_keys import SPREAD
from strongroom.kernel.clock import SteppedClock, SystemClock
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Role

EFFECTIVE_SECONDS = 2.0
PATH = "/v1/audit/records"
LISTENERS = ("vault", "gateway", "console")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def two(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Service, Service]]:
    """Two processes of one installation."""
    folder: Path = tmp_path_factory.mktemp("two")
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(running(databases, folder, listens=False))
        second = await stack.enter_async_context(running(databases, folder, listens=False))
        yield first, second


def everywhere(services: tuple[Service, ...], token: str) -> list[Caller]:
    return [Caller(each.clients[name], token) for each in services for name in LISTENERS]


async def until(
    ask: Callable[[], Awaitable[httpx.Response]], status: int, seconds: float = EFFECTIVE_SECONDS
) -> None:
    end = time.monotonic() + seconds
    while (answer := await ask()).status_code != status:
        assert time.monotonic() < end, f"still {answer.status_code} after {seconds} s"
        await asyncio.sleep(0.02)


async def refused_everywhere(callers: list[Caller], path: str = PATH) -> None:
    await asyncio.gather(*(until(lambda c=caller: c.get(path), 401) for caller in callers))  # type: ignore[misc]


async def hold(callers: list[Caller], path: str = PATH) -> None:
    for caller in callers:
        answer = await caller.get(path)
        assert answer.status_code == 200, answer.text


async def test_a_session_that_ends_in_one_process_ends_in_all(two: tuple[Service, Service]) -> None:
    first, second = two
    issued = await signed_in(first, (await first.tenant()).merchant, Role.AUDITOR)
    callers = everywhere(two, issued.access.expose())
    await hold(callers)
    assert (await second.console(issued.access.expose()).post("/v1/session/end")).status_code == 204
    await refused_everywhere(callers)


async def test_so_does_a_person_with_every_token_up_to_then(two: tuple[Service, Service]) -> None:
    first, _ = two
    person = await person_of(first, (await first.tenant()).merchant, Role.AUDITOR)
    issued = await begin(first, person)
    callers = everywhere(two, issued.access.expose())
    await hold(callers)
    database = await first.databases.open(Domain.CORE, Login.CONSOLE)
    # A second later than the token says, and none that is made after that.
    at = datetime.now(UTC)
    async with database.transaction() as tx:
        await revoke(tx, "person", person.person_id, now=at, outlived_by=OUTLIVED_BY)
    await refused_everywhere(callers)
    while datetime.now(UTC).timestamp() < int(at.timestamp()) + 1:
        await asyncio.sleep(0.02)
    later = await begin(first, person)
    await hold(everywhere(two, later.access.expose()))


async def test_so_do_all_sessions_of_a_person_but_one(two: tuple[Service, Service]) -> None:
    first, second = two
    person = await person_of(first, (await first.tenant()).merchant, Role.AUDITOR)
    issued = [await begin(first, person) for _ in range(3)]
    database = await first.databases.open(Domain.CORE, Login.CONSOLE)
    async with database.transaction([person.merchant]) as tx:
        ended = await desk_of(first).service.end_all(
            tx,
            person,
            reason="password_changed",
            origin=Origin(),
            now=datetime.now(UTC),
            but=issued[1].session,
        )
    assert ended == 2
    for each in (issued[0], issued[2]):
        await refused_everywhere(everywhere(two, each.access.expose()))
    await hold(everywhere((second,), issued[1].access.expose()))


async def test_so_does_an_api_key(two: tuple[Service, Service]) -> None:
    first, second = two
    tenant = await first.tenant()
    key = await first.key(tenant.merchant)
    callers = everywhere(two, key.text.expose())
    await hold(callers)
    other = second.gateway(tenant.keys[Mode.TEST])
    assert (await other.post(f"/v1/keys/{key.key.key_id}/revoke")).status_code == 204
    await refused_everywhere(callers)


async def test_a_connection_that_is_cut_is_made_anew(two: tuple[Service, Service]) -> None:
    first, second = two
    issued = await signed_in(first, (await first.tenant()).merchant, Role.AUDITOR)
    callers = everywhere(two, issued.access.expose())
    await hold(callers)
    name = first.databases.names[Domain.CORE]
    await first.databases.server.run(
        f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
        " and usename like 'strongroom_%'"
    )
    for caller in callers:
        await until(lambda c=caller: c.get(PATH), 200, 10)  # type: ignore[misc]
    console = second.console(issued.access.expose())
    await until(lambda: console.post("/v1/session/end"), 204, 10)
    await refused_everywhere(callers)


async def test_where_nothing_can_be_asked_nothing_signed_holds(
    server: Server, tmp_path: Path
) -> None:
    async with (
        fresh_databases(server) as databases,
        running(databases, tmp_path, listens=False) as service,
    ):
        issued = await signed_in(service, (await service.tenant()).merchant, Role.AUDITOR)
        callers = everywhere((service,), issued.access.expose())
        await hold(callers)
        # Only what says what was revoked is taken away: everything else could still be answered.
        logins = "strongroom_gateway, strongroom_vault, strongroom_console"
        await databases.run(Domain.CORE, f"revoke select on identity.revocation from {logins}")
        for caller in callers:
            await until(lambda c=caller: c.get(PATH), 503, LOST_AFTER_SECONDS + 1)  # type: ignore[misc]
        answer = await callers[0].get(PATH)
        assert answer.json()["code"] == "revocations_unknown"
        assert int(answer.headers["retry-after"]) >= 1
        await databases.run(Domain.CORE, f"grant select on identity.revocation to {logins}")
        for caller in callers:
            await until(lambda c=caller: c.get(PATH), 200, 5)  # type: ignore[misc]


# --- the reading itself ------------------------------------------------------------------------------


async def _insert(connection: Any, subject: str) -> None:
    await connection.execute(
        "insert into identity.revocation (kind, subject, revoked_at, keep_until)"
        " values ('session', $1, now(), now() + interval '6 minutes')",
        subject,
    )


async def test_what_commits_late_is_not_missed(databases: Databases) -> None:
    """The number of a row says when it was inserted: here the one with the lower number is committed last."""
    trust = Trust(await databases.open(Domain.CORE, Login.GATEWAY), SystemClock())
    address = databases.address(Domain.CORE, Login.CONSOLE)
    late, early = await connect(address), await connect(address)
    try:
        slow = late.transaction()
        await slow.start()
        await _insert(late, "slow")
        for turn in range(3):
            await _insert(early, f"quick-{turn}")
            await trust.refresh()
            assert trust.revoked("session", f"quick-{turn}")
            assert not trust.revoked("session", "slow")
        await slow.commit()
        await trust.refresh()
        assert trust.revoked("session", "slow")
    finally:
        await late.close()
        await early.close()


async def test_what_could_not_be_presented_any_more_is_forgotten(databases: Databases) -> None:
    clock = SteppedClock(datetime.now(UTC))
    database = await databases.open(Domain.CORE, Login.CONSOLE)
    trust = Trust(database, clock)
    async with database.transaction() as tx:
        for subject, life in (("short", 10), ("long", 600)):
            await revoke(
                tx, "service", subject, now=clock.now(), outlived_by=timedelta(seconds=life)
            )
    await trust.refresh()
    made = clock.now().timestamp()
    assert trust.revoked_since("service", "short", made - 1)
    clock.step(timedelta(seconds=11))
    await trust.refresh()
    assert not trust.revoked_since("service", "short", made - 1)
    assert trust.revoked_since("service", "long", made)
    assert not trust.revoked_since("service", "long", made + 2)


async def test_an_old_reading_is_not_believed(databases: Databases) -> None:
    at = [100.0]
    trust = Trust(
        await databases.open(Domain.CORE, Login.GATEWAY), SystemClock(), seconds=lambda: at[0]
    )
    seen = [trust.fresh]
    await trust.refresh()
    for later in (LOST_AFTER_SECONDS, 0.001):
        at[0] += later
        seen.append(trust.fresh)
    assert seen == [False, True, False]


# --- the keys that sign ------------------------------------------------------------------------------


async def test_a_key_is_rotated_without_a_token_refused(server: Server, tmp_path: Path) -> None:
    clock = SteppedClock(datetime.now(UTC))
    async with (
        fresh_databases(server) as databases,
        running(databases, tmp_path, clock=clock, listens=False) as service,
    ):
        tenant = await service.tenant()
        signing = desk_of(service).signing

        async def token() -> str:
            issued = await signed_in(service, tenant.merchant, Role.AUDITOR)
            return issued.access.expose()

        def jwks() -> Awaitable[httpx.Response]:
            return service.console(None).get("/.well-known/jwks.json")

        old = await token()
        before = (await jwks()).json()["keys"]
        made = await signing.rotate(actor="operator:tests")
        published = (await jwks()).json()["keys"]
        assert [each["kid"] for each in published] == [made.kid, before[0]["kid"]]
        meanwhile = await token()
        assert meanwhile.split(".")[0] == old.split(".")[0], "the new key waits until all know it"
        clock.step(SPREAD)
        new = await token()
        assert new.split(".")[0] != old.split(".")[0]
        for each in (old, meanwhile, new):
            for caller in everywhere((service,), each):
                assert (await caller.get(PATH)).status_code == 200
        clock.step(timedelta(minutes=6))
        assert [each["kid"] for each in (await jwks()).json()["keys"]] == [made.kid]
        # A seed of which nothing is believed any more is destroyed with the next rotation.
        await signing.rotate(actor="operator:tests")
        rows = await service.look(
            Domain.CORE,
            "select version, state from keys.data_key where name = 'token_signing_seed' order by 1",
        )
        assert [(row["version"], row["state"]) for row in rows] == [
            (1, "destroyed"),
            (2, "retiring"),
            (3, "active"),
        ]


async def test_a_key_that_leaked_ends_with_all_its_tokens(server: Server, tmp_path: Path) -> None:
    async with (
        fresh_databases(server) as databases,
        running(databases, tmp_path, listens=False) as service,
    ):
        tenant = await service.tenant()
        issued = await signed_in(service, tenant.merchant, Role.AUDITOR)
        callers = everywhere((service,), issued.access.expose())
        await hold(callers)
        await desk_of(service).signing.rotate(actor="operator:tests", compromised=True)
        await refused_everywhere(callers)
        # Who has a session goes on: refresh tokens are not signed with it, and the new key signs at once.
        answer = await service.console(None).post(
            "/v1/session/refresh", {"refresh_token": issued.refresh.expose()}
        )
        assert answer.status_code == 200, answer.text
        await hold(everywhere((service,), answer.json()["access_token"]))
