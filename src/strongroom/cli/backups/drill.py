# SPDX-License-Identifier: Apache-2.0
"""Shows that a backup is worth something: puts it into a server of its own beside everything, and looks.

The roots come from the installation's key store, or from the copy in escrow whose worth is to be shown.
"""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from strongroom.cli.backups.model import Manifest, read_manifest
from strongroom.cli.backups.restoring import restore_backup
from strongroom.cli.installation import Installation, write_once, write_private
from strongroom.config import KeyStoreName, Settings
from strongroom.db.dumps import rows_of
from strongroom.db.logins import Domain, Login
from strongroom.kernel.secret import Secret

if TYPE_CHECKING:
    from strongroom.compose.backups import Shown

Progress = Callable[[str], None]


async def drill(
    here: Installation,
    folder: Path,
    identity: Secret[str],
    progress: Progress,
    *,
    roots: Path | None = None,
) -> "list[Shown]":
    """Restore a backup into a scratch installation and say what was shown; nothing of it is left.

    Args:
        here: the installation whose key store holds the roots.
        folder: the backup.
        identity: the secret key that opens it.
        progress: is told each step.
        roots: a key file of the file store in the place of the installation's own, with the same passphrase.

    Raises:
        BackupRefused, BackupDoesNotOpen, and what a restore raises: the backup is worth nothing as it is.
    """
    from strongroom.compose import Composer, Site
    from strongroom.compose.backups import shown_by
    from strongroom.telemetry.log import Log
    from strongroom.telemetry.metrics import Metrics
    from strongroom.telemetry.sink import MemorySink

    manifest = read_manifest(folder)
    scratch = _scratch()
    there = Installation(_settings_of(here, scratch / "state"), here.clock)
    try:
        _take_roots(here, there, roots)
        there.make_secrets()
        there.attach()
        await restore_backup(there, folder, identity, progress)
        progress("looking")
        found = [
            _compared(domain, manifest, await rows_of(there.address(domain, Login.BACKUP)))
            for domain in Domain
        ]
        log = Log(MemorySink(), clock=here.clock)
        composer = Composer(
            Site(there.settings, there.address, there.passphrase(), log, Metrics(), here.clock)
        )
        try:
            found += await shown_by(composer, scratch)
        finally:
            await composer.close()
        return found
    finally:
        there.detach()
        shutil.rmtree(scratch, ignore_errors=True)


def _settings_of(here: Installation, state: Path) -> Settings:
    return replace(
        here.settings,
        state=state,
        vault_database=None,
        core_database=None,
        login_secrets=None,
        login_passwords=None,
        audit_sink=None,
        log_file=None,
    )


def _take_roots(here: Installation, there: Installation, roots: Path | None) -> None:
    """Copy the key file, and the passphrase where it is a file of ours, into a folder that is its owner's alone."""
    from strongroom import compose

    if here.settings.key_store is not KeyStoreName.FILE:
        return
    target = compose.key_file(there.settings)
    there.settings.state.mkdir(mode=0o711)
    there.settings.state.chmod(0o711)
    target.parent.mkdir(mode=0o700)
    write_private(target, (roots or compose.key_file(here.settings)).read_bytes())
    if here.settings.key_file_passphrase is None:
        write_once(target.with_name("passphrase"), here.passphrase().expose())


def _scratch() -> Path:
    """Make a folder below /var/tmp: what is restored may be large, and the server's account passes through."""
    made = Path(tempfile.mkdtemp(prefix="strongroom-drill-", dir="/var/tmp")).resolve()
    made.chmod(0o711)
    return made


def _compared(domain: Domain, manifest: Manifest, found: Mapping[str, int]) -> "Shown":
    from strongroom.compose.backups import Shown

    wanted = manifest.rows[domain]
    wrong = [
        name
        for name, rows in wanted.items()
        if found.get(name, 0) != rows and not _dropped(name, found)
    ]
    total = sum(wanted.values())
    if wrong:
        return Shown(
            f"{domain} rows", holds=False, detail=f"{wrong[0]} has not the rows that it had"
        )
    return Shown(f"{domain} rows", holds=True, detail=f"{total} rows in {len(wanted)} tables")


def _dropped(name: str, found: Mapping[str, int]) -> bool:
    """Tell whether this is a day of idempotency keys whose time is over: the schema's upkeep drops it."""
    return name.startswith("idempotency.request_") and name not in found
