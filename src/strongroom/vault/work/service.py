# SPDX-License-Identifier: Apache-2.0
"""Begins, shows, pauses, resumes and ends jobs. Implements `Jobs`. Each change commits with its audit record."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeAlias, final

from strongroom.audit import Action, Recorder
from strongroom.crypto.ids import new_id
from strongroom.db.pool import Database, Transaction
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import JobId, MerchantId, is_id
from strongroom.kernel.mode import Mode
from strongroom.vault.finding import Caller
from strongroom.vault.work import store
from strongroom.vault.work.ending import write_end
from strongroom.vault.work.errors import JobEnded, JobGoesOn, JobUnknown
from strongroom.vault.work.model import GO_ON, OPEN_STATES, Facts, Job, JobKind, JobState
from strongroom.vault.work.ports import EndsWithJob, JobHandler

PAGE_ROWS_MAX: Final = 100
RATE_MAX: Final = 1_000_000
_AFTER_EVERY_ID: Final = "job_~"
_Change: TypeAlias = Callable[[Transaction, Job, datetime], Awaitable[bool]]


def _nobody() -> None:
    """Wake nobody: the runner of another process finds the job by looking."""


@final
class JobService:
    """The jobs of every tenant. `handlers` are those of this process, which make the record of a job that ends."""

    def __init__(
        self,
        database: Database,
        recorder: Recorder,
        clock: Clock,
        handlers: Mapping[JobKind, JobHandler],
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._handlers = handlers
        self.clock = clock
        #: Called when a job was put or may go on; the runner of this process sets it.
        self.wake: Callable[[], None] = _nobody

    async def begin(
        self,
        tx: Transaction,
        merchant: MerchantId,
        mode: Mode,
        kind: JobKind,
        params: Facts,
        *,
        created_by: str,
        total: int | None = None,
        rate: int | None = None,
    ) -> Job:
        """Put a job, in the transaction that makes it necessary (the caller adds the audit record of its beginning)."""
        now = self.clock.now()
        job = Job(
            merchant_id=merchant,
            mode=mode,
            job_id=JobId(new_id("job")),
            kind=kind,
            state=JobState.WAITING,
            params=params,
            cursor="",
            total=total,
            done=0,
            refused=0,
            rate=rate,
            problem=None,
            result={},
            created_by=created_by,
            created_at=now,
            started_at=None,
            updated_at=now,
            ended_at=None,
        )
        await store.insert(tx, job)
        tx.after_commit(self._woken)
        return job

    async def read(self, merchant: MerchantId, mode: Mode, job: str) -> Job:
        """Return a job.

        Raises:
            JobUnknown: not there for this merchant and mode.
        """
        async with self._database.transaction([merchant]) as tx:
            return await _found(tx, merchant, mode, job)

    async def list(
        self, merchant: MerchantId, mode: Mode, before: str | None, limit: int
    ) -> tuple[Sequence[Job], str | None]:
        """Return a page of jobs, newest first, and the cursor of the next page if there is one."""
        async with self._database.transaction([merchant]) as tx:
            rows = await store.page(tx, merchant, mode, before or _AFTER_EVERY_ID, limit + 1)
        page = rows[:limit]
        return page, page[-1].job_id if len(rows) > limit else None

    async def pause(self, caller: Caller, job: str) -> Job:
        """Let a job stand still; the step that is under way is undone. Safe to repeat.

        Raises:
            JobUnknown, JobEnded, JobGoesOn: see each.
        """
        return await self._changed(caller, job, "paused", store.pause)

    async def resume(self, caller: Caller, job: str) -> Job:
        """Let a paused job go on where it was. Safe to repeat.

        Raises:
            JobUnknown, JobEnded: see each.
        """
        return await self._changed(caller, job, "resumed", store.resume)

    async def cancel(self, caller: Caller, job: str) -> Job:
        """End a job where it is: what it has done stays done.

        Raises:
            JobUnknown, JobEnded, JobGoesOn: see each.
        """
        return await self._changed(caller, job, "canceled", store.cancel)

    async def put_rate(self, caller: Caller, job: str, rate: int | None) -> Job:
        """Say how many items a second at most, from the next step on; None: as fast as it goes.

        Raises:
            JobUnknown, JobEnded: see each.
        """

        async def put(tx: Transaction, found: Job, now: datetime) -> bool:
            return await store.put_rate(tx, found, rate, now)

        return await self._changed(caller, job, "rated", put)

    async def _changed(self, caller: Caller, job: str, result: str, change: _Change) -> Job:
        merchant, mode = caller.scope
        now = self.clock.now()
        async with self._database.transaction([merchant]) as tx:
            before = await _found(tx, merchant, mode, job)
            if before.state not in OPEN_STATES:
                raise JobEnded
            if before.kind in GO_ON and change in (store.pause, store.cancel):
                raise JobGoesOn
            touched = await change(tx, before, now)
            after = await _found(tx, merchant, mode, job)
            if not touched:
                if after.state not in OPEN_STATES:
                    raise JobEnded  # meanwhile
                return after
            record = self._recorder.make(
                Action.VAULT_JOB_CHANGED,
                actor=caller.principal.subject,
                merchant=merchant,
                mode=mode,
                thing=before.job_id,
                origin=caller.origin,
                now=now,
                details={"operation": before.kind, "result": result},
            )
            await self._recorder.insert(tx, record)
            handler = self._handlers.get(before.kind)
            if after.state is JobState.CANCELED and handler is not None:
                if isinstance(handler, EndsWithJob):
                    await handler.end_with(after, tx)
                await write_end(handler, after, tx, self._recorder)
            tx.after_commit(self._woken)
        return after

    def _woken(self) -> None:
        self.wake()


async def _found(tx: Transaction, merchant: MerchantId, mode: Mode, job: str) -> Job:
    if not is_id("job", job):
        raise JobUnknown
    found = await store.by_id(tx, merchant, mode, job)
    if found is None:
        raise JobUnknown
    return found
