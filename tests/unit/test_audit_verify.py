# SPDX-License-Identifier: Apache-2.0
"""The offline verifier: each way of meddling with an export is found, and named by index."""

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strongroom.audit.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from strongroom.audit.errors import VerificationFailed
from strongroom.audit.findings import Finding, FindingKind
from strongroom.audit.layout import ExportManifest, decode_manifest, encode_manifest
from strongroom.audit.merkle import Frontier, leaf_hash
from strongroom.audit.note import NoteSigner
from strongroom.audit.reading import notes
from strongroom.audit.record import encode
from strongroom.audit.verify import VerifiedExport, verify_export
from strongroom.crypto.sign import SigningKey
from unit.audit_trees import (
    ORIGIN,
    SIGNER,
    START,
    STRANGER,
    made_record,
    payloads,
    signed,
    written_export,
)

KEYS = [SIGNER.verifier]
COUNT = 40
SIZES = [1, 10, 10, 25, 40]
RECORDS = payloads(COUNT)


@pytest.fixture
async def export(tmp_path: Path) -> Path:
    return await written_export(tmp_path / "export", RECORDS, SIZES)


def found(directory: Path, **more: object) -> list[Finding]:
    with pytest.raises(VerificationFailed) as failure:
        verify_export(directory, KEYS, **more)  # type: ignore[arg-type]  # one keyword at a time
    return list(failure.value.findings)


def kinds(findings: list[Finding]) -> set[FindingKind]:
    return {finding.kind for finding in findings}


def rewrite(directory: Path, change: Callable[[list[bytes]], object]) -> None:
    path = directory / "records.jsonl"
    lines = path.read_bytes().splitlines()
    change(lines)
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def read_notes(directory: Path) -> list[bytes]:
    with (directory / "checkpoints.txt").open("rb") as file:
        return list(notes(file))


def rewrite_notes(directory: Path, kept: list[bytes]) -> None:
    (directory / "checkpoints.txt").write_bytes(b"\n".join(kept))


def announce(directory: Path, **changes: object) -> None:
    path = directory / "export.json"
    manifest = decode_manifest(path.read_bytes(), ExportManifest)
    fields = {name: getattr(manifest, name) for name in manifest.__struct_fields__}
    path.write_bytes(encode_manifest(ExportManifest(**{**fields, **changes})))


def another(number: int) -> bytes:
    """A canonical record with the same id and time as the one it replaces."""
    return RECORDS[number].replace(b'"last4":"4242"', b'"last4":"4444"')


def test_an_export_that_holds_is_proof(export: Path) -> None:
    told: list[int] = []
    verdict = verify_export(export, KEYS, origin=ORIGIN, progress=told.append)
    assert isinstance(verdict, VerifiedExport)
    assert verdict.head == open_checkpoint(signed(RECORDS, COUNT), KEYS, origin=ORIGIN)
    assert (verdict.checkpoints, verdict.manifest.size) == (5, COUNT)
    assert verdict.first_time == "2026-03-01T12:00:00.000000Z"
    assert verdict.last_time == "2026-03-01T12:00:00.039000Z"
    assert told == []


@pytest.mark.parametrize("index", [0, 1, 9, 10, 24, 39])
def test_a_tampered_record_is_named(export: Path, index: int) -> None:
    rewrite(export, lambda lines: lines.__setitem__(index, another(index)))
    findings = found(export)
    assert [(f.kind, f.index, f.until) for f in findings] == [
        (FindingKind.RECORD_DIVERGES, index, None)
    ]
    assert str(findings[0]).startswith(f"record_diverges at record {index} (records.jsonl:")


@pytest.mark.parametrize("index", [0, 12, 25, 30, 39])
def test_a_removed_record_is_named(export: Path, index: int) -> None:
    rewrite(export, lambda lines: lines.pop(index))
    findings = found(export)
    assert min(f.index for f in findings if f.index is not None) == index
    assert FindingKind.RECORD_MISSING in kinds(findings)
    assert (FindingKind.RECORD_DIVERGES in kinds(findings)) == (index < 25)


def test_a_removed_record_whose_leaf_hash_was_removed_too_is_placed(export: Path) -> None:
    rewrite(export, lambda lines: lines.pop(30))
    hashes = export / "leaf_hashes.bin"
    content = hashes.read_bytes()
    hashes.write_bytes(content[: 30 * 32] + content[31 * 32 :])
    findings = found(export)
    # Up to 25 a checkpoint vouches; nothing can say more.
    assert (findings[0].kind, findings[0].index, findings[0].until) == (
        FindingKind.RECORD_MISSING,
        25,
        COUNT,
    )


