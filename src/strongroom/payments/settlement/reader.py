# SPDX-License-Identifier: Apache-2.0
"""Reads a piece of a report that ends where a line does. Pure; a fault is refused by line and column."""

from collections.abc import Iterator
from typing import Final

from strongroom.payments.reconciliation import Line, Reading

#: Bytes that are given to the reader at once: where one of them is worth a look, the detector looks at all of it.
BITE_BYTES: Final = 16 * 1024


def read_piece(reading: Reading, content: bytes) -> Iterator[Line]:
    """Yield the lines of a piece. Raises ReportRefused."""
    for begin in range(0, len(content), BITE_BYTES):
        yield from reading.feed(content[begin : begin + BITE_BYTES])
    yield from reading.flush()
