# SPDX-License-Identifier: Apache-2.0
"""The jobs that delete rows: of a merchant whose keys are destroyed, and of a container whose tokens go by time."""

from datetime import timedelta
from typing import Final, final

from strongroom.audit import Action, NewRecord, Origin, Recorder
from strongroom.db.pool import Record, Transaction
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import id_floor
from strongroom.vault.erasure.model import Scope
from strongroom.vault.erasure.store import QUERIES
from strongroom.vault.work.model import Job, JobKind, Step
from strongroom.vault.work.pace import batch

PAGE_ROWS: Final = 500


@final
class MerchantRows:
    """Does the jobs of kind `erasure`: deletes every token of a merchant in a mode, oldest first, a record a page."""

    kind = JobKind.ERASURE

    def __init__(self, recorder: Recorder, clock: Clock) -> None:
        self._recorder = recorder
        self._clock = clock

    async def step(self, job: Job, tx: Transaction) -> Step:
        """Delete a page."""
        limit = batch(job, PAGE_ROWS)
        rows = await tx.rows(QUERIES["first_tokens"], job.merchant_id, job.mode, limit)
        tokens = [row["token_id"] for row in rows]
        if not tokens:
            return Step("", ended=True)
        await tx.row(QUERIES["state_erasing"], Scope.MERCHANT)
        await tx.rows(QUERIES["erase_tokens"], job.merchant_id, job.mode, tokens)
        record = self._recorder.make(
            Action.VAULT_TOKEN_DELETED,
            actor=job.created_by,
            merchant=job.merchant_id,
            mode=job.mode,
            thing=job.job_id,
            origin=Origin(),
            now=self._clock.now(),
            details={"count": len(tokens), "reason": "merchant_erased"},
        )
        await self._recorder.insert(tx, record)
        return Step(tokens[-1], done=len(tokens))

    def ended(self, _job: Job) -> NewRecord | None:
        """Each page has a record of its own."""
        return None


@final
class RetentionHandler:
    """Does the jobs of kind `retention`: deletes what a container has kept for its days, with a record each.

    Params: `container`, `days`. Cursor: the last token looked at.
    """

    kind = JobKind.RETENTION

    def __init__(self, recorder: Recorder, clock: Clock) -> None:
        self._recorder = recorder
        self._clock = clock

    async def step(self, job: Job, tx: Transaction) -> Step:
        """Delete a page."""
        days = int(job.params["days"] or 0)
        # From when the job was made, so that it ends.
        before = id_floor("tok", job.created_at - timedelta(days=days))
        limit = batch(job, PAGE_ROWS)
        rows = await tx.rows(
            QUERIES["tokens_past"],
            job.merchant_id,
            job.mode,
            str(job.params["container"]),
            job.cursor,
            before,
            limit,
        )
        tokens = [row["token_id"] for row in rows]
        gone = (
            await tx.rows(QUERIES["erase_tokens"], job.merchant_id, job.mode, tokens)
            if tokens
            else ()
        )
        for row in gone:
            await self._recorder.insert(tx, self._deleted(job, row))
        cursor = tokens[-1] if tokens else job.cursor
        return Step(cursor, done=len(gone), ended=len(tokens) < limit)

    def ended(self, _job: Job) -> NewRecord | None:
        """Each token has a record of its own."""
        return None

    def _deleted(self, job: Job, row: Record) -> NewRecord:
        return self._recorder.make(
            Action.VAULT_TOKEN_DELETED,
            actor=job.created_by,
            merchant=job.merchant_id,
            mode=job.mode,
            thing=row["token_id"],
            origin=Origin(),
            now=self._clock.now(),
            details={
                "brand": row["brand"],
                "container": row["container"],
                "last4": row["last4"],
                "reason": "retention",
            },
        )
