# SPDX-License-Identifier: Apache-2.0
"""How much of what is packed is unpacked: a small file may hold more than there is memory, disk or time for."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from strongroom.kernel.errors import Refused
from strongroom.vault.discovery.search import CHUNK_BYTES


class TooMuch(Refused):
    """More is packed into this than is unpacked."""

    code = "scan_too_much"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what is unpacked from one file."""

    #: All that is unpacked, in every layer together.
    bytes_max: int = 8 * 1024**3
    #: How many files inside of it are looked at.
    members_max: int = 100_000
    #: An archive in an archive is two deep.
    depth_max: int = 6
    #: What must be held whole to be looked at (an archive inside of another, a database inside of one).
    held_bytes_max: int = 256 * 1024**2


class Readable(Protocol):
    """What can be read piece by piece."""

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes; nothing at the end."""


class Budget:
    """What is left of the limits for one file."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._bytes = limits.bytes_max
        self._members = limits.members_max

    def member(self) -> None:
        """Count a file inside. Raises TooMuch."""
        self._members -= 1
        if self._members < 0:
            raise TooMuch("too_many_members")

    def deeper(self, depth: int) -> int:
        """Return the next depth. Raises TooMuch."""
        if depth >= self.limits.depth_max:
            raise TooMuch("too_deep")
        return depth + 1

    def chunks(self, file: Readable) -> Iterator[bytes]:
        """Yield what is unpacked, counted. Raises TooMuch."""
        while chunk := file.read(CHUNK_BYTES):
            self._bytes -= len(chunk)
            if self._bytes < 0:
                raise TooMuch("too_large_unpacked")
            yield chunk

    def held(self, file: Readable) -> bytes:
        """Return all of what must be held whole. Raises TooMuch."""
        kept = bytearray()
        while chunk := file.read(CHUNK_BYTES):
            kept += chunk
            if len(kept) > self.limits.held_bytes_max:
                raise TooMuch("too_large_to_hold")
        return bytes(kept)
