# SPDX-License-Identifier: Apache-2.0
"""Ground for tests that start real servers: a folder the server's account reaches, clients, and a way to look.

Leaves no server, client or folder behind.
"""

import atexit
import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncpg

from polling import until_blocking
from strongroom.db.address import Address
from strongroom.db.embedded import Embedded
from strongroom.db.embedded.binaries import MAJOR_MIN, candidates
from strongroom.db.embedded.folders import Layout

PAN = "4242424242424242"
SCRIPT = Path(__file__).with_name("embedded_client.py")
#: A client that runs this very Python finds what these tests find.
OUR_PATH = os.pathsep.join(path for path in sys.path if path)
IS_ROOT = os.geteuid() == 0
DEADLINE_SECONDS = 20.0


@contextlib.contextmanager
def ground() -> Iterator[Path]:
    """Lend a folder of our own that other accounts may pass through, as /var/lib would be."""
    folder = Path(tempfile.mkdtemp(prefix="strongroom-test-", dir="/var/tmp")).resolve()
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        end_servers(folder)
        for far in folder.rglob("socket.folder"):
            shutil.rmtree(os.fsdecode(far.read_bytes()), ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def _made() -> Path:
    """Making data takes most of a test's time, so that tests which are not about it share one folder."""
    keeping = contextlib.ExitStack()
    atexit.register(keeping.close)
    folder = keeping.enter_context(ground())
    Embedded(folder / "state").attach().detach()
    return folder / "state"


@contextlib.contextmanager
def made_state() -> Iterator[Path]:
    """Lend a state folder whose server was once started and stopped in order. One borrower at a time."""
    state = _made()
    assert not servers_below(state)
    yield state
    end_servers(state)


def arguments_of(pid: int) -> list[str]:
    """Return a process's arguments; none once it has ended, even if its parent does not know yet."""
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [os.fsdecode(argument) for argument in text.split(b"\0")] if text else []


@contextlib.contextmanager
def moved(state: Path, to: Path) -> Iterator[Path]:
    """Lend a state folder under another name. What it holds does not depend on where it is."""
    to.parent.mkdir(parents=True, exist_ok=True)
    state.rename(to)
    try:
        yield to
    finally:
        end_servers(to)
        Layout(to).far_socket.unlink(missing_ok=True)
        to.rename(state)


def end_servers(folder: Path) -> None:
    for pid in servers_below(folder):
        kill_whole_server(pid)


def servers_below(folder: Path) -> list[int]:
    """Every server process, by its own words, whose data folder is below this one."""
    found = [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit()
        and (arguments := arguments_of(int(entry.name)))
        and Path(arguments[0]).name == "postgres"
        and arguments[1:2] == ["-D"]
        and Path(arguments[2]).is_relative_to(folder)
    ]
    # A server's own child has its parent's words until it has found its own.
    return [pid for pid in found if parent_of(pid) not in (*found, None)]


def state_of(pid: int) -> str:
    """Return `R` for a process that computes, `S` for one that waits (proc(5))."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def parent_of(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def children_of(pid: int) -> list[int]:
    every = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [process for process in every if parent_of(process) == pid]


def kill_whole_server(pid: int) -> None:
    """What the machine's out-of-memory killer, or a pulled plug, leaves of a server: nothing."""
    doomed = [pid, *children_of(pid)]
    for process in doomed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    until_blocking(lambda: not any(arguments_of(process) for process in doomed))


def uid_of(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def log_of(state: Path, *, since: int = 0) -> str:
    """Return what the server has said since its log had that many characters."""
    return Layout(state).log.read_text()[since:]


def other_binaries() -> tuple[tuple[int, Path], tuple[int, Path]] | None:
    """The oldest and the newest of several major versions, if this machine has several."""
    found: dict[int, Path] = {}
    for folder in candidates():
        if (folder / "initdb").exists():
            said = subprocess.run([folder / "postgres", "-V"], capture_output=True, check=True)
            found.setdefault(int(said.stdout.split()[2].split(b".")[0]), folder)
    majors = sorted((major, folder) for major, folder in found.items() if major >= MAJOR_MIN)
    return (majors[0], majors[-1]) if len(majors) > 1 else None


@contextlib.asynccontextmanager
async def connected(address: Address) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(
        host=address.host,
        port=address.port,
        database=address.database,
        user=address.user,
        password=address.password.expose() if address.password else None,
        ssl=False,
        timeout=10,
    )
    try:
        yield connection
    finally:
        await connection.close(timeout=5)


class Client:
    """A process of its own that attaches to a state folder's server."""

    def __init__(
        self,
        state: Path,
        *,
        binaries: Path | None = None,
        python: str = sys.executable,
        script: Path = SCRIPT,
        python_path: Path | None = None,
        user: str | None = None,
    ) -> None:
        self.process = subprocess.Popen(
            [python, "-B", str(script), str(state), str(binaries or "-")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(python_path or OUR_PATH)},
            start_new_session=True,  # as a terminal's foreground process group
            user=user,
            group="nogroup" if user else None,
            extra_groups=[] if user else None,
        )

    def hears(self) -> dict[str, Any]:
        """Return what it says next."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the client ended without a word"
        said: dict[str, Any] = json.loads(line)
        return said

    def tell(self, word: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self.hears()

    def attached(self) -> int:
        said = self.hears()
        assert "attached" in said, said
        return int(said["attached"])

    def detach(self) -> bool:
        return bool(self.tell("detach")["stopped"])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
