# SPDX-License-Identifier: Apache-2.0
"""Joins what moves cards in and out: imports, exports, and the jobs that do them, in the vault's role."""

from strongroom.audit import Recorder
from strongroom.compose.process import Process
from strongroom.compose.vault_work import VaultWork
from strongroom.db.pool import Database
from strongroom.jobs import Task
from strongroom.keys.keyring import Keyring
from strongroom.vault.residency import Residency
from strongroom.vault.sealing import CardSealer
from strongroom.vault.search.limiter import NumberLimiter
from strongroom.vault.transfer.ending import FORGET_SECONDS, LOOK_SECONDS
from strongroom.vault.transfer.export import Exports
from strongroom.vault.transfer.imports import Imports
from strongroom.vault.transfer.opening import ImportKeys
from strongroom.vault.transfer.ports import Transfer
from strongroom.vault.transfer.unspool import IDLE_SECONDS, Unspooler
from strongroom.vault.transfer.who import AccessRules
from strongroom.vault.watching import Watch


def transfer_of(
    process: Process,
    database: Database,
    keyring: Keyring,
    sealer: CardSealer,
    residency: Residency,
    recorder: Recorder,
    rules: AccessRules,
    work: VaultWork,
    numbers: NumberLimiter,
    watch: Watch,
) -> Transfer:
    """Compose imports and exports (`state.transfer`), before `work` starts."""
    clock = process.site.clock
    imports = Imports(
        database=database,
        sealer=sealer,
        keys=ImportKeys(database, keyring, residency, recorder, clock),
        rules=rules,
        jobs=work.jobs,
        recorder=recorder,
        clock=clock,
        metrics=process.site.metrics.vault,
        numbers=numbers,
    )
    exports = Exports(
        database=database,
        sealer=sealer,
        rules=rules,
        jobs=work.jobs,
        recorder=recorder,
        clock=clock,
        watch=watch,
    )
    unspooler = Unspooler(database, imports)
    process.on_close(unspooler.close)
    work.add([unspooler, exports])
    process.periodic(
        [
            Task("idle-imports", LOOK_SECONDS, imports.endings.end_idle),
            Task("dry-runs-seen", FORGET_SECONDS, imports.endings.forget_seen),
            Task("idle-import-streams", IDLE_SECONDS, unspooler.let_idle_go),
        ]
    )
    return Transfer(imports, exports, recorder, clock)
