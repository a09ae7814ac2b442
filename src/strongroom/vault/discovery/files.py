# SPDX-License-Identifier: Apache-2.0
"""Searches files: one, or every one below a folder. Follows no links and opens nothing but regular files."""

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import BinaryIO, Final

from strongroom.kernel.cardlike import redact
from strongroom.vault.discovery.bounds import Limits
from strongroom.vault.discovery.model import Finding, Report
from strongroom.vault.discovery.search import Searcher
from strongroom.vault.discovery.unpack import Unpacker

#: What standard input is called.
STANDARD_INPUT: Final = "-"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a search is, in bytes as they are on disk."""

    done: int
    total: int
    place: str


Tell = Callable[[Progress], None]


class FileSearch:
    """One search of files, and what it came to."""

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        excluded: Sequence[str] = (),
        tell: Tell = lambda _: None,
        wanted: Callable[[Finding], bool] = lambda _: True,
    ) -> None:
        self.report = Report(wanted=wanted)
        self._excluded = excluded
        self._tell = tell
        self._done = self._total = 0
        self._place = ""
        self._unpacker = Unpacker(Searcher(), self.report, limits, self._read)

    def path(self, path: Path) -> Report:
        """Search a file, or all files below a folder; what cannot be read is in the report."""
        files = self._files(path) if path.is_dir() else [(path, redact(str(path)))]
        self._total = sum(_size(file) for file, _ in files)
        for file, place in files:
            self._place = place
            self._keep(self._unpacker.name(file.name, place))
            try:
                self._keep(self._unpacker.file(file, place))
            except OSError as error:
                self.report.not_read(place, type(error).__name__)
            self.report.files += 1
        return self.report

    def stream(self, file: BinaryIO) -> Report:
        """Search a stream that comes once."""
        self._place = STANDARD_INPUT
        self._keep(self._unpacker.stream(file, STANDARD_INPUT))
        self.report.files += 1
        return self.report

    def _keep(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self.report.add(finding)

    def _read(self, size: int) -> None:
        self._done += size
        self._tell(Progress(self._done, max(self._total, self._done), self._place))

    def _files(self, folder: Path) -> list[tuple[Path, str]]:
        files: list[tuple[Path, str]] = []

        def unread(error: OSError) -> None:
            self.report.not_read(redact(str(error.filename)), type(error).__name__)

        for parent, folders, names in os.walk(folder, onerror=unread):
            folders[:] = sorted(each for each in folders if not self._left_out(parent, each))
            for name in sorted(names):
                path = Path(parent, name)
                if self._left_out(parent, name):
                    continue
                try:
                    mode = path.lstat().st_mode
                except OSError as error:
                    self.report.not_read(redact(str(path)), type(error).__name__)
                    continue
                if stat.S_ISREG(mode):
                    files.append((path, redact(str(path))))
            for name in folders:
                self._keep(self._unpacker.name(name, redact(str(Path(parent, name)))))
        return files

    def _left_out(self, parent: str, name: str) -> bool:
        whole = str(Path(parent, name))
        return any(fnmatch(name, each) or fnmatch(whole, each) for each in self._excluded)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
