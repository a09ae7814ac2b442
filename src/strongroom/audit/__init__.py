# SPDX-License-Identifier: Apache-2.0
"""The audit log's front door: what a record is, its words, and what can be refused. Nothing here writes one."""

from strongroom.audit.actions import Action, Outcome
from strongroom.audit.errors import (
    AuditError,
    CheckpointRefused,
    ExportRefused,
    NoteRefused,
    NoteUnsigned,
    ProofRefused,
    RecordRefused,
    TreeDamaged,
    VerificationFailed,
)
from strongroom.audit.findings import Finding, FindingKind
from strongroom.audit.merkle import leaf_hash
from strongroom.audit.ports import PLATFORM, NewRecord, Origin, Recorder
from strongroom.audit.record import AuditRecord, salt_text, salted

__all__ = [
    "PLATFORM",
    "NewRecord",
    "Origin",
    "Recorder",
    "Action",
    "AuditError",
    "AuditRecord",
    "CheckpointRefused",
    "ExportRefused",
    "Finding",
    "FindingKind",
    "NoteRefused",
    "NoteUnsigned",
    "Outcome",
    "ProofRefused",
    "RecordRefused",
    "TreeDamaged",
    "VerificationFailed",
    "leaf_hash",
    "salt_text",
    "salted",
]
