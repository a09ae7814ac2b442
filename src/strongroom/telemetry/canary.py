# SPDX-License-Identifier: Apache-2.0
"""The canary search: says whether card numbers are in a text, a stream or a folder, in whatever form.

Exact: it looks for the numbers it is given, so it has no false alarms worth the name, and finds nothing else.
A finding says where, in which form and which of the numbers by its place in the list; never the number.
"""

import base64
import bz2
import gzip
import lzma
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from strongroom.kernel.cardlike import redact
from strongroom.kernel.errors import Refused
from strongroom.kernel.schemes import CARD_DIGITS_MAX, CARD_DIGITS_MIN
from strongroom.telemetry.card_forms import Form, Layout, layouts

CHUNK_BYTES: Final = 4 * 1024 * 1024
#: A small compressed file may hold very much; what is behind this is reported as unread.
DECOMPRESSED_BYTES_MAX: Final = 8 * 1024**3
_LAST: Final = 4
_NOT_ZERO: Final = re.compile(b"[^\x00]")
_LINE_END: Final = re.compile(b"[\r\n]")
#: Forms that programs wrap into lines: these are also searched for with the line ends taken out.
_WRAPPED: Final = frozenset({Form.BASE64, Form.HEX})
_WRAPPED_BYTES: Final = 64  # how many line ends may be in one number, at most


class CanaryRefused(Refused):
    """A number to search for has 13 to 19 digits, not all of them 0."""

    code = "canary_refused"


@dataclass(frozen=True, slots=True)
class Finding:
    """A number was found."""

    #: A file, or what the caller said.
    place: str
    #: In bytes, from the start of the (decompressed) data.
    offset: int
    form: Form
    #: Which one: its index in the list given.
    card: int
    last_four: str


