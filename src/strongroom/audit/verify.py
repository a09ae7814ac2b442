# SPDX-License-Identifier: Apache-2.0
"""Verifies the export of a whole tree offline: files and public keys, no database, no network.

What it cannot show: that the export is the newest. A log cut back to an old checkpoint is a valid old log, so give
it heads that were kept elsewhere (`anchors`).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from heapq import merge
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import IO, final

from strongroom.audit import layout
from strongroom.audit.checkpoint import Checkpoint, open_checkpoint
from strongroom.audit.errors import CheckpointRefused, NoteRefused
from strongroom.audit.findings import FindingKind
from strongroom.audit.layout import ExportManifest
from strongroom.audit.merkle import HASH_BYTES, Frontier, leaf_hash
from strongroom.audit.note import VerifierKey
from strongroom.audit.reading import (
    PROGRESS_RECORDS,
    SKEW,
    Findings,
    RecordOrder,
    lines,
    notes,
    read_manifest,
)


@final
@dataclass(frozen=True, slots=True)
class VerifiedExport:
    """A whole tree that held. Only `verify_export` makes one."""

    manifest: ExportManifest
    #: The newest checkpoint; it covers every record.
    head: Checkpoint
    #: How many signed checkpoints held.
    checkpoints: int
    first_time: str | None
    last_time: str | None


@dataclass(frozen=True, slots=True)
class _Head:
    """A checkpoint whose signature held, and where it came from."""

    size: int
    root: bytes
    where: str


def verify_export(
    directory: Path,
    keys: Sequence[VerifierKey],
    *,
    origin: str | None = None,
    anchors: Sequence[Checkpoint] = (),
    skew: timedelta = SKEW,
    progress: Callable[[int], None] | None = None,
) -> VerifiedExport:
    """Return proof that the export holds, or raise VerificationFailed with every finding; nothing else escapes.

    `keys` are the trusted public keys, `origin` the tree that is expected (else the one the export names). `anchors`
    are heads kept elsewhere: the export must contain them. `progress` is told how many records are done.
    """
    # To believe an export:
    #  1. Read what it says of itself, and that it is of the tree expected.
    #  2. Open every checkpoint: signed by a trusted key, for this tree, none smaller than the one before.
    #  3. Look at every record: canonical, in the order of time within the skew, its event id not seen before.
    #  4. Grow the tree from the records' bytes alone; at the size of each checkpoint and anchor, compare the root.
    #     All comparisons with one growing tree are what makes the checkpoints consistent with each other.
    #  5. The last checkpoint covers the last record, and as many stand there as were announced.
    findings = Findings()
    manifest = read_manifest(directory, layout.EXPORT_MANIFEST, ExportManifest, findings)  # (1)
    if manifest is None:
        raise findings.failure()
    if origin is not None and manifest.origin != origin:
        findings.add(
            FindingKind.MANIFEST_REFUSED, layout.EXPORT_MANIFEST, "the export is another tree's"
        )
        raise findings.failure()
    walk = _Walk(findings, manifest, keys, skew, progress)
    try:
        with ExitStack() as stack:
            records, hashes, signed = (
                stack.enter_context((directory / name).open("rb"))
                for name in (layout.RECORDS, layout.LEAF_HASHES, layout.CHECKPOINTS)
            )
            walk.run(records, hashes, signed, anchors)  # (2) to (5)
    except OSError as error:
        findings.unreadable(error)
    if findings.kept or walk.head is None:
        raise findings.failure()
    return VerifiedExport(
        manifest, walk.head, walk.checkpoints, walk.order.first_time, walk.order.last_time
    )


class _Walk:
    """One pass over the three files, side by side."""

    def __init__(
        self,
        findings: Findings,
        manifest: ExportManifest,
        keys: Sequence[VerifierKey],
        skew: timedelta,
        progress: Callable[[int], None] | None,
    ) -> None:
        self._findings = findings
        self._manifest = manifest
        self._keys = keys
        self._progress = progress
        self.order = RecordOrder(findings, layout.RECORDS, skew)
        #: The newest checkpoint of the file whose signature held.
        self.head: Checkpoint | None = None
        self.checkpoints = 0
        self._tree = Frontier()
        self._count = 0  # records read
        self._vouched = 0  # the size at which the records last led to a signed root
        self._diverged = False
        # The tree that the stored leaf hashes make: kept only from the first record that differs from its hash on.
        self._stored: Frontier | None = None
        self._first_difference = 0

    def run(
        self,
        records: IO[bytes],
        hashes: IO[bytes],
        signed: IO[bytes],
        anchors: Sequence[Checkpoint],
    ) -> None:
        payloads = lines(records)
        kept = sorted((_Head(a.size, a.root, "anchor") for a in anchors), key=attrgetter("size"))
        heads = merge(self._heads(signed), kept, key=attrgetter("size"))
        largest = 0
        last: Sequence[_Head] = ()
        for size, group in groupby(heads, key=attrgetter("size")):
            self._read(payloads, hashes, size)
            largest, last = size, list(group)
            if self._count == size:
                self._compare(size, last)
        if self._count < largest:
            self._findings.add(
                FindingKind.RECORD_MISSING,
                layout.RECORDS,
                "the file ends before the last checkpoint's size",
                index=self._missing_from(hashes, largest, last),
                until=largest,
            )
        self._read(payloads, hashes, None)
        self._finish(hashes)

    def _heads(self, file: IO[bytes]) -> Iterator[_Head]:
        """Yield the signed checkpoints, each at least as large as the one before."""
        for number, note in enumerate(notes(file), start=1):
            where = f"{layout.CHECKPOINTS} note {number}"
            self.checkpoints = number
            newest = self.head.size if self.head else 0
            try:
                checkpoint = open_checkpoint(note, self._keys, origin=self._manifest.origin)  # (2)
            except (NoteRefused, CheckpointRefused) as error:
                self._findings.add(
                    FindingKind.CHECKPOINT_REFUSED, where, error.detail, index=newest
                )
                continue
            if checkpoint.size < newest:
                self._findings.add(
                    FindingKind.CHECKPOINT_ROLLED_BACK,
                    where,
                    f"signs {checkpoint.size} records after {newest} were signed",
                    index=checkpoint.size,
                )
                continue
            self.head = checkpoint
            yield _Head(checkpoint.size, checkpoint.root, where)

    def _read(self, payloads: Iterator[bytes], hashes: IO[bytes], size: int | None) -> None:
        """Read records until there are `size`, or all; grow the tree."""
        found: list[bytes] = []
        stored: list[bytes] = []
        while size is None or self._count < size:
            payload = next(payloads, None)
            if payload is None:
                break
            self.order.look(payload, self._count)  # (3)
            found.append(leaf_hash(payload))  # (4)
            stored.append(hashes.read(HASH_BYTES))
            self._count += 1
            if self._count % PROGRESS_RECORDS == 0:
                self._grow(found, stored)
                found, stored = [], []
                if self._progress is not None:
                    self._progress(self._count)
        self._grow(found, stored)

    def _grow(self, found: list[bytes], stored: list[bytes]) -> None:
        if self._stored is None and found != stored:
            self._first_difference = self._tree.size + next(
                at
                for at, (mine, theirs) in enumerate(zip(found, stored, strict=True))
                if mine != theirs
            )
            self._stored = self._tree
        if self._stored is not None:
            self._stored = self._stored.appended(stored)
        self._tree = self._tree.appended(found)

    def _compare(self, size: int, heads: Sequence[_Head]) -> None:
        """Compare the tree with the heads of its size: step (4)."""
        if self._diverged:
            return  # no later root can match: the first divergence says it all
        root = self._tree.root()
        wrong = [head for head in heads if head.root != root]
        if len(wrong) < len(heads):
            self._vouched = size
            self._leaf_hashes_wrong()
            for head in wrong:
                self._findings.add(
                    FindingKind.CHECKPOINT_FORKED,
                    head.where,
                    f"another root was signed for {size} records",
                    index=size,
                )
            return
        self._diverged = True
        if self._stored is not None and any(head.root == self._stored.root() for head in heads):
            self._findings.add(
                FindingKind.RECORD_DIVERGES,
                f"{layout.RECORDS}:{self._first_difference + 1}",
                f"not the record that was sealed, by {heads[0].where}",
                index=self._first_difference,
            )
        else:
            self._findings.add(
                FindingKind.RECORD_DIVERGES,
                heads[0].where,
                "the records do not lead to the signed root",
                index=self._vouched,
                until=size,
            )

    def _missing_from(self, hashes: IO[bytes], size: int, heads: Sequence[_Head]) -> int:
        """Say from which record on there are too few: the end of the file is not where one was taken out.

        The stored leaf hashes tell, if all of them lead to a signed root; else only what a root vouched for counts.
        """
        stored = self._tree if self._stored is None else self._stored
        while stored.size < size:
            found = [
                hashes.read(HASH_BYTES) for _ in range(min(size - stored.size, PROGRESS_RECORDS))
            ]
            if len(found[-1]) != HASH_BYTES:
                return self._vouched
            stored = stored.appended(found)
        if all(head.root != stored.root() for head in heads):
            return self._vouched
        return self._count if self._stored is None else self._first_difference

    def _leaf_hashes_wrong(self) -> None:
        """The records have led to a signed root: where the stored leaf hashes differ, those were altered."""
        if self._stored is None:
            return
        self._findings.add(
            FindingKind.LEAF_HASH_DIVERGES,
            layout.LEAF_HASHES,
            "not the hash of the record, which holds",
            index=self._first_difference,
        )
        self._stored = None  # they are compared anew from here on

    def _finish(self, hashes: IO[bytes]) -> None:
        """Compare what stands there with what was announced and signed: step (5)."""
        add = self._findings.add
        covered = self.head.size if self.head else 0
        if self.head is None:
            add(FindingKind.CHECKPOINT_MISSING, layout.CHECKPOINTS, "none holds", index=0)
        if self._count > covered:
            add(
                FindingKind.RECORD_NOT_COVERED,
                layout.RECORDS,
                "no checkpoint covers what follows",
                index=covered,
                until=self._count,
            )
        if self.checkpoints != self._manifest.checkpoints:
            add(
                FindingKind.CHECKPOINT_MISSING,
                layout.CHECKPOINTS,
                f"{self._manifest.checkpoints} were announced, {self.checkpoints} stand there",
                index=min(covered, self._manifest.size),
            )
        if self._count != self._manifest.size:
            add(
                FindingKind.RECORD_MISSING
                if self._count < self._manifest.size
                else FindingKind.MANIFEST_REFUSED,
                layout.EXPORT_MANIFEST,
                f"{self._manifest.size} records were announced, {self._count} stand there",
                index=min(self._count, self._manifest.size),
            )
        if hashes.read(1):
            add(
                FindingKind.LEAF_HASH_DIVERGES,
                layout.LEAF_HASHES,
                "more hashes than records",
                index=self._count,
            )
