# SPDX-License-Identifier: Apache-2.0
"""Turns lines of a report into the columns of one statement. Pure. A hash tells a movement that stands there twice."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from strongroom.crypto import sha256
from strongroom.payments.reconciliation import Kind, Line

_FINGERPRINT_BYTES: Final = 8
#: Between texts that hold no control characters.
_APART: Final = "\x1f"
#: Of these, a movement has a name of its own. Two equal fees of a day are two fees.
_NAMED: Final = frozenset({Kind.CAPTURE, Kind.CHARGEBACK, Kind.REFUND})


class Columns(NamedTuple):
    """Some lines, column by column, in the order of `compare_lines`."""

    places: list[int]
    kinds: list[str]
    words: list[str]
    processor_references: list[str | None]
    payment_references: list[str | None]
    our_references: list[str | None]
    gross: list[int]
    fees: list[int]
    nets: list[int]
    currencies: list[str]
    presented: list[int | None]
    presented_currencies: list[str | None]
    booked: list[object]
    batches: list[str | None]
    fingerprints: list[int | None]
    again: list[bool]


def columns_of(lines: Iterable[Line]) -> Columns:
    """Return lines as columns. `again`: the same movement stands before it among these."""
    rows: list[Sequence[object]] = []
    seen: set[int] = set()
    for line in lines:
        found = fingerprint(line)
        again = found in seen
        if found is not None:
            seen.add(found)
        presented = line.presented
        rows.append(
            (
                line.number,
                line.kind.value,
                line.word,
                line.processor_reference,
                line.payment_reference,
                line.our_reference,
                line.gross,
                line.fee,
                line.net,
                line.currency,
                None if presented is None else presented.minor_units,
                None if presented is None else presented.currency,
                line.booked_at,
                line.batch,
                found,
                again,
            )
        )
    if not rows:
        return Columns(*([] for _ in Columns._fields))
    return Columns(*map(list, zip(*rows, strict=True)))


def fingerprint(line: Line) -> int | None:
    """Return what two lines have in common if they say the same in every cell that is read; None: they never have.

    64 bits of a SHA-256: among a million lines two that differ have the same one once in thirty million reports.
    """
    if line.kind not in _NAMED or not (line.processor_reference or line.our_reference):
        return None
    presented = line.presented
    shown = "" if presented is None else f"{presented.minor_units}{presented.currency}"
    said = (
        f"{line.kind.value}{_APART}{line.word}{_APART}{line.processor_reference or ''}{_APART}"
        f"{line.payment_reference or ''}{_APART}{line.our_reference or ''}{_APART}{line.gross}{_APART}{line.fee}"
        f"{_APART}{line.net}{_APART}{line.currency}{_APART}{shown}{_APART}{line.booked_at.timestamp()}{_APART}"
        f"{line.batch or ''}"
    )
    return int.from_bytes(sha256(said.encode())[:_FINGERPRINT_BYTES], "big", signed=True)
