# SPDX-License-Identifier: Apache-2.0
"""One PostgreSQL server over one state folder, shared by every process that attaches; the last one out stops it.

Kernel locks count the users, so that a killed process leaves nothing stale. Refuses to upgrade data, to
listen beyond one private socket, and to start with settings that are not durable or not quiet.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias, final
from weakref import WeakSet

from strongroom.db.address import Address
from strongroom.db.embedded import folders, postmaster
from strongroom.db.embedded.account import ACCOUNT_DEFAULT, ENVIRONMENT, Account, server_account
from strongroom.db.embedded.binaries import SHELF_DEFAULT, Binaries, find_binaries
from strongroom.db.embedded.data import (
    BOOTSTRAP_USER,
    best_compression,
    create_data,
    data_major,
)
from strongroom.db.embedded.errors import (
    CannotStart,
    StartTimedOut,
    StateRefused,
    StopTimedOut,
)
from strongroom.db.embedded.settings import server_settings
from strongroom.kernel.secret import Secret

StopMode: TypeAlias = Literal["smart", "fast", "immediate"]

PORT: Final = 5432  # only a part of the socket's name; nothing listens on TCP

_SIGNALS: Final[Mapping[StopMode, signal.Signals]] = {
    "smart": signal.SIGTERM,  # waits for every client
    "fast": signal.SIGINT,  # ends their transactions, then stops in order
    "immediate": signal.SIGQUIT,  # like a crash: the next start recovers
}
#: A statement of a thousand cards takes a few megabytes for a moment. What is given back to the system each time is
#: taken again a page fault at a time (glibc, mallopt(3)).
_MEMORY: Final = {
    "MALLOC_MMAP_THRESHOLD_": str(16 * 1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(16 * 1024 * 1024),
}
_LOG_LINES_SHOWN: Final = 12
_IMMEDIATE_SECONDS: Final = 10  # PostgreSQL itself kills after 5 what does not heed it
_LOG_BYTES_READ_MAX: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class _Launch:
    """All that a server is started with."""

    account: Account | None
    binaries: Binaries
    arguments: tuple[str, ...]


@final
class Embedded:
    """The PostgreSQL server of a state folder. Blocking; call it from a thread where a loop runs.

    `state` must be reachable by the server's account: as root, a folder below /var/lib. `binaries` names a
    folder with `postgres` and `initdb`; None finds one. `settings` may choose sizes only. As root, the server
    runs as `account` (made if missing, else `nobody`), and binaries it cannot reach are copied below `shelf`.

    A process made by fork is no user of the server until it attaches itself.

    Raises:
        SettingRefused: `settings` holds something else.
    """

    def __init__(
        self,
        state: Path,
        *,
        binaries: Path | None = None,
        settings: Mapping[str, str] | None = None,
        account: str = ACCOUNT_DEFAULT,
        shelf: Path = SHELF_DEFAULT,
    ) -> None:
        self._layout = folders.Layout(state.resolve())
        self._binaries = binaries
        self._settings = server_settings(settings or {})
        self._choosing_compression = "wal_compression" not in (settings or {})
        self._account = account
        self._shelf = shelf
        self._users: int | None = None
        _EVERY.add(self)

    def attach(self, *, timeout_seconds: float = 120) -> Self:
        """Start the server or join it, and return when it takes connections.

        May be called again: it then starts a server that died meanwhile.

        Raises:
            EmbeddedError: see `errors`; on each, this process is not attached (or remains what it was).
        """
        deadline = time.monotonic() + timeout_seconds
        with self._translated():
            folders.make_state(self._layout)
            with folders.alone(self._layout, deadline) as mutex:
                if self._users is not None:
                    self._bring_up(mutex, deadline)
                    return self
                self._users = folders.join_users(self._layout)
                try:
                    self._bring_up(mutex, deadline)
                except StartTimedOut:
                    self._forget()  # it may be recovering, and would begin anew: it goes on
                    raise
                except BaseException:
                    if self._is_last():
                        self._signal("fast")
                    self._forget()
                    raise
        return self

    def detach(self, *, timeout_seconds: float = 20) -> bool:
        """Stop using the server. The last one out stops it; True if that was this process.

        What does not stop in order within this time is stopped as by a crash, which loses nothing.

        Raises:
            StopTimedOut: it is still stopping, and goes on; this process is no longer attached.
        """
        if self._users is None:
            return False
        deadline = time.monotonic() + timeout_seconds
        try:
            with self._translated(), folders.alone(self._layout, deadline):
                if not self._is_last():
                    return False
                self._stop("fast", deadline)
                return True
        finally:
            self._forget()

    def stop(self, mode: StopMode = "fast", *, timeout_seconds: float = 20) -> None:
        """Stop the server for all its users. This process is no longer attached.

        What does not stop `fast` within this time is stopped as by a crash; `smart` waits for its clients.

        Raises:
            StopTimedOut: it is still stopping, and goes on.
        """
        if not self._layout.state.exists():
            return
        deadline = time.monotonic() + timeout_seconds
        try:
            with self._translated(), folders.alone(self._layout, deadline):
                self._stop(mode, deadline)
        finally:
            self._forget()

    def __enter__(self) -> Self:
        return self.attach()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.detach()

    def connection(self, database: str, *, user: str, password: Secret[str]) -> Address:
        """Return where to log in as that user.

        Raises:
            NotStarted: the server was never started here.
        """
        host = str(folders.socket_folder(self._layout))
        return Address(host, PORT, database, user, password, tls="disable")

    def bootstrap_address(self, database: str = "postgres") -> Address:
        """Return where to log in as the superuser, to make databases and logins and for nothing else.

        Raises:
            NotStarted: the server was never started here.
        """
        secret = folders.read_secret(self._layout)
        return self.connection(database, user=BOOTSTRAP_USER, password=secret)

    @property
    def process_id(self) -> int | None:
        """The server's process, if one runs."""
        found = postmaster.look(self._layout.data)
        return found.pid if found and found.is_alive else None

    @property
    def log_file(self) -> Path:
        """The server's log. It holds no statement, parameter or value that a client sent."""
        return self._layout.log

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Let no error of the operating system escape: a full disk, too many open files."""
        try:
            yield
        except OSError as error:
            place = error.filename or self._layout.state
            raise CannotStart(f"{place}: {error.strerror} ({self._free()})") from error

    def _is_last(self) -> bool:
        return self._users is not None and folders.is_last_user(self._users)

    def _forget(self) -> None:
        if self._users is not None:
            os.close(self._users)
            self._users = None

    def _bring_up(self, mutex: int, deadline: float) -> None:
        """Return when a server is ready: the one that runs, or else a new one."""
        layout = self._layout
        process: subprocess.Popen[bytes] | None = None
        said_from = 0
        while True:
            found = postmaster.look(layout.data)
            if found is not None and found.is_ready:
                return
            if time.monotonic() > deadline:
                raise StartTimedOut(_waited_for(found, process))
            if process is not None and process.poll() is not None:
                raise CannotStart(
                    f"the server ended while starting ({self._free()}); its log says:\n  "
                    + "\n  ".join(self._said(said_from))
                )
            if process is None and (claim := folders.claim_server(layout)) is not None:
                try:
                    launch = self._prepare(mutex, deadline)
                    postmaster.forget_torn(layout.data)
                    stale = postmaster.look(layout.data)
                    said_from = layout.log.stat().st_size if layout.log.exists() else 0
                    process = self._spawn(launch, claim, stale_pid=stale.pid if stale else None)
                finally:
                    os.close(claim)
            time.sleep(folders.POLL_SECONDS)  # for a server that starts, stops, or was killed

    def _prepare(self, mutex: int, deadline: float) -> _Launch:
        # Before a server is started:
        #  1. Know the account it runs as.
        #  2. See that this account reaches the state folder.
        #  3. Find binaries of the data's own major version.
        #  4. Make the socket's folder.
        #  5. Make the data, if there are none.
        #  6. Choose the write-ahead log's compression, which depends on how the binaries were built.
        layout = self._layout
        account = server_account(self._account, data=layout.data)  # (1)
        folders.check_reachable(layout, account)  # (2)
        major = data_major(layout)
        binaries = find_binaries(  # (3)
            self._binaries, account=account, data_major=major, shelf=self._shelf
        )
        socket = folders.make_socket_folder(layout, account)  # (4)
        if major is None:
            create_data(layout, binaries, account, mutex, deadline)  # (5)
        elif not layout.secret.exists():
            raise StateRefused(f"{layout.secret} is gone, but the data are there; bring it back")
        folders.shorten_log(layout)
        settings = {"unix_socket_directories": _quoted(socket), "port": str(PORT), **self._settings}
        if self._choosing_compression:
            settings["wal_compression"] = best_compression(layout, binaries, account)  # (6)
        arguments = [str(binaries.folder / "postgres"), "-D", str(layout.data)]
        for name, value in settings.items():
            arguments += ["-c", f"{name}={value}"]
        return _Launch(account, binaries, tuple(arguments))

    def _spawn(
        self, launch: _Launch, claim: int, *, stale_pid: int | None
    ) -> subprocess.Popen[bytes]:
        """Start the server in a session of its own, so that a terminal's Ctrl-C does not reach it.

        `claim` is inherited by every process of the server: while one lives, no other server is started.
        """
        environment = {**ENVIRONMENT, **_MEMORY}
        if stale_pid is not None:
            # Nobody held the claim, so whatever has that process id now is no server of ours. PostgreSQL sees
            # only that it lives; told that it is its grandparent, it goes on to its other checks (miscinit.c).
            environment["PG_GRANDPARENT_PID"] = str(stale_pid)
        account = launch.account
        log = folders.open_file(self._layout.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            process = subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
                launch.arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=environment,
                umask=0o077,
                start_new_session=True,
                pass_fds=[claim],
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        finally:
            os.close(log)
        # Crash here: the server comes up, the next one to attach joins it.
        # Whenever it ends, its parent must say so to the kernel, or it stays in the process table.
        threading.Thread(target=process.wait, name="embedded-postgres", daemon=True).start()
        return process

    def _stop(self, mode: StopMode, deadline: float) -> None:
        self._signal(mode)
        if self._ends_by(deadline):
            return
        if mode == "fast":
            # PostgreSQL 18.6 was seen to wait for ever when asked while it restarts after one of its processes
            # crashed; and a disk may be too slow. What was acknowledged is safe: the next start recovers.
            self._signal("immediate")
            if self._ends_by(time.monotonic() + _IMMEDIATE_SECONDS):
                return
        raise StopTimedOut(f"the server has not stopped yet ({mode}), and goes on stopping")

    def _ends_by(self, deadline: float) -> bool:
        while folders.is_served(self._layout):
            if time.monotonic() > deadline:
                return False
            time.sleep(folders.POLL_SECONDS)
        return True

    def _signal(self, mode: StopMode) -> None:
        pid = self.process_id
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, _SIGNALS[mode])

    def _said(self, since: int) -> list[str]:
        """Return the last lines of what the server has said since its log had that many bytes."""
        log = self._layout.log.read_bytes()[since:][-_LOG_BYTES_READ_MAX:]
        lines = log.decode("utf-8", errors="replace").strip().splitlines()
        return lines[-_LOG_LINES_SHOWN:] or ["(nothing)"]

    def _free(self) -> str:
        return f"{shutil.disk_usage(self._layout.state.parent).free // 2**20} MiB free"


def _waited_for(found: postmaster.PidFile | None, process: subprocess.Popen[bytes] | None) -> str:
    if process is None and not (found and found.is_alive):
        return "processes of a server that was killed are still at work; no other is started beside them"
    doing = found.status if found and found.is_alive and found.status else "starting"
    return f"the server is still {doing}, and goes on; try again to wait"


def _quoted(folder: Path) -> str:
    """Write one folder as PostgreSQL's list of folders, in which commas separate."""
    return '"' + str(folder).replace('"', '""') + '"'


def _forget_in_child() -> None:
    """Close what a fork copied: the lock would count its child as a user, and not as one that can leave."""
    for embedded in _EVERY:
        embedded._forget()  # noqa: SLF001 - the same class, seen from its module


_EVERY: Final[WeakSet[Embedded]] = WeakSet()
os.register_at_fork(after_in_child=_forget_in_child)
