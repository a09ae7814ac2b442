# SPDX-License-Identifier: Apache-2.0
"""The state folder and what lies in it. Folders are judged and changed by descriptor, never by name alone.

Refuses a state folder that others may write to or that belongs to someone else, and never changes the mode
or owner of a folder it did not make.
"""

import contextlib
import fcntl
import os
import tempfile
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from strongroom.db.embedded.account import Account, may_enter
from strongroom.db.embedded.errors import NotStarted, StartTimedOut, StateRefused
from strongroom.kernel.secret import Secret

POLL_SECONDS: Final = 0.01
_SECRET_BYTES: Final = 32
#: `sun_path` is 104 bytes on macOS and 108 on Linux, with its NUL; the socket is `.s.PGSQL.5432`.
_SOCKET_FOLDER_BYTES_MAX: Final = 104 - 1 - len("/.s.PGSQL.5432")
#: Fixed, not TMPDIR: processes with different environments share one server.
_SHORT_PLACE: Final = "/tmp"  # noqa: S108 - what is made there is new, 0700 and judged by descriptor
_LOG_BYTES_MAX: Final = 4 * 1024 * 1024
_ADVICE: Final = "use a state folder below /var/lib, such as /var/lib/strongroom"


@dataclass(frozen=True, slots=True)
class Layout:
    """The names in one state folder."""

    state: Path

    @property
    def mutex(self) -> Path:
        """Locked while somebody starts or stops the server."""
        return self.state / "start.lock"

    @property
    def users(self) -> Path:
        """Locked, shared, by every process that uses the server."""
        return self.state / "users.lock"

    @property
    def server(self) -> Path:
        """Locked by the server's own processes, to the last one of them."""
        return self.state / "server.lock"

    @property
    def data(self) -> Path:
        """The data folder. Appears whole or not at all."""
        return self.state / "pgdata"

    @property
    def unfinished(self) -> Path:
        """The data folder while initdb makes it. Never taken for a database."""
        return self.state / "pgdata.new"

    @property
    def secret(self) -> Path:
        """The bootstrap login's password."""
        return self.state / "bootstrap.secret"

    @property
    def secret_for_initdb(self) -> Path:
        """The same for as long as initdb reads it, as the server's account."""
        return self.state / "bootstrap.secret.initdb"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.state / "server.log"

    @property
    def near_socket(self) -> Path:
        """The socket's folder, where the state folder's path is short enough."""
        return self.state / "socket"

    @property
    def far_socket(self) -> Path:
        """Names the socket's folder, where it is not."""
        return self.state / "socket.folder"


def make_state(layout: Layout) -> None:
    """Make the state folder, or judge the one that is there.

    Raises:
        StateRefused: it is not a folder, belongs to someone else, or others may write to it.
    """
    # Root's server runs as another account, which must be able to pass through.
    mode = 0o711 if os.geteuid() == 0 else 0o700
    try:
        layout.state.parent.mkdir(parents=True, exist_ok=True)
        made = _made(layout.state)
        with _opened(layout.state) as folder:
            if made:
                os.fchmod(folder, mode)
            is_ = os.fstat(folder)
    except OSError as error:
        raise StateRefused(
            f"{layout.state} cannot be the state folder: {error.strerror}"
        ) from error
    if is_.st_uid != os.geteuid():
        raise StateRefused(f"{layout.state} belongs to another account (uid {is_.st_uid})")
    if is_.st_mode & 0o022:
        raise StateRefused(f"{layout.state} may be written to by other accounts: chmod go-w it")


def check_reachable(layout: Layout, account: Account | None) -> None:
    """Refuse a state folder that the server's account may not enter.

    Raises:
        StateRefused: names the folder that is in the way.
    """
    if account is None or may_enter(layout.state, account):
        return
    closed = next(
        (
            folder
            for folder in [*reversed(layout.state.parents), layout.state]
            if not may_enter(folder, account)
        ),
        layout.state,
    )
    remedy = f"chmod 0711 it, or {_ADVICE}" if closed == layout.state else _ADVICE
    raise StateRefused(
        f"as root, PostgreSQL runs as {account.name}, which may not enter {closed}: {remedy}"
    )


