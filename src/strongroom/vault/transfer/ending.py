# SPDX-License-Identifier: Apache-2.0
"""Ends imports: one that is over, one that nobody has fed for days, and all of a merchant whose cards are erased."""

import dataclasses
from datetime import datetime, timedelta
from typing import Final, final

from strongroom.audit import Action, NewRecord, Origin, Outcome, Recorder
from strongroom.db.pool import Database, Transaction
from strongroom.kernel.clock import Clock
from strongroom.kernel.events import EventType
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.vault.outbox.store import tell
from strongroom.vault.transfer import store
from strongroom.vault.transfer.model import Import, ImportState
from strongroom.vault.transfer.store import QUERIES
from strongroom.vault.transfer.wire import ImportEvent, import_out

#: After so long without a row or a piece an import is ended: what rests of its file rests no longer.
IDLE: Final = timedelta(days=7)
#: How often that is looked after, in seconds.
LOOK_SECONDS: Final = 3_600.0
IDLE_AT_ONCE_MAX: Final = 1_000
ACTOR: Final = "system:imports"
#: Imports that one call of `end_all` ends, each with what rests of its file.
ENDED_AT_ONCE_MAX: Final = 20
#: Rows of each table that one call of `end_all` deletes: a second's work or so, as they are up to 1 MiB each.
DELETED_AT_ONCE_MAX: Final = 500
_TOLD: Final = {
    ImportState.DONE: EventType.IMPORT_COMPLETED,
    ImportState.FAILED: EventType.IMPORT_FAILED,
    ImportState.CANCELED: EventType.IMPORT_CANCELED,
}
#: How often the cards of dry runs that have ended are forgotten, in seconds; how many at once: half a second's work.
FORGET_SECONDS: Final = 60.0
FORGOTTEN_AT_ONCE_MAX: Final = 50_000
OPEN: Final = (ImportState.OPEN, ImportState.RECEIVED)


@final
class Endings:
    """Ends imports with their audit record and event."""

    def __init__(self, database: Database, recorder: Recorder, clock: Clock) -> None:
        self._database = database
        self._recorder = recorder
        self.clock = clock

    async def end(
        self,
        tx: Transaction,
        found: Import,
        state: ImportState,
        *,
        origin: Origin,
        actor: str,
        problem: str | None = None,
    ) -> Import:
        """End an import that is locked: its state, its audit record, what its merchant is told; its file goes."""
        now = self.clock.now()
        after = dataclasses.replace(
            found, state=state, problem=problem, updated_at=now, ended_at=now
        )
        await store.save(tx, after)
        await store.drop_pieces(tx, after)
        await self._recorder.insert(tx, self._record(after, origin, now, actor))
        await tell(
            tx,
            after.merchant_id,
            after.mode,
            _TOLD[state],
            after.import_id,
            ImportEvent(import_out(after)),
            now,
        )
        return after

    async def end_idle(self) -> int:
        """End the imports of every tenant that nobody has fed for days; return how many. Several processes may.

        One whose job still has its turn before it is left alone.
        """
        async with self._database.transaction() as tx:
            await tx.row(QUERIES["be_import_ender"])
            idle = await tx.rows(QUERIES["idle_imports"], IDLE_AT_ONCE_MAX)
        ended = 0
        for row in idle:
            merchant, mode = MerchantId(row["merchant_id"]), Mode(row["mode"])
            async with self._database.transaction([merchant]) as tx:
                found = await store.by_id(tx, merchant, mode, row["import_id"], lock=True)
                if found is None or found.state not in OPEN:
                    continue
                if found.updated_at > self.clock.now() - IDLE:  # fed meanwhile
                    continue
                if found.job_id is not None and await tx.row(
                    QUERIES["job_goes_on"], merchant, mode, found.job_id
                ):
                    continue
                await self.end(
                    tx,
                    found,
                    ImportState.CANCELED,
                    origin=Origin(),
                    actor=ACTOR,
                    problem="idle_too_long",
                )
                ended += 1
        return ended

    async def forget_seen(self) -> int:
        """Forget the cards of every tenant's dry runs that have ended; return how many. Several processes may."""
        async with self._database.transaction() as tx:
            await tx.row(QUERIES["be_seen_forgetter"])
            ended = await tx.rows(QUERIES["seen_imports"], IDLE_AT_ONCE_MAX)
        forgotten = 0
        for row in ended:
            scope = (MerchantId(row["merchant_id"]), Mode(row["mode"]), row["import_id"])
            gone = FORGOTTEN_AT_ONCE_MAX
            while gone == FORGOTTEN_AT_ONCE_MAX:
                async with self._database.transaction([scope[0]]) as tx:
                    gone = len(await tx.rows(QUERIES["forget_seen"], *scope, gone))
                forgotten += gone
            async with self._database.transaction([scope[0]]) as tx:
                await tx.run(QUERIES["seen_forgotten"], *scope)
        return forgotten

    async def end_all(self, tx: Transaction, merchant: MerchantId, mode: Mode) -> bool:
        """End every open import of a merchant in a mode that is erased, and delete what rests of imports and exports.

        What rests: pieces of uploads, import keys, results of rows, cards that dry runs remember, pieces of exports.
        The imports' own rows stay: they hold counts. Ends and deletes a bounded number a call. Destroy the merchant's
        keys before.

        Returns:
            Whether nothing is left: call it again, in another transaction, until it is so.
        """
        found = await store.open_ones(tx, merchant, mode, ENDED_AT_ONCE_MAX)
        for each in found:
            await self.end(
                tx,
                each,
                ImportState.CANCELED,
                origin=Origin(),
                actor=ACTOR,
                problem="merchant_erased",
            )
        left = len(found) == ENDED_AT_ONCE_MAX
        for name, rows in (
            ("delete_import_keys", 1),
            ("delete_import_pieces", 1),
            ("delete_import_parts", 1),
            # A hundred bytes each.
            ("delete_import_seen", 40),
            ("delete_export_pieces", 1),
        ):
            limit = rows * DELETED_AT_ONCE_MAX
            deleted = await tx.rows(QUERIES[name], merchant, mode, limit)
            left = left or len(deleted) == limit
        return not left

    def _record(self, after: Import, origin: Origin, now: datetime, actor: str) -> NewRecord:
        counts = after.counts
        details: dict[str, str | int] = {
            "count": counts.created,
            "duplicates": counts.duplicates,
            "operation": "dry_run" if after.wish.dry_run else "import",
            "refused": counts.refused,
            "result": after.state.value,
        }
        if "container" not in after.wish.columns.beside:
            # Else each row may have named its own: how many went where is in the records of its chunks.
            details["container"] = after.wish.container
        if after.digest:
            details["digest"] = after.digest.hex()
        if after.problem:
            details["reason"] = after.problem
        return self._recorder.make(
            Action.VAULT_IMPORT_ENDED,
            actor=actor,
            merchant=after.merchant_id,
            mode=after.mode,
            thing=after.import_id,
            origin=origin,
            now=now,
            details=details,
            outcome=Outcome.FAILED if after.state is ImportState.FAILED else Outcome.SUCCESS,
        )
