# SPDX-License-Identifier: Apache-2.0
"""Is there a server over this data folder? Reads `postmaster.pid` and does not believe it blindly.

A process id is used again by the system, so the process must say itself that it is this server. A file that
names a process stays: its other lines let PostgreSQL see that a dead server's processes are still at work.
"""

import itertools
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_STATUS_LINE: Final = 7  # PostgreSQL's LOCK_FILE_LINE_PM_STATUS, counted from 0
_PS: Final = "/bin/ps"


@dataclass(frozen=True, slots=True)
class PidFile:
    """What `postmaster.pid` says, and whether that process is this data folder's server."""

    pid: int
    status: str
    is_alive: bool

    @property
    def is_ready(self) -> bool:
        """Whether the server takes connections."""
        return self.is_alive and self.status == "ready"


def look(data: Path) -> PidFile | None:
    """Read the pid file. None: there is none, or it is empty or torn."""
    lines = _lines(data)
    if not lines or not lines[0].strip().isdigit():
        return None
    pid = int(lines[0])
    status = lines[_STATUS_LINE].strip() if len(lines) > _STATUS_LINE else ""
    return PidFile(pid, status, is_alive=is_server(pid, data))


def forget_torn(data: Path) -> None:
    """Remove a pid file that names no process. Only when no server's process lives: one may be writing it."""
    lines = _lines(data)
    if lines is not None and (not lines or not lines[0].strip().isdigit()):
        (data / "postmaster.pid").unlink(missing_ok=True)


def is_server(pid: int, data: Path) -> bool:
    """Whether this process is the server over that folder. A zombie is not: it has no arguments left."""
    if pid <= 1:
        return False
    if Path("/proc/self/cmdline").exists():
        return is_server_command(_from_proc(pid), data)
    return is_server_text(_from_ps(pid), data)


def is_server_command(arguments: list[str], data: Path) -> bool:
    """Whether these are the arguments of a server over that folder."""
    if not arguments or Path(arguments[0]).name not in {"postgres", "postmaster"}:
        return False
    return any(
        option == "-D" and value == str(data) for option, value in itertools.pairwise(arguments)
    )


def is_server_text(command: str, data: Path) -> bool:
    """The same of a command as `ps` prints it, where there is no /proc (macOS)."""
    return "postgres" in command and f" -D {data} -c " in command


def _lines(data: Path) -> list[str] | None:
    try:
        return (data / "postmaster.pid").read_text("utf-8", errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _from_proc(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # gone, or going
        return []
    return [os.fsdecode(argument) for argument in text.split(b"\0")]


def _from_ps(pid: int) -> str:
    ended = subprocess.run(  # noqa: S603 - a list of arguments, no shell
        [_PS, "-ww", "-o", "command=", "-p", str(pid)], check=False, capture_output=True, env={}
    )
    return os.fsdecode(ended.stdout)
