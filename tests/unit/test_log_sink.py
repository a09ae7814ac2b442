# SPDX-License-Identifier: Apache-2.0
"""The stream sink: batches, urgency, overflow, failing streams, and no lost line in order."""

import io
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from polling import until_blocking
from strongroom.kernel.clock import SystemClock
from strongroom.telemetry.log import Log, LogObserver
from strongroom.telemetry.sink import StreamSink, open_sink

PIPE_BYTES = 65_536


class Stream(io.BytesIO):
    """Counts writes; may refuse them or hold them up."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.refuses = False
        self.gate = threading.Event()
        self.gate.set()

    def write(self, data: Any, /) -> int:
        self.gate.wait()
        if self.refuses:
            raise OSError(28, "No space left on device")
        self.writes += 1
        return super().write(bytes(data)[:PIPE_BYTES])  # as a pipe may: not all at once

    def close(self) -> None:
        """Stay readable."""


def test_lines_arrive_whole_in_order_and_in_few_writes() -> None:
    stream = Stream()
    sink = StreamSink(stream)
    for number in range(10_000):
        assert sink.write(b"%d" % number)
    sink.flush()
    assert stream.getvalue() == b"".join(b"%d\n" % number for number in range(10_000))
    assert stream.writes < 20
    sink.close()
    assert not sink.write(b"late")


def test_a_line_arrives_by_itself_and_an_urgent_one_sooner() -> None:
    stream = Stream()
    sink = StreamSink(stream, flush_seconds=0.05)
    sink.write(b"a")
    until_blocking(lambda: stream.getvalue() == b"a\n")
    sink.close()
    stream = Stream()
    sink = StreamSink(stream, flush_seconds=30)
    sink.write(b"a")
    sink.write(b"b", urgent=True)
    until_blocking(lambda: stream.getvalue() == b"a\nb\n")
    sink.write(b"c", urgent=True)
    until_blocking(lambda: stream.getvalue() == b"a\nb\nc\n")
    sink.close()


def test_a_stream_that_does_not_keep_up_loses_lines_and_the_log_says_so() -> None:
    class Observer(LogObserver):
        count = 0

        def lost(self, lines: int) -> None:
            self.count += lines

    stream, observer = Stream(), Observer()
    stream.gate.clear()
    sink = StreamSink(stream, lines_max=10)
    log = Log(sink, clock=SystemClock(), observer=observer)
    logger = log.logger()
    until_blocking(lambda: logger.info("x.y") is None and observer.count >= 3)
    stream.gate.set()
    log.flush()
    logger.info("x.z")
    log.flush()
    text = stream.getvalue().decode()
    assert f'"log.lines_lost","request_id":"{log.run_id}"' in text
    assert '"lines_lost":' in text
    log.close()


def test_a_failing_stream_raises_nothing_and_shows_in_health() -> None:
    stream = Stream()
    sink = StreamSink(stream)
    stream.refuses = True
    sink.write(b"a")
    sink.flush()
    assert (sink.healthy, sink.lines_lost) == (False, 1)
    stream.refuses = False
    sink.write(b"b")
    sink.flush()
    assert sink.healthy
    assert stream.getvalue() == b"b\n"
    sink.close()


PROGRAM = """
import sys
from strongroom.telemetry.sink import StreamSink, open_sink
sink = open_sink(None) if sys.argv[1] == "own" else StreamSink(sys.stdout.buffer)
for number in range(1000):
    sink.write(b"%d" % number, urgent=number % 7 == 0)
"""


@pytest.mark.parametrize("attempt", range(4))
@pytest.mark.parametrize("stream", ["own", "stdout"])
def test_a_process_that_ends_without_closing_has_written_all(stream: str, attempt: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, stream], capture_output=True, check=True, timeout=30
    )
    assert done.stdout.split() == [b"%d" % number for number in range(1_000)], attempt
    assert not done.stderr


def test_a_stream_that_never_returns_does_not_hold_up_the_end_for_ever() -> None:
    stream = Stream()
    stream.gate.clear()
    sink = StreamSink(stream, close_seconds_max=0.05)
    sink.write(b"a", urgent=True)
    sink.close()
    sink.close()
    stream.gate.set()


def test_many_threads_lose_nothing() -> None:
    stream = Stream()
    sink = StreamSink(stream, flush_seconds=0.001)
    threads = [
        threading.Thread(target=lambda: [sink.write(b"line") for _ in range(2_000)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sink.flush()
    assert stream.getvalue() == b"line\n" * 16_000
    sink.close()


def test_a_stream_with_a_buffer_of_its_own_is_flushed(tmp_path: Path) -> None:
    target = tmp_path / "log"
    sink = StreamSink(target.open("ab"))
    sink.write(b"line")
    sink.flush()
    assert target.read_bytes() == b"line\n"
    sink.close()


def test_a_file_is_its_owner_s_and_is_appended_to(tmp_path: Path) -> None:
    target = tmp_path / "strongroom.log"
    for word in (b"one", b"two"):
        sink = open_sink(target)
        sink.write(word)
        sink.close()
    assert target.read_bytes() == b"one\ntwo\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
