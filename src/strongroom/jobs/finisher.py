# SPDX-License-Identifier: Apache-2.0
"""Gives finished jobs back in batches: when one batch is written, the next takes what has come in meanwhile."""

import asyncio
from typing import Final

from strongroom.jobs.claim import JobQueue, PutOff
from strongroom.jobs.model import Claimed
from strongroom.kernel.errors import StrongroomError
from strongroom.telemetry.log import Log

RETRY_SECONDS: Final = 1.0
#: More than this is not held back for a database that is away: those leases end, and the jobs run again.
HELD_JOBS_MAX: Final = 10_000


class Finisher:
    """What one process has to give back."""

    def __init__(self, queue: JobQueue, log: Log) -> None:
        self._queue = queue
        self._log = log
        self._held: list[Claimed | PutOff] = []
        self._writing: asyncio.Task[None] | None = None
        self._last_chance = asyncio.Event()

    def add(self, ended: Claimed | PutOff) -> None:
        """Note that a job is done, or that it is put off."""
        self._held.append(ended)
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write(), name="job-finish")

    async def drain(self) -> None:
        """Write what is held; what cannot be written now is left to its leases."""
        self._last_chance.set()
        if self._writing is not None:
            await self._writing

    async def _write(self) -> None:
        await asyncio.sleep(0)  # those that end in this turn go together
        try:
            while self._held:
                batch, self._held = self._held, []
                try:
                    await self._queue.done([each for each in batch if isinstance(each, Claimed)])
                    await self._queue.again([each for each in batch if isinstance(each, PutOff)])
                except StrongroomError as error:
                    # Giving back twice is giving back once: the whole batch again.
                    self._held = [*batch, *self._held][-HELD_JOBS_MAX:]
                    self._log.emit(
                        "warning",
                        "jobs.finish_failed",
                        {"rows": len(self._held), "code": error.code},
                    )
                    if self._last_chance.is_set():
                        return
                    await self._wait()
        finally:
            self._writing = None

    async def _wait(self) -> None:
        try:
            await asyncio.wait_for(self._last_chance.wait(), timeout=RETRY_SECONDS)
        except TimeoutError:
            return
