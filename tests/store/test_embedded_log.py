# SPDX-License-Identifier: Apache-2.0
"""The server's log holds nothing that a client sent. The same table on a loosened server shows that it could."""

import asyncio
import io
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import asyncpg
import pytest

from polling import until
from store.embedded_ground import PAN, connected, made_state
from strongroom.db.embedded import Embedded

LOOSE = {
    "log_error_verbosity": "default",
    "log_min_error_statement": "error",
    "log_min_messages": "warning",
    "log_parameter_max_length_on_error": "-1",
}

BROKEN = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)

Provocation = Callable[[Any], Awaitable[object]]


def run(statement: str, *values: object) -> Provocation:
    return lambda connection: connection.execute(statement, *values)


async def wait_too_long(connection: Any) -> None:
    await connection.execute("set statement_timeout = '20ms'")
    await connection.execute(f"select pg_sleep(5) /* {PAN} */")


async def copy_badly(connection: Any) -> None:
    source = io.BytesIO(f"x{PAN}\n".encode())
    await connection.copy_to_table("strict", source=source, columns=["number"])


PROVOCATIONS: dict[str, Provocation] = {
    "statement": run(f"select '{PAN}' from nowhere"),
    "syntax": run(f"selekt {PAN}"),
    "cast, message": run(f"select 'x{PAN}'::bigint"),
    "out of range, message": run(f"select {PAN}::integer"),
    "parameter, message": run("select $1::text::integer", PAN),
    "parameter": run("select 1 / length(substr($1::text, 99))", PAN),
    "unique, DETAIL": run("insert into card (number) values ($1), ($1)", PAN),
    "check, DETAIL": run("insert into card (number, month) values ($1, 13)", PAN),
    "not null, DETAIL": run("insert into card (number, month) values ($1, null)", PAN),
    "exception in a block": run(f"do $$ begin raise exception 'no {PAN}'; end $$"),
    "warning in a block": run(f"do $$ begin raise warning 'see {PAN}'; end $$"),
    "context of COPY": copy_badly,
    "time limit": wait_too_long,
}


@pytest.fixture(scope="module")
def made() -> Iterator[Embedded]:
    with made_state() as state:
        yield Embedded(state)


@pytest.fixture(scope="module", params=["as shipped", "loosened"])
def server(request: pytest.FixtureRequest, made: Embedded) -> Iterator[tuple[Embedded, bool]]:
    embedded = Embedded(made.log_file.parent)
    is_loose = request.param == "loosened"
    if is_loose:
        embedded._settings.update(LOOSE)  # no other way: as a choice they are refused
    with embedded:
        yield embedded, is_loose


@pytest.fixture(scope="module", autouse=True)
async def tables(server: tuple[Embedded, bool]) -> None:
    async with connected(server[0].bootstrap_address()) as connection:
        await connection.execute(
            "create table if not exists card (number text unique,"
            " month integer not null default 1 check (month <= 12));"
            " create table if not exists strict (number bigint)"
        )


@pytest.mark.parametrize("name", PROVOCATIONS)
async def test_error_leaves_no_number_in_the_log(server: tuple[Embedded, bool], name: str) -> None:
    embedded, is_loose = server
    before = embedded.log_file.stat().st_size
    seen: list[str] = []
    async with connected(embedded.bootstrap_address()) as connection:
        connection.add_log_listener(lambda _, message: seen.append(str(message)))
        try:
            await PROVOCATIONS[name](connection)
        except asyncpg.PostgresError as error:
            seen.append(str(error))
    assert seen, "it provoked something"
    said = embedded.log_file.read_bytes()[before:].decode()
    assert (PAN in said) is is_loose, said


async def test_deadlock_leaves_no_number_in_the_log(server: tuple[Embedded, bool]) -> None:
    embedded, is_loose = server
    before = embedded.log_file.stat().st_size
    address = embedded.bootstrap_address()
    async with connected(address) as one, connected(address) as two:
        for connection, key in ((one, 1), (two, 2)):
            await connection.execute("set deadlock_timeout = '20ms'; begin")
            await connection.execute(f"select pg_advisory_xact_lock({key})")
        outcomes = await asyncio.gather(
            one.execute(f"select pg_advisory_xact_lock(2) /* {PAN} */"),
            two.execute(f"select pg_advisory_xact_lock(1) /* {PAN} */"),
            return_exceptions=True,
        )
    assert any(isinstance(outcome, asyncpg.DeadlockDetectedError) for outcome in outcomes)
    assert (PAN in embedded.log_file.read_bytes()[before:].decode()) is is_loose


async def test_crashed_process_leaves_no_number_in_the_log(server: tuple[Embedded, bool]) -> None:
    # The supervisor then writes what the process was doing, of its own and not as a client's error.
    embedded, is_loose = server
    before = embedded.log_file.stat().st_size
    async with connected(embedded.bootstrap_address()) as connection:
        pid = await connection.fetchval("select pg_backend_pid()")
        doing = asyncio.create_task(connection.execute(f"select pg_sleep(30) /* {PAN} */"))
        async with connected(embedded.bootstrap_address()) as other, asyncio.timeout(10):
            while "sleep" not in await other.fetchval(
                "select query from pg_stat_activity where pid = $1", pid
            ):
                pass
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(BROKEN):
            await doing

    def said() -> str:
        return embedded.log_file.read_bytes()[before:].decode()

    await until(lambda: "ready to accept connections" in said())
    assert "was terminated by signal 9" in said()
    assert (PAN in said()) is is_loose, said()
