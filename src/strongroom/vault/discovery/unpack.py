# SPDX-License-Identifier: Apache-2.0
"""Looks into one file: as text, as what is packed into it, layer by layer, or as a database. By content, not name."""

import bz2
import codecs
import gzip
import io
import lzma
import sqlite3
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from strongroom.kernel.cardlike import redact
from strongroom.vault.discovery import sqlite
from strongroom.vault.discovery.bounds import Budget, Limits, Readable, TooMuch
from strongroom.vault.discovery.model import Finding, Form, Report
from strongroom.vault.discovery.search import Searcher

#: Between the name of an archive and the name of what is in it.
INSIDE: Final = "!"
_HEAD_BYTES: Final = 512
_TAR_MAGIC: Final = (257, b"ustar")
_ZIP: Final = b"PK\x03\x04"
_PACKED: Final[tuple[tuple[bytes, str, Callable[[Any], Any]], ...]] = (
    (b"\x1f\x8b", "gzip", lambda file: gzip.GzipFile(fileobj=file)),
    (b"BZh", "bzip2", bz2.BZ2File),
    (b"\xfd7zXZ\x00", "xz", lzma.LZMAFile),
)
#: What may hold numbers that this does not unpack. It is searched as it is, and noted as not looked at.
_UNKNOWN: Final = (
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"%PDF-", "pdf"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (b"PAR1", "parquet"),
)
# The longer mark first: UTF-32 in little endian begins like UTF-16.
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32", Form.UTF32),
    (codecs.BOM_UTF32_BE, "utf-32", Form.UTF32),
    (codecs.BOM_UTF16_LE, "utf-16", Form.UTF16),
    (codecs.BOM_UTF16_BE, "utf-16", Form.UTF16),
)
_BROKEN: Final = (
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    tarfile.TarError,
)


