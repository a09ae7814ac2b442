# SPDX-License-Identifier: Apache-2.0
"""Prints compared lines as CSV (RFC 4180). Pure. A text that a spreadsheet would take for a formula begins with `'`.

Amounts are whole minor units, as everywhere; a number below 0 is a number, and stays one.
"""

import csv
import io
from collections.abc import Iterable
from typing import Final

import msgspec

from strongroom.payments.settlement.model import ComparedLine
from strongroom.payments.settlement.wire import LineOut, line_out

COLUMNS: Final = tuple(
    field.name for field in msgspec.structs.fields(LineOut) if field.name != "object"
)
#: What makes a cell a formula to one program or another (OWASP, "CSV Injection").
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def header() -> bytes:
    """Return the names of the columns."""
    return _written([COLUMNS])


def printed(lines: Iterable[ComparedLine]) -> bytes:
    """Return lines as rows."""
    return _written([_cell(getattr(out, name)) for name in COLUMNS] for out in map(line_out, lines))


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value)
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _written(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()
