# SPDX-License-Identifier: Apache-2.0
"""The jobs that delete rows: of a merchant whose keys are destroyed, and of a container whose tokens go by time."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final, TypeAlias, final

from strongroom.audit import Action, NewRecord, Origin, Recorder
from strongroom.db.pool import Record, Transaction
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import MerchantId, id_floor
from strongroom.kernel.mode import Mode
from strongroom.vault.erasure import store
from strongroom.vault.erasure.model import Scope
from strongroom.vault.erasure.store import QUERIES
from strongroom.vault.work.model import Job, JobKind, Step
from strongroom.vault.work.pace import batch

PAGE_ROWS: Final = 500
#: So many tokens of a container are looked at in a step, to find those that are past their days.
LOOK_ROWS: Final = 5_000
#: How often it is looked whether a merchant's keys are destroyed.
KEYS_LOOK_SECONDS: Final = 1.0


#: Ends, in the given transaction, what else holds cards of a merchant in a mode. Tells whether nothing of it is left;
#: else it is called again.
Ends: TypeAlias = Callable[[Transaction, MerchantId, Mode], Awaitable[bool]]


@final
class MerchantRows:
    """Does the jobs of kind `erasure`: deletes what there is of a merchant in a mode.

    Once the driver has destroyed the keys, so that nothing comes after: the tokens, oldest first, with a record a page;
    then what `ends` end, and what was written of the tokens.
    """

    kind = JobKind.ERASURE

    def __init__(self, recorder: Recorder, clock: Clock, ends: Sequence[Ends] = ()) -> None:
        self._recorder = recorder
        self._clock = clock
        self._ends = ends

    async def step(self, job: Job, tx: Transaction) -> Step:
        """Delete a page."""
        limit = batch(job, PAGE_ROWS)
        if await tx.row(QUERIES["living_card_key"], job.merchant_id, job.mode):
            return Step(job.cursor, wait_seconds=KEYS_LOOK_SECONDS)
        rows = await tx.rows(QUERIES["first_tokens"], job.merchant_id, job.mode, limit)
        tokens = [row["token_id"] for row in rows]
        if not tokens:
            left = False
            for end in self._ends:
                left = not await end(tx, job.merchant_id, job.mode) or left
            for query in (QUERIES["forget_some_reveals"], QUERIES["forget_some_aliases"]):
                left = await tx.run(query, job.merchant_id, job.mode, limit) > 0 or left
            return Step(job.cursor, ended=not left)
        await tx.row(QUERIES["state_erasing"], Scope.MERCHANT)
        await store.erase(tx, job.merchant_id, job.mode, tokens)
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
        limit = batch(job, PAGE_ROWS)
        looked = await tx.rows(
            QUERIES["tokens_past"],
            job.merchant_id,
            job.mode,
            str(job.params["container"]),
            job.cursor,
            # From when the job was made, so that it ends.
            id_floor("tok", job.created_at),
            job.created_at - timedelta(days=days),
            LOOK_ROWS,
        )
        past = [row["token_id"] for row in looked if row["past"]]
        gone = await store.erase(tx, job.merchant_id, job.mode, past[:limit])
        for row in gone:
            await self._recorder.insert(tx, self._deleted(job, row))
        if len(past) > limit:
            return Step(past[limit - 1], done=len(gone))
        cursor = looked[-1]["token_id"] if looked else job.cursor
        return Step(cursor, done=len(gone), ended=len(looked) < LOOK_ROWS)

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
