# SPDX-License-Identifier: Apache-2.0
"""Connections are handed from one user to the next, clean and open, and nobody waits while one lies unused."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from database import Databases
from polling import until
from strongroom.db import pool
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import KEPT_CONNECTIONS_MAX, USES_BETWEEN_CHECKS, Database, connect
from strongroom.db.queries import Query
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.invariant import Bug


@pytest_asyncio.fixture(loop_scope="session")
async def database(databases: Databases) -> AsyncIterator[Database]:
    opened = await databases.open(Domain.CORE, Login.GATEWAY, connections_max=2)
    try:
        yield opened
    finally:
        await opened.close()


async def backend(database: Database) -> int:
    async with database.connection() as connection:
        return int(await connection.fetchval("select pg_backend_pid()"))


async def test_one_after_the_other_uses_the_same_connection(database: Database) -> None:
    first = await backend(database)
    assert {await backend(database) for _ in range(USES_BETWEEN_CHECKS + 5)} == {first}


async def test_who_waits_gets_what_comes_back(database: Database) -> None:
    async def hold() -> int:
        async with database.connection() as connection:
            return int(await connection.fetchval("select pg_backend_pid() from pg_sleep(0.01)"))

    found = await asyncio.wait_for(asyncio.gather(*[hold() for _ in range(20)]), 10)
    assert len(set(found)) <= 2
    assert KEPT_CONNECTIONS_MAX >= 2, "all of this pool may lie with the database by now"
    assert await backend(database) in found


async def test_a_connection_that_broke_is_not_handed_on(
    database: Database, databases: Databases
) -> None:
    gone = await backend(database)
    await databases.run(Domain.CORE, f"select pg_terminate_backend({gone}, 20000)")
    for _ in range(3):  # the loop looks at its sockets, and it learns of it
        await asyncio.sleep(0)
    for _ in range(4):
        assert await backend(database) != gone


async def test_nothing_of_a_use_is_left_to_the_next(database: Database) -> None:
    merchant = MerchantId("mer_01KAZ000000000000000000000")
    with pytest.raises(RuntimeError):
        async with database.transaction([merchant]):
            raise RuntimeError
    async with database.connection() as connection:
        await connection.execute("begin")  # who forgets it: its next user begins outside
    for _ in range(4):
        async with database.connection() as connection:
            assert not connection.is_in_transaction()
            stated = await connection.fetchval(
                "select current_setting('strongroom.merchants', true)"
            )
            assert not stated


async def test_a_transaction_that_has_ended_answers_nobody(database: Database) -> None:
    """Its connection is in another tenant's transaction by now."""
    mine, other = (MerchantId(f"mer_01KAZ00000000000000000000{n}") for n in (1, 2))
    query = Query("ask", (), "select 1")
    async with database.transaction([mine]) as ended:
        assert len(await ended.rows(query)) == 1
    async with database.transaction([other]) as theirs:
        for ask in (ended.rows, ended.row, ended.run):
            with pytest.raises(Bug):
                await ask(query)
        assert len(await theirs.rows(query)) == 1
    with pytest.raises(RuntimeError):
        async with database.transaction([mine]) as broken:
            raise RuntimeError
    with pytest.raises(Bug):
        await broken.rows(query)


async def test_what_lay_too_long_is_not_trusted(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await backend(database)
    monkeypatch.setattr(pool, "IDLE_SECONDS_MAX", -1)
    assert await backend(database) != first


async def test_who_is_cut_off_while_closing_leaves_nothing_open(databases: Databases) -> None:
    opened = await databases.open(Domain.CORE, Login.GATEWAY, connections_max=3)

    async def used(seconds: float) -> int:
        async with opened.connection() as connection:
            return int(
                await connection.fetchval(f"select pg_backend_pid() from pg_sleep({seconds})")
            )

    ids = await asyncio.gather(used(0.05), used(0.05), used(0.05))
    closing = asyncio.create_task(opened.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert await backend(opened) not in ids
    await opened.close()
    administrator = await connect(databases.administrator(Domain.CORE))
    try:
        alive = "select count(*) from pg_stat_activity where pid = any($1)"

        async def gone() -> bool:
            return bool(await administrator.fetchval(alive, ids) == 0)

        await until(gone, what="the connections to be closed")
    finally:
        await administrator.close()


async def test_who_is_cut_off_leaves_a_connection_that_works(database: Database) -> None:
    async def long() -> None:
        async with database.connection() as connection:
            await connection.fetchval("select pg_sleep(4)")

    for _ in range(3):
        task = asyncio.create_task(long())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await backend(database) > 0


async def test_closing_returns_what_lies_ready(databases: Databases) -> None:
    opened = await databases.open(Domain.CORE, Login.GATEWAY, connections_max=2)
    used = await backend(opened)
    await asyncio.wait_for(opened.close(), 3)
    administrator = await connect(databases.administrator(Domain.CORE))
    try:
        alive = "select count(*) from pg_stat_activity where pid = $1"
        assert await administrator.fetchval(alive, used) == 0
    finally:
        await administrator.close()
