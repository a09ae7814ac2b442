# SPDX-License-Identifier: Apache-2.0
"""Passwords that leaked: a list that comes with the package, and a larger file that an installation can name.

The bundled list is made by `script/make-breached-list` from rules, not counted from leaks. The file is in the form of
Have I Been Pwned: sorted lines of `SHA1[:count]`, or shorter prefixes of the hashes; it is searched, never read whole.
"""

import mmap
import re
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final, final

from strongroom.crypto.passwords import SHA1_HEX, sha1_hex
from strongroom.kernel.errors import StrongroomError

#: With fewer digits, passwords that never leaked would be refused.
PREFIX_DIGITS_MIN: Final = 12
LINE_BYTES_MAX: Final = 80
_LINE: Final = re.compile(
    rb"(?P<hash>[0-9A-F]{%d,%d})(?::[0-9]{1,15})?" % (PREFIX_DIGITS_MIN, SHA1_HEX)
)


class BreachedListUnreadable(StrongroomError):
    """The file of leaked passwords is not there, or has not sorted lines of capital SHA-1 prefixes."""

    code = "breached_list_unreadable"


@cache
def bundled() -> frozenset[str]:
    """Return the list of this package, case-folded."""
    text = resources.files("strongroom.identity.people").joinpath("breached.txt").read_text("utf-8")
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))


@final
class BreachedFile:
    """A sorted file of hashes, mapped into memory. One look reads a few dozen pages, however large it is."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            BreachedListUnreadable: it is not there or has another form; the first, middle and last line are looked at.
        """
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):
            raise BreachedListUnreadable from None
        first, middle, last = [
            self._line_at(at) for at in (0, len(self._map) // 2, len(self._map) - 1)
        ]
        if not first <= middle <= last:
            raise BreachedListUnreadable

    def close(self) -> None:
        """Let go of the file."""
        self._map.close()

    def holds(self, password: bytes) -> bool:
        """Tell whether the password's hash, or a prefix of it, stands in the file. Reads from the disk.

        Raises:
            BreachedListUnreadable: a line on the way has another form.
        """
        wanted = sha1_hex(password).encode()
        low, high = 0, len(self._map)
        while low < high:  # the wanted line, if it is there, begins in [low, high)
            start = self._start_of((low + high) // 2)
            found = self._line_at(start)
            if wanted.startswith(found):
                return True
            if found < wanted:
                low = self._end_of(start) + 1
            else:
                high = start
        return False

    def _start_of(self, at: int) -> int:
        return self._map.rfind(b"\n", max(0, at - LINE_BYTES_MAX), at) + 1

    def _end_of(self, start: int) -> int:
        end = self._map.find(b"\n", start, start + LINE_BYTES_MAX)
        return len(self._map) if end < 0 else end

    def _line_at(self, at: int) -> bytes:
        start = self._start_of(at)
        line = _LINE.fullmatch(self._map[start : self._end_of(start)].rstrip(b"\r"))
        if line is None:
            raise BreachedListUnreadable
        return line["hash"]
