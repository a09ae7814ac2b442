# SPDX-License-Identifier: Apache-2.0
"""Where log lines go. Writing one costs an append; a thread of its own does the waiting for the stream.

A line below warning may rest for a fifth of a second in memory and dies with a killed process: what must not
be lost is an audit record, not a log line.
"""

import atexit
import os
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Final, Protocol, final

FLUSH_SECONDS: Final = 0.2
LINES_MAX: Final = 50_000
CLOSE_SECONDS_MAX: Final = 5.0
_STDOUT: Final = 1


class Sink(Protocol):
    """Takes rendered lines."""

    def write(self, line: bytes, *, urgent: bool = False) -> bool:
        """Take a line, without its newline. Return False if it is lost; an urgent one is written at once."""

    def flush(self) -> None:
        """Return when every line taken so far is handed to the stream."""

    def close(self) -> None:
        """Flush, and take no more."""


@final
class MemorySink:
    """Keeps the lines. Ships with the product: tests and `--log none` use it."""

    def __init__(self, lines_max: int = LINES_MAX) -> None:
        self.lines: deque[bytes] = deque(maxlen=lines_max)

    def write(self, line: bytes, *, urgent: bool = False) -> bool:  # noqa: ARG002 - the port's signature
        """Keep the line."""
        self.lines.append(line)
        return True

    def flush(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def text(self) -> str:
        """Return what was written, as a stream would hold it."""
        return "".join(line.decode() + "\n" for line in self.lines)


class ByteStream(Protocol):
    """A byte stream; best an unbuffered one (`open_sink`)."""

    def write(self, data: memoryview, /) -> int | None:
        """Write some of the data and return how many bytes."""

    def flush(self) -> None:
        """Hand on what it keeps itself."""

    def close(self) -> None:
        """Close it."""


@final
class StreamSink:
    """Writes lines to a byte stream, from a daemon thread, in batches.

    The thread ends before Python does (`close`, at exit at the latest): Python cannot shut down while a daemon
    thread holds the lock of a stream's buffer.
    """

    def __init__(
        self,
        stream: ByteStream,
        *,
        flush_seconds: float = FLUSH_SECONDS,
        lines_max: int = LINES_MAX,
        close_seconds_max: float = CLOSE_SECONDS_MAX,
    ) -> None:
        self._close_seconds_max = close_seconds_max
        self._stream = stream
        self._flush_seconds = flush_seconds
        self._lines_max = lines_max
        self._lines: deque[bytes] = deque()
        self._waiting = threading.Event()
        self._urgent = threading.Event()
        self._writing = threading.Lock()
        self._closed = False
        #: False after a write failed, True again after one that did not.
        self.healthy = True
        self.lines_lost = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def write(self, line: bytes, *, urgent: bool = False) -> bool:
        """Take a line. Lost (False) if the sink is closed or the stream has not kept up."""
        if self._closed or len(self._lines) >= self._lines_max:
            return False
        self._lines.append(line)
        if not self._waiting.is_set():
            self._waiting.set()
        if urgent:
            self._urgent.set()
        return True

    def flush(self) -> None:
        """Write what waits, in the calling thread."""
        with self._writing:
            lines: list[bytes] = []
            # Appends go on beside this: take what is there, one by one.
            while self._lines and len(lines) < self._lines_max:
                lines.append(self._lines.popleft())
            if not lines:
                return
            lines.append(b"")
            try:
                self._write_all(b"\n".join(lines))
                self._stream.flush()
            except (OSError, ValueError):  # full disk, broken pipe; a stream closed under us
                self.healthy = False
                self.lines_lost += len(lines) - 1
            else:
                self.healthy = True

    def close(self) -> None:
        """Write what waits, stop the thread, close the stream (standard output stays open). At exit at the latest."""
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.close)
        self._urgent.set()
        self._waiting.set()
        self._thread.join(timeout=self._close_seconds_max)
        if self._thread.is_alive():  # held up by the stream: what waits is lost with it
            return
        self.flush()
        # A process without a console has no standard streams, a test run has others.
        standard = [getattr(stream, "buffer", None) for stream in (sys.stdout, sys.stderr)]
        if self._stream not in standard:
            self._stream.close()

    def _run(self) -> None:
        while not self._closed:
            self._waiting.wait()
            self._urgent.wait(self._flush_seconds)
            self._urgent.clear()
            self._waiting.clear()
            self.flush()

    def _write_all(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._stream.write(rest) or 0 :]


def open_sink(target: Path | None) -> StreamSink:
    """Return a sink that appends to the file (created for its owner alone), or, without one, to standard output.

    Raises:
        OSError: the file cannot be opened.
    """
    if target is None:
        descriptor = os.dup(_STDOUT)
    else:
        descriptor = os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    return StreamSink(os.fdopen(descriptor, "wb", buffering=0))
