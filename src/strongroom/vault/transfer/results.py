# SPDX-License-Identifier: Apache-2.0
"""Prints what became of rows: CSV or JSON Lines, masked, a chunk at a time."""

import csv
import io
from typing import Final

import msgspec

from strongroom.vault.transfer.model import Format
from strongroom.vault.transfer.store import Part

COLUMNS: Final = ("row", "status", "token", "brand", "last4", "external_id", "problem", "field")
_encode: Final = msgspec.json.Encoder().encode
#: What a spreadsheet would take for a formula (OWASP: CSV injection).
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def print_part(part: Part, file_format: Format) -> bytes:
    """Return a chunk's results, a line a row. Rows count from 1, a header not among them."""
    lines = [
        (
            part.first_row + place,
            each.status,
            each.token,
            each.brand,
            each.last4,
            each.external_id,
            each.problem,
            each.field,
        )
        for place, each in enumerate(part.results, start=1)
    ]
    if file_format is Format.JSONL:
        named = [dict(zip(COLUMNS, line, strict=True)) for line in lines]
        return b"".join(
            _encode({name: value for name, value in each.items() if value != ""}) + b"\n"
            for each in named
        )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for line in lines:
        external = f"'{line[5]}" if line[5].startswith(_FORMULA) else line[5]
        writer.writerow((*line[:5], external, *line[6:]))
    return text.getvalue().encode()


def header(file_format: Format) -> bytes:
    """Return what stands before the first row."""
    return (",".join(COLUMNS) + "\n").encode() if file_format is Format.CSV else b""
