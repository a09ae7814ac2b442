# SPDX-License-Identifier: Apache-2.0
"""A settlement report that was given to us, how far it is compared, and what each of its lines was found to be."""

import enum
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

import msgspec

from strongroom.kernel.ids import ConnectionId, MerchantId, ReportId
from strongroom.kernel.mode import Mode
from strongroom.payments.reconciliation import AdyenReport, Format, GenericReport, StripeReport

#: A part of a file, and the most that is compared at once: some seven thousand lines.
PART_BYTES_MAX: Final = 1024 * 1024
#: A report is read to its end for its digest within a job's lease; this has some six million lines.
REPORT_BYTES_MAX: Final = 1024 * 1024 * 1024
#: Of our attempts, so many are looked at in one statement for whether a line names them.
ATTEMPTS_LOOKED_AT: Final = 10_000
#: Those of ours that no line names are kept behind all lines: a file of REPORT_BYTES_MAX has no line of this number.
BEHIND_ALL_LINES: Final = 1_000_000_000_000
PAGE_LINES_MAX: Final = 100
#: Lines of one piece of the downloaded result.
DOWNLOAD_LINES: Final = 5_000

FORMATS: Final[Mapping[str, Format]] = {
    "adyen": AdyenReport(),
    "generic": GenericReport(),
    "stripe": StripeReport(),
}


class State(enum.StrEnum):
    """How far a report is."""

    #: Compared to its end.
    DONE = "done"
    #: It cannot be read.
    FAILED = "failed"
    #: Its file is coming.
    OPEN = "open"
    #: Its file is there, and is compared.
    RECEIVED = "received"


class Step(enum.StrEnum):
    """What a comparison does next, in this order."""

    #: What an earlier run found goes.
    CLEAR = "clear"
    #: The file is what its sender said.
    CHECK = "check"
    #: Its lines are compared.
    READ = "read"
    #: Our attempts are looked for in it.
    LOOK = "look"
    DONE = "done"


class Result(enum.StrEnum):
    """What a line was found to be."""

    AMOUNT_DIFFERS = "amount_differs"
    CURRENCY_DIFFERS = "currency_differs"
    #: The same movement stands there before, with everything that is said of it.
    DOUBLED = "doubled"
    #: A fee, a payout, a chargeback, an adjustment: nothing of ours is compared with it.
    KEPT = "kept"
    MATCHED = "matched"
    #: The processor has moved money of which our books know nothing.
    MISSING_HERE = "missing_here"
    #: Our books have a movement of the report's period that it does not name. No line of the file.
    MISSING_THERE = "missing_there"


#: Where the processor and we do not agree.
DIFFERENCES: Final = (
    Result.AMOUNT_DIFFERS,
    Result.CURRENCY_DIFFERS,
    Result.DOUBLED,
    Result.MISSING_HERE,
    Result.MISSING_THERE,
)


class Sum(msgspec.Struct, frozen=True):
    """What the lines of a kind come to in a currency, in minor units; lines that are doubled do not count."""

    lines: int = 0
    gross: int = 0
    fee: int = 0
    net: int = 0

    def plus(self, other: "Sum") -> "Sum":
        """Return both together."""
        return Sum(
            self.lines + other.lines,
            self.gross + other.gross,
            self.fee + other.fee,
            self.net + other.net,
        )


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A report as its row is."""

    merchant_id: MerchantId
    mode: Mode
    report_id: ReportId
    connection_id: ConnectionId
    format: Literal["adyen", "generic", "stripe"]
    state: State
    #: The file's SHA-256 as PostgreSQL prints bytes: `\\x…`.
    digest: str
    period_from: datetime | None
    period_to: datetime | None
    received: int
    next_line: int
    pieces: int
    header: Sequence[str] | None
    run: int
    step: Step
    next_piece: int
    next_attempt: str | None
    first_attempt: str | None
    last_attempt: str | None
    lines: int
    matched: int
    missing_here: int
    missing_there: int
    amount_differs: int
    currency_differs: int
    doubled: int
    kept: int
    #: By currency, then by kind.
    totals: Mapping[str, Mapping[str, Sum]]
    problem: str | None
    created_by: str
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None

    @property
    def sha256(self) -> bytes:
        """Return the file's digest, as its sender says."""
        return bytes.fromhex(self.digest.removeprefix("\\x"))

    @property
    def differing(self) -> int:
        """Return on how many lines and attempts the processor and we do not agree."""
        return (
            self.amount_differs
            + self.currency_differs
            + self.doubled
            + self.missing_here
            + self.missing_there
        )


class ComparedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a report, or an attempt that none names, and what it was found to be. Amounts in minor units."""

    place: int
    result: Result
    kind: str
    word: str | None
    attempt_id: str | None
    payment_id: str | None
    processor_reference: str | None
    our_reference: str | None
    batch: str | None
    booked_at: datetime | None
    gross: int | None
    fee: int | None
    net: int | None
    currency: str | None
    presented_amount: int | None
    presented_currency: str | None
    expected: int | None
    expected_currency: str | None

    @property
    def line(self) -> int | None:
        """Return where it stands in its file, or None for what stands in none."""
        return None if self.place >= BEHIND_ALL_LINES else self.place
