# SPDX-License-Identifier: Apache-2.0
"""The log as its tenants read it, from one database under the role's own login. Implements `AuditReader`.

A tenant sees its own records of its key's mode. What is read commits together with the record that it was read.
"""

from collections.abc import Mapping
from typing import final

from strongroom.audit import store
from strongroom.audit.actions import Action
from strongroom.audit.checkpoint import Checkpoint
from strongroom.audit.errors import AuditRecordUnknown, NotSealedYet
from strongroom.audit.ports import (
    NewRecord,
    Origin,
    PublishedHead,
    Reader,
    ReadPage,
    ReadRecord,
    Recorder,
)
from strongroom.audit.proof import TlogProof
from strongroom.audit.proofs import Proofs
from strongroom.audit.record import decode
from strongroom.audit.signing import TreeKeys
from strongroom.audit.store import KeptRow
from strongroom.db.pool import Database, ReadOnly, Transaction
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import MerchantId, is_id
from strongroom.keys import DataKeys


@final
class DatabaseAuditReader:
    """Reads one tree. `origin` is that of its first generation."""

    def __init__(
        self, database: Database, keys: DataKeys, recorder: Recorder, clock: Clock, *, origin: str
    ) -> None:
        self._database = database
        self._keys = TreeKeys(keys, origin)
        self._recorder = recorder
        self._clock = clock
        self._proofs = Proofs(database)

    async def origin(self, merchant: MerchantId, address: str, request_hash: str) -> Origin:
        """Return the origin of a request, for the record of its reading."""
        return await self._recorder.origin(merchant, address, request_hash, self._clock.now())

    async def records(
        self, reader: Reader, before: str | None, limit: int
    ) -> tuple[ReadPage, NewRecord]:
        """Return a page of the reader's own records, newest first, and the record of this reading."""
        merchant, mode = reader.principal.merchant, reader.principal.mode
        async with self._database.transaction([merchant]) as tx:
            rows = await store.tenant_records(
                tx, merchant, mode, before or store.AFTER_EVERY_ID, limit + 1
            )
            page = rows[:limit]
            places = await store.places(tx, [row.event_id for row in page])
            reading = await self._record(tx, reader, None, {"count": len(page)})
        cursor = page[-1].event_id if len(rows) > limit else None
        return ReadPage([_read(row, places) for row in page], cursor), reading

    async def record(self, reader: Reader, event_id: str) -> tuple[ReadRecord, NewRecord]:
        """Return one of the reader's own records, and the record of this reading."""
        async with self._database.transaction([reader.principal.merchant]) as tx:
            row = await _find(tx, reader, event_id)
            places = await store.places(tx, [row.event_id])
            reading = await self._record(tx, reader, row.event_id, {})
        return _read(row, places), reading

    async def proof(self, reader: Reader, event_id: str) -> tuple[TlogProof, NewRecord]:
        """Return the proof that one of the reader's own records is in the tree, and the record of this reading."""
        async with self._database.transaction([reader.principal.merchant]) as tx:
            row = await _find(tx, reader, event_id)
            places = await store.places(tx, [row.event_id])
            head = await store.latest_checkpoint(tx)
            if row.event_id not in places or head is None:
                raise NotSealedYet
            reading = await self._record(tx, reader, row.event_id, {"size": head.size})
        # The record is committed. Crash here: it says read, and nobody was answered.
        proof = await self._proofs.inclusion(places[row.event_id], row.leaf_hash, head)
        return proof, reading

    async def head(self) -> PublishedHead:
        """Return the newest checkpoint. It says nothing of any tenant."""
        async with self._database.transaction() as read:
            row = await store.latest_checkpoint(read)
        if row is None:
            raise NotSealedYet("nothing was signed yet")
        checkpoint = Checkpoint(row.origin, row.size, row.root)
        return PublishedHead(checkpoint, row.note, row.sealed_at, await self._keys.verifiers())

    async def _record(
        self, tx: Transaction, reader: Reader, thing: str | None, details: Mapping[str, str | int]
    ) -> NewRecord:
        record = self._recorder.make(
            Action.AUDIT_RECORD_READ,
            actor=reader.principal.actor,
            merchant=reader.principal.merchant,
            mode=reader.principal.mode,
            thing=thing,
            origin=reader.origin,
            now=self._clock.now(),
            details=details,
        )
        await self._recorder.insert(tx, record)
        return record


async def _find(read: ReadOnly, reader: Reader, event_id: str) -> KeptRow:
    # What has not a record's form is no record: the database need not be asked, and the text is not kept.
    if not is_id("aud", event_id):
        raise AuditRecordUnknown
    principal = reader.principal
    row = await store.tenant_record(read, principal.merchant, principal.mode, event_id)
    if row is None:
        raise AuditRecordUnknown
    return row


def _read(row: KeptRow, places: Mapping[str, int]) -> ReadRecord:
    return ReadRecord(decode(row.payload), row.leaf_hash, places.get(row.event_id))
