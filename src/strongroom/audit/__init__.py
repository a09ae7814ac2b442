# SPDX-License-Identifier: Apache-2.0
"""The audit log's front door: what a record is, its words, and what can be refused. Nothing here writes one."""

from strongroom.audit.actions import Action, Outcome, grouped
from strongroom.audit.checkpoint import Checkpoint
from strongroom.audit.errors import (
    AuditError,
    AuditRecordUnknown,
    CheckpointRefused,
    ExportRefused,
    NoteRefused,
    NoteUnsigned,
    NotSealedYet,
    ProofRefused,
    RecordRefused,
    RestartRefused,
    RowAltered,
    SealingStopped,
    SinkFailed,
    TreeDamaged,
    TreeForeign,
    TreeRolledBack,
    TreeTaken,
    VerificationFailed,
)
from strongroom.audit.findings import Finding, FindingKind
from strongroom.audit.merkle import leaf_hash
from strongroom.audit.note import VerifierKey
from strongroom.audit.offline import (
    VerifiedLog,
    VerifiedRecord,
    trusted_keys,
    verify_directory,
    verify_record,
)
from strongroom.audit.ports import (
    PLATFORM,
    LogState,
    LogView,
    NewRecord,
    Origin,
    Proven,
    PublishedHead,
    ReadRecord,
    Recorder,
    SinkHead,
    SinkState,
)
from strongroom.audit.record import AuditRecord, salt_text, salted
from strongroom.audit.verify import VerifiedExport
from strongroom.audit.verify_bundle import VerifiedBundle

__all__ = [
    "PLATFORM",
    "Action",
    "AuditError",
    "AuditRecord",
    "AuditRecordUnknown",
    "Checkpoint",
    "CheckpointRefused",
    "ExportRefused",
    "Finding",
    "FindingKind",
    "LogState",
    "LogView",
    "NewRecord",
    "NotSealedYet",
    "NoteRefused",
    "NoteUnsigned",
    "Origin",
    "Outcome",
    "ProofRefused",
    "Proven",
    "PublishedHead",
    "ReadRecord",
    "RecordRefused",
    "Recorder",
    "RestartRefused",
    "RowAltered",
    "SealingStopped",
    "SinkFailed",
    "SinkHead",
    "SinkState",
    "TreeDamaged",
    "TreeForeign",
    "TreeRolledBack",
    "TreeTaken",
    "VerificationFailed",
    "VerifiedBundle",
    "VerifiedExport",
    "VerifiedLog",
    "VerifiedRecord",
    "VerifierKey",
    "grouped",
    "leaf_hash",
    "salt_text",
    "salted",
    "trusted_keys",
    "verify_directory",
    "verify_record",
]
