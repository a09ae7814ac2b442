# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of the audit log. A record prints as the canonical bytes that were hashed: fields in their order."""

from collections.abc import Sequence

import msgspec

from strongroom.audit.note import encode_base64
from strongroom.audit.ports import PublishedHead, ReadPage, ReadRecord
from strongroom.audit.record import AuditRecord
from strongroom.kernel.clock import rfc3339

RECORDS_PER_PAGE_MAX = 100


class AuditRecordOut(msgspec.Struct, frozen=True):
    """A record. `leaf_hash` (hexadecimal) is SHA-256 over a zero byte and the bytes of `record` as they stand here."""

    id: str
    object: str
    record: AuditRecord
    leaf_hash: str
    sealed: bool
    index: int | None


class AuditRecordPage(msgspec.Struct, frozen=True):
    """Records, newest first."""

    data: Sequence[AuditRecordOut]
    has_more: bool
    next_cursor: str | None


class CheckpointOut(msgspec.Struct, frozen=True):
    """The signed head of the tree (C2SP tlog-checkpoint). `root` is base64; `vkeys` check `note`."""

    object: str
    origin: str
    size: int
    root: str
    sealed_at: str
    note: str
    vkeys: Sequence[str]


def record_out(read: ReadRecord) -> AuditRecordOut:
    """Print a record."""
    return AuditRecordOut(
        read.record.event_id,
        "audit_record",
        read.record,
        read.leaf_hash.hex(),
        read.index is not None,
        read.index,
    )


def page_out(page: ReadPage) -> AuditRecordPage:
    """Print a page of records."""
    return AuditRecordPage(
        [record_out(read) for read in page.records], page.next_cursor is not None, page.next_cursor
    )


def checkpoint_out(head: PublishedHead) -> CheckpointOut:
    """Print the newest checkpoint."""
    return CheckpointOut(
        "checkpoint",
        head.checkpoint.origin,
        head.checkpoint.size,
        encode_base64(head.checkpoint.root),
        rfc3339(head.sealed_at),
        head.note.decode(),
        [str(key) for key in head.keys],
    )
