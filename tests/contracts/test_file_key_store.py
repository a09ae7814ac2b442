# SPDX-License-Identifier: Apache-2.0
"""The key file: private, whole or absent, never overwritten, and useless without its passphrase."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from strongroom.crypto import PassphraseTooShort, seal_with_passphrase
from strongroom.kernel.secret import Secret
from strongroom.keys import CannotUnwrap, KeyFileUnsafe, KeyStoreUnavailable, Purpose
from strongroom.keys.stores.file import LARGEST_FILE_BYTES, FileKeyStore, _RootBinding

PASSPHRASE = Secret("correct horse battery staple")
NOW = datetime(2026, 3, 1, tzinfo=UTC)
CONTEXT = {"merchant": "mer_1"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "roots"


def assert_private_and_alone(path: Path) -> None:
    assert path.stat().st_mode & 0o7777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["roots"]


async def test_what_one_process_wraps_the_next_unwraps(path: Path) -> None:
    wrapped = await FileKeyStore.create(path, PASSPHRASE, NOW).wrap(Purpose.CARD, b"key", CONTEXT)
    again = FileKeyStore.open(path, PASSPHRASE)
    assert (await again.unwrap(Purpose.CARD, wrapped, CONTEXT)).expose() == b"key"


async def test_a_file_of_another_installation_unwraps_nothing(tmp_path: Path) -> None:
    one, other = (FileKeyStore.create(tmp_path / name, PASSPHRASE, NOW) for name in ("1", "2"))
    wrapped = await one.wrap(Purpose.CARD, b"key", CONTEXT)
    with pytest.raises(CannotUnwrap):
        await other.unwrap(Purpose.CARD, wrapped, CONTEXT)


def test_the_file_is_private_and_alone(path: Path) -> None:
    old = os.umask(0)
    try:
        FileKeyStore.create(path, PASSPHRASE, NOW)
    finally:
        os.umask(old)
    assert_private_and_alone(path)


def test_a_file_is_never_overwritten(path: Path) -> None:
    path.write_bytes(b"someone's only copy")
    with pytest.raises(KeyFileUnsafe):
        FileKeyStore.create(path, PASSPHRASE, NOW)
    assert path.read_bytes() == b"someone's only copy"
    assert [file.name for file in path.parent.iterdir()] == ["roots"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o610, 0o601, 0o644])
def test_a_file_that_others_reach_is_refused(path: Path, mode: int) -> None:
    FileKeyStore.create(path, PASSPHRASE, NOW)
    path.chmod(mode)
    with pytest.raises(KeyFileUnsafe):
        FileKeyStore.open(path, PASSPHRASE)


def test_what_is_no_key_file_is_refused(path: Path, tmp_path: Path) -> None:
    FileKeyStore.create(path, PASSPHRASE, NOW)
    link, folder, pipe, empty, large = (
        tmp_path / name for name in ("link", "folder", "pipe", "empty", "large")
    )
    link.symlink_to(path)
    folder.mkdir(mode=0o700)
    os.mkfifo(pipe, 0o600)
    empty.touch(mode=0o600)
    large.touch(mode=0o600)
    large.write_bytes(bytes(LARGEST_FILE_BYTES + 1))
    for wrong in (link, folder, pipe, empty, large, tmp_path / "absent", tmp_path / "no" / "way"):
        with pytest.raises(KeyFileUnsafe):
            FileKeyStore.open(wrong, PASSPHRASE)


def test_another_passphrase_and_altered_bytes_are_refused(path: Path) -> None:
    FileKeyStore.create(path, PASSPHRASE, NOW)
    with pytest.raises(KeyFileUnsafe):
        FileKeyStore.open(path, Secret("correct horse battery stable"))
    content = path.read_bytes()
    for position in (0, 20, 40, len(content) // 2, len(content) - 1):
        altered = bytearray(content)
        altered[position] ^= 1
        path.write_bytes(bytes(altered))
        with pytest.raises(KeyFileUnsafe):
            FileKeyStore.open(path, PASSPHRASE)


@pytest.mark.parametrize(
    "content",
    [b"{}", b"not json", b'{"format":2,"roots":[]}', b'{"format":1,"roots":[],"more":1}'],
)
def test_a_file_of_another_release_is_refused(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(seal_with_passphrase(PASSPHRASE, content))
    with pytest.raises(KeyFileUnsafe):
        FileKeyStore.open(path, PASSPHRASE)


def test_a_short_passphrase_makes_no_file(path: Path) -> None:
    with pytest.raises(PassphraseTooShort):
        FileKeyStore.create(path, Secret("short"), NOW)
    assert not path.exists()


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyFileUnsafe):
        FileKeyStore.create(tmp_path / "absent" / "roots", PASSPHRASE, NOW)


async def test_a_rotated_root_opens_what_the_old_one_wrapped(path: Path) -> None:
    store = FileKeyStore.create(path, PASSPHRASE, NOW)
    before = await store.wrap(Purpose.CARD, b"before", CONTEXT)
    late_reader = FileKeyStore.open(path, PASSPHRASE)
    store.rotate_root(Purpose.CARD, NOW)
    after = await store.wrap(Purpose.CARD, b"after", CONTEXT)
    for reader in (store, FileKeyStore.open(path, PASSPHRASE)):
        assert (await reader.unwrap(Purpose.CARD, before, CONTEXT)).expose() == b"before"
        assert (await reader.unwrap(Purpose.CARD, after, CONTEXT)).expose() == b"after"
    # Whoever read the file before takes the new version up when it meets it, and wraps under it from then on.
    assert (await late_reader.unwrap(Purpose.CARD, after, CONTEXT)).expose() == b"after"
    with pytest.raises(CannotUnwrap):
        await late_reader.unwrap(Purpose.CARD, after[:1] + b"\0\0\0\x09" + after[5:], CONTEXT)
    assert_private_and_alone(path)
    versions = {root.purpose: root.key_id for root in await store.describe()}
    assert versions[Purpose.CARD] == "roots#card/2"
    assert versions[Purpose.AUDIT] == "roots#audit/1"


async def test_the_root_version_in_a_blob_is_bound(path: Path) -> None:
    store = FileKeyStore.create(path, PASSPHRASE, NOW)
    wrapped = await store.wrap(Purpose.CARD, b"key", CONTEXT)
    store.rotate_root(Purpose.CARD, NOW)
    for version in (0, 2, 3, 2**32 - 1):
        moved = wrapped[:1] + version.to_bytes(4, "big") + wrapped[5:]
        with pytest.raises(CannotUnwrap):
            await store.unwrap(Purpose.CARD, moved, CONTEXT)


def test_the_associated_data_is_stable() -> None:
    """What is stored was wrapped under these bytes: they never change."""
    binding = _RootBinding(Purpose.CARD, 2, {"merchant": "mer_1", "strongroom:purpose": "card"})
    assert binding.encoded() == (b"7:A256GCM4:card1:28:merchant5:mer_118:strongroom:purpose4:card")


async def test_a_closed_store_rotates_nothing(path: Path) -> None:
    store = FileKeyStore.create(path, PASSPHRASE, NOW)
    await store.close()
    with pytest.raises(KeyStoreUnavailable):
        store.rotate_root(Purpose.CARD, NOW)
    again = FileKeyStore.open(path, PASSPHRASE)
    assert {root.key_id for root in await again.describe()} == {f"roots#{it}/1" for it in Purpose}
