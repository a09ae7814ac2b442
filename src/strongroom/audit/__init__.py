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
from strongroom.audit.naming import token_facts, tokens_named
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
    About,
    Evidence,
    LogState,
    LogView,
    NewRecord,
    Origin,
    Proven,
    ProvenTogether,
    PublishedHead,
    ReadRecord,
    Recorder,
    Shown,
    SinkHead,
    SinkState,
)
from strongroom.audit.proof import unchecked_proof
from strongroom.audit.record import AuditRecord, salt_text, salted
from strongroom.audit.verify import VerifiedExport
from strongroom.audit.verify_bundle import VerifiedBundle

__all__ = [
    "PLATFORM",
    "About",
    "Action",
    "AuditError",
    "AuditRecord",
    "AuditRecordUnknown",
    "Checkpoint",
    "CheckpointRefused",
    "Evidence",
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
    "ProvenTogether",
    "PublishedHead",
    "ReadRecord",
    "RecordRefused",
    "Recorder",
    "RestartRefused",
    "RowAltered",
    "SealingStopped",
    "Shown",
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
    "token_facts",
    "tokens_named",
    "trusted_keys",
    "unchecked_proof",
    "verify_directory",
    "verify_record",
]
