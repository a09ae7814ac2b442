# SPDX-License-Identifier: Apache-2.0
"""What a backup is: a folder with a manifest and sealed files, each part of each database apart."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from strongroom.crypto import sha256, sha256_file
from strongroom.db.dumps import DumpPart
from strongroom.db.logins import Domain
from strongroom.kernel.errors import StrongroomError

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
#: The file sink of the audit logs.
SINK_FILE: Final = "audit-sink.tar.age"
_MANIFEST_BYTES_MAX: Final = 1 << 20


class BackupRefused(StrongroomError):
    """This is no whole backup, or it does not fit here."""

    code = "backup_refused"


class BackupFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sealed file: its name, size in bytes, and SHA-256 in hexadecimal."""

    name: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is in a backup. Not secret: names of tables and how many rows each had."""

    format: int
    made_at: str
    release: str
    region: str
    #: The number of the last migration of each database.
    schema: dict[str, int]
    #: PostgreSQL's version of each database.
    server: dict[str, str]
    recipients: list[str]
    files: list[BackupFile]
    #: Database → table → rows, at the moment of the snapshot.
    rows: dict[str, dict[str, int]]

    @property
    def size(self) -> int:
        """How many bytes the sealed files have."""
        return sum(file.size for file in self.files)


def file_name(domain: Domain, part: DumpPart) -> str:
    """Return what a part's file is called."""
    return f"{part}-{domain}.dump.age"


def digest_of(folder: Path) -> str:
    """Return the SHA-256 of a backup's manifest: what its audit record holds."""
    return sha256(_read(folder)).hex()


def read_manifest(folder: Path) -> Manifest:
    """Read a backup's manifest.

    Raises:
        BackupRefused: it is not there, or is none that this release knows.
    """
    try:
        manifest = msgspec.json.decode(_read(folder), type=Manifest)
    except msgspec.DecodeError:
        raise BackupRefused(f"{folder / MANIFEST} is no manifest of a backup") from None
    if manifest.format != FORMAT:
        raise BackupRefused(
            f"{folder} was made by another release: its format is {manifest.format}"
        )
    return manifest


def require_whole(folder: Path, manifest: Manifest, names: frozenset[str]) -> None:
    """Refuse a backup of which one of these files is missing or is not as it was made.

    Raises:
        BackupRefused: names the file.
    """
    known: Mapping[str, BackupFile] = {file.name: file for file in manifest.files}
    for name in sorted(names):
        if name not in known:
            raise BackupRefused(f"{folder} has no {name}")
        try:
            found = sha256_file(folder / name).hex()
        except OSError as error:
            raise BackupRefused(f"{folder / name}: {error.strerror}") from None
        if found != known[name].sha256:
            raise BackupRefused(f"{folder / name} is not as it was made")


def _read(folder: Path) -> bytes:
    try:
        with (folder / MANIFEST).open("rb") as file:
            return file.read(_MANIFEST_BYTES_MAX)
    except OSError as error:
        raise BackupRefused(f"{folder / MANIFEST}: {error.strerror}") from None
