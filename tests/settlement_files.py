# SPDX-License-Identifier: Apache-2.0
"""Settlement reports in each form, for tests: columns, a row, and what our own form's row is read as."""

import csv
import io
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from strongroom.payments.reconciliation import (
    AdyenReport,
    Format,
    GenericReport,
    Kind,
    Line,
    ReportRefused,
    StripeReport,
    read,
)

GENERIC: Final = (
    "kind,booked_at,currency,gross,fee,net,processor_reference,payment_reference,our_reference,batch,"
    "presented_amount,presented_currency"
).split(",")
#: Of `payout_reconciliation.itemized.5`, with the metadata that was asked for.
STRIPE: Final = (
    "automatic_payout_id,automatic_payout_effective_at,balance_transaction_id,created_utc,created,available_on_utc,"
    "currency,gross,fee,net,reporting_category,source_id,description,customer_facing_amount,"
    "customer_facing_currency,charge_id,payment_intent_id,payment_metadata[strongroom_attempt],payment_metadata[strongroom_capture],refund_metadata[strongroom_attempt]"
).split(",")
#: The default columns of a settlement details report.
ADYEN: Final = (
    "Company Account,Merchant Account,Psp Reference,Merchant Reference,Payment Method,Creation Date,TimeZone,Type,"
    "Modification Reference,Gross Currency,Gross Debit (GC),Gross Credit (GC),Exchange Rate,Net Currency,"
    "Net Debit (NC),Net Credit (NC),Commission (NC),Markup (NC),Scheme Fees (NC),Interchange (NC),"
    "Payment Method Variant,Modification Merchant Reference,Batch Number,Reserved4"
).split(",")
WHEN: Final = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
CAPTURED: Final[dict[str, str]] = {
    "kind": "capture",
    "booked_at": "2026-11-20T09:30:00Z",
    "currency": "AED",
    "gross": "10.50",
    "fee": "0.35",
    "net": "10.15",
}
CHARGED: Final[dict[str, str]] = {
    "automatic_payout_id": "po_1",
    "balance_transaction_id": "txn_1",
    "created_utc": "2026-11-20 09:30:00",
    "created": "2026-11-20 13:30:00",
    "currency": "aed",
    "gross": "10.50",
    "fee": "0.35",
    "net": "10.15",
    "reporting_category": "charge",
    "source_id": "ch_1",
    "description": 'Two lines,\nand a "quote"',
    "charge_id": "ch_1",
    "payment_intent_id": "pi_1",
    "payment_metadata[strongroom_attempt]": "att_1",
}
SETTLED: Final[dict[str, str]] = {
    "Company Account": "Shop",
    "Psp Reference": "WVD5F3ZKXQ4CCM82",
    "Merchant Reference": "att_1",
    "Creation Date": "2026-11-20 10:30:00",
    "TimeZone": "CET",
    "Type": "Settled",
    "Modification Reference": "JDD6LKT8MBLZNN84",
    "Gross Currency": "AED",
    "Gross Credit (GC)": "10.50",
    "Net Currency": "AED",
    "Net Credit (NC)": "10.15",
    "Markup (NC)": "0.20",
    "Scheme Fees (NC)": "0.05",
    "Interchange (NC)": "0.10",
    "Batch Number": "134",
}
FORMS: Final[dict[str, tuple[Format, list[str], dict[str, str]]]] = {
    "generic": (GenericReport(), GENERIC, CAPTURED),
    "stripe": (StripeReport(), STRIPE, CHARGED),
    "adyen": (AdyenReport(), ADYEN, SETTLED),
}
LINE: Final = Line(
    number=2,
    kind=Kind.CAPTURE,
    word="capture",
    processor_reference=None,
    payment_reference=None,
    our_reference=None,
    gross=1_050,
    fee=35,
    net=1_015,
    currency="AED",
    presented=None,
    booked_at=WHEN,
    batch=None,
)


def written(
    columns: list[str], *rows: dict[str, str], end: str = "\n", quoting: Any = csv.QUOTE_MINIMAL
) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator=end, quoting=quoting)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def lines(form: str, *changes: dict[str, str]) -> list[Line]:
    made, columns, row = FORMS[form]
    return list(read(made, [written(columns, *({**row, **each} for each in changes))]))


def refusal(form: Format, content: bytes) -> ReportRefused:
    with pytest.raises(ReportRefused) as refused:
        list(read(form, [content]))
    return refused.value
