# SPDX-License-Identifier: Apache-2.0
"""What a backup needs of a composed installation: the record that it was made, and the drill that shows it opens."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from strongroom.audit import PLATFORM, Action, Origin, VerifiedExport, verify_directory
from strongroom.compose.operators import Operators
from strongroom.compose.process import Process
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database
from strongroom.kernel.errors import StrongroomError
from strongroom.keys import KeyName, Purpose
from strongroom.keys.keyring import Keyring
from strongroom.keys.store import PostgresDataKeyTable
from strongroom.vault.canary import hear_canary

#: Which roots wrap the keys of each database.
_ROOTS: Final = {
    Domain.VAULT: (Purpose.CARD, Purpose.AUDIT, Purpose.CREDENTIAL),
    Domain.CORE: (Purpose.IDENTITY, Purpose.AUDIT, Purpose.WEBHOOK),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """One thing that a drill looked at."""

    name: str
    holds: bool
    detail: str


async def record_backup(
    operators: Operators, action: Action, *, digest: str, size: int, actor: str
) -> None:
    """Record that a backup was made or restored, with the digest of its manifest, in the core's log."""
    database, recorder = await operators.operator_recorder()
    record = recorder.make(
        action,
        actor=actor,
        merchant=PLATFORM,
        mode=None,
        thing=None,
        origin=Origin(),
        now=operators.site.clock.now(),
        details={"digest": digest, "size": size},
    )
    async with database.transaction([PLATFORM]) as tx:
        await recorder.insert(tx, record)


async def heard(process: Process) -> None:
    """Open the canary of what was restored.

    Raises:
        CanarySilent, and what a keyring raises: data, keys and roots do not belong together.
    """
    await _canary(process)


async def shown_by(process: Process, scratch: Path) -> list[Shown]:
    """Show what a restored installation is worth: its canary opens, every key unwraps, both logs verify.

    No merchant's card is opened. `scratch` is a folder for the logs' exports.
    """
    found = [await _tried("canary", partial(_canary, process))]
    for domain in Domain:
        found += [
            await _tried(f"{domain} keys", partial(_keys, process, domain)),
            await _tried(f"{domain} log", partial(_log, process, domain, scratch / domain)),
        ]
    return found


async def _tried(name: str, look: Callable[[], Awaitable[str]]) -> Shown:
    try:
        return Shown(name, holds=True, detail=await look())
    except StrongroomError as error:
        return Shown(name, holds=False, detail=f"{error.code}: {error.detail}")


async def _canary(process: Process) -> str:
    _, keyring, database = await _opened(process, Domain.VAULT)
    await hear_canary(database, keyring)
    return "a sealed card of our own opens"


async def _keys(process: Process, domain: Domain) -> str:
    table, keyring, _ = await _opened(process, domain)
    living = await table.living()
    for merchant, mode, name, version in living:
        if KeyName(name).purpose in _ROOTS[domain]:
            await keyring.version(merchant, mode, KeyName(name), version)
    return f"{len(living)} wrapped keys unwrap"


async def _log(process: Process, domain: Domain, folder: Path) -> str:
    log = await process.audit_log(domain)
    keys = await log.overview().keys()
    await log.exporter().export_tree(folder, actor="operator:drill")
    held = verify_directory(folder, keys)
    if not isinstance(held.log, VerifiedExport):
        raise TypeError("a whole log was exported")
    return f"{held.log.head.size} records verify against the signed head"


async def _opened(
    process: Process, domain: Domain
) -> tuple[PostgresDataKeyTable, Keyring, Database]:
    database = await process.database(domain, Login.BACKUP, connections_max=2)
    return (
        PostgresDataKeyTable(database),
        await process.keyring(database, *_ROOTS[domain]),
        database,
    )
