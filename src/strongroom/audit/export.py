# SPDX-License-Identifier: Apache-2.0
"""Writes exports and tenants' bundles (`layout`), from whatever yields the rows; knows no database.

Everything is written into a directory beside the target, synced, and renamed into place: there is a whole export or
none. Files are the owner's alone (0600 in 0700). Writes what it is given; the verifier judges it.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple, ParamSpec, TypeVar

from strongroom.audit import layout
from strongroom.audit.errors import ExportRefused
from strongroom.audit.layout import BundleManifest, ExportManifest, encode_manifest
from strongroom.audit.merkle import HASH_BYTES
from strongroom.audit.proof import SUFFIX, TlogProof
from strongroom.audit.record import decode
from strongroom.kernel.clock import rfc3339

_BUFFER_BYTES: Final = 1 << 20
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ExportSubject:
    """Which tree is exported, and when."""

    origin: str
    tree: str
    made_at: datetime


class SealedRecord(NamedTuple):
    """A record's exact bytes, and the leaf hash that the tree holds for it."""

    payload: bytes
    leaf_hash: bytes


class ProvenRecord(NamedTuple):
    """A record's exact bytes and its proof."""

    payload: bytes
    proof: TlogProof


async def write_export(
    directory: Path,
    subject: ExportSubject,
    *,
    records: AsyncIterator[SealedRecord],
    checkpoints: AsyncIterator[bytes],
) -> ExportManifest:
    """Write the whole tree, records from index 0 and signed notes from the first.

    Raises ExportRefused where something stands at the directory already, where a record's bytes are not one line,
    or where the disk refuses; then nothing is left behind.
    """
    async with _staged(directory) as staging:
        size = 0
        async for record in records:
            if b"\n" in record.payload or len(record.leaf_hash) != HASH_BYTES:
                raise ExportRefused(f"record {size} is not one line with one hash")
            await staging.append(layout.RECORDS, record.payload + b"\n")
            await staging.append(layout.LEAF_HASHES, record.leaf_hash)
            size += 1
        count = 0
        async for note in checkpoints:
            await staging.append(layout.CHECKPOINTS, b"\n" + note if count else note)
            count += 1
        manifest = ExportManifest(
            checkpoints=count,
            made_at=rfc3339(subject.made_at),
            origin=subject.origin,
            size=size,
            tree=subject.tree,
        )
        await staging.append(layout.EXPORT_MANIFEST, encode_manifest(manifest))
        await staging.finish(layout.RECORDS, layout.LEAF_HASHES, layout.CHECKPOINTS)
    return manifest


async def write_bundle(
    directory: Path,
    subject: ExportSubject,
    *,
    merchant: str,
    records: AsyncIterator[ProvenRecord],
) -> BundleManifest:
    """Write a tenant's records in the order of the tree, each with its proof.

    Raises RecordRefused for bytes that are not a record, and ExportRefused as `write_export` does, and for an event
    id that comes twice.
    """
    async with _staged(directory) as staging:
        await _on_disk((staging.path / layout.PROOFS).mkdir, 0o700)
        count = 0
        async for record in records:
            event_id = decode(record.payload).event_id  # its form makes it a safe file name
            await staging.append(layout.RECORDS, record.payload + b"\n")
            await staging.write_once(f"{layout.PROOFS}/{event_id}{SUFFIX}", record.proof.encode())
            count += 1
        manifest = BundleManifest(
            made_at=rfc3339(subject.made_at),
            merchant=merchant,
            origin=subject.origin,
            records=count,
            tree=subject.tree,
        )
        await staging.append(layout.BUNDLE_MANIFEST, encode_manifest(manifest))
        await staging.finish(layout.RECORDS)
    return manifest


class _Staging:
    """A directory under construction. Buffers up to a mebibyte a file; the disk is touched on a thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._buffers: dict[str, bytearray] = {}

    async def append(self, name: str, content: bytes) -> None:
        buffer = self._buffers.setdefault(name, bytearray())
        buffer += content
        if len(buffer) >= _BUFFER_BYTES:
            await _on_disk(_append, self.path / name, bytes(buffer))
            buffer.clear()

    async def write_once(self, name: str, content: bytes) -> None:
        await _on_disk(_write, self.path / name, content, "xb")

    async def finish(self, *names: str) -> None:
        """Write out every buffer and sync; the named files exist even where nothing was appended."""
        for name in names:
            self._buffers.setdefault(name, bytearray())
        for name, buffer in self._buffers.items():
            await _on_disk(_write, self.path / name, bytes(buffer), "ab")
        self._buffers.clear()


@asynccontextmanager
async def _staged(directory: Path) -> AsyncIterator[_Staging]:
    """Give a directory to write into; rename it into place at the end, or remove it."""
    if await _on_disk(os.path.lexists, directory):
        raise ExportRefused("something stands at that place already")
    path = await _on_disk(_make_beside, directory)
    try:
        yield _Staging(path)
        # Crash before the rename: a hidden directory is left, and no export. After it: the export is whole.
        await _on_disk(_place, path, directory)
    except BaseException:  # a cancelled task included: half an export is none
        shutil.rmtree(path, ignore_errors=True)
        raise


async def _on_disk(act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Touch the disk on a thread. Only here an OSError is the disk's: the rows' source may raise its own."""
    try:
        return await asyncio.to_thread(act, *args, **kwargs)
    except OSError as error:
        raise ExportRefused(f"cannot write there: {error.strerror}") from error


def _make_beside(directory: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))


def _append(path: Path, content: bytes) -> None:
    with open(path, "ab", opener=_private) as file:
        file.write(content)


def _write(path: Path, content: bytes, mode: Literal["ab", "xb"]) -> None:
    with open(path, mode, opener=_private) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _place(staged: Path, directory: Path) -> None:
    for inside in (staged, staged / layout.PROOFS):
        if inside.is_dir():
            _sync_directory(inside)
    staged.rename(
        directory
    )  # onto an empty directory at most; onto anything else the system refuses
    _sync_directory(directory.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