@contextlib.contextmanager
def alone(layout: Layout, deadline: float) -> Iterator[int]:
    """Hold the mutex, and lend its descriptor. The kernel lets go when its last holder ends, however it ends.

    Raises:
        StartTimedOut: another process held it until `deadline` (of `time.monotonic`).
    """
    mutex = open_file(layout.mutex, os.O_RDWR | os.O_CREAT)
    try:
        while not _locked(mutex, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise StartTimedOut("another process is still starting or stopping this server")
            time.sleep(POLL_SECONDS)
        yield mutex
    finally:
        os.close(mutex)


def join_users(layout: Layout) -> int:
    """Become one of the server's users. Call while `alone`; nobody then holds this lock for himself."""
    users = open_file(layout.users, os.O_RDWR | os.O_CREAT)
    fcntl.flock(users, fcntl.LOCK_SH)
    return users


def is_last_user(users: int) -> bool:
    """Whether nobody else uses the server. Call while `alone`, and close `users` afterwards."""
    return _locked(users, fcntl.LOCK_EX)


def claim_server(layout: Layout) -> int | None:
    """Return a locked descriptor for a new server to inherit. None: a server's processes still live.

    The pid file cannot tell this: a killed server's processes outlive it, and in another container its
    process is not to be seen. Two servers over one data folder would destroy it.
    """
    server = open_file(layout.server, os.O_RDWR | os.O_CREAT)
    if _locked(server, fcntl.LOCK_EX):
        return server
    os.close(server)
    return None


def is_served(layout: Layout) -> bool:
    """Whether any process of a server lives."""
    claim = claim_server(layout)
    if claim is not None:
        os.close(claim)
    return claim is None


def open_file(path: Path, flags: int) -> int:
    """Open a file of the state folder, 0600, through no symbolic link."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def own_folder(path: Path, account: Account | None) -> None:
    """Make a folder that only the server's account may enter, or judge the one that is there.

    Raises:
        StateRefused: something else stands there, or it is somebody else's.
    """
    wanted = account.uid if account else os.geteuid()
    try:
        _made(path)
        with _opened(path) as folder:
            owner = os.fstat(folder).st_uid
            if owner not in (wanted, os.geteuid()):
                raise StateRefused(f"{path} belongs to another account (uid {owner})")
            if account and owner != wanted:
                os.fchown(folder, account.uid, account.gid)
            os.fchmod(folder, 0o700)
    except OSError as error:
        raise StateRefused(f"{path} cannot be a folder of the server: {error.strerror}") from error


def socket_folder(layout: Layout) -> Path:
    """Return where the socket is.

    Raises:
        NotStarted: the path is long, and no server was started here yet.
    """
    if _is_near(layout):
        return layout.near_socket
    try:
        return Path(os.fsdecode(layout.far_socket.read_bytes()))
    except FileNotFoundError:
        raise NotStarted from None


def make_socket_folder(layout: Layout, account: Account | None) -> Path:
    """Return where the socket shall be, ready for the server.

    Raises:
        StateRefused: something else stands in its place.
    """
    if _is_near(layout):
        own_folder(layout.near_socket, account)
        return layout.near_socket
    # A far one may have been swept away since, and then anybody may have taken its name.
    with contextlib.suppress(NotStarted, StateRefused):
        known = socket_folder(layout)
        own_folder(known, account)
        return known
    made = Path(tempfile.mkdtemp(prefix="strongroom-", dir=_SHORT_PLACE))
    own_folder(made, account)
    # Crash here: an empty folder is left behind, and the next start makes another.
    write_whole(layout.far_socket, os.fsencode(made))
    return made


def read_secret(layout: Layout) -> Secret[str]:
    """Return the bootstrap login's password.

    Raises:
        NotStarted: there is none, as no server was started here yet.
    """
    try:
        return Secret(layout.secret.read_text("ascii"))
    except FileNotFoundError:
        raise NotStarted from None


def make_secret(layout: Layout) -> Secret[str]:
    """Return the password for new data, made now or by a start that did not come to its end."""
    with contextlib.suppress(NotStarted):
        return read_secret(layout)
    write_whole(layout.secret, urlsafe_b64encode(os.urandom(_SECRET_BYTES)).rstrip(b"="))
    return read_secret(layout)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is whole or not there, also after a power cut."""
    aside = path.with_name(path.name + ".new")
    aside.unlink(missing_ok=True)
    with os.fdopen(open_file(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make a rename in this folder last."""
    with _opened(path) as folder:
        os.fsync(folder)


def shorten_log(layout: Layout) -> None:
    """Set a long log aside, in place of the one set aside before."""
    with contextlib.suppress(FileNotFoundError):
        if layout.log.stat().st_size > _LOG_BYTES_MAX:
            layout.log.replace(layout.log.with_name(layout.log.name + ".1"))


def _is_near(layout: Layout) -> bool:
    return len(os.fsencode(layout.near_socket)) <= _SOCKET_FOLDER_BYTES_MAX


def _made(path: Path) -> bool:
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        return False
    return True


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield folder
    finally:
        os.close(folder)


def _locked(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