def test_swapped_records_are_named(export: Path) -> None:
    def swap(lines: list[bytes]) -> None:
        lines[13], lines[17] = lines[17], lines[13]

    rewrite(export, swap)
    findings = found(export)
    assert [(f.kind, f.index) for f in findings] == [(FindingKind.RECORD_DIVERGES, 13)]


def test_an_inserted_record_is_named(export: Path) -> None:
    rewrite(export, lambda lines: lines.insert(11, encode(made_record(99, moment=START))))
    findings = found(export)
    assert findings[0].kind is FindingKind.RECORD_DIVERGES
    assert findings[0].index == 11


@pytest.mark.parametrize("left", [0, 1, 24, 25, 30, 39])
def test_a_truncated_file_is_named(export: Path, left: int) -> None:
    rewrite(export, lambda lines: lines.__delitem__(slice(left, None)))
    findings = found(export)
    missing = [f for f in findings if f.kind is FindingKind.RECORD_MISSING]
    assert missing[0].index == left
    assert missing[0].until == COUNT
    assert FindingKind.RECORD_DIVERGES not in kinds(findings)


@pytest.mark.parametrize("left", [1, 10, 25])
def test_a_log_cut_back_to_an_old_head_needs_a_head_from_elsewhere(export: Path, left: int) -> None:
    anchor = open_checkpoint(signed(RECORDS, 38), KEYS, origin=ORIGIN)
    assert verify_export(export, KEYS, anchors=[anchor])
    rewrite(export, lambda lines: lines.__delitem__(slice(left, None)))
    kept = [note for note, size in zip(read_notes(export), SIZES, strict=True) if size <= left]
    rewrite_notes(export, kept)
    hashes = export / "leaf_hashes.bin"
    hashes.write_bytes(hashes.read_bytes()[: 32 * left])
    announce(export, size=left, checkpoints=len(kept))
    assert verify_export(export, KEYS).head.size == left
    findings = found(export, anchors=[anchor])
    assert [(f.kind, f.index, f.until) for f in findings] == [
        (FindingKind.RECORD_MISSING, left, 38)
    ]


async def test_a_history_rewritten_and_signed_again_needs_a_head_from_elsewhere(
    tmp_path: Path,
) -> None:
    rewritten = [*RECORDS[:20], another(20), *RECORDS[21:]]
    directory = await written_export(tmp_path / "export", rewritten, SIZES)
    assert verify_export(directory, KEYS)
    for size, expected in ((30, FindingKind.RECORD_DIVERGES), (25, FindingKind.CHECKPOINT_FORKED)):
        anchor = open_checkpoint(signed(RECORDS, size), KEYS, origin=ORIGIN)
        findings = found(directory, anchors=[anchor])
        assert [f.kind for f in findings] == [expected]
        index = findings[0].index
        assert index is not None
        assert index <= 25


def test_appended_records_are_named(export: Path) -> None:
    rewrite(export, lambda lines: lines.extend(payloads(43)[40:]))
    findings = found(export)
    first = findings[0]
    assert (first.kind, first.index, first.until) == (FindingKind.RECORD_NOT_COVERED, 40, 43)


async def test_a_tree_signed_again_by_another_key_is_refused(tmp_path: Path) -> None:
    directory = await written_export(tmp_path / "export", RECORDS, SIZES, signer=STRANGER)
    findings = found(directory)
    refused = [f for f in findings if f.kind is FindingKind.CHECKPOINT_REFUSED]
    assert [(f.index, f.where) for f in refused] == [
        (0, f"checkpoints.txt note {number}") for number in range(1, 6)
    ]
    assert FindingKind.CHECKPOINT_MISSING in kinds(findings)
    assert FindingKind.RECORD_NOT_COVERED in kinds(findings)


def test_one_checkpoint_signed_by_another_key_is_named(export: Path) -> None:
    kept = read_notes(export)
    kept[3] = signed(RECORDS, 25, signer=STRANGER)
    rewrite_notes(export, kept)
    assert [(f.kind, f.index, f.where) for f in found(export)] == [
        (FindingKind.CHECKPOINT_REFUSED, 10, "checkpoints.txt note 4")
    ]


