# SPDX-License-Identifier: Apache-2.0
"""What the routes of reconciliations take and answer. Amounts are whole minor units of their currency."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from strongroom.kernel.clock import rfc3339
from strongroom.kernel.events import EventType
from strongroom.kernel.mode import Mode
from strongroom.payments.settlement.model import DIFFERENCES, ComparedLine, Report, Result, State

Form = Literal["adyen", "generic", "stripe"]


class PeriodIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"begin": "from"}):
    """Whose movements a report has to name: what we asked for from a moment on, and before another."""

    begin: Annotated[datetime, Meta(tz=True)]
    to: Annotated[datetime, Meta(tz=True)]


class ReconciliationIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wish to compare a processor's report with what we know."""

    connection: Annotated[str, Meta(max_length=30, description="whose report it is (con_…)")]
    sha256: Annotated[
        str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)", description="of the whole file, in hexadecimal")
    ]
    format: Annotated[
        Form | None, Meta(description="without it as the connection's processor writes them")
    ] = None
    period: Annotated[
        PeriodIn | None,
        Meta(description="without it from the oldest to the newest movement that it names"),
    ] = None


class PeriodOut(msgspec.Struct, frozen=True, rename={"begin": "from"}):
    """A time from a moment on, and before another."""

    begin: str
    to: str


class CountsOut(msgspec.Struct, frozen=True):
    """How many lines were found to be what; `missing_there` are ours that no line names."""

    matched: int
    kept: int
    amount_differs: int
    currency_differs: int
    doubled: int
    missing_here: int
    missing_there: int


class TotalOut(msgspec.Struct, frozen=True):
    """What the lines of a kind come to in a currency; lines that are doubled do not count."""

    currency: str
    kind: str
    lines: int
    gross: int
    fee: int
    net: int


class ReconciliationOut(msgspec.Struct, frozen=True):
    """A report, and how it compares. `agrees` is null until it was compared to its end."""

    id: str
    object: Literal["reconciliation"]
    mode: Mode
    connection: str
    format: Form
    state: State
    sha256: str
    offset: int
    period: PeriodOut | None
    agrees: bool | None
    lines: int
    counts: CountsOut
    totals: list[TotalOut]
    problem: str | None
    created_at: str
    ended_at: str | None


class ReconciliationPage(msgspec.Struct, frozen=True):
    """A page of reconciliations, newest first."""

    data: list[ReconciliationOut]
    has_more: bool
    next_cursor: str | None


class LineOut(msgspec.Struct, frozen=True):
    """A line of a report, and what it was found to be.

    `expected` is what our attempt came to. `line` is null, as is all that a report says, where no line names it.
    """

    object: Literal["reconciliation_line"]
    line: int | None
    result: Result
    kind: str
    word: str | None
    payment: str | None
    attempt: str | None
    processor_reference: str | None
    our_reference: str | None
    batch: str | None
    booked_at: str | None
    gross: int | None
    fee: int | None
    net: int | None
    currency: str | None
    presented_amount: int | None
    presented_currency: str | None
    expected: int | None
    expected_currency: str | None


class LinePage(msgspec.Struct, frozen=True):
    """A page of lines, in the file's order; those that no line names come last."""

    data: list[LineOut]
    has_more: bool
    next_cursor: str | None


class ReconciliationEvent(msgspec.Struct, frozen=True):
    """What an event of a reconciliation says."""

    reconciliation: ReconciliationOut


#: What the `data` of each event of reconciliations is.
EVENT_DATA: Final[Mapping[EventType, type[msgspec.Struct]]] = {
    each: ReconciliationEvent for each in EventType if each.value.startswith("reconciliation.")
}
#: Which lines: those that differ, or those that are one thing.
DIFFERING: Final = "differing"


def reconciliation_out(report: Report) -> ReconciliationOut:
    """Print a report."""
    period = None
    if report.period_from is not None and report.period_to is not None:
        period = PeriodOut(rfc3339(report.period_from), rfc3339(report.period_to))
    return ReconciliationOut(
        id=report.report_id,
        object="reconciliation",
        mode=report.mode,
        connection=report.connection_id,
        format=report.format,
        state=report.state,
        sha256=report.sha256.hex(),
        offset=report.received,
        period=period,
        agrees=not report.differing if report.state is State.DONE else None,
        lines=report.lines,
        counts=CountsOut(
            **{each.value: getattr(report, each) for each in (Result.MATCHED, Result.KEPT)},
            **{each.value: getattr(report, each) for each in DIFFERENCES},
        ),
        totals=[
            TotalOut(currency, kind, total.lines, total.gross, total.fee, total.net)
            for currency, kinds in sorted(report.totals.items())
            for kind, total in sorted(kinds.items())
        ],
        problem=report.problem,
        created_at=rfc3339(report.created_at),
        ended_at=None if report.ended_at is None else rfc3339(report.ended_at),
    )


def line_out(line: ComparedLine) -> LineOut:
    """Print a line."""
    return LineOut(
        object="reconciliation_line",
        line=line.line,
        result=line.result,
        kind=line.kind,
        word=line.word,
        payment=line.payment_id,
        attempt=line.attempt_id,
        processor_reference=line.processor_reference,
        our_reference=line.our_reference,
        batch=line.batch,
        booked_at=None if line.booked_at is None else rfc3339(line.booked_at),
        gross=line.gross,
        fee=line.fee,
        net=line.net,
        currency=line.currency,
        presented_amount=line.presented_amount,
        presented_currency=line.presented_currency,
        expected=line.expected,
        expected_currency=line.expected_currency,
    )
