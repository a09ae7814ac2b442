# SPDX-License-Identifier: Apache-2.0
"""The embedded server as it is right after a start: quick, private, durable; and what it refuses."""

import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from missing_tools import missing
from store.embedded_ground import (
    connected,
    ground,
    log_of,
    made_state,
    other_binaries,
    servers_below,
)
from strongroom.db.embedded import (
    BOOTSTRAP_USER,
    CannotStart,
    Embedded,
    NotStarted,
    SettingRefused,
    StateRefused,
    VersionMismatch,
)
from strongroom.db.embedded.folders import Layout
from strongroom.db.embedded.settings import DURABLE, PRIVATE, QUIET, server_settings
from strongroom.kernel.secret import Secret


@pytest.fixture(scope="module")
def server() -> Iterator[Embedded]:
    with ground() as folder, Embedded(folder / "state") as embedded:
        yield embedded


@pytest.fixture
def made() -> Iterator[Path]:
    """A state folder without a server."""
    with made_state() as state:
        yield state


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


async def test_it_stops_and_starts_again_with_what_was_written(made: Path) -> None:
    first = Embedded(made).attach()
    async with connected(first.bootstrap_address()) as connection:
        await connection.execute("create table kept as select 7 as number")
    pid = first.process_id
    assert first.detach() is True
    assert servers_below(made) == []
    assert log_of(made).rstrip().endswith("database system is shut down")
    with Embedded(made) as second:
        assert second.process_id not in (None, pid)
        async with connected(second.bootstrap_address()) as connection:
            assert await connection.fetchval("select number from kept") == 7


def test_joining_returns_the_same_server(server: Embedded) -> None:
    other = Embedded(server.log_file.parent)
    other.attach()
    assert other.process_id == server.process_id
    assert other.detach() is False
    assert other.detach() is False  # once more does nothing
    assert server.process_id is not None


async def test_every_setting_is_fixed_on_the_command_line(server: Embedded) -> None:
    # What stands on the command line cannot be changed by ALTER SYSTEM or an edited file.
    async with connected(server.bootstrap_address()) as connection:
        rows = await connection.fetch("select name, source from pg_settings")
    sources = {row["name"].lower(): row["source"] for row in rows}
    names = {*server_settings({}), "wal_compression", "unix_socket_directories", "port"}
    # application_name-like settings that a driver sends at login would show as 'client'.
    assert {name: sources[name] for name in names} == dict.fromkeys(names, "command line")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data_checksums", "on"),
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("jit", "off"),
        ("listen_addresses", ""),
        ("log_error_verbosity", "terse"),
        ("log_lock_waits", "off"),
        ("log_min_error_statement", "panic"),
        ("log_min_messages", "log"),
        ("log_parameter_max_length", "0"),
        ("log_parameter_max_length_on_error", "0"),
        ("log_statement", "none"),
        ("max_connections", "200"),
        ("max_wal_size", "1GB"),
        ("password_encryption", "scram-sha-256"),
        ("server_encoding", "UTF8"),
        ("shared_buffers", "128MB"),
        ("synchronous_commit", "on"),
        ("timezone", "UTC"),
        ("unix_socket_permissions", "0700"),
    ],
)
async def test_setting_is_in_effect(server: Embedded, name: str, value: str) -> None:
    async with connected(server.bootstrap_address()) as connection:
        assert await connection.fetchval("select current_setting($1)", name) == value


async def test_write_ahead_log_is_compressed(server: Embedded) -> None:
    async with connected(server.bootstrap_address()) as connection:
        assert await connection.fetchval("show wal_compression") in {"lz4", "pglz"}


async def test_only_the_right_password_logs_in(server: Embedded) -> None:
    right = server.bootstrap_address()
    for password in (Secret("wrong"), Secret("")):
        wrong = server.connection("postgres", user=right.user, password=password)
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
            async with connected(wrong):
                pass
    async with connected(right) as connection:
        login = await connection.fetchrow("select current_user, rolpassword from pg_authid limit 1")
        assert login["current_user"] == BOOTSTRAP_USER
        stored = await connection.fetch("select rolpassword from pg_authid where rolcanlogin")
        assert all(row["rolpassword"].startswith("SCRAM-SHA-256$") for row in stored)
        rules = await connection.fetch("select auth_method from pg_hba_file_rules")
        assert {row["auth_method"] for row in rules} == {"scram-sha-256"}


def test_nothing_listens_on_tcp(server: Embedded) -> None:
    assert server.process_id is not None
    open_sockets = set()
    for entry in Path(f"/proc/{server.process_id}/fd").iterdir():
        if match := re.fullmatch(r"socket:\[(\d+)\]", str(entry.readlink())):
            open_sockets.add(match[1])
    assert open_sockets, "the socket for clients is there"
    tcp = [
        line.split()[9]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{server.process_id}/net/{table}").read_text().splitlines()[1:]
    ]
    assert open_sockets.isdisjoint(tcp)


def test_files_are_for_their_owners_only(server: Embedded) -> None:
    layout = Layout(server.log_file.parent)
    assert mode_of(layout.state) == (0o711 if os.geteuid() == 0 else 0o700)
    for file in (layout.secret, layout.log, layout.mutex, layout.users, layout.server):
        assert (mode_of(file), file.stat().st_uid) == (0o600, os.geteuid()), file
    for folder in (layout.data, layout.near_socket):
        assert mode_of(folder) == 0o700, folder
    assert mode_of(layout.near_socket / ".s.PGSQL.5432") & 0o077 == 0
    assert not layout.secret_for_initdb.exists()
    assert not layout.unfinished.exists()


