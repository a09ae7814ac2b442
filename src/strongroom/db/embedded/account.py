# SPDX-License-Identifier: Apache-2.0
"""Which account the server runs as. PostgreSQL refuses root, so root hands it to an account that owns nothing.

Everything that is run here gets an environment of its own: nothing of the caller's reaches the server.
"""

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from strongroom.db.embedded.errors import StateRefused

ACCOUNT_DEFAULT: Final = "strongroom-pg"
ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

_USERADD: Final = (Path("/usr/sbin/useradd"), Path("/sbin/useradd"))
_USERADD_ATTEMPTS_MAX: Final = 3
_USERADD_TIMEOUT_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class Account:
    """An account of this machine that is not root."""

    name: str
    uid: int
    gid: int


def server_account(name: str, *, data: Path, useradd: Sequence[Path] = _USERADD) -> Account | None:
    """Return the account to run the server as, or None when this process may run it itself.

    Data that exist keep their owner, even if a better account could be made by now.

    Raises:
        StateRefused: the data belong to an account that this process cannot act for.
    """
    owner = data.stat().st_uid if data.exists() else None
    if os.geteuid() != 0:
        if owner not in (None, os.geteuid()):
            raise StateRefused(f"{data} belongs to another account (uid {owner}); run as that one")
        return None
    if owner is None:
        account = _known(name) or _made(name, useradd) or _known("nobody")
        if account is None:
            raise StateRefused("PostgreSQL does not run as root, and here is no account to give it")
        return account
    try:
        entry = pwd.getpwuid(owner)
    except KeyError:
        raise StateRefused(f"{data} belongs to uid {owner}, which is no account here") from None
    if owner == 0:
        raise StateRefused(f"{data} belongs to root, as which PostgreSQL does not run")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def run(
    arguments: Sequence[str | Path],
    *,
    account: Account | None,
    pass_fds: Sequence[int] = (),
    timeout_seconds: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end as that account.

    Raises:
        OSError: the account may not reach or run it.
        subprocess.TimeoutExpired: it was killed after this time.
    """
    return subprocess.run(  # noqa: S603 - a list of arguments, no shell; the program is PostgreSQL's own
        [str(argument) for argument in arguments],
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        cwd="/",
        env=ENVIRONMENT,
        umask=0o077,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        pass_fds=pass_fds,
        timeout=timeout_seconds,
    )


def may_enter(folder: Path, account: Account | None) -> bool:
    """Ask the system itself, so that access lists and mounts count too."""
    ended = run(["/bin/sh", "-c", 'cd -- "$1"', "sh", folder], account=account)
    return ended.returncode == 0


def _known(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid) if entry.pw_uid != 0 else None


def _made(name: str, useradd: Sequence[Path]) -> Account | None:
    """Make a system account. None where that cannot be done: no such program, a read-only /etc, macOS."""
    program = next((path for path in useradd if path.exists()), None)
    if program is None:
        return None
    options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    for _ in range(_USERADD_ATTEMPTS_MAX):  # another process may hold the lock on /etc/passwd
        try:
            run(
                [program, *options, "--shell", "/usr/sbin/nologin", name],
                account=None,
                timeout_seconds=_USERADD_TIMEOUT_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        # Its exit code is not asked: whoever else made the account at the same time did our work.
        account = _known(name)
        if account is not None:
            return account
    return None
