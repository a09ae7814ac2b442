# SPDX-License-Identifier: Apache-2.0
"""A tenant's bundle: every record is proven to be in the tree, and what is not is named by its line."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strongroom.audit.errors import VerificationFailed
from strongroom.audit.findings import Finding, FindingKind
from strongroom.audit.layout import BundleManifest, decode_manifest, encode_manifest
from strongroom.audit.merkle import inclusion_proof, leaf_hash
from strongroom.audit.proof import TlogProof, parse_proof
from strongroom.audit.record import decode, encode
from strongroom.audit.verify_bundle import verify_bundle
from unit.audit_trees import (
    ORIGIN,
    OTHER_MERCHANT,
    SIGNER,
    STRANGER,
    Leaves,
    made_record,
    payloads,
    signed,
    written_bundle,
)

KEYS = [SIGNER.verifier]
RECORDS = payloads(20)
INDEXES = [0, 4, 5, 11, 19]


@pytest.fixture
async def bundle(tmp_path: Path) -> Path:
    return await written_bundle(tmp_path / "bundle", RECORDS, INDEXES, size=20)


def found(directory: Path, origin: str | None = None) -> list[Finding]:
    with pytest.raises(VerificationFailed) as failure:
        verify_bundle(directory, KEYS, origin=origin)
    return list(failure.value.findings)


def rewrite(directory: Path, change: Callable[[list[bytes]], object]) -> None:
    path = directory / "records.jsonl"
    lines = path.read_bytes().splitlines()
    change(lines)
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def proof_path(directory: Path, index: int) -> Path:
    return directory / "proofs" / f"{decode(RECORDS[index]).event_id}.tlog-proof"


async def proven(index: int, size: int, note: bytes) -> bytes:
    hashes = await inclusion_proof(Leaves([leaf_hash(one) for one in RECORDS]), index, size)
    return TlogProof(index, tuple(hashes), note).encode()


def test_a_bundle_that_holds_is_proof(bundle: Path) -> None:
    verdict = verify_bundle(bundle, KEYS, origin=ORIGIN)
    assert verdict.manifest.records == 5
    assert verdict.head is not None
    assert verdict.head.size == 20
    assert verdict.last_time == decode(RECORDS[19]).time


async def test_proofs_may_lead_to_different_checkpoints(bundle: Path) -> None:
    proof_path(bundle, 4).write_bytes(await proven(4, 9, signed(RECORDS, 9)))
    assert verify_bundle(bundle, KEYS)


async def test_an_empty_bundle_holds(tmp_path: Path) -> None:
    directory = await written_bundle(tmp_path / "bundle", RECORDS, [], size=20)
    assert verify_bundle(directory, KEYS).head is None


def test_a_tampered_record_is_named(bundle: Path) -> None:
    rewrite(bundle, lambda lines: lines.__setitem__(2, lines[2].replace(b"4242", b"4444", 1)))
    assert [(f.kind, f.index) for f in found(bundle)] == [(FindingKind.PROOF_REFUSED, 2)]


def test_a_removed_record_is_missed(bundle: Path) -> None:
    rewrite(bundle, lambda lines: lines.pop(2))
    assert [(f.kind, f.index) for f in found(bundle)] == [
        (FindingKind.RECORD_MISSING, 4),
        (FindingKind.PROOF_UNCLAIMED, 4),
    ]


def test_swapped_records_are_named(bundle: Path) -> None:
    rewrite(bundle, lambda lines: lines.__setitem__(slice(1, 3), [lines[2], lines[1]]))
    assert [(f.kind, f.index) for f in found(bundle)] == [(FindingKind.PROOF_REFUSED, 2)]


def test_a_repeated_record_is_named(bundle: Path) -> None:
    rewrite(bundle, lambda lines: lines.append(lines[0]))
    assert {(f.kind, f.index) for f in found(bundle)} == {
        (FindingKind.RECORD_REPEATED, 5),
        (FindingKind.PROOF_REFUSED, 5),
        (FindingKind.MANIFEST_REFUSED, 5),
    }


def test_an_appended_record_has_no_proof(bundle: Path) -> None:
    rewrite(bundle, lambda lines: lines.append(encode(made_record(21))))
    first = found(bundle)[0]
    assert (first.kind, first.index) == (FindingKind.PROOF_REFUSED, 5)


def test_a_missing_proof_is_named(bundle: Path) -> None:
    proof_path(bundle, 11).unlink()
    assert [(f.kind, f.index) for f in found(bundle)] == [(FindingKind.PROOF_REFUSED, 3)]


def test_a_proof_of_another_record_is_named(bundle: Path) -> None:
    proof_path(bundle, 11).write_bytes(proof_path(bundle, 5).read_bytes())
    assert [(f.kind, f.index) for f in found(bundle)] == [(FindingKind.PROOF_REFUSED, 3)]


async def test_a_proof_signed_by_another_key_is_named(bundle: Path) -> None:
    proof_path(bundle, 4).write_bytes(await proven(4, 20, signed(RECORDS, 20, signer=STRANGER)))
    assert [(f.kind, f.index) for f in found(bundle)] == [(FindingKind.PROOF_REFUSED, 1)]


async def test_a_proof_in_another_tree_is_named(bundle: Path) -> None:
    proof_path(bundle, 4).write_bytes(await proven(4, 20, signed(RECORDS, 20, origin="another")))
    assert [(f.kind, f.index) for f in found(bundle)] == [(FindingKind.PROOF_REFUSED, 1)]
    assert [f.kind for f in found(bundle, "another")] == [FindingKind.MANIFEST_REFUSED]


async def test_two_heads_of_one_size_are_a_fork(bundle: Path) -> None:
    other = [*RECORDS[:19], encode(made_record(77))]
    leaves = Leaves([leaf_hash(one) for one in other])
    hashes = tuple(await inclusion_proof(leaves, 4, 20))
    proof_path(bundle, 4).write_bytes(TlogProof(4, hashes, signed(other, 20)).encode())
    assert FindingKind.CHECKPOINT_FORKED in {f.kind for f in found(bundle)}


async def test_another_tenants_record_is_named(tmp_path: Path) -> None:
    records = [*RECORDS[:3], encode(made_record(3, merchant=OTHER_MERCHANT)), *RECORDS[4:]]
    directory = await written_bundle(tmp_path / "bundle", records, [1, 3], size=20)
    assert [(f.kind, f.index) for f in found(directory)] == [(FindingKind.RECORD_OF_ANOTHER, 1)]


@pytest.mark.parametrize("name", ["bundle.json", "records.jsonl"])
def test_a_missing_file_is_named(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    assert [(f.kind, f.where) for f in found(bundle)] == [(FindingKind.FILE_UNREADABLE, name)]


def test_a_missing_folder_of_proofs_is_named(bundle: Path) -> None:
    for path in (bundle / "proofs").iterdir():
        path.unlink()
    (bundle / "proofs").rmdir()
    assert {f.kind for f in found(bundle)} == {
        FindingKind.PROOF_REFUSED,
        FindingKind.FILE_UNREADABLE,
    }


def test_what_was_announced_must_stand_there(bundle: Path) -> None:
    path = bundle / "bundle.json"
    manifest = decode_manifest(path.read_bytes(), BundleManifest)
    fields = {name: getattr(manifest, name) for name in manifest.__struct_fields__}
    path.write_bytes(encode_manifest(BundleManifest(**{**fields, "records": 6})))
    assert [(f.kind, f.index) for f in found(bundle)] == [(FindingKind.RECORD_MISSING, 5)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_any_changed_bit_of_a_proof_is_found(bundle: Path, data: st.DataObject) -> None:
    path = proof_path(bundle, data.draw(st.sampled_from(INDEXES)))
    whole = path.read_bytes()
    assert parse_proof(whole).encode() == whole
    changed = bytearray(whole)
    changed[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(changed)
    try:
        assert found(bundle)
    finally:
        path.write_bytes(whole)
