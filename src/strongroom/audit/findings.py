# SPDX-License-Identifier: Apache-2.0
"""What a verifier may find wrong, as values. Says where, never what the record held."""

import enum
from dataclasses import dataclass


class FindingKind(enum.StrEnum):
    """What is wrong; sorted; a word once shipped is never reused."""

    CHECKPOINT_FORKED = "checkpoint_forked"
    CHECKPOINT_MISSING = "checkpoint_missing"
    CHECKPOINT_REFUSED = "checkpoint_refused"
    CHECKPOINT_ROLLED_BACK = "checkpoint_rolled_back"
    FILE_UNREADABLE = "file_unreadable"
    LEAF_HASH_DIVERGES = "leaf_hash_diverges"
    MANIFEST_REFUSED = "manifest_refused"
    PROOF_REFUSED = "proof_refused"
    PROOF_UNCLAIMED = "proof_unclaimed"
    RECORD_DIVERGES = "record_diverges"
    RECORD_MISSING = "record_missing"
    RECORD_NOT_COVERED = "record_not_covered"
    RECORD_OF_ANOTHER = "record_of_another"
    RECORD_REFUSED = "record_refused"
    RECORD_REPEATED = "record_repeated"
    TIME_GOES_BACK = "time_goes_back"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong."""

    kind: FindingKind
    #: The file, and the line or note in it.
    where: str
    detail: str
    #: The record where trust ends: its index in the tree (in a bundle, its line from 0).
    index: int | None = None
    #: Set where the guilty record can only be placed in `index <= i < until`.
    until: int | None = None

    def __str__(self) -> str:
        if self.index is None:
            place = ""
        elif self.until is None:
            place = f" at record {self.index}"
        else:
            place = f" in records {self.index} to {self.until - 1}"
        return f"{self.kind}{place} ({self.where}): {self.detail}"