def test_a_missing_last_checkpoint_leaves_records_uncovered(export: Path) -> None:
    rewrite_notes(export, read_notes(export)[:-1])
    findings = found(export)
    assert [(f.kind, f.index) for f in findings] == [
        (FindingKind.RECORD_NOT_COVERED, 25),
        (FindingKind.CHECKPOINT_MISSING, 25),
    ]


def test_a_missing_checkpoint_between_is_counted(export: Path) -> None:
    kept = read_notes(export)
    rewrite_notes(export, kept[:2] + kept[3:])
    assert kinds(found(export)) == {FindingKind.CHECKPOINT_MISSING}


def test_no_checkpoint_vouches_for_nothing(export: Path) -> None:
    rewrite_notes(export, [])
    findings = found(export)
    assert (findings[0].kind, findings[0].index) == (FindingKind.CHECKPOINT_MISSING, 0)


def test_a_checkpoint_rolled_back_is_named(export: Path) -> None:
    kept = read_notes(export)
    rewrite_notes(export, [*kept[:4], kept[1], kept[4]])
    announce(export, checkpoints=6)
    assert [(f.kind, f.index, f.where) for f in found(export)] == [
        (FindingKind.CHECKPOINT_ROLLED_BACK, 10, "checkpoints.txt note 5")
    ]


def test_two_heads_of_one_size_are_a_fork(export: Path) -> None:
    root = Frontier().appended([bytes(32)] * 25).root()
    forked = sign_checkpoint(origin=ORIGIN, size=25, root=root, signers=[SIGNER])
    kept = read_notes(export)
    rewrite_notes(export, [*kept[:4], forked, kept[4]])
    announce(export, checkpoints=6)
    assert [(f.kind, f.index, f.where) for f in found(export)] == [
        (FindingKind.CHECKPOINT_FORKED, 25, "checkpoints.txt note 5")
    ]


def test_the_head_of_another_tree_is_refused(export: Path) -> None:
    kept = read_notes(export)
    kept[4] = signed(RECORDS, COUNT, origin="strongroom.example/audit/core/2")
    rewrite_notes(export, kept)
    first = found(export)[0]
    assert (first.kind, first.index) == (FindingKind.CHECKPOINT_REFUSED, 25)
    assert kinds(found(export, origin="another")) == {FindingKind.MANIFEST_REFUSED}


def test_altered_leaf_hashes_do_not_make_a_record_guilty(export: Path) -> None:
    path = export / "leaf_hashes.bin"
    content = bytearray(path.read_bytes())
    content[32 * 12] ^= 1
    path.write_bytes(content)
    assert [(f.kind, f.index) for f in found(export)] == [(FindingKind.LEAF_HASH_DIVERGES, 12)]


def test_a_tampered_record_is_named_after_an_altered_leaf_hash(export: Path) -> None:
    path = export / "leaf_hashes.bin"
    content = path.read_bytes()
    path.write_bytes(content[: 32 * 3] + bytes(32) + content[32 * 4 :])
    rewrite(export, lambda lines: lines.__setitem__(30, another(30)))
    assert [(f.kind, f.index) for f in found(export)] == [
        (FindingKind.LEAF_HASH_DIVERGES, 3),
        (FindingKind.RECORD_DIVERGES, 30),
    ]


def test_a_record_altered_with_its_leaf_hash_is_placed_between_two_checkpoints(
    export: Path,
) -> None:
    rewrite(export, lambda lines: lines.__setitem__(12, another(12)))
    path = export / "leaf_hashes.bin"
    content = path.read_bytes()
    path.write_bytes(content[: 32 * 12] + leaf_hash(another(12)) + content[32 * 13 :])
    findings = found(export)
    assert [(f.kind, f.index, f.until) for f in findings] == [(FindingKind.RECORD_DIVERGES, 10, 25)]
    assert "in records 10 to 24" in str(findings[0])


def test_too_many_leaf_hashes_are_found(export: Path) -> None:
    with (export / "leaf_hashes.bin").open("ab") as file:
        file.write(bytes(32))
    assert [(f.kind, f.index) for f in found(export)] == [(FindingKind.LEAF_HASH_DIVERGES, 40)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"", FindingKind.RECORD_REFUSED),
        (b"{}", FindingKind.RECORD_REFUSED),
        (RECORDS[12] + b" ", FindingKind.RECORD_REFUSED),
        (b"x" * 4096, FindingKind.RECORD_REFUSED),
        (b"x" * 4097, FindingKind.RECORD_REFUSED),
        (b"x" * 100_000, FindingKind.RECORD_REFUSED),
    ],
)
def test_a_line_that_is_no_record_is_named(export: Path, line: bytes, expected: str) -> None:
    rewrite(export, lambda lines: lines.__setitem__(12, line))
    findings = found(export)
    assert [(f.kind, f.index) for f in findings] == [
        (expected, 12),
        (FindingKind.RECORD_DIVERGES, 12),
    ]


