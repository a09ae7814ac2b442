# SPDX-License-Identifier: Apache-2.0
"""Columns of many rows as one parameter each: a text, or a run of bytes, that the statement takes apart again.

The driver looks at every element of an array (0.3 to 0.9 µs each), and once at a text. A column whose value is the same
in every row is sent as that value alone; one without rows is an empty text, one of nulls alone is null. Refuses what
cannot be told apart again: a value never moves to another row.

In the statement `vault.apart` (migration 0069) gives a text column back as `text[]`; bytes are cut at their width.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
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
    """Return a column of whole numbers, or of booleans as 0 and 1, as one text; None: all of them are null."""
    if not values:
        return ""
    first = values[0]
    if values.count(first) == len(values):
        return None if first is None else str(int(first))
    return BETWEEN.join([NULL if value is None else str(int(value)) for value in values])


def moments(values: Sequence[datetime | None]) -> str | None:
    """Return a column of moments as one text (ISO 8601, in UTC); None: all of them are null."""
    if not values:
        return ""
    first = values[0]
    if values.count(first) == len(values):
        return None if first is None else _moment(first)
    return BETWEEN.join([NULL if value is None else _moment(value) for value in values])


def _moment(value: datetime) -> str:
    # In UTC: PostgreSQL reads no offset of sixteen hours or more.
    return value.astimezone(UTC).isoformat()


_HASH_BYTES: Final = 32
_NO_HASH: Final = bytes(_HASH_BYTES)


def width(values: Sequence[bytes]) -> int:
    """Return how many bytes the longest has; 1 where there is none, so that a run can be cut."""
    return max(map(len, values), default=1)


def run_of_bytes(values: Sequence[bytes]) -> bytes:
    """Return a column of equally long bytes as one run.

    Raises Bug where one is longer than the others, or empty.
    """
    run, wide = b"".join(values), width(values)
    invariant(wide > 0 and {wide} >= set(map(len, values)), "a run's values are equally long")
    return run


def run_of_hashes(values: Sequence[bytes | None]) -> bytes:
    """Return a column of hashes of 32 bytes as one run; 32 zeros for one that is null.

    Raises Bug where one is not of 32 bytes.
    """
    hashes = [_NO_HASH if value is None else value for value in values]
    invariant({_HASH_BYTES} >= set(map(len, hashes)), "a run's hashes have 32 bytes")
    return b"".join(hashes)


def padded_run(values: Sequence[bytes]) -> bytes:
    """Return texts of several lengths as one run, zeros behind the shorter ones.

    Raises Bug where one is empty or ends with a zero itself.
    """
    wide = width(values)
    invariant(not any(value[-1:] in (b"", b"\0") for value in values), "a text of a run has an end")
    return b"".join([value.ljust(wide, b"\0") for value in values])
