# SPDX-License-Identifier: Apache-2.0
"""The vault's own long work: which kinds of jobs this process does, and its runner."""

from collections.abc import Iterable

from strongroom.audit import Recorder
from strongroom.compose.process import Process
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database
from strongroom.vault.work.model import JobKind
from strongroom.vault.work.ports import JobHandler
from strongroom.vault.work.runner import LANES, Runner
from strongroom.vault.work.service import JobService


class VaultWork:
    """The jobs of the vault's database, in this process: add what does each kind, then `start`."""

    def __init__(self, process: Process, database: Database, recorder: Recorder) -> None:
        self._process = process
        self._recorder = recorder
        self._handlers: dict[JobKind, JobHandler] = {}
        self.jobs = JobService(database, recorder, process.site.clock, self._handlers)

    def add(self, handlers: Iterable[JobHandler]) -> None:
        """Do jobs of these kinds."""
        self._handlers |= {handler.kind: handler for handler in handlers}

    async def start(self) -> None:
        """Begin to look for work, over a pool of its own: no job takes a connection from a request."""
        process = self._process
        database = await process.database(Domain.VAULT, Login.VAULT, connections_max=LANES + 1)
        runner = Runner(
            database,
            self._recorder,
            process.site.clock,
            self._handlers,
            log=process.site.log,
            metrics=process.site.metrics.vault_jobs,
        )
        runner.start()
        self.jobs.wake = runner.wake
        process.on_close(runner.stop)
