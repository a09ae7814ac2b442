# SPDX-License-Identifier: Apache-2.0
"""One generation of a tree in a folder: append-only segments of records, the signed heads, the latest head.

Blocking; `file` runs it on a thread. Files are the owner's alone. What stands there is never written over: a repeat is
compared, and only what a crash left half-written (a line without its end) is cut off.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final, final

from strongroom.audit.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from strongroom.audit.errors import CheckpointRefused, NoteRefused, SinkFailed
from strongroom.audit.note import VerifierKey, parse_note
from strongroom.audit.ports import SignedHead
from strongroom.audit.reading import notes

#: A segment is closed when it holds this many records; the last one is open.
SEGMENT_RECORDS: Final = 65_536
SEGMENTS: Final = "segments"
CHECKPOINT: Final = "checkpoint"
CHECKPOINTS: Final = "checkpoints.txt"
HEARTBEATS: Final = "heartbeats.txt"

_NAME: Final = re.compile(r"(?P<first>[0-9]{20})(?:-(?P<count>[0-9]{1,6})|\.open)\.jsonl")
_SIGNATURE: Final = "— ".encode()
#: Holds many notes; a note of ours has a few hundred bytes.
_TAIL_BYTES: Final = 1 << 14
_READ_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class _Segment:
    first: int
    count: int
    path: Path

    @property
    def end(self) -> int:
        return self.first + self.count


@final
class Generation:
    """The folder of one generation."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # What is known of the files; forgotten after a failure, and then read again.
        self._segments: list[_Segment] | None = None
        self._listed: int | None = None

    def begun(self) -> bool:
        """Tell whether anything of this generation is here."""
        return any((self.folder / name).exists() for name in (SEGMENTS, CHECKPOINT, CHECKPOINTS))

    def head(self, origin: str, keys: Sequence[VerifierKey]) -> Checkpoint | None:
        """Return the newest head that a trusted key has signed; None if there is no head.

        The list is written before the latest head is replaced, and either may have been put back to an older state:
        the larger of the two counts.

        Raises:
            SinkFailed: what stands there is not such a head.
        """
        latest = self._latest()
        last = _last_note(self.folder / CHECKPOINTS)
        shown = self._opened(CHECKPOINT, latest, origin, keys)
        listed = self._opened(CHECKPOINTS, last, origin, keys)
        if last is None or listed is None or (shown is not None and shown.size >= listed.size):
            return shown
        with suppress(
            OSError
        ):  # a crash came between the two: do what was left to do, if the disk lets us
            self._replace(self.folder / CHECKPOINT, last)
        return listed

    def _opened(
        self, name: str, note: bytes | None, origin: str, keys: Sequence[VerifierKey]
    ) -> Checkpoint | None:
        if note is None:
            return None
        try:
            return open_checkpoint(note, keys, origin=origin)
        except (NoteRefused, CheckpointRefused) as error:
            raise SinkFailed(f"{name} in the sink's folder: {error.detail}") from error

    def append(self, first: int, payloads: Sequence[bytes], heads: Sequence[SignedHead]) -> None:
        """Keep records and then heads; durable when this returns.

        Raises:
            SinkFailed: other records stand there, or records before these are missing.
        """
        # Crash anywhere: `head` is what was published last, and the same is published again.
        #  1. Compare what is here already, append what is not, and sync.
        #  2. Append to the list of heads what it has not, and sync.
        #  3. Put the latest head in place of the one before, in one step.
        self._make()
        self._append_records(first, payloads)  # (1)
        if heads:
            self._append_heads(heads)  # (2)
            self._replace(self.folder / CHECKPOINT, heads[-1].note)  # (3)

    def append_beat(self, note: bytes) -> None:
        """Keep a heartbeat."""
        self._make()
        path = self.folder / HEARTBEATS
        self._cut_torn_note(path)
        self._append(path, (b"\n" if _size(path) else b"") + note)

    def records(self) -> int:
        """Return how many records are here, from index 0."""
        segments = self._known()
        return segments[-1].end if segments else 0

    # --- records -------------------------------------------------------------------------------------

    def _append_records(self, first: int, payloads: Sequence[bytes]) -> None:
        if any(b"\n" in payload for payload in payloads):
            raise SinkFailed("a record is one line")
        held = self.records()
        if first > held:
            raise SinkFailed(f"records {held} to {first - 1} are missing in the sink's folder")
        known = min(held - first, len(payloads))
        for at, line in enumerate(self._lines(first, known)):
            if line != payloads[at]:
                raise SinkFailed(f"record {first + at} is another one in the sink's folder")
        at = known
        while at < len(payloads):
            at += self._fill(first + at, payloads[at:])

    def _fill(self, first: int, payloads: Sequence[bytes]) -> int:
        """Append to the open segment as much as it takes; begin one where there is none."""
        segments = self._known()
        if not segments or _is_closed(segments[-1]):
            path = self.folder / SEGMENTS / f"{first:020}.open.jsonl"
            segments.append(_Segment(first, 0, path))
        segment = segments[-1]
        # Boundaries are multiples of the segment's length, whatever the batches are: a repeat finds the same files.
        room = SEGMENT_RECORDS - segment.end % SEGMENT_RECORDS
        taken = payloads[:room]
        self._append(segment.path, b"\n".join(taken) + b"\n", sync_folder=segment.count == 0)
        segment = _Segment(segment.first, segment.count + len(taken), segment.path)
        segments[-1] = segment
        if segment.end % SEGMENT_RECORDS == 0:
            closed = segment.path.with_name(f"{segment.first:020}-{segment.count}.jsonl")
            segment.path.rename(closed)
            _sync_folder(closed.parent)
            segments[-1] = _Segment(segment.first, segment.count, closed)
        return len(taken)

    def _known(self) -> list[_Segment]:
        """Return the segments; read from the folder at first use and after a failure.

        Raises:
            SinkFailed: one is missing.
        """
        if self._segments is not None:
            return self._segments
        segments: list[_Segment] = []
        places = sorted((self.folder / SEGMENTS).glob("*.jsonl"))
        for path in places:
            match = _NAME.fullmatch(path.name)
            end = segments[-1].end if segments else 0
            if match is None or int(match["first"]) != end or path.is_symlink():
                raise SinkFailed(f"a segment that begins with record {end} is missing")
            if match["count"]:
                segments.append(_Segment(end, int(match["count"]), path))
            elif path == places[-1]:
                segments.append(_Segment(end, _cut_torn_line(path), path))
            else:
                raise SinkFailed(f"the segment that begins with record {end} is not closed")
        self._segments = segments
        return segments

    def _lines(self, first: int, count: int) -> Iterator[bytes]:
        """Yield records that are here."""
        for segment in self._known():
            if count <= 0:
                return
            if segment.end <= first:
                continue
            with segment.path.open("rb") as file:
                for index, line in enumerate(file, start=segment.first):
                    if index >= first and count > 0:
                        yield line.removesuffix(b"\n")
                        first, count = first + 1, count - 1

    # --- heads ---------------------------------------------------------------------------------------

    def _latest(self) -> bytes | None:
        path = self.folder / CHECKPOINT
        return path.read_bytes() if path.exists() else None

    def _append_heads(self, heads: Sequence[SignedHead]) -> None:
        path = self.folder / CHECKPOINTS
        if self._listed is None:
            self._cut_torn_note(path)
            last = _last_note(path)
            self._listed = -1 if last is None else parse_checkpoint(parse_note(last).text).size
        listed = self._listed
        new = [head.note for head in heads if head.size > listed]
        if new:
            self._append(path, (b"" if listed < 0 else b"\n") + b"\n".join(new))
            self._listed = max(listed, heads[-1].size)

    def _cut_torn_note(self, path: Path) -> None:
        size = _size(path)
        if not size:
            return
        with path.open("r+b") as file:
            start = max(0, size - _TAIL_BYTES)
            file.seek(start)
            whole = _whole_notes(file.read())
            if start and not whole:
                raise SinkFailed(f"{path.name} in the sink's folder is not a list of notes")
            if start + whole < size:
                file.truncate(start + whole)
                os.fsync(file.fileno())

    # --- files ---------------------------------------------------------------------------------------

    def _make(self) -> None:
        for folder in (self.folder, self.folder / SEGMENTS):
            if not folder.is_dir():
                folder.mkdir(mode=0o700, parents=True)
                _sync_folder(folder.parent)
            if folder.stat().st_mode & 0o022:
                raise SinkFailed("the sink's folder may be written to by other accounts")

    def _append(self, path: Path, content: bytes, *, sync_folder: bool = False) -> None:
        is_new = not path.exists()
        try:
            with open(path, "ab", opener=_private) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            self._segments = self._listed = None  # how much of it is there is seen in the file
            raise
        if is_new or sync_folder:
            _sync_folder(path.parent)

    def _replace(self, path: Path, content: bytes) -> None:
        aside = path.with_name(path.name + ".new")
        with open(aside, "wb", opener=_private) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
        _sync_folder(path.parent)


