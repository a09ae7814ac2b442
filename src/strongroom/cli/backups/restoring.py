# SPDX-License-Identifier: Apache-2.0
"""Puts a backup into an installation whose databases are empty. What fails is taken out again.

Data and keys may come from backups of different days: what was erased since the data were backed up stays erased,
because the keys of today do not open it.
"""

import asyncio
import os
import tarfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Final

from strongroom.cli.backups.model import (
    SINK_FILE,
    BackupRefused,
    Manifest,
    file_name,
    read_manifest,
    require_whole,
)
from strongroom.cli.installation import DATABASES, Installation
from strongroom.crypto import CannotOpen, open_parcel
from strongroom.db.address import Address
from strongroom.db.dumps import DumpPart, Tool, empty, is_empty, lost_cards, restore, tool
from strongroom.db.logins import Domain, Login, prepare
from strongroom.kernel.secret import Secret

Progress = Callable[[str], None]
_TOOL: Final = "pg_restore"


class BackupDoesNotOpen(BackupRefused):
    """The identity does not open this backup, or a file of it was altered."""

    code = "backup_does_not_open"


async def restore_backup(
    here: Installation,
    folder: Path,
    identity: Secret[str],
    progress: Progress,
    *,
    keys_from: Path | None = None,
    unreadable_accepted: int = 0,
    administrator: Address | None = None,
) -> Manifest:
    """Put a backup into empty databases, and bring them to this release. Starts nothing.

    Args:
        here: an installation with its own logins and the key store of the one that was backed up.
        folder: the backup.
        identity: the secret key that opens it.
        progress: is told each step.
        keys_from: another backup, of which the wrapped keys are taken: the newest, where the data are older.
        unreadable_accepted: how many cards may be sealed under keys that were destroyed since, and be lost.
        administrator: who may make logins and databases, where these are external.

    Raises:
        BackupRefused: it is not whole, of a newer release, of another region, the databases are not empty, or more
            cards than accepted are sealed under destroyed keys.
        BackupDoesNotOpen, ToolMissing, DumpFailed, DatabaseAway: see each; the databases are empty again.
    """
    # To restore:
    #  1. Everything is there, as it was made, and of this vault's region.
    #  2. Logins and databases; each database is empty, or nothing is touched.
    #  3. Of each: data, keys, audit, each all or nothing, as the owner.
    #  4. The schema of this release, and every login's rights.
    #  5. No more cards than accepted are sealed under keys that are destroyed by now: keys of another day.
    #  6. The audit log's sink, where this installation has none yet.
    program = tool(_TOOL, here.settings.postgres_binaries)
    manifest = read_manifest(folder)
    sources = dict.fromkeys(DumpPart, folder)
    if keys_from is not None:
        sources[DumpPart.KEYS] = keys_from
    _require(here, sources, manifest)  # (1)
    await _prepared(here, administrator, progress)  # (2)
    begun: list[Domain] = []
    try:
        for domain in Domain:
            begun.append(domain)
            for part in DumpPart:  # (3)
                progress(f"{part} of the {domain} database")
                path = sources[part] / file_name(domain, part)
                running = restore(program, here.address(domain, Login.OWNER))
                await asyncio.to_thread(_put_back, running, path, identity)
        await here.make_databases(progress, administrator)  # (4)
        await _require_readable(here, unreadable_accepted)  # (5)
    except BaseException:
        for domain in begun:
            await empty(here.address(domain, Login.OWNER))
        raise
    progress("audit sink")
    await asyncio.to_thread(_put_sink, folder, here.settings.sink_folder, identity)  # (6)
    return manifest


def _require(here: Installation, sources: Mapping[DumpPart, Path], manifest: Manifest) -> None:
    if manifest.region != here.settings.vault_region:
        raise BackupRefused(
            f"this backup is of the region {manifest.region}, and this vault is of {here.settings.vault_region}"
        )
    for source in sorted(set(sources.values())):
        names = {
            file_name(domain, part)
            for part, where in sources.items()
            for domain in Domain
            if where == source
        }
        present = manifest if source == sources[DumpPart.DATA] else read_manifest(source)
        require_whole(source, present, frozenset(names))


async def _prepared(here: Installation, administrator: Address | None, progress: Progress) -> None:
    secrets = {login: here.login_secret(login) for login in Login}
    for domain, name in DATABASES.items():
        admin = administrator or (here.bootstrap() if here.uses_embedded else None)
        if admin is not None:
            progress(f"logins and database {name}")
            await prepare(admin, domain, name, secrets)
        if not await is_empty(here.address(domain, Login.OWNER)):
            raise BackupRefused(
                f"the {domain} database holds something: a backup is put into empty databases only"
            )


async def _require_readable(here: Installation, accepted: int) -> None:
    """Refuse keys that would lose cards without a word: a deletion since destroyed the version of all of them."""
    lost = await lost_cards(here.address(Domain.VAULT, Login.BACKUP))
    if lost > accepted:
        raise BackupRefused(
            f"{lost} cards are sealed under keys that were destroyed since: take keys of the data's own day, "
            f"or accept that they are lost (--accept-unreadable {lost})"
        )


def _put_back(running: Tool, path: Path, identity: Secret[str]) -> None:
    try:
        with path.open("rb") as file:
            _open(file, running.stdin, identity)
        running.finish()
    finally:
        running.kill()


def _put_sink(folder: Path, sink: Path, identity: Secret[str]) -> None:
    """Unpack the sink where there is none; one that is there knows better what was published."""
    packed = folder / SINK_FILE
    if not packed.exists() or (sink.is_dir() and any(sink.iterdir())):
        return
    sink.mkdir(parents=True, exist_ok=True, mode=0o700)
    read, write = os.pipe()
    failed: list[Exception] = []

    def unpack() -> None:
        try:
            with os.fdopen(read, "rb") as pipe, tarfile.open(fileobj=pipe, mode="r|") as archive:
                archive.extractall(
                    sink, filter="data"
                )  # nothing outside the folder, no device, no link out
        except (OSError, tarfile.TarError) as error:
            failed.append(error)

    unpacker = threading.Thread(target=unpack, name="restore-sink")
    unpacker.start()
    try:
        with packed.open("rb") as file, os.fdopen(write, "wb") as pipe:
            _open(file, pipe, identity)
    finally:
        unpacker.join()
    if failed:
        raise BackupRefused(f"{packed} does not unpack") from failed[0]


def _open(source: IO[bytes], target: IO[bytes], identity: Secret[str]) -> None:
    try:
        open_parcel(source, target, identity)
    except CannotOpen:
        raise BackupDoesNotOpen from None
