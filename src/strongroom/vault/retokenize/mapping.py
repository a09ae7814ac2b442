# SPDX-License-Identifier: Apache-2.0
"""The mapping file: which id became which, as text that hashes the same wherever it is written. Pure."""

from typing import Final

#: RFC 4180: lines end with CR and LF. No field needs quotes.
_LINE: Final = "{},{},{}\r\n"
MAPPING_HEADER: Final = _LINE.format("old", "new", "until")


def mapping_line(old: str, new: str, until: str) -> str:
    """Return a line: an old id, what it became, and from when on it is dead (RFC 3339)."""
    return _LINE.format(old, new, until)
