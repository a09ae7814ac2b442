# SPDX-License-Identifier: Apache-2.0
"""The demo's processes: one that cannot start says why, and none outlives a demo, however that ended."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from polling import until_blocking
from strongroom.cli.scenario.host import ChildProcess, Program, ServerFailed
from strongroom.cli.scenario.places import free_listener
from strongroom.config import Listener

SECONDS_MAX = 30.0
#: A demo that does nothing but hold a simulator.
HOLDER = """
import asyncio, sys
from pathlib import Path
from strongroom.cli.scenario.host import ChildProcess, Program

async def hold():
    folder = Path(sys.argv[1])
    program = Program(
        "simulator", "strongroom.cli.scenario.processor", [str(folder / "books"), "0"], folder / "out"
    )
    child = ChildProcess(program, print)
    await child.start(keep=[])
    print((await child.ready())["url"], flush=True)
    await asyncio.sleep(600)

asyncio.run(hold())
"""


def simulator(folder: Path, port: int = 0) -> Program:
    arguments = [str(folder / "books"), str(port)]
    return Program("simulator", "strongroom.cli.scenario.processor", arguments, folder / "out")


def untold(_: str) -> None:
    """Nobody listens."""


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/v1/account", trust_env=False).status_code == 401
    except httpx.TransportError:
        return False


async def test_it_answers_where_it_says_and_stops_when_it_is_told(tmp_path: Path) -> None:
    child = ChildProcess(simulator(tmp_path), untold)
    await child.start(keep=[])
    ready = await child.ready()
    assert answers(ready["url"])
    assert await child.stop()
    assert not answers(ready["url"])
    assert not await child.stop()
    assert (tmp_path / "out").read_bytes() == b""
    assert (tmp_path / "out").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("why", ["port", "journal", "module"])
async def test_one_that_cannot_start_says_why_and_is_gone(tmp_path: Path, why: str) -> None:
    listener = free_listener(Listener("127.0.0.1", 0))
    program = simulator(tmp_path, listener.port)
    if why == "journal":
        (tmp_path / "books").mkdir()
        (tmp_path / "books" / "journal.jsonl").write_text("no line of ours\n", "utf-8")
    if why == "module":
        program = Program("simulator", "strongroom.nothing", [], tmp_path / "out")
    other = ChildProcess(simulator(tmp_path / "other", listener.port), untold)
    if why == "port":
        (tmp_path / "other").mkdir()
        await other.start(keep=[])
        await other.ready()
    child = ChildProcess(program, untold)
    await child.start(keep=[])
    try:
        with pytest.raises(ServerFailed) as failed:
            await child.ready()
    finally:
        await child.stop()
        await other.stop()
    wanted = {
        "port": "simulator_port_taken",
        "journal": "simulator_journal_unreadable",
        "module": "the simulator ended while starting; it said:",
    }
    assert failed.value.detail.startswith(wanted[why])


@pytest.mark.parametrize("name", [signal.SIGKILL, signal.SIGTERM])
def test_it_does_not_outlive_a_demo(tmp_path: Path, name: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        url = holder.stdout.readline().strip()
        assert answers(url)
        os.kill(holder.pid, name)
        holder.wait(SECONDS_MAX)
    until_blocking(lambda: not answers(url))
