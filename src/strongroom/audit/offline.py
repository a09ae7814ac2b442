# SPDX-License-Identifier: Apache-2.0
"""Verifying with files and public keys alone, in one call each: what `strongroom audit verify` and `verify-proof` do.

Without an origin the one that the files name is taken, and it must be of the tree whose keys were given.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeAlias, final

from strongroom.audit import layout
from strongroom.audit.checkpoint import Checkpoint, parse_checkpoint
from strongroom.audit.errors import CheckpointRefused, NoteRefused, SinkFailed, VerificationFailed
from strongroom.audit.findings import Finding, FindingKind
from strongroom.audit.layout import ExportManifest
from strongroom.audit.note import VerifierKey, parse_note
from strongroom.audit.origin import generation_of
from strongroom.audit.proof import VerifiedInclusion, parse_proof, verify_proof
from strongroom.audit.reading import Findings, read_manifest
from strongroom.audit.record import AuditRecord, decode
from strongroom.audit.sinks.kept import KeptHeads, kept_heads, record_in_folder
from strongroom.audit.verify import VerifiedExport, verify_export
from strongroom.audit.verify_bundle import VerifiedBundle, verify_bundle

Progress: TypeAlias = Callable[[int], None]
#: Records that were committed this long before an export may not have been sealed in time to be in it.
IN_FLIGHT: Final = timedelta(minutes=1)


@final
@dataclass(frozen=True, slots=True)
class VerifiedLog:
    """A log that held, and the newest head that its sink holds. Only `verify_directory` makes one."""

    log: VerifiedExport | VerifiedBundle
    #: None where no sink was asked; then nothing shows that the log is the newest.
    kept: Checkpoint | None


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


def is_bundle(directory: Path) -> bool:
    """Tell whether this is a tenant's bundle and not the export of a whole tree."""
    return (directory / layout.BUNDLE_MANIFEST).exists()


def verify_directory(
    directory: Path,
    keys: Sequence[VerifierKey],
    *,
    origin: str | None = None,
    sink: Path | None = None,
    progress: Progress | None = None,
) -> VerifiedLog:
    """Return an export or a bundle as proof that it holds. `sink` is the folder of the tree's file sink.

    Raises:
        VerificationFailed: carries every finding.
        CheckpointRefused: it holds, and is of another tree or generation than the keys or the sink.
        SinkFailed: the sink's folder holds no head of this tree, or what stands there does not verify.
    """
    if is_bundle(directory):
        if sink is not None:
            raise CheckpointRefused("a bundle is a part of the tree: a sink says nothing of it")
        bundle = verify_bundle(directory, keys, origin=origin, progress=progress)
        if origin is None:
            _require_own(bundle.manifest.origin, keys)
        return VerifiedLog(bundle, None)
    kept = None if sink is None else kept_heads(sink, keys, _announced(directory))
    anchors = () if kept is None or kept.within is None else (kept.within,)
    export = verify_export(directory, keys, origin=origin, anchors=anchors, progress=progress)
    if origin is None:
        _require_own(export.manifest.origin, keys)
    if kept is not None:
        if kept.newest.origin != export.manifest.origin:
            raise CheckpointRefused("the export is of another generation of the tree than the sink")
        _require_newest(export, kept)
    return VerifiedLog(export, kept.newest if kept else None)


def _announced(directory: Path) -> int:
    """Return how many records the export says it has; whether that is true is seen later."""
    manifest = read_manifest(directory, layout.EXPORT_MANIFEST, ExportManifest, Findings())
    return 0 if manifest is None else manifest.size


def _require_newest(export: VerifiedExport, kept: KeptHeads) -> None:
    """What the sink holds beyond the export must be younger than the export: else the log was cut back.

    The day on which an export says it was made is not signed; whoever asked for it knows it.
    """
    size, newest = export.head.size, kept.newest.size
    if newest <= size:
        return
    if kept.within is None:
        raise SinkFailed("the sink's folder holds no head that is as old as the export")
    following = decode(record_in_folder(kept.folder, size))
    made_at = datetime.fromisoformat(export.manifest.made_at)
    if datetime.fromisoformat(following.time) < made_at - IN_FLIGHT:
        detail = "the sink holds these, and they are older than the export"
        finding = Finding(FindingKind.RECORD_MISSING, layout.RECORDS, detail, size, newest)
        raise VerificationFailed([finding])


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
