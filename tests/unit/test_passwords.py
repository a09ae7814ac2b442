# SPDX-License-Identifier: Apache-2.0
"""Hashing: no more at once than allowed, the same work for nobody; leaked hashes are found in a file of any size."""

import asyncio
import hashlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import argon2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.crypto.passwords import (
    LANES,
    MEMORY_KIBIBYTES,
    PASSES,
    PasswordHasher,
    PasswordHashUnreadable,
    PasswordsBusy,
    sha1_hex,
)
from strongroom.identity.people import breached
from strongroom.identity.people.breached import BreachedFile, BreachedListUnreadable
from strongroom.kernel.secret import Secret

ROOT = Path(__file__).parents[2]
RIGHT, WRONG = Secret(b"right"), Secret(b"wrong")


@pytest.fixture
def hasher() -> Iterator[PasswordHasher]:
    made = PasswordHasher()
    yield made
    made.close()


async def test_what_is_kept_is_argon2id_with_a_salt_of_its_own(hasher: PasswordHasher) -> None:
    first, second = await hasher.hash(RIGHT), await hasher.hash(RIGHT)
    assert first != second
    found = argon2.extract_parameters(first)
    assert (found.type, found.memory_cost, found.time_cost, found.parallelism) == (
        argon2.Type.ID,
        MEMORY_KIBIBYTES,
        PASSES,
        LANES,
    )
    assert await hasher.verify(first, RIGHT)
    assert not await hasher.verify(first, WRONG)


async def test_nobody_costs_what_somebody_costs(hasher: PasswordHasher) -> None:
    """The same parameters, and so the same memory and passes: measured loosely, for a busy machine."""
    kept = await hasher.hash(RIGHT)
    decoy = argon2.extract_parameters(hasher._decoy)
    assert decoy == argon2.extract_parameters(kept)

    async def seconds(encoded: str | None) -> float:
        taken = []
        for _ in range(5):
            began = time.process_time()
            assert not await hasher.verify(encoded, WRONG)
            taken.append(time.process_time() - began)
        return min(taken)

    somebody, nobody = await seconds(kept), await seconds(None)
    assert 0.5 < nobody / somebody < 2


#: What stands in the row.
DAMAGED = [
    "x",
    "$argon2id$v=19$m=65536,t=3,p=1$c29tZXNhbHQ",
    "$argon2id$v=19$m=4194304,t=3,p=1$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b4dWRWJTmaaJObG",
    "$argon2id$v=19$m=65536,t=9999,p=1$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b4dWRWJTmaaJObG",
    "$2b$12$abcdefghijklmnopqrstuv",
]


@pytest.mark.parametrize("kept", DAMAGED)
async def test_a_damaged_hash_is_never_a_match_nor_a_load(
    hasher: PasswordHasher, kept: str
) -> None:
    with pytest.raises(PasswordHashUnreadable):
        await hasher.verify(kept, RIGHT)


async def test_a_crowd_waits_and_a_larger_one_is_told_to_come_back() -> None:
    hasher = PasswordHasher(at_once=1, waiting_max=2)
    try:
        answers = await asyncio.gather(
            *(hasher.verify(None, WRONG) for _ in range(6)), return_exceptions=True
        )
        assert answers.count(False) == 3
        assert sum(isinstance(each, PasswordsBusy) for each in answers) == 3
        assert await hasher.verify(None, WRONG) is False, "room again"
    finally:
        hasher.close()


async def test_who_leaves_makes_no_room_before_the_work_has_ended() -> None:
    hasher = PasswordHasher(at_once=1, waiting_max=0)
    try:
        leaving = asyncio.ensure_future(hasher.verify(None, WRONG))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        with pytest.raises(PasswordsBusy):
            await hasher.verify(None, WRONG)
        deadline = time.monotonic() + 20
        while hasher._under_way:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        assert await hasher.verify(None, WRONG) is False
    finally:
        hasher.close()


# --- leaked passwords ------------------------------------------------------------------------------


def _file(folder: Path, lines: list[str], ending: str = "\n") -> Path:
    path = folder / "leaked"
    path.write_bytes("".join(line + ending for line in lines).encode())
    return path


@given(
    leaked=st.sets(st.binary(max_size=8), min_size=1, max_size=40),
    asked=st.sets(st.binary(max_size=8), max_size=20),
    digits=st.sampled_from([12, 20, 40]),
    counted=st.booleans(),
    ending=st.sampled_from(["\n", "\r\n"]),
)
def test_a_file_holds_what_was_put_into_it_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory,
    leaked: set[bytes],
    asked: set[bytes],
    digits: int,
    counted: bool,  # noqa: FBT001 - drawn
    ending: str,
) -> None:
    hashes = sorted(
        hashlib.sha1(each, usedforsecurity=False).hexdigest().upper()[:digits] for each in leaked
    )
    lines = [f"{each}:{len(each)}" if counted else each for each in hashes]
    file = BreachedFile(_file(tmp_path_factory.mktemp("leaked"), lines, ending))
    try:
        for each in leaked | asked:
            assert file.holds(each) is (each in leaked)
    finally:
        file.close()


def test_the_last_line_may_lack_its_end(tmp_path: Path) -> None:
    path = tmp_path / "leaked"
    path.write_text("\n".join(sorted([sha1_hex(b"a"), sha1_hex(b"b")])))
    file = BreachedFile(path)
    assert file.holds(b"a")
    assert file.holds(b"b")
    assert not file.holds(b"c")
    file.close()


#: What stands in the file.
UNREADABLE = [
    "",
    "not a hash\n",
    "abcdef0123456789\n",  # small letters
    "ABCDEF01234\n",  # eleven digits
    "F" * 40 + "\n" + "0" * 40 + "\n",  # not sorted
    "F" * 40 + ":1:2\n",
    "\n\n\n",
]


@pytest.mark.parametrize("text", UNREADABLE)
def test_another_form_is_refused_at_start(tmp_path: Path, text: str) -> None:
    path = tmp_path / "leaked"
    path.write_text(text)
    with pytest.raises(BreachedListUnreadable):
        BreachedFile(path)
    with pytest.raises(BreachedListUnreadable):
        BreachedFile(tmp_path / "nowhere")


def test_the_bundled_list_is_what_its_rules_make() -> None:
    made = subprocess.run(
        [sys.executable, ROOT / "script" / "make-breached-list"],
        capture_output=True,
        check=True,
        text=True,
    )
    assert Path(breached.__file__).with_name("breached.txt").read_text("utf-8") == made.stdout
