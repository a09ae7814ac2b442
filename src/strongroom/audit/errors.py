# SPDX-License-Identifier: Apache-2.0
"""What the audit log can refuse. No message carries what was read, only where it stood.

AuditError
├── RecordRefused        bytes that are not a leaf as this format writes it
├── NoteRefused          a signed note or a verifier key is malformed
│   └── NoteUnsigned     no signature of a trusted key holds, or one of them fails
├── CheckpointRefused    a signed text that is not this tree's head
├── ProofRefused         a proof is malformed or does not lead to the root
├── TreeDamaged          stored hashes are not the tree's (page someone: altered or lost)
├── ExportRefused        an export cannot be written there, or from that
├── VerificationFailed   an export or a bundle does not hold; carries every finding
├── SealingStopped       nothing more is sealed until a person has looked (page someone)
│   ├── RowAltered       a record that is not sealed yet is not what was recorded
│   ├── TreeRolledBack   a sink holds a head that this database's tree does not lead to
│   └── TreeForeign      the tree's origin is not the one that is configured, or was not set by a sealer
├── TreeTaken            another process seals this tree, or has sealed it meanwhile
├── RestartRefused       the tree does not need to be restarted
└── SinkFailed           a sink did not take what was to be published, or does not say what it has
AuditRecordUnknown       404
NotSealedYet             409, with Retry-After
"""

from collections.abc import Sequence

from strongroom.audit.findings import Finding
from strongroom.kernel.errors import Conflict, NotThere, StrongroomError


class AuditError(StrongroomError):
    """The audit log does not hold."""

    code = "audit_error"


class RecordRefused(AuditError):
    """The bytes are not a canonical audit record of a known version."""

    code = "audit_record_refused"


class NoteRefused(AuditError):
    """The bytes are not a signed note, or the text is not a verifier key (C2SP signed-note)."""

    code = "audit_note_refused"


class NoteUnsigned(NoteRefused):
    """No signature of a trusted key holds, or a trusted key's signature is wrong."""

    code = "audit_note_unsigned"


class CheckpointRefused(AuditError):
    """The signed text is not a checkpoint of this tree (C2SP tlog-checkpoint)."""

    code = "audit_checkpoint_refused"


class ProofRefused(AuditError):
    """The proof is malformed, or does not lead to the root (RFC 9162 §2.1)."""

    code = "audit_proof_refused"


class TreeDamaged(AuditError):
    """The stored hashes are not those of a tree of this size."""

    code = "audit_tree_damaged"


class ExportRefused(AuditError):
    """The export cannot be written."""

    code = "audit_export_refused"


class VerificationFailed(AuditError):
    """The audit log in this directory does not hold."""

    code = "audit_verification_failed"

    def __init__(self, findings: Sequence[Finding], *, omitted: int = 0) -> None:
        super().__init__("; ".join(str(finding) for finding in findings[:3]) or None)
        #: What was found, in the order of finding; the first is where trust ends.
        self.findings = tuple(findings)
        #: How many more there were than are kept.
        self.omitted = omitted

    @property
    def first_index(self) -> int | None:
        """The lowest record index that any finding names: what stands before it is vouched for."""
        return min((f.index for f in self.findings if f.index is not None), default=None)


class SealingStopped(AuditError):
    """Nothing more is sealed until a person has looked."""

    code = "audit_sealing_stopped"


class RowAltered(SealingStopped):
    """A record that is not sealed yet is not what was recorded: its hash or its MAC does not hold."""

    code = "audit_row_altered"

    def __init__(self, event_id: str) -> None:
        super().__init__()
        #: The first record, in the order of sealing, that does not hold.
        self.event_id = event_id


class TreeRolledBack(SealingStopped):
    """A sink holds a head that this database's tree does not lead to: an old database was restored."""

    code = "audit_tree_rolled_back"


class TreeForeign(SealingStopped):
    """The tree's origin is not the configured one, or no sealer has set it."""

    code = "audit_tree_foreign"


class TreeTaken(AuditError):
    """Another process seals this tree."""

    code = "audit_tree_taken"


class RestartRefused(AuditError):
    """The tree holds what its sinks hold: there is nothing to restart."""

    code = "audit_restart_refused"


class SinkFailed(AuditError):
    """A sink did not take what was to be published, or does not say what it has."""

    code = "audit_sink_failed"


class AuditRecordUnknown(NotThere):
    """There is no such record for this key."""

    code = "audit_record_unknown"


class NotSealedYet(Conflict):
    """The record is not in the signed tree yet; it is within seconds."""

    code = "not_sealed_yet"
