# SPDX-License-Identifier: Apache-2.0
"""The state folder: any path is good, a foreign or open one is refused, and no link is followed."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.embedded_ground import connected, ground, made_state, moved
from strongroom.db.embedded import Embedded, StateRefused
from strongroom.db.embedded.folders import Layout, socket_folder


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def made() -> Iterator[Path]:
    with made_state() as state:
        yield state


async def test_a_path_may_be_long_and_odd(made: Path) -> None:
    long = made.parent / ("long-" * 20) / 'with, comma "quotes" and späces' / ("x" * 60)
    assert len(str(long)) > 200
    with moved(made, long) as state, Embedded(state) as embedded:
        address = embedded.bootstrap_address()
        async with connected(address) as connection:
            assert await connection.fetchval("select 1") == 1
        far = Layout(Path(address.host)).state
        assert len(address.host) < 60
        assert mode_of(far) == 0o700
        assert far.stat().st_uid == (state / "pgdata").stat().st_uid
    far.rmdir()


async def test_a_short_path_may_be_odd_too(made: Path) -> None:
    with moved(made, made.parent / 'a, "b"; $c') as state, Embedded(state) as embedded:
        assert embedded.bootstrap_address().host == str(state / "socket")
        async with connected(embedded.bootstrap_address()) as connection:
            assert await connection.fetchval("select 1") == 1


def test_a_far_socket_folder_is_used_again_and_never_through_a_link(made: Path) -> None:
    with moved(made, made.parent / ("x" * 150)) as state:
        Embedded(state).attach().detach()
        far = socket_folder(Layout(state))
        with Embedded(state):
            assert socket_folder(Layout(state)) == far

        # Swept away while nothing ran; then somebody puts a link to a folder of ours in its place.
        victim = made.parent / "victim"
        victim.mkdir(mode=0o755)
        far.rmdir()
        far.symlink_to(victim)
        with Embedded(state):
            other = socket_folder(Layout(state))
        far.unlink()
        other.rmdir()
        assert (mode_of(victim), victim.stat().st_uid) == (0o755, os.geteuid())
        assert list(victim.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a folder of another account's")
def test_a_far_socket_folder_that_somebody_else_made_is_not_used(made: Path) -> None:
    with moved(made, made.parent / ("x" * 150)) as state:
        Embedded(state).attach().detach()
        far = socket_folder(Layout(state))
        far.rmdir()
        far.mkdir(mode=0o777)
        shutil.chown(far, "daemon")
        with Embedded(state):
            other = socket_folder(Layout(state))
        far.rmdir()
        other.rmdir()


@pytest.mark.parametrize("name", ["socket", "pgdata.new"])
def test_a_link_inside_the_state_folder_is_refused_or_replaced(name: str) -> None:
    with ground() as folder:
        state, victim = folder / "state", folder / "victim"
        state.mkdir(mode=0o711)
        victim.mkdir(mode=0o755)
        (victim / "file").write_text("mine")
        (state / name).symlink_to(victim)
        with pytest.raises(StateRefused, match=name):
            Embedded(state).attach()
        assert mode_of(victim) == 0o755
        assert (victim / "file").read_text() == "mine"


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o722])
def test_a_state_folder_that_others_may_write_to_is_refused(mode: int) -> None:
    with ground() as folder:
        state = folder / "state"
        state.mkdir()
        state.chmod(mode)
        with pytest.raises(StateRefused, match="chmod go-w"):
            Embedded(state).attach()
        assert mode_of(state) == mode


def test_a_state_folder_that_is_a_file_is_refused() -> None:
    with ground() as folder:
        (folder / "state").write_text("")
        with pytest.raises(StateRefused, match="cannot be the state folder"):
            Embedded(folder / "state").attach()
        with pytest.raises(StateRefused, match="cannot be the state folder"):
            Embedded(folder / "state/below").attach()
