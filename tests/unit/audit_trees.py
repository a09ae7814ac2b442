# SPDX-License-Identifier: Apache-2.0
"""Records, trees and exports for the tests of the audit log."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from strongroom.audit.actions import Action, Outcome
from strongroom.audit.checkpoint import sign_checkpoint
from strongroom.audit.export import (
    ExportSubject,
    ProvenRecord,
    SealedRecord,
    write_bundle,
    write_export,
)
from strongroom.audit.merkle import Frontier, inclusion_proof, leaf_hash
from strongroom.audit.note import NoteSigner
from strongroom.audit.proof import TlogProof
from strongroom.audit.record import AuditRecord, encode, salt_text
from strongroom.crypto.sign import SigningKey
from strongroom.kernel.clock import rfc3339
from strongroom.kernel.ids import encode_id
from strongroom.kernel.mode import Mode

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
ORIGIN = "strongroom.example/audit/core/1"
SIGNER = NoteSigner("strongroom.example/audit", SigningKey.from_seed(bytes(range(32))))
STRANGER = NoteSigner("strongroom.example/audit", SigningKey.from_seed(bytes(range(1, 33))))
SUBJECT = ExportSubject(ORIGIN, "core", START)
MERCHANT = encode_id("mer", 1_700_000_000_000, bytes(10))
OTHER_MERCHANT = encode_id("mer", 1_700_000_000_001, bytes(10))
T = TypeVar("T")


def made_id(prefix: str, number: int, moment: datetime = START) -> str:
    return encode_id(prefix, int(moment.timestamp() * 1000), number.to_bytes(10, "big"))


def made_record(
    number: int, *, merchant: str | None = MERCHANT, moment: datetime | None = None
) -> AuditRecord:
    at = moment or START + timedelta(milliseconds=number)
    return AuditRecord(
        action=Action.VAULT_TOKEN_CREATED,
        actor=made_id("key", 1),
        details={"brand": "visa", "last4": "4242"},
        event_id=made_id("aud", number, at),
        merchant=merchant,
        mode=Mode.TEST,
        object=made_id("tok", number),
        origin=None,
        outcome=Outcome.SUCCESS,
        request_hash=sha256(str(number).encode()).hexdigest(),
        salt=salt_text(sha256(b"salt %d" % number).digest()),
        time=rfc3339(at),
        transaction_id=None,
    )


def payloads(count: int) -> list[bytes]:
    return [encode(made_record(number)) for number in range(count)]


class Leaves:
    """A `HashSource` that hashes its leaves anew at each call."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.leaves = leaves

    async def node(self, level: int, place: int) -> bytes:
        part = self.leaves[place << level : (place + 1) << level]
        assert len(part) == 1 << level
        return naive_root(part)


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """The definition of RFC 6962 §2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def signed(
    records: Sequence[bytes], size: int, *, signer: NoteSigner = SIGNER, origin: str = ORIGIN
) -> bytes:
    root = Frontier().appended(leaf_hash(one) for one in records[:size]).root()
    return sign_checkpoint(origin=origin, size=size, root=root, signers=[signer])


async def each(items: Iterable[T]) -> AsyncIterator[T]:
    for item in items:
        yield item


async def written_export(
    directory: Path, records: Sequence[bytes], sizes: Sequence[int], *, signer: NoteSigner = SIGNER
) -> Path:
    await write_export(
        directory,
        SUBJECT,
        records=each(SealedRecord(one, leaf_hash(one)) for one in records),
        checkpoints=each(signed(records, size, signer=signer) for size in sizes),
    )
    return directory


async def written_bundle(
    directory: Path, records: Sequence[bytes], indexes: Sequence[int], *, size: int
) -> Path:
    leaves = Leaves([leaf_hash(one) for one in records])
    note = signed(records, size)
    proven = [
        ProvenRecord(
            records[index],
            TlogProof(index, tuple(await inclusion_proof(leaves, index, size)), note),
        )
        for index in indexes
    ]
    await write_bundle(directory, SUBJECT, merchant=MERCHANT, records=each(proven))
    return directory
