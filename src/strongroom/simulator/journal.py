# SPDX-License-Identifier: Apache-2.0
"""The journal: one line of JSON for each thing that really happened, in a file that only grows. It is the truth.

A line stands in the file before its answer is sent. It is not synced: it outlives the process, not the machine's
power. The last line of a process that was killed may be torn; its answer was not sent, so it is taken away.
"""

import fcntl
import os
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from strongroom.kernel.invariant import invariant
from strongroom.simulator.books import Operation, Payment
from strongroom.simulator.errors import JournalUnreadable, SimulatorFolderTaken

FILE_NAME: Final = "journal.jsonl"
_PRIVATE: Final = 0o600


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What the control API shows of a line."""

    #: Counts from 1 without a gap.
    n: int
    at: datetime
    account: str
    #: authorized, captured, declined, action_required, pending, voided, refunded, incremented, released, expired,
    #: capture_failed, refund_failed, disputed, dispute_inquired, dispute_reversed, dispute_won, dispute_lost; what was
    #: asked for and refused by the sums: capture_refused, void_refused, refund_refused, increment_refused. Amounts of
    #: refused ones moved nothing.
    kind: str
    payment: str
    #: None where the payment itself is meant.
    operation: str | None
    #: Ours, of the payment or operation.
    reference: str
    amount: int
    currency: str
    #: None for what no request of a client did.
    idempotency_key: str | None


class Announcement(msgspec.Struct, frozen=True):
    """The event that a line sends."""

    event_id: str
    type: str


class Line(Entry, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the file: an entry, and how things stand after it, so that reading it back decides nothing."""

    payment_after: Payment
    operation_after: Operation | None = None
    #: Of the request, where a client sent one: its key is answered with this line from now on.
    fingerprint: str | None = None
    announces: Announcement | None = None

    @property
    def subject(self) -> Payment | Operation:
        """What the answer and the event show."""
        return self.payment_after if self.operation_after is None else self.operation_after

    def entry(self) -> Entry:
        """Return what the control API shows."""
        return Entry(**{name: getattr(self, name) for name in Entry.__struct_fields__})


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Line).decode


class Journal:
    """The file, for one writer. Refuses a folder that another simulator has."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path: Final = folder / FILE_NAME
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, _PRIVATE)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise SimulatorFolderTaken from None

    def replay(self, each: Callable[[Line], None]) -> None:
        """Read every line back, in order.

        Raises:
            JournalUnreadable: a whole line is not one of ours.
        """
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.ftruncate(self._file, whole)
        for number, text in enumerate(data[:whole].splitlines(), start=1):
            try:
                line = _decode(text)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                raise JournalUnreadable(f"line {number} of {FILE_NAME} cannot be read") from None
            if line.n != number:
                raise JournalUnreadable(f"line {number} of {FILE_NAME} says that it is another")
            each(line)

    def append(self, lines: Iterable[Line]) -> None:
        """Write lines, all at once.

        Raises:
            OSError: the disk refuses. Nothing was written then.
        """
        # Crash here: the answer was not sent; either the lines are there whole and were executed, or they are not.
        data = b"".join(_encode(line) + b"\n" for line in lines)
        end = os.fstat(self._file).st_size
        written = os.write(self._file, data)
        if written != len(data):
            os.ftruncate(self._file, end)
            raise OSError("the journal's disk is full")

    def close(self) -> None:
        """Let go of the file."""
        invariant(self._file >= 0, "a journal is closed once")
        os.close(self._file)
        self._file = -1