class _Headed:
    """A stream whose beginning was looked at."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        head = bytearray()
        while len(head) < _HEAD_BYTES and (chunk := file.read(_HEAD_BYTES - len(head))):
            head += chunk
        self.head = bytes(head)
        self._left = io.BytesIO(self.head)

    def read(self, size: int = -1, /) -> bytes:
        """Return what was looked at first, then the rest."""
        data = self._left.read(size)
        if data and 0 <= size == len(data):
            return data
        return data + self._file.read(size - len(data) if size >= 0 else -1)

    def readable(self) -> bool:
        """Tell the openers of packed files what this is."""
        return True


class Unpacker:
    """Searches files in every layer."""

    def __init__(
        self,
        searcher: Searcher,
        report: Report,
        limits: Limits | None = None,
        read: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._searcher = searcher
        self._report = report
        self._limits = limits or Limits()
        self._read = read

    def file(self, path: Path, place: str) -> Iterator[Finding]:
        """Yield what is in a file. Raises OSError where it cannot be opened."""
        with path.open("rb") as file:
            yield from self._look(file, place, Budget(self._limits), 0, path)

    def stream(self, file: BinaryIO, place: str) -> Iterator[Finding]:
        """Yield what is in a stream that comes once, such as standard input."""
        yield from self._look(file, place, Budget(self._limits), 0, None)

    def _look(
        self, file: Readable, place: str, budget: Budget, depth: int, path: Path | None
    ) -> Iterator[Finding]:
        """Yield what is in a layer; what cannot be looked at is noted, and what is beside it goes on."""
        headed = _Headed(file)
        head = headed.head
        try:
            if head.startswith(sqlite.MAGIC):
                yield from self._database(headed, place, budget, depth, path)
            elif head.startswith(_ZIP):
                yield from self._zip(headed, place, budget, depth, path)
            elif head[_TAR_MAGIC[0] :].startswith(_TAR_MAGIC[1]):
                yield from self._tar(headed, place, budget, depth)
            else:
                yield from self._plain_or_packed(headed, place, budget, depth)
        except TooMuch as error:
            self._report.not_read(place, error.reason)
        except _BROKEN as error:
            self._report.not_read(place, type(error).__name__)

    def _plain_or_packed(
        self, headed: _Headed, place: str, budget: Budget, depth: int
    ) -> Iterator[Finding]:
        for magic, name, opener in _PACKED:
            if headed.head.startswith(magic):
                deeper = budget.deeper(depth)
                inside = opener(_Counted(headed, self._count) if depth == 0 else headed)
                yield from self._look(inside, f"{place}{INSIDE}{name}", budget, deeper, None)
                return
        for magic, name in _UNKNOWN:
            if headed.head.startswith(magic):
                self._report.not_read(place, f"{name}_not_unpacked")
        chunks = self._chunks(headed, budget, depth)
        for mark, codec, form in _MARKS:
            if headed.head.startswith(mark):
                yield from self._searcher.stream(_decoded(chunks, codec), place, form=form)
                return
        yield from self._searcher.stream(chunks, place)

    def _chunks(self, file: Readable, budget: Budget, depth: int) -> Iterator[bytes]:
        """Yield a layer's bytes; only what is packed counts as unpacked."""
        if depth:
            yield from budget.chunks(file)
            return
        while chunk := file.read(1 << 20):
            self._count(len(chunk))
            yield chunk

    def _count(self, size: int) -> None:
        self._report.bytes += size
        self._read(size)

    def _zip(
        self, headed: _Headed, place: str, budget: Budget, depth: int, path: Path | None
    ) -> Iterator[Finding]:
        deeper = budget.deeper(depth)
        source: Any = path if path is not None else io.BytesIO(budget.held(headed))
        if path is not None:
            self._count(path.stat().st_size)
        with zipfile.ZipFile(source) as archive:
            for member in archive.infolist():
                if member.is_dir():
                    continue
                budget.member()
                name = f"{place}{INSIDE}{redact(member.filename)}"
                yield from self.name(member.filename, name)
                if member.flag_bits & 1:
                    self._report.not_read(name, "encrypted")
                    continue
                try:
                    with archive.open(member) as file:
                        yield from self._look(file, name, budget, deeper, None)
                # NotImplementedError is zipfile's word for a compression that it does not know.
                except (*_BROKEN, NotImplementedError, RuntimeError) as error:
                    self._report.not_read(name, type(error).__name__)

    def _tar(self, headed: _Headed, place: str, budget: Budget, depth: int) -> Iterator[Finding]:
        deeper = budget.deeper(depth)
        source: Any = _Counted(headed, self._count) if depth == 0 else headed
        with tarfile.open(fileobj=source, mode="r|") as archive:
            for member in archive:
                budget.member()
                name = f"{place}{INSIDE}{redact(member.name)}"
                yield from self.name(member.name, name)
                file = archive.extractfile(member) if member.isreg() else None
                if file is not None:
                    yield from self._look(file, name, budget, deeper, None)

    def _database(
        self, headed: _Headed, place: str, budget: Budget, depth: int, path: Path | None
    ) -> Iterator[Finding]:
        deeper = budget.deeper(depth)

        def inside(value: bytes, name: str) -> Iterator[Finding] | None:
            if not is_packed(value):
                return None
            return self._look(io.BytesIO(value), name, budget, deeper, None)

        source: Path | bytes = path if path is not None else budget.held(headed)
        seen: set[bytes] = set()
        try:
            rows = sqlite.search_sqlite(source, place, self._searcher, self._report, inside)
            for finding in rows:
                seen.add(finding.tag)
                yield finding
        except sqlite3.Error as error:
            self._report.not_read(place, type(error).__name__)
        raw = self._chunks(headed, budget, 0) if path is not None else [source]
        for finding in self._searcher.stream(raw, place):  # type: ignore[arg-type]  # bytes without a path
            if finding.tag not in seen:
                yield _leftover(finding)

    def name(self, name: str, place: str) -> Iterator[Finding]:
        """Yield what a file's very name gives away."""
        data = name.encode("utf-8", "surrogateescape")
        yield from self._searcher.stream([data], place, form=Form.NAME)


class _Counted:
    """Counts what is read from a stream that something else unpacks."""

    def __init__(self, file: Readable, count: Callable[[int], None]) -> None:
        self._file = file
        self._count = count

    def read(self, size: int = -1, /) -> bytes:
        """Return what is there, counted."""
        data = self._file.read(size)
        self._count(len(data))
        return data

    def readable(self) -> bool:
        """Tell the openers of packed files what this is."""
        return True


def is_packed(data: bytes) -> bool:
    """Tell whether a value is more than text: packed, an archive, a database, or wide."""
    return (
        data.startswith((sqlite.MAGIC, _ZIP, *(each[0] for each in _PACKED + _MARKS)))
        or data[_TAR_MAGIC[0] :][: len(_TAR_MAGIC[1])] == _TAR_MAGIC[1]
    )


def _leftover(finding: Finding) -> Finding:
    return Finding(
        finding.place,
        finding.line,
        finding.column,
        finding.offset,
        Form.LEFTOVER,
        finding.kind,
        finding.level,
        finding.scheme,
        finding.masked,
        finding.tag,
    )


def _decoded(chunks: Iterable[bytes], codec: str) -> Iterator[bytes]:
    """Yield a text in UTF-8, of whatever width it is; what is broken in it stands as U+FFFD."""
    decoder = codecs.getincrementaldecoder(codec)("replace")
    for chunk in chunks:
        yield decoder.decode(chunk).encode("utf-8", "surrogatepass")
    yield decoder.decode(b"", final=True).encode("utf-8", "surrogatepass")
