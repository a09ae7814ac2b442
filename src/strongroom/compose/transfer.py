# SPDX-License-Identifier: Apache-2.0
"""Joins what moves cards in and out: imports, exports, and the jobs that do them, in the vault's role."""

from strongroom.audit import Recorder
from strongroom.compose.process import Process
from strongroom.compose.vault_work import VaultWork
from strongroom.db.pool import Database
from strongroom.keys.keyring import Keyring
from strongroom.vault.containers.ports import ContainerRules
from strongroom.vault.sealing import CardSealer
from strongroom.vault.transfer.export import Exports
from strongroom.vault.transfer.imports import Imports
from strongroom.vault.transfer.opening import ImportKeys
from strongroom.vault.transfer.ports import Transfer
from strongroom.vault.transfer.unspool import Unspooler


def transfer_of(
    process: Process,
    database: Database,
    keyring: Keyring,
    sealer: CardSealer,
    recorder: Recorder,
    rules: ContainerRules,
    work: VaultWork,
) -> Transfer:
    """Compose imports and exports (`state.transfer`), before `work` starts."""
    clock = process.site.clock
    imports = Imports(
        database=database,
        sealer=sealer,
        keys=ImportKeys(database, keyring, recorder, clock),
        rules=rules,
        jobs=work.jobs,
        recorder=recorder,
        clock=clock,
        metrics=process.site.metrics.vault,
    )
    exports = Exports(
        database=database,
        sealer=sealer,
        rules=rules,
        jobs=work.jobs,
        recorder=recorder,
        clock=clock,
    )
    unspooler = Unspooler(database, imports)
    process.on_close(unspooler.close)
    work.add([unspooler, exports])
    return Transfer(imports, exports, recorder, clock)
