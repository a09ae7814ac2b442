# SPDX-License-Identifier: Apache-2.0
"""Reads a piece of a report that ends where a line does. Pure; a fault is refused by line and column."""

from collections.abc import Iterator
from typing import Final

from strongroom.payments.reconciliation import Line, Reading

#: Bytes that are given to the reader at once: its detector looks at each row of what is worth a look.
BITE_BYTES: Final = 64 * 1024


def read_piece(reading: Reading, content: bytes) -> Iterator[Line]:
    """Yield the lines of a piece. Raises ReportRefused."""
    for begin in range(0, len(content), BITE_BYTES):
        yield from reading.feed(content[begin : begin + BITE_BYTES])
    yield from reading.flush()
