# SPDX-License-Identifier: Apache-2.0
"""The data folder: which version made it, and how it comes to be. Never changes one that is there."""

import os
import shutil
import subprocess
import time
from typing import Final

from strongroom.db.embedded import folders
from strongroom.db.embedded.account import Account, run
from strongroom.db.embedded.binaries import Binaries
from strongroom.db.embedded.errors import CannotCreate, StartTimedOut, StateRefused

#: The superuser that initdb makes. It makes the databases and logins, and nothing else logs in as it.
BOOTSTRAP_USER: Final = "strongroom_bootstrap"

_LINES_SHOWN: Final = 12


def data_major(layout: folders.Layout) -> int | None:
    """Return the data's major version. None: there are no data."""
    try:
        text = (layout.data / "PG_VERSION").read_text("ascii", errors="replace").strip()
    except OSError as error:
        if not layout.data.exists():
            return None
        raise StateRefused(f"{layout.data} is there, but holds no database") from error
    if not text.isascii() or not text.isdigit():
        raise StateRefused(f"{layout.data} is there, but its PG_VERSION names no version")
    return int(text)


def create_data(
    layout: folders.Layout,
    binaries: Binaries,
    account: Account | None,
    mutex: int,
    deadline: float,
) -> None:
    """Make the data aside, then give them their name: a half-made folder is never taken for a database."""
    secret = folders.make_secret(layout)
    shutil.rmtree(layout.unfinished, ignore_errors=True)
    folders.own_folder(layout.unfinished, account)
    layout.secret_for_initdb.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(folders.open_file(layout.secret_for_initdb, flags), "w") as file:
        file.write(secret.expose() + "\n")
        if account:
            os.fchown(file.fileno(), account.uid, account.gid)
    try:
        # initdb holds the mutex too: if this process is killed, nobody starts over until initdb has ended.
        ended = run(
            [
                *(binaries.folder / "initdb", "-D", layout.unfinished, "-U", BOOTSTRAP_USER),
                *("-A", "scram-sha-256", f"--pwfile={layout.secret_for_initdb}"),
                *("-E", "UTF8", "--locale=C", "--data-checksums"),
            ],
            account=account,
            pass_fds=[mutex],
            timeout_seconds=max(1.0, deadline - time.monotonic()),
        )
    except subprocess.TimeoutExpired:
        raise StartTimedOut("initdb did not end in time; it was stopped") from None
    finally:
        layout.secret_for_initdb.unlink(missing_ok=True)
    if ended.returncode != 0:
        lines = (ended.stdout + ended.stderr).strip().splitlines()[-_LINES_SHOWN:]
        raise CannotCreate("\n  ".join(["the data folder could not be made; initdb says:", *lines]))
    # initdb has written the files through. Crash before the rename: the next start begins anew.
    layout.unfinished.rename(layout.data)
    folders.sync_folder(layout.state)


def best_compression(layout: folders.Layout, binaries: Binaries, account: Account | None) -> str:
    """Return lz4 if these binaries have it, else PostgreSQL's own, which all have."""
    asked = run(
        [
            *(binaries.folder / "postgres", "-D", layout.data),
            *("-C", "wal_compression", "-c", "wal_compression=lz4"),
        ],
        account=account,
    )
    return "lz4" if asked.returncode == 0 else "pglz"
