# SPDX-License-Identifier: Apache-2.0
"""What both verifiers share: bounded reading of files, the order of records, and collecting findings.

Memory does not grow with the number of records, however the files were damaged.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Final

from strongroom.audit.errors import ExportRefused, RecordRefused, VerificationFailed
from strongroom.audit.findings import Finding, FindingKind
from strongroom.audit.layout import MANIFEST_BYTES_MAX, M, decode_manifest
from strongroom.audit.note import NOTE_BYTES_MAX
from strongroom.audit.record import RECORD_BYTES_MAX, AuditRecord, decode
from strongroom.kernel.ids import id_time
from strongroom.kernel.invariant import invariant

#: How far a record's time may lie before that of an earlier index: transactions commit out of order, and hosts'
#: clocks differ.
SKEW: Final = timedelta(minutes=5)
FINDINGS_MAX: Final = 100
#: How often a caller who watches is told.
PROGRESS_RECORDS: Final = 4096
_START: Final = datetime.fromisoformat("2000-01-01T00:00:00Z")


@dataclass(slots=True)
class Findings:
    """Collects what is wrong; keeps the first hundred and counts the rest."""

    kept: list[Finding] = field(default_factory=list)
    omitted: int = 0

    def add(
        self,
        kind: FindingKind,
        where: str,
        detail: str,
        *,
        index: int | None = None,
        until: int | None = None,
    ) -> None:
        """Keep one."""
        if len(self.kept) < FINDINGS_MAX:
            self.kept.append(Finding(kind, where, detail, index, until))
        else:
            self.omitted += 1

    def unreadable(self, error: OSError) -> None:
        """Keep that a file could not be read."""
        where = Path(str(error.filename)).name if error.filename else "a file"
        self.add(FindingKind.FILE_UNREADABLE, where, error.strerror or "cannot be read")

    def failure(self) -> VerificationFailed:
        """Return the error that carries all that was found."""
        invariant(bool(self.kept), "what fails has a finding")
        return VerificationFailed(self.kept, omitted=self.omitted)


class RecordOrder:
    """Looks at records in the order of the tree: canonical, no time far back, no event id twice.

    Event ids carry their time, so one that stood further back than the skew shows as time going back. That is why
    only the ids of about two skews are kept.
    """

    def __init__(self, findings: Findings, file: str, skew: timedelta) -> None:
        self._findings = findings
        self._file = file
        self._skew = skew
        self._latest = self._latest_id = self._generation = _START
        self._recent: set[str] = set()
        self._older: set[str] = set()
        self.first_time: str | None = None
        self.last_time: str | None = None

    def look(self, payload: bytes, line: int) -> AuditRecord | None:
        """Return the record, or None where the bytes are not one. Adds to the findings."""
        try:
            record = decode(payload)
        except RecordRefused as error:
            self._add(FindingKind.RECORD_REFUSED, line, error.detail)
            return None
        self.first_time = self.first_time or record.time
        self.last_time = record.time
        self._look_at_time(record, line)
        self._look_at_id(record.event_id, line)
        return record

    def _look_at_time(self, record: AuditRecord, line: int) -> None:
        moment, id_moment = datetime.fromisoformat(record.time), id_time(record.event_id)
        if moment < self._latest - self._skew or id_moment < self._latest_id - self._skew:
            self._add(FindingKind.TIME_GOES_BACK, line, "older than its predecessors by too much")
            # From here on the new time counts, so that one wrong clock is one finding.
            self._latest, self._latest_id = moment, id_moment
        self._latest = max(self._latest, moment)
        self._latest_id = max(self._latest_id, id_moment)

    def _look_at_id(self, event_id: str, line: int) -> None:
        if event_id in self._recent or event_id in self._older:
            self._add(FindingKind.RECORD_REPEATED, line, "its event id stood before")
        if abs(self._latest_id - self._generation) > self._skew:
            self._older, self._recent = self._recent, set()
            self._generation = self._latest_id
        self._recent.add(event_id)

    def _add(self, kind: FindingKind, line: int, detail: str) -> None:
        self._findings.add(kind, f"{self._file}:{line + 1}", detail, index=line)


def read_manifest(directory: Path, name: str, kind: type[M], findings: Findings) -> M | None:
    """Return the manifest, or None and a finding."""
    try:
        with (directory / name).open("rb") as file:
            return decode_manifest(file.read(MANIFEST_BYTES_MAX), kind)
    except OSError as error:
        findings.unreadable(error)
    except ExportRefused as error:
        findings.add(FindingKind.MANIFEST_REFUSED, name, error.detail)
    return None


def lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield each line without its newline. Of a line longer than a record may be, only a part that no one accepts."""
    limit = RECORD_BYTES_MAX + 1
    while line := file.readline(limit):
        if line.endswith(b"\n"):
            yield line[:-1]
        elif len(line) < limit:  # the file ends within a line; no record has a NUL
            yield line + b"\x00"
        else:
            while (rest := file.readline(limit)) and not rest.endswith(b"\n"):
                pass
            yield line


def notes(file: IO[bytes]) -> Iterator[bytes]:
    """Yield each note of a file of notes: it ends at the empty line after its signature lines."""
    note: list[bytes] = []
    length = 0
    signed = False
    while line := file.readline(NOTE_BYTES_MAX):
        if line == b"\n" and signed:
            yield b"".join(note)
            note, length, signed = [], 0, False
            continue
        signed = line.startswith("— ".encode())
        length += len(line)
        if length <= NOTE_BYTES_MAX + len(
            line
        ):  # one line too many is kept, so that the note is refused
            note.append(line)
    if note:
        yield b"".join(note)
