# SPDX-License-Identifier: Apache-2.0
"""Reads another process's memory, as root may: what it could tell of a card number, whatever it was told to hide."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from missing_tools import missing
from strongroom.telemetry.canary import Wanted, search_stream

CHUNK_BYTES = 1 << 22


def require_readable(pid: int) -> None:
    """Skip, counted, where this user may not read it: a process of ours forbids it to all but root."""
    try:
        with open(f"/proc/{pid}/mem", "rb"):
            return
    except OSError:
        missing("root, to read a process's memory")


@contextmanager
def standing_still(pid: int) -> Iterator[None]:
    """Let the process do nothing meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def pieces(pid: int) -> Iterator[bytes]:
    """Yield everything that it has written anywhere: each region that can be written, in pieces that overlap."""
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as lines:
        regions = [line.split() for line in lines]
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for where, rights, *_ in regions:
            if not rights.startswith("rw"):
                continue
            start, end = (int(each, 16) for each in where.split("-"))
            yield from _region(memory.fileno(), start, end)


def _region(descriptor: int, start: int, end: int) -> Iterator[bytes]:
    at = start
    while at < end:
        try:
            piece = os.pread(descriptor, min(CHUNK_BYTES, end - at), at)
        except OSError:  # a guard page, or a device
            return
        if not piece:
            return
        if piece.count(0) != len(piece):
            yield piece
        at += len(piece)


def found_in(pid: int, number: str, who: str) -> list[str]:
    """Say in which forms a number stands in a process's memory."""
    wanted = Wanted([number])
    with standing_still(pid):
        seen = {str(each.form) for each in search_stream(pieces(pid), wanted, place=who)}
    return [f"{who}: the number, {form}" for form in sorted(seen)]


def holds(pid: int, number: str) -> bool:
    """Tell whether a number stands there in clear now: a quick look at a process that goes on."""
    return any(number.encode() in piece for piece in pieces(pid))


def bytes_of(pid: int) -> int:
    """How much there is to search."""
    return sum(map(len, pieces(pid)))
