# SPDX-License-Identifier: Apache-2.0
"""Makes a backup: dumps each part of each database, seals it on its way, and writes down what it is.

A folder appears under its name when everything in it is whole and recorded; until then it is called `….partial`.
"""

import asyncio
import os
import shutil
import tarfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

import msgspec

from strongroom import __version__
from strongroom.cli.backups.model import (
    FORMAT,
    MANIFEST,
    SINK_FILE,
    BackupFile,
    BackupRefused,
    Manifest,
    file_name,
)
from strongroom.cli.installation import Installation
from strongroom.crypto import seal_parcel, sha256_file
from strongroom.db.dumps import DumpPart, Tool, dump, snapshot, tool
from strongroom.db.logins import Domain, Login
from strongroom.db.migrate import migrations
from strongroom.kernel.clock import rfc3339

Progress = Callable[[str], None]
_PARTIAL: Final = ".partial"


async def make_backup(
    here: Installation, folder: Path, recipients: Sequence[str], progress: Progress
) -> Path:
    """Write a backup's files beside its name; return where. `place` gives them the name.

    Raises:
        BackupRefused: the folder is there already, or cannot be written.
        ToolMissing, DumpFailed, DatabaseAway, RecipientRefused: see each; nothing is left.
    """
    aside = _begun(folder)
    try:
        manifest = await _written(here, aside, recipients, progress)
        _put(aside / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1))
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise BackupRefused(f"{error.filename or aside}: {error.strerror}") from None
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return aside


def _begun(folder: Path) -> Path:
    if folder.exists():
        raise BackupRefused(f"{folder} is there already")
    aside = folder.with_name(folder.name + _PARTIAL)
    try:
        aside.mkdir(parents=True, mode=0o700)
    except FileExistsError:
        raise BackupRefused(
            f"{aside} is there: another backup runs, or one was ended; remove it"
        ) from None
    return aside


def place(aside: Path, folder: Path) -> None:
    """Give a backup that is whole and recorded its name, durably."""
    aside.rename(folder)
    _sync(folder.parent)


async def _written(
    here: Installation, aside: Path, recipients: Sequence[str], progress: Progress
) -> Manifest:
    # To back up an installation:
    #  1. The audit log's sink first: what it holds is never ahead of the databases, as a restore wants it.
    #  2. Of each database one moment, and out of that moment the data, the wrapped keys and the audit log.
    #  3. Each goes through the sealing on its way: nothing in clear is written, not even for a moment.
    program = tool("pg_dump", here.settings.postgres_binaries)
    made_at = rfc3339(here.clock.now())
    files: list[BackupFile] = []
    rows: dict[str, dict[str, int]] = {}
    servers: dict[str, str] = {}
    progress("audit sink")
    sink = here.settings.sink_folder
    if sink.is_dir():
        await asyncio.to_thread(_seal_folder, sink, aside / SINK_FILE, recipients)  # (1)
        files.append(_described(aside / SINK_FILE))
    for domain in Domain:
        address = here.address(domain, Login.BACKUP)
        async with snapshot(address) as moment:  # (2)
            servers[domain] = moment.server
            rows[domain] = dict(moment.rows)
            for part in DumpPart:
                progress(f"{part} of the {domain} database")
                target = aside / file_name(domain, part)
                running = dump(program, address, part, moment)
                await asyncio.to_thread(_seal_dump, running, target, recipients)  # (3)
                files.append(_described(target))
    return Manifest(
        format=FORMAT,
        made_at=made_at,
        release=__version__,
        region=here.settings.vault_region,
        schema={domain: migrations(domain)[-1].number for domain in Domain},
        server=servers,
        recipients=list(recipients),
        files=files,
        rows=rows,
    )


def _seal_dump(running: Tool, target: Path, recipients: Sequence[str]) -> None:
    try:
        _seal(running.stdout, target, recipients)
        running.finish()
    finally:
        running.kill()


def _seal_folder(source: Path, target: Path, recipients: Sequence[str]) -> None:
    """Seal a folder as a tar stream, which a thread writes into a pipe."""
    read, write = os.pipe()
    failed: list[OSError] = []

    def pack() -> None:
        try:
            with os.fdopen(write, "wb") as pipe, tarfile.open(fileobj=pipe, mode="w|") as archive:
                archive.add(source, arcname=".")
        except OSError as error:  # the reader's own error is the one to tell, where it has one
            failed.append(error)

    packer = threading.Thread(target=pack, name="backup-sink")
    packer.start()
    try:
        with os.fdopen(read, "rb") as stream:
            _seal(stream, target, recipients)
    finally:
        packer.join()
    if failed:
        raise failed[0]


def _seal(source: IO[bytes], target: Path, recipients: Sequence[str]) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        seal_parcel(source, file, recipients)
        file.flush()
        os.fsync(file.fileno())


def _described(path: Path) -> BackupFile:
    return BackupFile(path.name, path.stat().st_size, sha256_file(path).hex())


def _put(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    _sync(path.parent)


def _sync(folder: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
