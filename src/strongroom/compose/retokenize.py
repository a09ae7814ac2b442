# SPDX-License-Identifier: Apache-2.0
"""Joins retokenization: the job in the vault's role, and what routes and operators begin it with."""

from strongroom.audit import Recorder
from strongroom.compose.process import Process
from strongroom.compose.vault_work import VaultWork
from strongroom.crypto import Algorithm
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database
from strongroom.keys import Purpose
from strongroom.keys.keyring import Keyring
from strongroom.vault.containers.feed import RuleFeed
from strongroom.vault.residency import Residency
from strongroom.vault.retokenize.job import RetokenizeHandler
from strongroom.vault.retokenize.service import Retokenizations
from strongroom.vault.work.service import JobService


def retokenizations_of(
    process: Process,
    database: Database,
    keyring: Keyring,
    residency: Residency,
    recorder: Recorder,
    work: VaultWork,
    rules: RuleFeed,
) -> Retokenizations:
    """Compose retokenizations (`state.retokenizations`), before `work` starts."""
    clock = process.site.clock
    algorithm = Algorithm(process.site.settings.card_algorithm)
    work.add([RetokenizeHandler(keyring, residency, recorder, clock, algorithm)])
    return Retokenizations(
        database=database, rules=rules, jobs=work.jobs, recorder=recorder, clock=clock
    )


async def operator_retokenizations(process: Process) -> Retokenizations:
    """Compose them for the operators' commands: a vault that serves does the job."""
    clock = process.site.clock
    database = await process.database(Domain.VAULT, Login.VAULT, connections_max=2)
    recorder = await process.recorder(database, await process.keyring(database, Purpose.AUDIT))
    jobs = JobService(database, recorder, clock, {})
    return Retokenizations(
        database=database, rules=RuleFeed(database), jobs=jobs, recorder=recorder, clock=clock
    )
