# SPDX-License-Identifier: Apache-2.0
"""Verifies a tenant's bundle offline: its records, each with its proof, and the public keys.

It shows that each record is in the signed tree as it stands there. It cannot show that the bundle is complete: only
the export of the whole tree can.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import final

from strongroom.audit import layout
from strongroom.audit.checkpoint import Checkpoint, open_checkpoint
from strongroom.audit.errors import CheckpointRefused, NoteRefused, ProofRefused
from strongroom.audit.findings import FindingKind
from strongroom.audit.layout import BundleManifest
from strongroom.audit.merkle import leaf_hash, verify_inclusion
from strongroom.audit.note import VerifierKey
from strongroom.audit.proof import PROOF_BYTES_MAX, SUFFIX, parse_proof
from strongroom.audit.reading import (
    PROGRESS_RECORDS,
    SKEW,
    Findings,
    RecordOrder,
    lines,
    read_manifest,
)


@final
@dataclass(frozen=True, slots=True)
class VerifiedBundle:
    """A tenant's records that are all in the tree. Only `verify_bundle` makes one."""

    manifest: BundleManifest
    #: The widest checkpoint of any proof; None where there is no record.
    head: Checkpoint | None
    first_time: str | None
    last_time: str | None


def verify_bundle(
    directory: Path,
    keys: Sequence[VerifierKey],
    *,
    origin: str | None = None,
    skew: timedelta = SKEW,
    progress: Callable[[int], None] | None = None,
) -> VerifiedBundle:
    """Return proof that every record is in the tree, or raise VerificationFailed with every finding.

    Nothing else escapes. `origin` is the tree that is expected (else the one the bundle names).
    """
    # To believe a bundle:
    #  1. Read what it says of itself, and that it is of the tree expected.
    #  2. Look at every record: canonical, this tenant's, in the order of time, its event id not seen before.
    #  3. Follow its proof to the root of a checkpoint that a trusted key has signed for this tree.
    #  4. The indexes rise, and no two checkpoints of one size have different roots.
    #  5. As many records and proofs stand there as were announced.
    findings = Findings()
    manifest = read_manifest(directory, layout.BUNDLE_MANIFEST, BundleManifest, findings)  # (1)
    if manifest is None:
        raise findings.failure()
    if origin is not None and manifest.origin != origin:
        findings.add(
            FindingKind.MANIFEST_REFUSED, layout.BUNDLE_MANIFEST, "the bundle is another tree's"
        )
        raise findings.failure()
    order = RecordOrder(findings, layout.RECORDS, skew)
    proofs = _Proofs(directory / layout.PROOFS, keys, manifest.origin, findings)
    count = 0
    try:
        with (directory / layout.RECORDS).open("rb") as file:
            for line, payload in enumerate(lines(file)):
                count += 1
                record = order.look(payload, line)  # (2)
                if record is not None:
                    if record.merchant != manifest.merchant:
                        findings.add(
                            FindingKind.RECORD_OF_ANOTHER,
                            f"{layout.RECORDS}:{line + 1}",
                            "another tenant's record",
                            index=line,
                        )
                    proofs.follow(payload, record.event_id, line)  # (3) (4)
                if progress is not None and count % PROGRESS_RECORDS == 0:
                    progress(count)
        _count(directory, manifest, count, findings)  # (5)
    except OSError as error:
        findings.unreadable(error)
    if findings.kept:
        raise findings.failure()
    return VerifiedBundle(manifest, proofs.head, order.first_time, order.last_time)


class _Proofs:
    """Follows one proof after the other, opening each checkpoint once."""

    def __init__(
        self, directory: Path, keys: Sequence[VerifierKey], origin: str, findings: Findings
    ) -> None:
        self._directory = directory
        self._keys = keys
        self._origin = origin
        self._findings = findings
        self._note = b""
        self._checkpoint: Checkpoint | None = None
        self._index = -1
        self.head: Checkpoint | None = None

    def follow(self, payload: bytes, event_id: str, line: int) -> None:
        """Follow the record's proof to a signed root. Adds to the findings."""
        name = event_id + SUFFIX
        try:
            with (self._directory / name).open("rb") as file:
                proof = parse_proof(file.read(PROOF_BYTES_MAX + 1))
            checkpoint = self._opened(proof.checkpoint)
            verify_inclusion(
                leaf_hash(payload),
                index=proof.index,
                size=checkpoint.size,
                proof=proof.hashes,
                root=checkpoint.root,
            )
        except OSError as error:
            detail = error.strerror or "cannot be read"
            self._findings.add(FindingKind.PROOF_REFUSED, name, detail, index=line)
            return
        except (ProofRefused, NoteRefused, CheckpointRefused) as error:
            self._findings.add(FindingKind.PROOF_REFUSED, name, error.detail, index=line)
            return
        if proof.index <= self._index:
            detail = "stands before its predecessor in the tree"
            self._findings.add(FindingKind.PROOF_REFUSED, name, detail, index=line)
        self._index = proof.index
        self._compare(checkpoint, name, line)

    def _opened(self, note: bytes) -> Checkpoint:
        if self._checkpoint is None or note != self._note:
            self._checkpoint = open_checkpoint(note, self._keys, origin=self._origin)
            self._note = note
        return self._checkpoint

    def _compare(self, checkpoint: Checkpoint, name: str, line: int) -> None:
        head = self.head
        if head is None or checkpoint.size > head.size:
            self.head = checkpoint
        elif checkpoint.size == head.size and checkpoint.root != head.root:
            self._findings.add(
                FindingKind.CHECKPOINT_FORKED,
                name,
                f"another root was signed for {head.size} records",
                index=line,
            )


def _count(directory: Path, manifest: BundleManifest, count: int, findings: Findings) -> None:
    if count != manifest.records:
        findings.add(
            FindingKind.RECORD_MISSING
            if count < manifest.records
            else FindingKind.MANIFEST_REFUSED,
            layout.BUNDLE_MANIFEST,
            f"{manifest.records} records were announced, {count} stand there",
            index=min(count, manifest.records),
        )
    with os.scandir(directory / layout.PROOFS) as entries:
        proofs = sum(1 for _ in entries)
    if proofs > count:
        findings.add(
            FindingKind.PROOF_UNCLAIMED,
            layout.PROOFS,
            f"{proofs} proofs for {count} records",
            index=count,
        )
