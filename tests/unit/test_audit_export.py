# SPDX-License-Identifier: Apache-2.0
"""Writing an export or a bundle: whole or not at all, and for its owner alone."""

import asyncio
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from strongroom.audit.errors import ExportRefused, RecordRefused
from strongroom.audit.export import SealedRecord, write_bundle, write_export
from strongroom.audit.layout import ExportManifest, decode_manifest, encode_manifest
from strongroom.audit.merkle import leaf_hash
from strongroom.audit.reading import notes
from unit.audit_trees import (
    MERCHANT,
    START,
    SUBJECT,
    each,
    payloads,
    signed,
    written_bundle,
    written_export,
)

RECORDS = payloads(5)


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


async def test_an_export_is_what_was_given(tmp_path: Path) -> None:
    directory = await written_export(tmp_path / "export", RECORDS, [2, 2, 5])
    assert (directory / "records.jsonl").read_bytes() == b"".join(r + b"\n" for r in RECORDS)
    assert (directory / "leaf_hashes.bin").read_bytes() == b"".join(map(leaf_hash, RECORDS))
    with (directory / "checkpoints.txt").open("rb") as file:
        assert list(notes(file)) == [signed(RECORDS, size) for size in (2, 2, 5)]
    manifest = decode_manifest((directory / "export.json").read_bytes(), ExportManifest)
    assert (manifest.size, manifest.checkpoints, manifest.tree) == (5, 3, "core")
    assert manifest.made_at == "2026-03-01T12:00:00.000000Z"


async def test_files_are_the_owners_alone_and_nothing_else_is_left(tmp_path: Path) -> None:
    export = await written_export(tmp_path / "export", RECORDS, [5])
    bundle = await written_bundle(tmp_path / "bundle", RECORDS, [0, 3], size=5)
    assert names(tmp_path) == ["bundle", "export"]
    for path in [export, bundle, *export.rglob("*"), *bundle.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600)
    assert len(names(bundle / "proofs")) == 2


async def test_more_than_the_buffer_is_written_in_order(tmp_path: Path) -> None:
    many = RECORDS * 1000
    directory = await written_export(tmp_path / "export", many, [])
    assert (directory / "records.jsonl").read_bytes() == b"".join(r + b"\n" for r in many)
    assert (directory / "leaf_hashes.bin").stat().st_size == 32 * len(many)


@pytest.mark.parametrize("kind", ["directory", "file", "link"])
async def test_what_stands_there_is_left_alone(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "export"
    if kind == "directory":
        target.mkdir()
    elif kind == "file":
        target.write_text("mine")
    else:
        target.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ExportRefused):
        await written_export(target, RECORDS, [5])
    assert names(tmp_path) == ["export"]


class Lost(OSError):
    """The rows' source is gone."""


async def broken() -> AsyncIterator[SealedRecord]:
    yield SealedRecord(RECORDS[0], leaf_hash(RECORDS[0]))
    raise Lost


async def endless() -> AsyncIterator[SealedRecord]:
    while True:
        yield SealedRecord(RECORDS[0], leaf_hash(RECORDS[0]))
        await asyncio.sleep(0)


async def test_a_source_that_breaks_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(Lost):
        await write_export(tmp_path / "export", SUBJECT, records=broken(), checkpoints=each([]))
    assert names(tmp_path) == []


async def test_a_cancelled_export_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await write_export(
                tmp_path / "export", SUBJECT, records=endless(), checkpoints=each([])
            )
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "record",
    [SealedRecord(b"two\nlines", bytes(32)), SealedRecord(RECORDS[0], bytes(31))],
)
async def test_what_would_not_be_one_line_is_refused(tmp_path: Path, record: SealedRecord) -> None:
    with pytest.raises(ExportRefused):
        await write_export(
            tmp_path / "export", SUBJECT, records=each([record]), checkpoints=each([])
        )
    assert names(tmp_path) == []


async def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportRefused):
        await written_export(tmp_path / "no such directory" / "export", RECORDS, [5])


async def test_a_bundle_takes_records_once(tmp_path: Path) -> None:
    with pytest.raises(ExportRefused):
        await written_bundle(tmp_path / "bundle", RECORDS, [1, 1], size=5)
    spoiled = [RECORDS[0][:-1], *RECORDS[1:]]
    with pytest.raises(RecordRefused):
        await written_bundle(tmp_path / "bundle", spoiled, [0], size=5)
    assert names(tmp_path) == []


async def test_an_empty_bundle_is_one(tmp_path: Path) -> None:
    manifest = await write_bundle(tmp_path / "bundle", SUBJECT, merchant=MERCHANT, records=each([]))
    assert manifest.records == 0
    assert (tmp_path / "bundle" / "records.jsonl").read_bytes() == b""


@pytest.mark.parametrize("content", [b"", b"[]", b'{"size": 1}', b"\xff", b'{"extra": 1}'])
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(ExportRefused):
        decode_manifest(content, ExportManifest)


def test_a_manifest_prints_and_reads() -> None:
    manifest = ExportManifest(
        checkpoints=1, made_at=START.isoformat(), origin="log.example", size=3, tree="core"
    )
    assert decode_manifest(encode_manifest(manifest), ExportManifest) == manifest
