# SPDX-License-Identifier: Apache-2.0
"""The files of the folder sink: where segments end, and what is left of a file that was cut anywhere."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from strongroom.audit.checkpoint import sign_checkpoint
from strongroom.audit.errors import SinkFailed
from strongroom.audit.merkle import Frontier, leaf_hash
from strongroom.audit.note import NoteSigner
from strongroom.audit.ports import SignedHead
from strongroom.audit.reading import notes
from strongroom.audit.sinks.folder import SEGMENT_RECORDS, Generation
from strongroom.crypto.sign import SigningKey

ORIGIN = "strongroom.example/vault"
SIGNERS = [
    NoteSigner(ORIGIN, SigningKey.from_seed(bytes([seed]) * 32)) for seed in (1, 2)
]  # while a key is rotated
KEYS = [signer.verifier for signer in SIGNERS]


def made(count: int, start: int = 0) -> list[bytes]:
    return [b"record %d" % number for number in range(start, start + count)]


def head(payloads: Sequence[bytes]) -> SignedHead:
    root = Frontier().appended(leaf_hash(payload) for payload in payloads).root()
    note = sign_checkpoint(origin=ORIGIN, size=len(payloads), root=root, signers=SIGNERS)
    return SignedHead(len(payloads), note)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "segments").iterdir())


def content(folder: Path) -> list[bytes]:
    files = sorted((folder / "segments").iterdir())
    return b"".join(path.read_bytes() for path in files).splitlines()


@pytest.mark.parametrize("batch", [4_096, 4_095, 65_536, 100_000, 140_000])
def test_segments_end_at_the_same_records_whatever_the_batches_are(
    tmp_path: Path, batch: int
) -> None:
    payloads = made(140_000)
    generation = Generation(tmp_path / "sink")
    for start in range(0, len(payloads), batch):
        generation.append(start, payloads[start : start + batch], ())
    assert names(tmp_path / "sink") == [
        "00000000000000000000-65536.jsonl",
        "00000000000000065536-65536.jsonl",
        "00000000000000131072.open.jsonl",
    ]
    assert content(tmp_path / "sink") == payloads
    assert Generation(tmp_path / "sink").records() == len(payloads)


def test_a_repeat_across_a_boundary_changes_nothing(tmp_path: Path) -> None:
    payloads = made(SEGMENT_RECORDS + 50)
    generation = Generation(tmp_path)
    generation.append(0, payloads[:-100], ())
    generation.append(len(payloads) - 100, payloads[-100:], ())
    again = Generation(tmp_path)
    again.append(len(payloads) - 200, payloads[-200:] + made(7, len(payloads)), [])
    assert content(tmp_path) == payloads + made(7, len(payloads))


def test_records_that_would_leave_a_gap_are_refused(tmp_path: Path) -> None:
    generation = Generation(tmp_path)
    generation.append(0, made(5), ())
    with pytest.raises(SinkFailed, match="records 5 to 6 are missing"):
        generation.append(7, made(2, 7), ())
    with pytest.raises(SinkFailed, match="one line"):
        generation.append(5, [b"two\nlines"], ())
    assert content(tmp_path) == made(5)


@pytest.mark.parametrize("which", [0, 1])
def test_a_missing_segment_is_noticed(tmp_path: Path, which: int) -> None:
    Generation(tmp_path).append(0, made(2 * SEGMENT_RECORDS + 1), ())
    (tmp_path / "segments" / names(tmp_path)[which]).unlink()
    with pytest.raises(SinkFailed, match="is missing"):
        Generation(tmp_path).append(2 * SEGMENT_RECORDS + 1, [b"more"], ())


def test_a_list_cut_at_any_byte_is_completed(tmp_path: Path) -> None:
    """Whatever a crash or a full disk left of the last notes: the next publication makes the list whole again."""
    payloads = made(6)
    heads = [head(payloads[:size]) for size in (1, 3, 6)]
    whole = Generation(tmp_path / "whole")
    whole.append(0, payloads, heads)
    full = (tmp_path / "whole" / "checkpoints.txt").read_bytes()
    first = len(heads[0].note)
    for cut in range(len(full) + 1):
        folder = tmp_path / str(cut)
        Generation(folder).append(0, payloads, ())
        (folder / "checkpoints.txt").write_bytes(full[:cut])
        generation = Generation(folder)
        found = generation.head(ORIGIN, KEYS)
        assert (found is None) == (cut < first - _second_line(heads[0].note))
        generation.append(0, payloads, heads)
        with (folder / "checkpoints.txt").open("rb") as file:
            sizes = [note.split(b"\n")[1] for note in notes(file)]
        # A head whose second signature was cut off may stand there twice: once with one signature, once with both.
        assert sizes[-1] == b"6"
        assert set(sizes) == {b"1", b"3", b"6"}
        latest = Generation(folder).head(ORIGIN, KEYS)
        assert latest is not None
        assert latest.size == 6


def test_heads_are_not_listed_twice(tmp_path: Path) -> None:
    payloads = made(4)
    heads = [head(payloads[:size]) for size in (2, 4)]
    for _ in range(3):
        Generation(tmp_path).append(0, payloads, heads)
    assert (tmp_path / "checkpoints.txt").read_bytes() == b"\n".join(h.note for h in heads)


def test_something_else_than_a_list_is_never_cut(tmp_path: Path) -> None:
    Generation(tmp_path).append(0, made(1), ())
    junk = b"x" * 50_000
    (tmp_path / "checkpoints.txt").write_bytes(junk)
    with pytest.raises(SinkFailed, match="not a list of notes"):
        Generation(tmp_path).append(0, made(1), [head(made(1))])
    assert (tmp_path / "checkpoints.txt").read_bytes() == junk


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_bytes(b"")
    Generation(tmp_path / "sink").append(0, made(1), ())
    (tmp_path / "sink" / "checkpoints.txt").symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        Generation(tmp_path / "sink").append(0, made(1), [head(made(1))])
    assert target.read_bytes() == b""


def _second_line(note: bytes) -> int:
    """How long the last signature line is: without it, the note is signed once."""
    return len(note) - note.rindex(b"\n", 0, len(note) - 1) - 1