def _is_closed(segment: _Segment) -> bool:
    return not segment.path.name.endswith(".open.jsonl")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _cut_torn_line(path: Path) -> int:
    """Count the lines; cut off what follows the last newline."""
    count = whole = at = 0
    with path.open("r+b") as file:
        while chunk := file.read(_READ_BYTES):
            lines = chunk.count(b"\n")
            if lines:
                count += lines
                whole = at + chunk.rindex(b"\n") + 1
            at += len(chunk)
        if whole < at:
            file.truncate(whole)
            os.fsync(file.fileno())
    return count


def _whole_notes(tail: bytes) -> int:
    """Return how many bytes of a list's tail are whole notes: it ends with a line that is a signature."""
    end = len(tail)
    while True:
        end = tail.rfind(b"\n", 0, end) + 1
        if end == 0 or _line_before(tail, end).startswith(_SIGNATURE):
            return end
        end -= 1


def _line_before(tail: bytes, end: int) -> bytes:
    """Return the line that ends with the newline at `end - 1`."""
    return tail[tail.rfind(b"\n", 0, end - 1) + 1 : end]


def _last_note(path: Path) -> bytes | None:
    """Return the last whole note of a list."""
    size = _size(path)
    if not size:
        return None
    with path.open("rb") as file:
        file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read()
    last = None
    for note in notes(BytesIO(tail[: _whole_notes(tail)])):
        last = note
    return last
