# SPDX-License-Identifier: Apache-2.0
"""The demo's folder: one demo at a time, nothing removed that a demo did not make, no number used twice."""

import os
from pathlib import Path

import pytest

from strongroom.cli.scenario import folder
from strongroom.cli.scenario.folder import (
    DemoFolder,
    DemoRuns,
    MerchantKeys,
    NotADemo,
)


def told() -> None:
    """Nobody listens."""


@pytest.fixture
def demo(tmp_path: Path) -> DemoFolder:
    made = DemoFolder(tmp_path / "state")
    made.claim(told)
    return made


def test_a_folder_of_somebody_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    state = tmp_path / "state"
    (state / "demo").mkdir(parents=True)
    (state / "demo" / "mine").write_text("x", "utf-8")
    with pytest.raises(NotADemo):
        DemoFolder(state).claim(told)
    assert [path.name for path in state.rglob("*")] == ["demo", "mine"]
    link = tmp_path / "link"
    link.symlink_to(state)
    file = tmp_path / "file"
    file.write_text("x", "utf-8")
    for place in (link, file):
        with pytest.raises(NotADemo):
            DemoFolder(place).claim(told)


def test_a_crash_at_the_very_start_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "state" / "demo").mkdir(parents=True)
    DemoFolder(tmp_path / "state").claim(told)


def test_there_is_one_demo_at_a_time(demo: DemoFolder) -> None:
    waited: list[bool] = []
    with pytest.raises(DemoRuns):
        DemoFolder(demo.state).claim(lambda: waited.append(True), held_seconds=0.1)
    assert waited == [True]
    demo.release()
    DemoFolder(demo.state).claim(told)


def test_clearing_removes_everything_but_what_claims_the_folder(
    demo: DemoFolder, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("x", "utf-8")
    (demo.state / "log").mkdir()
    (demo.state / "log" / "strongroom.jsonl").write_text("x", "utf-8")
    (demo.state / "link").symlink_to(outside)
    demo.reserve_serials(3)
    demo.clear()
    assert sorted(path.name for path in demo.state.rglob("*")) == [
        "demo",
        "lock",
        "made-by-strongroom-demo",
    ]
    assert outside.exists()
    with pytest.raises(DemoRuns):
        DemoFolder(demo.state).claim(told, held_seconds=0)


def test_serials_never_repeat_and_look_like_no_counter(demo: DemoFolder) -> None:
    first, here = demo.reserve_serials(10)
    assert first == here >= 10**13
    assert demo.reserve_serials(5) == (first, first + 10)
    assert DemoFolder(demo.state).reserve_serials(1) == (first, first + 15)


def test_keys_are_kept_for_their_owner_alone(demo: DemoFolder) -> None:
    assert demo.merchants() == []
    kept = [MerchantKeys("mer_1", "Corner Shop", {"sk": {"id": "key_1", "text": "sk_test_1"}})]
    demo.keep_merchants(kept)
    assert demo.merchants() == kept
    assert (demo.own / "keys.json").stat().st_mode & 0o777 == 0o600
    (demo.own / "keys.json").write_text("{", "utf-8")
    assert demo.merchants() == []


def test_a_process_that_is_gone_does_not_shorten_the_wait() -> None:
    assert folder._lives(os.getpid())
    assert not folder._lives(0)
