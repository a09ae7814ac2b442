# SPDX-License-Identifier: Apache-2.0
"""A line of a settlement report, as a value, and why a report is refused. Amounts are whole minor units (ISO 4217)."""

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import final

from strongroom.kernel.money import Money


class Kind(enum.StrEnum):
    """What a line is about. Signs say which way the money went: a chargeback that was won is one above 0."""

    #: Whatever else moves the balance: reserves, corrections, transfers.
    ADJUSTMENT = "adjustment"
    CAPTURE = "capture"
    CHARGEBACK = "chargeback"
    FEE = "fee"
    PAYOUT = "payout"
    REFUND = "refund"


@final
@dataclass(frozen=True, slots=True)
class Line:
    """One movement on a merchant's balance at a processor: `net = gross - fee`, all three in the balance's currency.

    Above 0 is towards the merchant, but a fee above 0 is what it costs. A line of kind `fee` has no gross.
    """

    #: Where it begins in its file; 1 is the header.
    number: int
    kind: Kind
    #: The processor's own word for it.
    word: str
    #: The processor's name of this movement: a capture, a refund, a payout.
    processor_reference: str | None
    #: The processor's name of the payment that it belongs to.
    payment_reference: str | None
    #: What we called it: an attempt's id, if it is one of ours.
    our_reference: str | None
    gross: int
    fee: int
    net: int
    currency: str
    #: What the customer paid or got back, where it is said; another currency than the balance's, perhaps.
    presented: Money | None
    #: When it was booked (UTC).
    booked_at: datetime
    #: The payout or batch that it is settled with.
    batch: str | None


@final
class ReportRefused(Exception):
    """A report cannot be read. It says where and why, and never what stands there."""

    def __init__(self, line: int, column: str | None, because: str) -> None:
        self.line = line
        #: As the header calls it, or None where the line itself is wrong.
        self.column = column
        self.because = because
        where = f"line {line}" if column is None else f'line {line}, column "{column}"'
        super().__init__(f"{where}: {because}")