def test_a_file_that_ends_within_a_record_is_named(export: Path) -> None:
    path = export / "records.jsonl"
    path.write_bytes(path.read_bytes()[:-1])
    findings = found(export)
    assert (findings[0].kind, findings[0].index) == (FindingKind.RECORD_REFUSED, 39)


async def test_a_repeated_event_id_is_named(tmp_path: Path) -> None:
    repeated = [*RECORDS[:30], another(7), *RECORDS[30:]]
    directory = await written_export(tmp_path / "export", repeated, [41])
    assert [(f.kind, f.index) for f in found(directory)] == [(FindingKind.RECORD_REPEATED, 30)]


async def test_an_event_id_repeated_long_after_is_named_too(tmp_path: Path) -> None:
    minute = timedelta(minutes=1)
    sparse = [encode(made_record(n, moment=START + n * minute)) for n in range(60)]
    directory = await written_export(tmp_path / "kept", sparse, [60])
    assert verify_export(directory, KEYS)
    directory = await written_export(tmp_path / "export", [*sparse, sparse[2]], [61])
    findings = found(directory)
    assert {f.index for f in findings} == {60}
    assert FindingKind.TIME_GOES_BACK in kinds(findings)


@pytest.mark.parametrize("last", range(5, 21))
async def test_an_event_id_repeated_within_the_skew_is_named_wherever_it_stands(
    tmp_path: Path, last: int
) -> None:
    minute = timedelta(minutes=1)
    sparse = [encode(made_record(n, moment=START + n * minute)) for n in range(last)]
    directory = await written_export(tmp_path / "export", [*sparse, sparse[-5]], [last + 1])
    assert [(f.kind, f.index) for f in found(directory)] == [(FindingKind.RECORD_REPEATED, last)]


@pytest.mark.parametrize("back", ["time", "event_id"])
async def test_neither_the_time_nor_the_event_id_may_go_back(tmp_path: Path, back: str) -> None:
    new, old = made_record(60), made_record(61, moment=START - timedelta(hours=1))
    mixed = msgspec.structs.replace(new, **{back: getattr(old, back)})
    directory = await written_export(tmp_path / "export", [*RECORDS, encode(mixed)], [41])
    assert [(f.kind, f.index) for f in found(directory)] == [(FindingKind.TIME_GOES_BACK, 40)]


async def test_time_may_go_back_within_the_skew_only(tmp_path: Path) -> None:
    late = START - timedelta(minutes=4)
    records = [*RECORDS, encode(made_record(99, moment=late)), *payloads(45)[COUNT:]]
    directory = await written_export(tmp_path / "export", records, [len(records)])
    assert verify_export(directory, KEYS)
    findings = found(directory, skew=timedelta(minutes=3))
    assert [(f.kind, f.index) for f in findings] == [(FindingKind.TIME_GOES_BACK, 40)]


async def test_one_wrong_clock_is_one_finding(tmp_path: Path) -> None:
    ahead = encode(made_record(99, moment=START + timedelta(days=900)))
    records = [*RECORDS[:20], ahead, *RECORDS[20:]]
    directory = await written_export(tmp_path / "export", records, [41])
    assert [(f.kind, f.index) for f in found(directory)] == [(FindingKind.TIME_GOES_BACK, 21)]


@pytest.mark.parametrize(
    "name", ["export.json", "records.jsonl", "leaf_hashes.bin", "checkpoints.txt"]
)
def test_a_missing_file_is_named(export: Path, name: str) -> None:
    (export / name).unlink()
    assert [(f.kind, f.where) for f in found(export)] == [(FindingKind.FILE_UNREADABLE, name)]
    (export / name).mkdir()
    assert [f.kind for f in found(export)] == [FindingKind.FILE_UNREADABLE]


def test_no_directory_is_a_finding(tmp_path: Path) -> None:
    assert kinds(found(tmp_path / "nothing")) == {FindingKind.FILE_UNREADABLE}


