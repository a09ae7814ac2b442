# SPDX-License-Identifier: Apache-2.0
"""The vault's own long work: which kinds of jobs this process does, and its runner."""

from collections.abc import Iterable, Mapping
from typing import Any

from strongroom.audit import Recorder
from strongroom.compose.process import Process
from strongroom.crypto import Algorithm
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database
from strongroom.jobs import Task
from strongroom.keys.keyring import LOOK_SECONDS, Keyring
from strongroom.keys.store import PostgresDataKeyTable
from strongroom.vault.rotation.columns import COLUMNS
from strongroom.vault.rotation.periods import Periods
from strongroom.vault.rotation.reseal import ResealHandler
from strongroom.vault.rotation.service import KeyRotation
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


def rotation_of(
    process: Process, database: Database, keyring: Keyring, recorder: Recorder, work: VaultWork
) -> KeyRotation:
    """Compose rotation, and add the job that follows it. Other sealed columns join `COLUMNS` here."""
    clock = process.site.clock
    work.add([ResealHandler(keyring, recorder, clock, COLUMNS)])
    return KeyRotation(
        database=database,
        keyring=keyring,
        table=PostgresDataKeyTable(database, clock),
        recorder=recorder,
        clock=clock,
        jobs=work.jobs,
        columns=COLUMNS,
        algorithm=Algorithm(process.site.settings.card_algorithm),
    )


async def rotation_state(
    process: Process, database: Database, keyring: Keyring, recorder: Recorder, work: VaultWork
) -> Mapping[str, Any]:
    """Compose what the vault's routes about keys stand on; from here on this process watches for rotations."""
    process.periodic([Task("key-changes", LOOK_SECONDS, keyring.look)])
    return {
        "rotation": rotation_of(process, database, keyring, recorder, work),
        "key_periods": periods_of(process),
        "key_store": await process.key_store(),
    }


def periods_of(process: Process) -> Periods:
    """Return the cryptoperiods that the settings say."""
    settings = process.site.settings
    return Periods(
        settings.key_days_sealing,
        settings.key_days_signing,
        settings.key_days_hashing,
        settings.key_days_root,
    )
