# SPDX-License-Identifier: Apache-2.0
"""Joins erasure and retention, and the jobs that delete rows, in the vault's role."""

from typing import Final

from strongroom.audit import Recorder
from strongroom.compose.process import Process
from strongroom.compose.vault_work import VaultWork
from strongroom.db.pool import Database
from strongroom.jobs import Task
from strongroom.keys.keyring import Keyring
from strongroom.keys.store import PostgresDataKeyTable
from strongroom.vault.containers.feed import RuleFeed
from strongroom.vault.erasure.driver import ErasureDriver
from strongroom.vault.erasure.jobs import MerchantRows, RetentionHandler
from strongroom.vault.erasure.service import Erasures
from strongroom.vault.rotation.service import KeyRotation
from strongroom.vault.transfer.ending import Endings

ADVANCE_SECONDS: Final = 5.0
RETENTION_SECONDS: Final = 600.0


def erasures_of(
    process: Process,
    database: Database,
    keyring: Keyring,
    recorder: Recorder,
    rules: RuleFeed,
    work: VaultWork,
    rotation: KeyRotation,
) -> Erasures:
    """Compose erasures (`state.erasures`), before `work` starts."""
    clock, days = process.site.clock, process.site.settings.key_backup_days
    imports = Endings(database, recorder, clock)
    work.add([MerchantRows(recorder, clock, [imports.end_all]), RetentionHandler(recorder, clock)])
    driver = ErasureDriver(
        database=database,
        rotation=rotation,
        keyring=keyring,
        table=PostgresDataKeyTable(database, clock),
        jobs=work.jobs,
        recorder=recorder,
        clock=clock,
        log=process.site.log,
        key_backup_days=days,
    )
    process.periodic(
        [
            Task("erasures", ADVANCE_SECONDS, driver.advance),
            Task("retention", RETENTION_SECONDS, driver.begin_retention),
        ]
    )
    return Erasures(
        database=database,
        rules=rules,
        jobs=work.jobs,
        recorder=recorder,
        clock=clock,
        key_backup_days=days,
    )
