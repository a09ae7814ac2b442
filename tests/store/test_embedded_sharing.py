# SPDX-License-Identifier: Apache-2.0
"""Several processes, one server: whoever comes first starts it, the last one out stops it, however they end."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from polling import until_blocking
from store.embedded_ground import (
    Client,
    arguments_of,
    children_of,
    connected,
    ground,
    log_of,
    made_state,
    servers_below,
)
from strongroom.db.embedded import Embedded, StartTimedOut, StopTimedOut


@pytest.fixture
def state() -> Iterator[Path]:
    """A state folder without a server. Whatever a failed test leaves running is ended."""
    with made_state() as state:
        yield state


def test_four_at_once_from_nothing_share_one_server() -> None:
    with ground() as folder, ExitStack() as stack:
        clients = [stack.enter_context(Client(folder / "state")) for _ in range(4)]
        pids = {client.attached() for client in clients}
        assert servers_below(folder) == [*pids]
        assert [client.detach() for client in clients] == [False, False, False, True]
        assert servers_below(folder) == []
        assert log_of(folder / "state").count("starting PostgreSQL") == 1


def test_four_that_leave_at_once_leave_no_server(state: Path) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(state)) for _ in range(4)]
        for client in clients:
            client.attached()
        for client in clients:
            assert client.process.stdin is not None
            client.process.stdin.close()
        assert sorted(client.hears()["stopped"] for client in clients) == [
            False,
            False,
            False,
            True,
        ]
        assert servers_below(state) == []


def test_killed_client_does_not_keep_the_server_alive(state: Path) -> None:
    with Client(state) as killed, Client(state) as last:
        assert killed.attached() == last.attached()
        killed.kill()
        assert len(servers_below(state)) == 1
        assert last.detach() is True
    assert servers_below(state) == []


async def test_server_outlives_its_killed_starter_until_the_last_one_out(state: Path) -> None:
    with Client(state) as starter:
        pid = starter.attached()
        starter.kill()
    assert servers_below(state) == [pid]
    with Client(state) as heir:
        assert heir.attached() == pid
        embedded = Embedded(state)
        async with connected(embedded.bootstrap_address()) as connection:
            assert await connection.fetchval("select 1") == 1
        assert heir.detach() is True
    assert servers_below(state) == []


async def test_ctrl_c_reaches_the_client_and_not_the_server(state: Path) -> None:
    with Client(state) as starter, Client(state) as other:
        pid = starter.attached()
        assert other.attached() == pid
        assert os.getsid(pid) == pid
        os.killpg(starter.process.pid, signal.SIGINT)  # what a terminal does
        assert starter.hears() == {"interrupted": True}
        assert starter.hears() == {"stopped": False}
        async with connected(Embedded(state).bootstrap_address()) as connection:
            assert await connection.fetchval("select 1") == 1
        os.killpg(other.process.pid, signal.SIGINT)
        assert other.hears() == {"interrupted": True}
        assert other.hears() == {"stopped": True}
    assert log_of(state).rstrip().endswith("database system is shut down")


def test_child_of_a_fork_is_no_user(state: Path) -> None:
    with Client(state) as parent, Client(state) as other:
        parent.attached()
        other.attached()
        child = int(parent.tell("fork")["child"])
        try:
            parent.kill()
            assert other.detach() is True
        finally:
            os.kill(child, signal.SIGKILL)
    assert servers_below(state) == []


def test_stop_ends_it_for_all_and_the_others_may_go_on_anew(state: Path) -> None:
    with Embedded(state) as embedded, Client(state) as client:
        client.attached()
        embedded.stop()
        assert servers_below(state) == []
        first = embedded.attach().process_id
        assert first is not None
        assert client.detach() is False
        embedded.stop("immediate")
        assert servers_below(state) == []
        assert embedded.process_id is None


def test_server_that_does_not_stop_in_order_is_stopped_and_nothing_is_lost(state: Path) -> None:
    with Embedded(state) as embedded:
        pid, before = embedded.process_id or 0, len(log_of(state))
        writer = next(p for p in children_of(pid) if "checkpointer" in arguments_of(p)[0])
        os.kill(writer, signal.SIGSTOP)  # as on a disk that does not answer
        heard = threading.Thread(target=resume_when_asked_again, args=(state, before, writer))
        heard.start()
        assert embedded.detach(timeout_seconds=0.1) is True
        heard.join()
    assert "received fast shutdown request" in log_of(state, since=before)
    assert servers_below(state) == []


def resume_when_asked_again(state: Path, before: int, writer: int) -> None:
    until_blocking(lambda: "received immediate shutdown request" in log_of(state, since=before))
    os.kill(writer, signal.SIGCONT)


async def test_smart_stop_waits_for_its_clients(state: Path) -> None:
    with Embedded(state) as embedded:
        async with connected(embedded.bootstrap_address()) as connection:
            with pytest.raises(StopTimedOut):
                embedded.stop("smart", timeout_seconds=0.1)
            assert await connection.fetchval("select 1") == 1
            with pytest.raises(StartTimedOut, match="still stopping"):
                Embedded(state).attach(timeout_seconds=0.1)
        embedded.attach()  # waits for the old one to end, and starts a new one