@dataclass(frozen=True, slots=True)
class Unread:
    """What could not be searched, and why. A search with one of these has not shown absence."""

    place: str
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a search of a folder is."""

    files_done: int
    files_total: int
    bytes_done: int
    bytes_total: int


@dataclass(slots=True)
class Report:
    """What a search of a folder came to."""

    findings: list[Finding] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    files: int = 0
    bytes: int = 0

    @property
    def clean(self) -> bool:
        """True if everything was read and nothing was found."""
        return not self.findings and not self.unread


class Wanted:
    """The numbers to look for, made ready. Takes about a second for 25,000."""

    def __init__(self, numbers: Sequence[str]) -> None:
        self._cards: dict[bytes, int] = {}
        for index, number in enumerate(numbers):
            if not _searchable(number):
                raise CanaryRefused
            self._cards.setdefault(number.encode(), index)
        lengths = sorted({len(number) for number in self._cards})
        self._layouts: tuple[Layout, ...] = tuple(
            layout
            for length in lengths
            for layout in layouts([number for number in self._cards if len(number) == length])
        )
        self._last_fours = tuple(number[-_LAST:] for number in numbers)
        #: How much of a chunk the next one must be searched with, in bytes.
        self.overlap = max((layout.size for layout in self._layouts), default=1) + _WRAPPED_BYTES

    def scan(self, data: bytes, after: int = 0) -> Iterator[tuple[int, Form, int]]:
        """Yield (offset, form, card) of what ends behind the first `after` bytes, form by form."""
        seen = set()
        for layout in self._layouts:
            for at, card in self._scan(layout, data, after):
                seen.add((at, card))
                yield at, layout.form, card
        if _LINE_END.search(data) is None:
            return
        joined = data.translate(None, b"\r\n")
        after = len(data[:after].translate(None, b"\r\n"))
        for layout in self._layouts:
            if layout.form in _WRAPPED:
                for at, card in self._scan(layout, joined, after):
                    place = _before_joining(data, at)
                    if (place, card) not in seen:
                        yield place, layout.form, card

    def last_four(self, card: int) -> str:
        """Return the last four digits of one of the numbers."""
        return self._last_fours[card]

    def _scan(self, layout: Layout, data: bytes, after: int) -> Iterator[tuple[int, int]]:
        cards, search, size, digits = (
            self._cards,
            layout.pattern.search,
            layout.size,
            layout.digits,
        )
        at = max(0, after - size + 1)
        while match := search(data, at):
            at = match.start()
            piece = data[at : at + size]
            card = cards.get(digits(piece))
            if card is not None:
                yield at, card
            at += 1
            if not piece.strip(b"\x00"):  # empty pages: go on where they end
                behind = _NOT_ZERO.search(data, at)
                if behind is None:
                    return
                at = max(at, behind.start() - size + 1)


def _before_joining(data: bytes, offset: int) -> int:
    """Return where the byte stood that is at `offset` once line ends are taken out."""
    for line_end in _LINE_END.finditer(data):
        if line_end.start() > offset:
            break
        offset += 1
    return offset


def _searchable(number: str) -> bool:
    return (
        CARD_DIGITS_MIN <= len(number) <= CARD_DIGITS_MAX
        and number.isascii()
        and number.isdecimal()
        and number.strip("0") != ""
    )


def search_text(text: str, wanted: Wanted, *, place: str) -> list[Finding]:
    """Return what is found in a text."""
    return list(search_stream([text.encode("utf-8", "surrogatepass")], wanted, place=place))


def search_stream(chunks: Iterable[bytes], wanted: Wanted, *, place: str) -> Iterator[Finding]:
    """Yield what is found in a stream, however it is cut into chunks."""
    tail = b""
    start = 0  # of the tail, in the stream
    for chunk in chunks:
        data = tail + chunk
        for offset, form, card in wanted.scan(data, after=len(tail)):
            yield Finding(place, start + offset, form, card, wanted.last_four(card))
        kept = min(len(data), wanted.overlap)
        tail = data[len(data) - kept :]
        start += len(data) - kept


def search_tree(
    folder: Path,
    wanted: Wanted,
    *,
    progress: Callable[[Progress], None] | None = None,
    decompressed_bytes_max: int = DECOMPRESSED_BYTES_MAX,
) -> Report:
    """Search every file below a folder, and the files' names; gzip, bzip2 and xz also unpacked.

    Does not follow links, and opens nothing but regular files. What cannot be read is in the report.
    """
    report = Report()
    files, total = _files(folder, wanted, report)
    for number, (path, place) in enumerate(files):
        try:
            _search_file(path, place, wanted, report, decompressed_bytes_max)
        except OSError as error:
            report.unread.append(Unread(place, type(error).__name__))
        if progress is not None:
            progress(Progress(number + 1, len(files), report.bytes, total))
    report.files = len(files)
    return report


def _files(folder: Path, wanted: Wanted, report: Report) -> tuple[list[tuple[Path, str]], int]:
    """List the regular files, each with the name under which it may be shown, and their bytes in all."""
    files: list[tuple[Path, str]] = []
    total = 0

    def unread(error: OSError) -> None:
        report.unread.append(Unread(_shown(str(error.filename), wanted)[0], type(error).__name__))

    for parent, folders, names in os.walk(folder, onerror=unread):
        for name in sorted([*names, *folders]):
            path = Path(parent, name)
            place, findings = _shown(str(path), wanted)
            if name in names:
                try:
                    status = path.lstat()
                except OSError as error:
                    report.unread.append(Unread(place, type(error).__name__))
                    continue
                if stat.S_ISREG(status.st_mode):
                    files.append((path, place))
                    total += status.st_size
            if _holds_number(name, wanted):
                report.findings += findings
    return files, total


def _holds_number(name: str, wanted: Wanted) -> bool:
    return any(True for _ in wanted.scan(os.fsencode(name)))


def _shown(path: str, wanted: Wanted) -> tuple[str, list[Finding]]:
    """Return a path as it may be shown, and what its very name gives away."""
    found = list(search_stream([os.fsencode(path)], wanted, place=""))
    if not found:
        return redact(path), []
    place = f"{redact(str(Path(path).parent))}/[name withheld]"
    if _holds_number(place, wanted):
        place = "[name withheld]"
    return place, [
        Finding(place, finding.offset, finding.form, finding.card, finding.last_four)
        for finding in found
    ]


class _Opener(Protocol):
    def __call__(self, file: BinaryIO, /) -> BinaryIO: ...


def _gzip(file: BinaryIO, /) -> BinaryIO:
    return gzip.GzipFile(fileobj=file)  # type: ignore[return-value]  # close enough to BinaryIO to be read


def _bzip2(file: BinaryIO, /) -> BinaryIO:
    return bz2.BZ2File(file)  # type: ignore[return-value]  # likewise


def _xz(file: BinaryIO, /) -> BinaryIO:
    return lzma.LZMAFile(file)  # type: ignore[return-value]  # likewise


_PACKED: Final[tuple[tuple[bytes, str, _Opener], ...]] = (
    (b"\x1f\x8b", "gzip", _gzip),
    (b"BZh", "bzip2", _bzip2),
    (b"\xfd7zXZ\x00", "xz", _xz),
)


def _search_file(
    path: Path, place: str, wanted: Wanted, report: Report, decompressed_bytes_max: int
) -> None:
    with path.open("rb") as file:
        start = file.read(max(len(magic) for magic, _, _ in _PACKED))
        file.seek(0)
        report.findings += search_stream(_chunks(file, report), wanted, place=place)
        for magic, name, opened in _PACKED:
            if start.startswith(magic):
                file.seek(0)
                inside = f"{place} ({name})"
                try:
                    chunks = _bounded(opened(file), decompressed_bytes_max)
                    report.findings += search_stream(chunks, wanted, place=inside)
                except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
                    report.unread.append(Unread(inside, type(error).__name__))


def _chunks(file: BinaryIO, report: Report) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        report.bytes += len(chunk)
        yield chunk


def _bounded(file: BinaryIO, bytes_max: int) -> Iterator[bytes]:
    read = 0
    while chunk := file.read(CHUNK_BYTES):
        read += len(chunk)
        yield chunk
        if read >= bytes_max:
            raise EOFError("decompresses to more than is searched")


def decoys(number: str) -> tuple[tuple[Form, bytes], ...]:
    """Return a number in every form that the search knows, as bytes to plant, made another way than it is found.

    A search that does not find every decoy shows nothing by finding no card (PCI DSS A3.2.5.1).
    """
    ascii_digits = number.encode()
    groups = re.findall("..?.?.?", number)
    arabic, persian, wide = (
        number.translate({ord("0") + digit: zero + digit for digit in range(10)}).encode()
        for zero in (0x660, 0x6F0, 0xFF10)
    )
    odd = len(number) % 2
    packed = [number + "f", "0" + number] if odd else [number]
    return (
        (Form.CLEAR, ascii_digits),
        *(
            (Form.GROUPED, between.join(groups).encode())
            for between in (" ", "-", ".", "%20", "\u00a0")
        ),
        *(
            (Form.BASE64, encode(b"{" * before + ascii_digits + b"}" * after))
            for before in range(3)
            for after in range(3)
            for encode in (base64.b64encode, base64.urlsafe_b64encode)
        ),
        (Form.HEX, ascii_digits.hex().encode()),
        (Form.HEX, ascii_digits.hex(" ").encode()),
        (Form.HEX, ascii_digits.hex(":").encode()),
        (Form.DECIMAL, str(list(ascii_digits)).encode()),
        (Form.DECIMAL, ",".join(map(str, ascii_digits)).encode()),
        *((Form.BCD, bytes.fromhex(digits)) for digits in packed),
        (Form.EBCDIC, number.encode("cp037")),
        (Form.PERCENT, b"".join(b"%%%02X" % code for code in ascii_digits)),
        (Form.BACKSLASH_U, b"".join(b"\\u%04x" % code for code in ascii_digits)),
        (Form.BACKSLASH_X, b"".join(b"\\x%02x" % code for code in ascii_digits)),
        (Form.ENTITY, b"".join(b"&#%d;" % code for code in ascii_digits)),
        (Form.UTF16, number.encode("utf-16-le")),
        (Form.UTF16, number.encode("utf-16-be")),
        (Form.UTF32, number.encode("utf-32-le")),
        (Form.UTF32, number.encode("utf-32-be")),
        (Form.ARABIC_INDIC, arabic),
        (Form.PERSIAN, persian),
        (Form.FULL_WIDTH, wide),
    )


def needles(number: str) -> frozenset[bytes]:
    """Return a number in every form, without the forms' names."""
    return frozenset(encoded for _, encoded in decoys(number))