@pytest.mark.parametrize(
    ("changes", "kind", "index"),
    [
        ({"size": 41}, FindingKind.RECORD_MISSING, 40),
        ({"size": 39}, FindingKind.MANIFEST_REFUSED, 39),
        ({"checkpoints": 4}, FindingKind.CHECKPOINT_MISSING, 40),
    ],
)
def test_what_was_announced_must_stand_there(
    export: Path, changes: dict[str, object], kind: FindingKind, index: int
) -> None:
    announce(export, **changes)
    assert [(f.kind, f.index) for f in found(export)] == [(kind, index)]


def test_what_is_no_manifest_is_refused(export: Path) -> None:
    (export / "export.json").write_bytes(b"{}" * 10_000)
    assert kinds(found(export)) == {FindingKind.MANIFEST_REFUSED}


def test_findings_are_bounded(export: Path) -> None:
    rewrite(export, lambda lines: lines.extend([b"{}"] * 500))
    with pytest.raises(VerificationFailed) as failure:
        verify_export(export, KEYS)
    assert len(failure.value.findings) == 100
    assert failure.value.omitted == 500 + 2 - 100
    assert failure.value.first_index == 40


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    name=st.sampled_from(["records.jsonl", "checkpoints.txt", "leaf_hashes.bin", "export.json"]),
    data=st.data(),
)
def test_any_changed_bit_is_found_and_nothing_else_escapes(
    export: Path, name: str, data: st.DataObject
) -> None:
    path = export / name
    whole = path.read_bytes()
    changed = bytearray(whole)
    at = data.draw(st.integers(0, len(whole) - 1))
    changed[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(changed)
    try:
        if name == "export.json":  # not signed: what it says of tree and time is believed by no one
            try:
                verify_export(export, KEYS, origin=ORIGIN)
            except VerificationFailed:
                return
            announced = decode_manifest(bytes(changed), ExportManifest)
            assert (announced.size, announced.origin) == (COUNT, ORIGIN)
        else:
            assert found(export)
    finally:
        path.write_bytes(whole)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    name=st.sampled_from(["records.jsonl", "checkpoints.txt", "leaf_hashes.bin", "export.json"]),
    content=st.binary(max_size=300) | st.text(alphabet="\n— {}a").map(str.encode),
)
def test_any_content_is_found_and_nothing_else_escapes(
    export: Path, name: str, content: bytes
) -> None:
    path = export / name
    whole = path.read_bytes()
    path.write_bytes(content)
    try:
        assert found(export)
    finally:
        path.write_bytes(whole)


def test_a_rotated_key_leaves_no_gap(export: Path) -> None:
    new = NoteSigner(SIGNER.name, SigningKey.from_seed(b"n" * 32))
    kept = read_notes(export)
    rewrite_notes(export, [*kept[:3], signed(RECORDS, 25, signer=new), kept[4]])
    assert verify_export(export, [*KEYS, new.verifier])
    assert found(export)


async def test_progress_is_told(tmp_path: Path) -> None:
    records = payloads(9000)
    directory = await written_export(tmp_path / "export", records, [5000, 9000])
    told: list[int] = []
    verify_export(directory, KEYS, progress=told.append)
    assert told == [4096, 8192]
    with (directory / "records.jsonl").open("r+b") as file:
        content = file.read().replace(records[6000], another_of(records[6000]))
        file.seek(0)
        file.write(content)
    assert [(f.kind, f.index) for f in found(directory)] == [(FindingKind.RECORD_DIVERGES, 6000)]


def another_of(payload: bytes) -> bytes:
    return payload.replace(b'"last4":"4242"', b'"last4":"4444"')


def test_a_verdict_cannot_be_changed(export: Path) -> None:
    verdict = verify_export(export, KEYS)
    with pytest.raises(dataclasses.FrozenInstanceError):
        verdict.head = Checkpoint(ORIGIN, 0, bytes(32))  # type: ignore[misc]  # that is the test


def test_the_verifier_needs_no_database_and_no_network() -> None:
    code = (
        "import sys, strongroom.audit.verify, strongroom.audit.verify_bundle;"
        "print([name for name in sys.modules if name.split('.')[0] in"
        " {'asyncpg', 'litestar', 'granian', 'httpx', 'aiohttp', 'aiobotocore', 'ssl'}"
        " or name.startswith(('strongroom.db', 'strongroom.http', 'strongroom.config'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