def test_the_secret_is_random_and_in_no_argument_or_log(server: Embedded) -> None:
    password = server.bootstrap_address().password
    assert password is not None
    text = password.expose()
    assert len(text) == 43  # 32 bytes in base64
    assert text not in server.log_file.read_text()
    assert text.encode() not in Path(f"/proc/{server.process_id}/cmdline").read_bytes()
    assert text not in repr(server.bootstrap_address())


def test_nothing_of_the_callers_environment_reaches_the_server(server: Embedded) -> None:
    given = Path(f"/proc/{server.process_id}/environ").read_bytes().split(b"\0")
    ours = {b"PATH", b"LC_ALL", b"TZ", b"MALLOC_MMAP_THRESHOLD_", b"MALLOC_TRIM_THRESHOLD_"}
    assert {entry.partition(b"=")[0] for entry in given if entry} <= ours


@pytest.mark.parametrize("name", [*DURABLE, *QUIET, *PRIVATE, "archive_command", "Fsync", "a\nb"])
def test_setting_that_is_no_size_is_refused(name: str) -> None:
    with pytest.raises(SettingRefused):
        Embedded(Path("/nonexistent"), settings={name: "off"})


@pytest.mark.parametrize("value", ["", "1\n2", "\0"])
def test_value_that_is_not_one_line_is_refused(value: str) -> None:
    with pytest.raises(SettingRefused, match="work_mem"):
        Embedded(Path("/nonexistent"), settings={"work_mem": value})


async def test_sizes_may_be_chosen(made: Path) -> None:
    chosen = {"shared_buffers": "16MB", "max_connections": "20", "wal_compression": "off"}
    with Embedded(made, settings=chosen) as embedded:
        async with connected(embedded.bootstrap_address()) as connection:
            for name, value in chosen.items():
                assert await connection.fetchval("select current_setting($1)", name) == value


def test_an_address_needs_a_server_that_was_once_started() -> None:
    with ground() as folder, pytest.raises(NotStarted):
        Embedded(folder / "state").bootstrap_address()


def test_a_server_that_ends_while_starting_says_why(made: Path) -> None:
    impossible = Embedded(made, settings={"shared_buffers": "8000GB"})
    with pytest.raises(CannotStart) as refused:
        impossible.attach()
    assert re.search(r"FATAL:  could not (map|create).* shared memory", refused.value.detail)
    assert "MiB free" in refused.value.detail
    assert impossible.detach() is False
    with Embedded(made) as embedded:
        assert embedded.process_id is not None


async def test_the_systems_postgresql_does_as_well_and_keeps_its_data() -> None:
    pair = other_binaries()
    if pair is None:
        missing("a second PostgreSQL (Debian: postgresql)")
    (major, older), (newer_major, newer) = pair
    with ground() as folder:
        state = folder / "state"
        with Embedded(state, binaries=older) as embedded:
            async with connected(embedded.bootstrap_address()) as connection:
                assert int(await connection.fetchval("show server_version_num")) // 10000 == major
                rows = await connection.fetch("select name, source from pg_settings")
        sources = {row["name"].lower(): row["source"] for row in rows}
        assert {sources[name] for name in server_settings({})} == {"command line"}

        control = (state / "pgdata/global/pg_control").read_bytes()
        said = rf"made by PostgreSQL {major}, .* PostgreSQL {newer_major}\."
        with pytest.raises(VersionMismatch, match=said):
            Embedded(state, binaries=newer).attach()
        assert (state / "pgdata/global/pg_control").read_bytes() == control
        with Embedded(state) as embedded:  # left to itself it takes those that fit
            assert embedded.process_id is not None


async def test_a_folder_that_is_not_whole_is_never_taken_for_a_database() -> None:
    with ground() as folder:
        state = folder / "state"
        state.mkdir(mode=0o711)
        half = state / "pgdata.new"
        half.mkdir()
        (half / "PG_VERSION").write_text("18\n")
        (half / "leftover").write_text("of a start that was killed")
        with Embedded(state) as embedded:
            async with connected(embedded.bootstrap_address()) as connection:
                assert await connection.fetchval("select 1") == 1
            assert not half.exists()
            assert not (state / "pgdata/leftover").exists()


@pytest.mark.parametrize("version", [None, "", "eighteen"])
def test_a_data_folder_without_a_version_is_left_alone(version: str | None) -> None:
    with ground() as folder:
        data = folder / "state/pgdata"
        data.mkdir(parents=True)
        if os.geteuid() == 0:
            shutil.chown(data, "nobody")
        if version is not None:
            (data / "PG_VERSION").write_text(version)
        with pytest.raises(StateRefused, match="is there, but"):
            Embedded(folder / "state").attach()
        assert [entry.name for entry in data.iterdir()] == (
            ["PG_VERSION"] if version is not None else []
        )


def test_data_without_their_secret_are_refused(made: Path) -> None:
    secret = Layout(made).secret
    aside = secret.rename(made / "aside")
    with pytest.raises(StateRefused, match="bring it back"):
        Embedded(made).attach()
    assert not secret.exists()
    aside.rename(secret)
    Embedded(made).attach().detach()


def test_a_long_log_is_set_aside(made: Path) -> None:
    layout = Layout(made)
    layout.log.write_bytes(b"x" * (5 * 1024 * 1024))
    with Embedded(made) as embedded:
        assert embedded.log_file.stat().st_size < 10_000
    assert (made / "server.log.1").stat().st_size == 5 * 1024 * 1024
