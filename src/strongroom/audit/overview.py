# SPDX-License-Identifier: Apache-2.0
"""One database's log as its operators see it: how it stands, its newest records, its head, proofs. Changes nothing.

Runs under the sealer's login, which alone sees every tenant. That records were looked at is itself recorded.
"""

from collections.abc import Sequence
from typing import final

from strongroom.audit import store
from strongroom.audit.actions import Action
from strongroom.audit.checkpoint import Checkpoint
from strongroom.audit.errors import AuditError, AuditRecordUnknown, NotSealedYet
from strongroom.audit.note import VerifierKey
from strongroom.audit.ports import (
    PLATFORM,
    LogState,
    Origin,
    Proven,
    PublishedHead,
    ReadRecord,
    Sink,
    SinkState,
)
from strongroom.audit.proofs import Proofs
from strongroom.audit.publish import sealed_records
from strongroom.audit.record import decode
from strongroom.audit.recorder import EventRecorder
from strongroom.audit.signing import TreeKeys
from strongroom.audit.standing import check_sinks, load
from strongroom.audit.store import Cursor
from strongroom.db.pool import Database, Transaction
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import id_time, is_id
from strongroom.kernel.secret import Secret
from strongroom.keys import DataKeys

#: Of records that wait to be sealed, at most this many are looked at.
_WAITING_MAX = 4_096


@final
class Overview:
    """Implements `LogView` for one tree. `tree` is its name for people, `origin` that of its first generation."""

    def __init__(
        self,
        database: Database,
        keys: DataKeys,
        clock: Clock,
        *,
        sinks: Sequence[Sink],
        tree: str,
        origin: str,
    ) -> None:
        self._database = database
        self._keys = TreeKeys(keys, origin)
        self._clock = clock
        self._sinks = sinks
        self._tree = tree
        self._origin = origin

    async def keys(self) -> Sequence[VerifierKey]:
        """Return the public keys that verify this tree, the present one first."""
        return await self._keys.verifiers()

    async def state(self) -> LogState:
        """Return how the log stands. What is wrong with it is in the answer; only an absent database raises."""
        fault = None
        async with self._database.transaction([PLATFORM]) as read:
            row = await store.tree(read)
            waiting = await store.waiting(read, row.cursor if row else Cursor(0, ""))
            head = await store.latest_checkpoint(read)
            try:
                await load(read, self._keys, self._origin)
            except AuditError as error:
                fault = error.detail
        since = None if waiting.oldest is None else id_time(waiting.oldest)
        return LogState(
            row.origin if row else None,
            row.size if row else 0,
            head.sealed_at if head else None,
            waiting.count,
            since,
            fault,
            [await self._sink(sink) for sink in self._sinks],
        )

    async def _sink(self, sink: Sink) -> SinkState:
        head = None
        try:
            head = await sink.last(self._origin, await self._keys.verifiers())
            if head is not None:
                async with self._database.transaction([PLATFORM]) as read:
                    await check_sinks(read, await load(read, self._keys, self._origin), [head])
        except AuditError as error:
            return SinkState(sink.name, head, error.detail)
        return SinkState(sink.name, head, None)

    async def head(self) -> PublishedHead:
        """Return the newest signed checkpoint.

        Raises:
            NotSealedYet: nothing was signed yet.
        """
        async with self._database.transaction() as read:
            row = await store.latest_checkpoint(read)
        if row is None:
            raise NotSealedYet("nothing was signed yet")
        checkpoint = Checkpoint(row.origin, row.size, row.root)
        return PublishedHead(checkpoint, row.note, row.sealed_at, await self._keys.verifiers())

    async def latest(self, count: int, *, actor: str) -> Sequence[ReadRecord]:
        """Return the newest records of every tenant, oldest first: what is sealed, then what waits.

        Raises:
            TreeDamaged: a sealed record is gone or altered.
        """
        async with self._database.transaction([PLATFORM]) as tx:
            row = await store.tree(tx)
            size, cursor = (row.size, row.cursor) if row else (0, Cursor(0, ""))
            waiting = await store.unsealed(tx, cursor, _WAITING_MAX)
            start = max(0, size - count)
            sealed = await sealed_records(tx, start, size) if start < size else ()
            await self._record_reading(tx, actor, None, {"count": count})
        found = [
            ReadRecord(decode(payload), leaf, index)
            for index, (payload, leaf) in enumerate(sealed, start=start)
        ]
        found += [ReadRecord(decode(each.payload), each.leaf_hash, None) for each in waiting]
        return found[-count:]

    async def has(self, event_id: str) -> bool:
        """Tell whether this log has a record of that id, sealed or not."""
        async with self._database.transaction([PLATFORM]) as read:
            return bool(await store.rows_by_id(read, [event_id]))

    async def proven(self, event_id: str, *, actor: str) -> Proven:
        """Return a record with the proof that it is in the tree.

        Raises:
            AuditRecordUnknown: there is no such record.
            NotSealedYet: it is not in the signed tree yet.
            TreeDamaged: the record or the tiles are not those that were sealed.
        """
        if not is_id("aud", event_id):
            raise AuditRecordUnknown("a record's id is aud_ and 26 letters and digits")
        async with self._database.transaction([PLATFORM]) as tx:
            if not await store.rows_by_id(tx, [event_id]):
                raise AuditRecordUnknown("there is no such record in this log")
            index = (await store.places(tx, [event_id])).get(event_id)
            head = await store.latest_checkpoint(tx)
            if index is None or head is None or index >= head.size:
                raise NotSealedYet
            ((payload, leaf),) = await sealed_records(tx, index, index + 1)
            await self._record_reading(tx, actor, event_id, {"size": head.size})
        proof = await Proofs(self._database).inclusion(index, leaf, head)
        return Proven(payload, proof, await self._keys.verifiers())

    async def _record_reading(
        self, tx: Transaction, actor: str, event_id: str | None, details: dict[str, str | int]
    ) -> None:
        """Put the record of a reading into its transaction: nothing is handed out before it is committed."""
        row_key = Secret((await self._keys.row_keys())[0])
        recorder = EventRecorder(self._database, row_key, self._clock)
        record = recorder.make(
            Action.AUDIT_RECORD_READ,
            actor=actor,
            merchant=None,
            mode=None,
            thing=event_id or f"tree:{self._tree}",
            origin=Origin(),
            now=self._clock.now(),
            details=details,
        )
        await recorder.insert(tx, record)
