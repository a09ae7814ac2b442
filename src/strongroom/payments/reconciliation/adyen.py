# SPDX-License-Identifier: Apache-2.0
"""Adyen's settlement details report: a row for each journal of a batch, amounts in major units, debit and credit apart.

Which gross column an amount stands in is not relied upon: the net columns say which way the money went, and gross, fees
and net have to add up.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from strongroom.kernel.money import Money
from strongroom.payments.processors.adyen.references import referred
from strongroom.payments.reconciliation.model import Kind, Line
from strongroom.payments.reconciliation.reading import Row


def _kinds(words: Mapping[Kind, str]) -> dict[str, Kind]:
    return {word: kind for kind, text in words.items() for word in text.split()}


#: Journal types of settlement reports.
_KINDS: Final[Mapping[str, Kind]] = _kinds(
    {
        Kind.CAPTURE: "Settled SettledBulk SettledInInstallments SettledReversed",
        Kind.REFUND: "Refunded RefundedBulk RefundedInInstallments RefundedReversed",
        Kind.CHARGEBACK: "Chargeback ChargebackReversed SecondChargeback",
        Kind.FEE: "Fee InvoiceDeduction MiscCosts PaymentCost",
        Kind.PAYOUT: "BankInstructionReturned MerchantPayout PaidOut PaidOutReversed",
        Kind.ADJUSTMENT: "Balancetransfer DepositCorrection ManualCorrected MatchedStatement ReserveAdjustment",
    }
)
#: Commission, or the parts of interchange++: a row has one or the others.
_FEES: Final = ("Commission (NC)", "Markup (NC)", "Scheme Fees (NC)", "Interchange (NC)")
#: Minutes ahead of UTC of the time zones that accounts are set to.
_ZONES: Final[Mapping[str, int]] = {
    "UTC": 0,
    "GMT": 0,
    "BST": 60,
    "WET": 0,
    "WEST": 60,
    "CET": 60,
    "CEST": 120,
    "EET": 120,
    "EEST": 180,
    "GST": 240,
    "SGT": 480,
    "HKT": 480,
    "JST": 540,
    "AEST": 600,
    "AEDT": 660,
    "NZST": 720,
    "NZDT": 780,
    "BRT": -180,
    "EDT": -240,
    "EST": -300,
    "CDT": -300,
    "CST": -360,
    "MDT": -360,
    "MST": -420,
    "PDT": -420,
    "PST": -480,
}


class AdyenReport:
    """Implements `Format`."""

    required: Final = frozenset(
        {
            "Psp Reference",
            "Merchant Reference",
            "Creation Date",
            "TimeZone",
            "Type",
            "Modification Reference",
            "Gross Currency",
            "Gross Debit (GC)",
            "Gross Credit (GC)",
            "Net Currency",
            "Net Debit (NC)",
            "Net Credit (NC)",
            *_FEES,
            "Batch Number",
        }
    )

    def line(self, row: Row) -> Line:
        """Return a row as a line."""
        word = row.required("Type")
        kind = _KINDS.get(word)
        if kind is None:
            raise row.refused("Type", "not a journal type that is read")
        currency = row.currency("Net Currency")
        net = _net(row, currency)
        fee = sum(row.amount(column, currency) or 0 for column in _FEES)
        if kind is Kind.FEE:
            fee = -net
        gross = net + fee
        presented = _presented(row, gross)
        if (
            presented is not None
            and presented.currency == currency
            and presented.minor_units != gross
            and kind is not Kind.FEE
        ):
            raise row.refused("Net Credit (NC)", "gross less fees is not net")
        return Line(
            number=row.number,
            kind=kind,
            word=word,
            processor_reference=row.text("Modification Reference") or row.text("Psp Reference"),
            payment_reference=row.text("Psp Reference"),
            our_reference=_ours(
                row.text("Modification Merchant Reference") or row.text("Merchant Reference")
            ),
            gross=gross,
            fee=fee,
            net=net,
            currency=currency,
            presented=presented,
            booked_at=row.instant("Creation Date", offset=_zone(row)),
            batch=row.text("Batch Number"),
        )


def _ours(reference: str | None) -> str | None:
    """Return the attempt that a reference names; as it is where it is not one that we give."""
    return None if reference is None else referred(reference)[0]


def _net(row: Row, currency: str) -> int:
    debit = row.amount("Net Debit (NC)", currency) or 0
    credit = row.amount("Net Credit (NC)", currency) or 0
    if debit < 0 or credit < 0:
        raise row.refused("Net Debit (NC)" if debit < 0 else "Net Credit (NC)", "is below 0")
    if debit and credit:
        raise row.refused("Net Debit (NC)", "stands beside a credit")
    return credit - debit


def _presented(row: Row, gross: int) -> Money | None:
    """Return what the customer paid or got, with the sign that the balance shows."""
    if row.text("Gross Currency") is None:
        return None
    currency = row.currency("Gross Currency")
    debit = row.amount("Gross Debit (GC)", currency)
    credit = row.amount("Gross Credit (GC)", currency)
    if debit and credit:
        raise row.refused("Gross Debit (GC)", "stands beside a credit")
    amount = abs(debit or credit or 0)
    if not amount:
        return None
    return Money(-amount if gross < 0 else amount, currency)


def _zone(row: Row) -> timedelta:
    zone = _ZONES.get(row.required("TimeZone"))
    if zone is None:
        raise row.refused("TimeZone", "not a time zone that is known")
    return timedelta(minutes=zone)
