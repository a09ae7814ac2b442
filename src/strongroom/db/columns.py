# SPDX-License-Identifier: Apache-2.0
"""Columns of many rows as one parameter each: a text, or a run of bytes, that the statement takes apart again.

The driver looks at every element of an array (0.3 to 0.9 µs each), and once at a text. A column whose value is the same
in every row is sent as that value alone; one without rows is an empty text, one of nulls alone is null. Refuses what
cannot be told apart again: a value never moves to another row.

In the statement `vault.apart` (migration 0068) gives a text column back as `text[]`; bytes are cut at their width.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from strongroom.kernel.invariant import invariant

#: Between two values, and for one that is null: control characters, which no text of ours holds.
BETWEEN: Final = "\x1f"
NULL: Final = "\x1e"


def texts(values: Sequence[str | None]) -> str | None:
    """Return a column of texts as one; None: all of them are null.

    Raises Bug where a value holds a control character of ours or is empty.
    """
    if not values:
        return ""
    first = values[0]
    if values.count(first) == len(values):
        invariant(first is None or _plain(first), "a value of a column can be told from the next")
        return first
    joined = BETWEEN.join([NULL if value is None else value for value in values])
    invariant(
        joined.count(BETWEEN) == len(values) - 1
        and joined.count(NULL) == values.count(None)
        and "" not in values,
        "a value of a column can be told from the next",
    )
    return joined


def _plain(value: str) -> bool:
    return value != "" and BETWEEN not in value and NULL not in value


def numbers(values: Sequence[int | None]) -> str | None:
    """Return a column of whole numbers as one text; None: all of them are null."""
    if not values:
        return ""
    first = values[0]
    if values.count(first) == len(values):
        return None if first is None else str(first)
    return BETWEEN.join([NULL if value is None else str(value) for value in values])


def moments(values: Sequence[datetime | None]) -> str | None:
    """Return a column of moments as one text (ISO 8601 with its offset); None: all of them are null."""
    if not values:
        return ""
    first = values[0]
    if values.count(first) == len(values):
        return None if first is None else first.isoformat()
    return BETWEEN.join([NULL if value is None else value.isoformat() for value in values])


def ascii_lines(values: Sequence[bytes]) -> str:
    """Return texts that differ in every row, as they are encoded, as one.

    Raises Bug where one holds a control character of ours, UnicodeDecodeError where one is not ASCII.
    """
    joined = BETWEEN.encode().join(values).decode("ascii")
    invariant(
        joined.count(BETWEEN) == max(0, len(values) - 1),
        "a value of a column can be told from the next",
    )
    return joined


def run_of_bytes(values: Sequence[bytes]) -> tuple[bytes, int]:
    """Return a column of equally long bytes as one run, and their width.

    Raises Bug where one is longer than the others, or empty.
    """
    width = len(values[0]) if values else 1
    run = b"".join(values)
    invariant(
        width > 0 and all(len(value) == width for value in values),
        "a run's values are of one width",
    )
    return run, width
