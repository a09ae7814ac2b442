# SPDX-License-Identifier: Apache-2.0
"""An operator's exports, from the database to a directory: the whole tree, or one tenant's records with their proofs.

Runs under the sealer's login, which alone sees every tenant. That an export is made is recorded before it is.
Nothing is written whose hash is not the tree's.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from strongroom.audit import store
from strongroom.audit.actions import Action
from strongroom.audit.errors import NotSealedYet
from strongroom.audit.export import (
    ExportSubject,
    ProvenRecord,
    SealedRecord,
    write_bundle,
    write_export,
)
from strongroom.audit.layout import BundleManifest, ExportManifest
from strongroom.audit.note import VerifierKey
from strongroom.audit.ports import PLATFORM, Origin, SecurityStream
from strongroom.audit.proofs import Proofs
from strongroom.audit.publish import sealed_records
from strongroom.audit.recorder import EventRecorder
from strongroom.audit.signing import TreeKeys
from strongroom.audit.store import CheckpointRow
from strongroom.db.pool import Database
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.secret import Secret
from strongroom.keys import DataKeys

#: Records that are read at once.
PAGE_RECORDS: Final = 4_096
_HEADS_MAX: Final = 1_000

Progress = Callable[[int, int], None]


def _nobody(_done: int, _total: int) -> None:
    return


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written. `keys` verify it; hand them over on another way than the export itself."""

    manifest: ExportManifest | BundleManifest
    head: CheckpointRow
    keys: tuple[VerifierKey, ...]


@final
class Exporter:
    """Exports one database's tree. `tree` is its name for people, `origin` that of its first generation."""

    def __init__(
        self,
        database: Database,
        keys: DataKeys,
        clock: Clock,
        *,
        tree: str,
        origin: str,
        stream: SecurityStream | None = None,
    ) -> None:
        self._stream = stream
        self._database = database
        self._keys = TreeKeys(keys, origin)
        self._clock = clock
        self._tree = tree

    async def export_tree(
        self, directory: Path, *, actor: str = "operator", progress: Progress = _nobody
    ) -> Exported:
        """Write every sealed record and signed head, as `verify_export` reads them. `progress` is told (done, total).

        Of a tree that was restarted, the heads of its present generation.

        Raises:
            NotSealedYet: nothing was signed yet.
            TreeDamaged: a sealed record is gone or altered.
            ExportRefused: see `export`.
        """
        head = await self._head()
        await self._record(actor, None, head)
        manifest = await write_export(
            directory,
            ExportSubject(head.origin, self._tree, self._clock.now()),
            records=self._records(head, progress),
            checkpoints=self._notes(head),
        )
        return Exported(manifest, head, tuple(await self._keys.verifiers()))

    async def export_tenant(
        self,
        directory: Path,
        merchant: MerchantId,
        *,
        actor: str = "operator",
        progress: Progress = _nobody,
    ) -> Exported:
        """Write a tenant's sealed records of both modes, each with its proof, as `verify_bundle` reads them.

        Raises:
            As `export_tree`.
        """
        head = await self._head()
        await self._record(actor, merchant, head)
        manifest = await write_bundle(
            directory,
            ExportSubject(head.origin, self._tree, self._clock.now()),
            merchant=merchant,
            records=self._proven(merchant, head, progress),
        )
        return Exported(manifest, head, tuple(await self._keys.verifiers()))

    async def _head(self) -> CheckpointRow:
        async with self._database.transaction() as read:
            head = await store.latest_checkpoint(read)
        if head is None:
            raise NotSealedYet("nothing was signed yet")
        return head

    async def _record(self, actor: str, merchant: MerchantId | None, head: CheckpointRow) -> None:
        row_key = Secret((await self._keys.row_keys())[0])
        recorder = EventRecorder(self._database, row_key, self._clock, self._stream)
        record = recorder.make(
            Action.AUDIT_RECORD_EXPORTED,
            actor=actor,
            merchant=merchant,
            mode=None,
            thing=f"tree:{self._tree}",
            origin=Origin(),
            now=self._clock.now(),
            details={"root": head.root.hex(), "size": head.size},
        )
        async with self._database.transaction([merchant or PLATFORM]) as tx:
            await recorder.insert(tx, record)

    async def _records(
        self, head: CheckpointRow, progress: Progress
    ) -> AsyncIterator[SealedRecord]:
        for start in range(0, head.size, PAGE_RECORDS):
            end = min(start + PAGE_RECORDS, head.size)
            async with self._database.transaction() as read:
                page = await sealed_records(read, start, end)
            for payload, leaf in page:
                yield SealedRecord(payload, leaf)
            progress(end, head.size)

    async def _notes(self, head: CheckpointRow) -> AsyncIterator[bytes]:
        after = -1
        while after < head.size:
            async with self._database.transaction() as read:
                page = await store.checkpoints(read, head.origin, after, _HEADS_MAX)
            for row in page:
                if row.size <= head.size:
                    yield row.note
            after = page[-1].size if page else head.size

    async def _proven(
        self, merchant: MerchantId, head: CheckpointRow, progress: Progress
    ) -> AsyncIterator[ProvenRecord]:
        indexes = await self._indexes(merchant, head)
        proofs = Proofs(self._database)
        for done, index in enumerate(indexes, start=1):
            async with self._database.transaction() as read:
                ((payload, leaf),) = await sealed_records(read, index, index + 1)
            yield ProvenRecord(payload, await proofs.inclusion(index, leaf, head))
            progress(done, len(indexes))

    async def _indexes(self, merchant: MerchantId, head: CheckpointRow) -> list[int]:
        """Return where the tenant's records are in the tree of that head, in its order."""
        indexes: list[int] = []
        after = store.BEFORE_EVERY_ID
        while True:
            async with self._database.transaction() as read:
                page = await store.merchant_ids(read, merchant, after, PAGE_RECORDS)
                places = await store.places(read, page)
            indexes += (index for index in places.values() if index < head.size)
            if len(page) < PAGE_RECORDS:
                return sorted(indexes)
            after = page[-1]
