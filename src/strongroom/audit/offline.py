# SPDX-License-Identifier: Apache-2.0
"""Verifying with files and public keys alone, in one call each: what `strongroom audit verify` and `verify-proof` do.

Without an origin the one that the files name is taken, and it must be of the tree whose keys were given.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, final

from strongroom.audit import layout
from strongroom.audit.checkpoint import Checkpoint, parse_checkpoint
from strongroom.audit.errors import CheckpointRefused, NoteRefused, SinkFailed
from strongroom.audit.note import VerifierKey, parse_note
from strongroom.audit.origin import generation_of
from strongroom.audit.proof import VerifiedInclusion, parse_proof, verify_proof
from strongroom.audit.record import AuditRecord, decode
from strongroom.audit.sinks.file import FileSink
from strongroom.audit.verify import VerifiedExport, verify_export
from strongroom.audit.verify_bundle import VerifiedBundle, verify_bundle

Progress: TypeAlias = Callable[[int], None]


@final
@dataclass(frozen=True, slots=True)
class VerifiedRecord:
    """A record that is in the tree. Only `verify_record` makes one."""

    record: AuditRecord
    inclusion: VerifiedInclusion


def trusted_keys(text: str) -> Sequence[VerifierKey]:
    """Read verifier keys, one a line; empty lines and lines that begin with # are left out.

    Raises:
        NoteRefused: a line is not a verifier key, or there is none.
    """
    lines = [line.strip() for line in text.splitlines()]
    keys = [VerifierKey.parse(line) for line in lines if line and not line.startswith("#")]
    if not keys:
        raise NoteRefused("there is no verifier key: <name>+<key id>+<key>, one a line")
    return keys


def kept_head(folder: Path, keys: Sequence[VerifierKey]) -> Checkpoint:
    """Return the newest head that a tree's file sink holds, signed by one of these keys.

    Raises:
        SinkFailed: there is none, or what stands there does not verify.
    """
    head = asyncio.run(FileSink(folder).last(keys[0].name, keys)) if folder.is_dir() else None
    if head is None or head.checkpoint is None:
        raise SinkFailed("the sink's folder holds no head of this tree")
    return head.checkpoint


def is_bundle(directory: Path) -> bool:
    """Tell whether this is a tenant's bundle and not the export of a whole tree."""
    return (directory / layout.BUNDLE_MANIFEST).exists()


def verify_directory(
    directory: Path,
    keys: Sequence[VerifierKey],
    *,
    origin: str | None = None,
    kept: Checkpoint | None = None,
    progress: Progress | None = None,
) -> VerifiedExport | VerifiedBundle:
    """Return an export or a bundle as proof that it holds. `kept` is a head that was kept elsewhere.

    Raises:
        VerificationFailed: carries every finding.
        CheckpointRefused: it holds, and is of another tree or generation than the keys or the kept head.
    """
    if is_bundle(directory):
        if kept is not None:
            raise CheckpointRefused(
                "a bundle is a part of the tree: a kept head says nothing of it"
            )
        bundle = verify_bundle(directory, keys, origin=origin, progress=progress)
        _require_own(bundle.manifest.origin, keys)
        return bundle
    anchors = () if kept is None else (kept,)
    export = verify_export(directory, keys, origin=origin, anchors=anchors, progress=progress)
    _require_own(export.manifest.origin, keys)
    if kept is not None and kept.origin != export.manifest.origin:
        raise CheckpointRefused(
            "the export is of another generation of the tree than the kept head"
        )
    return export


def verify_record(
    payload: bytes, proof: bytes, keys: Sequence[VerifierKey], *, origin: str | None = None
) -> VerifiedRecord:
    """Return a record as proof that it is in the tree.

    Raises:
        RecordRefused, ProofRefused, NoteRefused, CheckpointRefused: see each.
    """
    record = decode(payload)
    if origin is None:
        origin = parse_checkpoint(parse_note(parse_proof(proof).checkpoint).text).origin
        _require_own(origin, keys)
    return VerifiedRecord(record, verify_proof(proof, payload, keys, origin=origin))


def _require_own(origin: str, keys: Sequence[VerifierKey]) -> None:
    """A key signs the generations of the tree that it is named after, and no other."""
    if all(generation_of(key.name, origin) is None for key in keys):
        raise CheckpointRefused("this is the log of another tree than the one whose key was given")
