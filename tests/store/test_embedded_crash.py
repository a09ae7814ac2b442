# SPDX-License-Identifier: Apache-2.0
"""A server or a launcher that is killed at any moment: the next one to attach mends it, and nothing is lost."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from polling import until, until_blocking
from store.embedded_ground import (
    IS_ROOT,
    Client,
    connected,
    ground,
    kill_whole_server,
    log_of,
    made_state,
    servers_below,
    state_of,
)
from strongroom.db.embedded import CannotCreate, CannotStart, Embedded, StartTimedOut
from strongroom.db.embedded.folders import Layout, is_served
from strongroom.db.embedded.postmaster import (
    is_server,
    is_server_command,
    is_server_text,
    look,
)

WRITERS = 4
ACKNOWLEDGED_MIN = 400
#: What the driver says of a connection that broke at whatever moment.
BROKEN = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


@pytest.fixture
def state() -> Iterator[Path]:
    """A state folder without a server. Whatever a failed test leaves running is ended."""
    with made_state() as state:
        yield state


async def write_until_it_breaks(
    embedded: Embedded, writer: int, acknowledged: set[int], enough: asyncio.Event
) -> None:
    try:
        async with connected(embedded.bootstrap_address()) as connection:
            for number in range(writer, 10_000_000, WRITERS):
                await connection.execute("insert into fact values ($1)", number)
                acknowledged.add(number)
                if len(acknowledged) == ACKNOWLEDGED_MIN:
                    enough.set()
    except BROKEN:
        return


async def test_what_was_acknowledged_survives_a_kill_of_everything(state: Path) -> None:
    with Embedded(state) as embedded:
        async with connected(embedded.bootstrap_address()) as connection:
            await connection.execute("create table fact (number integer primary key)")
        acknowledged: set[int] = set()
        enough = asyncio.Event()
        writers = [
            asyncio.create_task(write_until_it_breaks(embedded, writer, acknowledged, enough))
            for writer in range(WRITERS)
        ]
        async with asyncio.timeout(20):
            await enough.wait()
        pid, before = embedded.process_id, len(log_of(state))
        assert pid is not None
        kill_whole_server(pid)
        await asyncio.gather(*writers)
        assert embedded.process_id is None

        embedded.attach()  # still a user; brings it up again
        assert "automatic recovery in progress" in log_of(state, since=before)
        async with connected(embedded.bootstrap_address()) as connection:
            rows = await connection.fetch("select number from fact")
        assert acknowledged - {row["number"] for row in rows} == set()


async def test_no_second_server_beside_processes_that_outlive_a_killed_one(state: Path) -> None:
    with Embedded(state) as embedded:
        address = embedded.bootstrap_address()
        async with connected(address) as connection:
            orphan = await connection.fetchval("select pg_backend_pid()")
            # It computes, and does not look whether its parent lives.
            busy = asyncio.create_task(
                connection.execute("select count(*) from generate_series(1, 1000000000)")
            )
            async with connected(address) as other:
                await until(lambda: is_computing(other, orphan))
            os.kill(embedded.process_id or 0, signal.SIGKILL)
            until_blocking(lambda: embedded.process_id is None)
            assert is_served(Layout(state))
            with pytest.raises(StartTimedOut, match="still at work"):
                Embedded(state).attach(timeout_seconds=0.2)
            assert servers_below(state) == []
            os.kill(orphan, signal.SIGKILL)
            with pytest.raises(BROKEN):
                await busy
        with Embedded(state) as again:
            assert again.process_id is not None
        assert embedded.detach() is True


async def is_computing(other: Any, pid: int) -> bool:
    """Tell whether a server's process has its statement, as another connection sees it, and works at it.

    One that has only just said its last answer runs too, and ends with the server that it waits for.
    """
    doing = await other.fetchval("select state from pg_stat_activity where pid = $1", pid)
    return doing == "active" and state_of(pid) == "R"


def test_process_id_that_was_given_to_somebody_else_is_not_believed(state: Path) -> None:
    with contextlib.ExitStack() as ending:
        embedded = ending.enter_context(Embedded(state))
        owner = (state / "pgdata").stat()
        pid = embedded.process_id
        assert pid is not None
        pid_file = state / "pgdata/postmaster.pid"
        socket_lock = state / "socket/.s.PGSQL.5432.lock"
        kill_whole_server(pid)
        # As the server's own account, or PostgreSQL itself would see that it is none of its processes.
        stranger = ending.enter_context(
            subprocess.Popen(
                ["sleep", "60"],
                user=owner.st_uid if IS_ROOT else None,
                extra_groups=[] if IS_ROOT else None,
            )
        )
        ending.callback(stranger.kill)
        for file in (pid_file, socket_lock):
            lines = file.read_text().splitlines(keepends=True)
            file.write_text("".join([f"{stranger.pid}\n", *lines[1:]]))
        found = look(state / "pgdata")
        assert found is not None
        assert (found.pid, found.is_alive, found.is_ready) == (stranger.pid, False, False)
        embedded.attach()
        assert embedded.process_id not in (None, pid, stranger.pid)
        assert embedded.detach() is True
        assert stranger.poll() is None, "nobody signalled it"


@pytest.mark.parametrize("text", ["", "\n", "12\0", "torn"])
def test_torn_pid_file_is_mended(state: Path, text: str) -> None:
    (state / "pgdata/postmaster.pid").write_text(text)
    with Embedded(state) as embedded:
        assert embedded.process_id is not None


async def test_launcher_killed_while_the_data_are_made() -> None:
    with ground() as folder:
        layout = Layout(folder / "state")
        with Client(layout.state) as client:
            until_blocking((layout.unfinished / "PG_VERSION").exists)
            client.kill()
            assert not layout.data.exists()
            assert layout.unfinished.exists()
        # initdb still runs. Nobody works beside it in the same folder, and what it makes is thrown away.
        with Embedded(layout.state) as embedded:
            async with connected(embedded.bootstrap_address()) as connection:
                assert await connection.fetchval("select count(*) > 0 from pg_class")
        assert not layout.unfinished.exists()
        assert not layout.secret_for_initdb.exists()


def test_launcher_killed_while_the_server_starts(state: Path) -> None:
    with Client(state) as client:
        until_blocking(lambda: servers_below(state))
        client.kill()
    with Embedded(state) as embedded:
        assert servers_below(state) == [embedded.process_id]
    assert servers_below(state) == []


def test_only_this_folders_server_is_taken_for_it(tmp_path: Path) -> None:
    data = tmp_path / "pgdata"
    table = [
        (["/usr/bin/postgres", "-D", str(data), "-c", "port=1"], True),
        (["postmaster", "-D", str(data)], True),
        (["/usr/bin/postgres", "-D", f"{data}.new"], False),
        (["/usr/bin/postgres", "-D", str(data.parent)], False),
        (["/bin/sleep", "-D", str(data)], False),
        (["postgres: checkpointer "], False),
        ([""], False),
        ([], False),
    ]
    for arguments, expected in table:
        assert is_server_command(arguments, data) is expected, arguments
    assert is_server_text(f"/x/postgres -D {data} -c port=1", data)
    assert not is_server_text(f"/x/postgres -D {data}.new -c port=1", data)
    assert not is_server_text("", data)
    assert not any(is_server(pid, data) for pid in (-1, 0, 1, os.getpid()))


@contextlib.contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[Path]:
    if not IS_ROOT:
        pytest.skip("needs root, to mount a small file system")
    place = folder / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0711", "tmpfs", place], check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this machine does not let root mount a file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 65536)


def test_full_disk_is_named_when_the_data_are_made() -> None:
    with ground() as folder, small_disk(folder, 12) as disk:
        with pytest.raises(CannotCreate, match="No space left on device"):
            Embedded(disk / "state").attach()
        assert not (disk / "state/pgdata").exists()


def test_full_disk_is_named_when_the_server_starts() -> None:
    with ground() as folder, small_disk(folder, 100) as disk:
        state = disk / "state"
        Embedded(state).attach().stop("immediate")  # so that it must write when it recovers
        fill(disk / "filler")
        with pytest.raises(CannotStart) as refused:
            Embedded(state).attach()
        assert "No space left on device" in refused.value.detail
        assert "(0 MiB free)" in refused.value.detail
        (disk / "filler").unlink()
        with Embedded(state) as embedded:
            assert embedded.process_id is not None
