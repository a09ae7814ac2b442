# SPDX-License-Identifier: Apache-2.0
"""Settlement reports: what the rows of each form are read as, and where a wrong one is wrong."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from settlement_files import FORMS, GENERIC, LINE, lines, refusal, written
from strongroom.kernel.money import Money
from strongroom.payments.reconciliation import (
    GenericReport,
    Kind,
    read,
)
from strongroom.payments.reconciliation.reading import ROW_BYTES_MAX, ROW_CHARACTERS_MAX

# --- what rows mean --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, {}),
        (
            {"kind": "refund", "gross": "-10.50", "fee": "0", "net": "-10.5"},
            {"gross": -1_050, "fee": 0, "net": -1_050},
        ),
        ({"kind": "fee", "gross": "0", "fee": "0.35", "net": "-0.35"}, {"gross": 0, "net": -35}),
        (
            {"kind": "payout", "gross": "-9", "fee": "0", "net": "-9"},
            {"gross": -900, "fee": 0, "net": -900},
        ),
        ({"currency": "JPY", "gross": "1050", "fee": "35", "net": "1015"}, {"currency": "JPY"}),
        (
            {"currency": "jpy", "gross": "1050.00", "fee": "35.0", "net": "1015"},
            {"currency": "JPY"},
        ),
        ({"currency": "KWD", "gross": "1.05", "fee": "0.035", "net": "1.015"}, {"currency": "KWD"}),
        (
            {"currency": "UYW", "gross": "0.105", "fee": "0.0035", "net": "0.1015"},
            {"currency": "UYW"},
        ),
        ({"booked_at": "2026-11-20T13:30:00+04:00"}, {}),
        ({"booked_at": "2026-11-20 09:30Z"}, {}),
        ({"presented_amount": "3", "presented_currency": "USD"}, {"presented": Money(300, "USD")}),
        # In the same currency it is gross, and goes the same way.
        (
            {"presented_amount": "10.5", "presented_currency": "aed"},
            {"presented": Money(1_050, "AED")},
        ),
        (
            {
                "kind": "refund",
                "gross": "-10.50",
                "fee": "0",
                "net": "-10.50",
                "presented_amount": "-10.50",
                "presented_currency": "AED",
            },
            {"gross": -1_050, "fee": 0, "net": -1_050, "presented": Money(-1_050, "AED")},
        ),
        (
            {
                "kind": "refund",
                "gross": "-10.50",
                "fee": "0",
                "net": "-10.50",
                "presented_amount": "-2.86",
                "presented_currency": "USD",
            },
            {"gross": -1_050, "fee": 0, "net": -1_050, "presented": Money(-286, "USD")},
        ),
        # So small that nothing of it is left in the balance's currency: it still went some way.
        (
            {
                "gross": "0",
                "fee": "0",
                "net": "0",
                "presented_amount": "-3",
                "presented_currency": "USD",
            },
            {"gross": 0, "fee": 0, "net": 0, "presented": Money(-300, "USD")},
        ),
        ({"batch": " 7 ", "our_reference": "att_1"}, {"batch": "7", "our_reference": "att_1"}),
    ],
)
def test_rows_of_our_own_form(row: dict[str, str], expected: dict[str, Any]) -> None:
    word = row.get("kind", "capture")
    assert lines("generic", row) == [replace(LINE, kind=Kind(word), word=word, **expected)]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, {"presented": None}),
        (
            {
                "reporting_category": "refund",
                "gross": "-10.50",
                "fee": "0",
                "net": "-10.50",
                "source_id": "re_1",
                "refund_metadata[strongroom_attempt]": "att_2",
            },
            {
                "kind": Kind.REFUND,
                "word": "refund",
                "gross": -1_050,
                "fee": 0,
                "net": -1_050,
                "processor_reference": "re_1",
                "our_reference": "att_2",
            },
        ),
        # A refund that we did not make has the payment's metadata, and is not the payment.
        (
            {"reporting_category": "refund_failure"},
            {"kind": Kind.REFUND, "word": "refund_failure", "our_reference": None},
        ),
        ({"reporting_category": "partial_capture_reversal"}, {"word": "partial_capture_reversal"}),
        ({"reporting_category": "dispute"}, {"kind": Kind.CHARGEBACK, "word": "dispute"}),
        (
            {"reporting_category": "dispute_reversal"},
            {"kind": Kind.CHARGEBACK, "word": "dispute_reversal"},
        ),
        (
            {"reporting_category": "fee", "gross": "-0.35", "fee": "0.00", "net": "-0.35"},
            {"kind": Kind.FEE, "word": "fee", "gross": 0, "fee": 35, "net": -35},
        ),
        (
            {"reporting_category": "payout", "source_id": "po_1"},
            {"kind": Kind.PAYOUT, "word": "payout", "processor_reference": "po_1"},
        ),
        (
            {"reporting_category": "other_adjustment", "source_id": ""},
            {"kind": Kind.ADJUSTMENT, "word": "other_adjustment", "processor_reference": "txn_1"},
        ),
        (
            {"customer_facing_amount": "2.86", "customer_facing_currency": "usd"},
            {"presented": Money(286, "USD")},
        ),
        (
            {"customer_facing_amount": "10.50", "customer_facing_currency": "aed"},
            {"presented": Money(1_050, "AED")},
        ),
        # What was given back stands below 0 in both.
        (
            {
                "reporting_category": "refund",
                "gross": "-10.50",
                "fee": "0",
                "net": "-10.50",
                "customer_facing_amount": "-2.86",
                "customer_facing_currency": "usd",
            },
            {
                "kind": Kind.REFUND,
                "word": "refund",
                "gross": -1_050,
                "fee": 0,
                "net": -1_050,
                "presented": Money(-286, "USD"),
                "our_reference": None,
            },
        ),
        ({"currency": "jpy", "gross": "1050", "fee": "35", "net": "1015"}, {"currency": "JPY"}),
        ({"payment_intent_id": ""}, {"payment_reference": "ch_1"}),
        # Authorized first: the capture has an attempt of its own.
        ({"payment_metadata[strongroom_capture]": "att_3"}, {"our_reference": "att_3"}),
        ({"automatic_payout_id": ""}, {"batch": None}),
    ],
)
def test_rows_of_stripe(row: dict[str, str], expected: dict[str, Any]) -> None:
    charged = replace(
        LINE,
        word="charge",
        processor_reference="ch_1",
        payment_reference="pi_1",
        our_reference="att_1",
        batch="po_1",
    )
    assert lines("stripe", row) == [replace(charged, **expected)]


SALE: Final = "att_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, {}),
        # A merchant on blended prices, and the column on the other side: net says which way it went.
        (
            {
                "Markup (NC)": "",
                "Scheme Fees (NC)": "",
                "Interchange (NC)": "",
                "Commission (NC)": "0.35",
            },
            {},
        ),
        ({"Gross Credit (GC)": "", "Gross Debit (GC)": "10.50"}, {}),
        (
            {
                "Type": "Refunded",
                "Gross Credit (GC)": "",
                "Gross Debit (GC)": "10.50",
                "Net Credit (NC)": "",
                "Net Debit (NC)": "10.85",
                "Modification Merchant Reference": "att_2",
            },
            {
                "kind": Kind.REFUND,
                "word": "Refunded",
                "gross": -1_050,
                "net": -1_085,
                "presented": Money(-1_050, "AED"),
                "our_reference": "att_2",
            },
        ),
        ({"Type": "RefundedReversed"}, {"kind": Kind.REFUND, "word": "RefundedReversed"}),
        ({"Type": "Chargeback"}, {"kind": Kind.CHARGEBACK, "word": "Chargeback"}),
        # Fees are in the balance's currency; the customer's is another.
        ({"Gross Currency": "USD", "Gross Credit (GC)": "2.86"}, {"presented": Money(286, "USD")}),
        (
            {
                "Type": "Fee",
                "Gross Currency": "",
                "Gross Credit (GC)": "",
                "Net Credit (NC)": "",
                "Net Debit (NC)": "0.35",
                "Markup (NC)": "",
                "Scheme Fees (NC)": "",
                "Interchange (NC)": "",
            },
            {"kind": Kind.FEE, "word": "Fee", "gross": 0, "fee": 35, "net": -35, "presented": None},
        ),
        (
            {
                "Type": "MerchantPayout",
                "Psp Reference": "",
                "Merchant Reference": "",
                "Gross Currency": "",
                "Gross Credit (GC)": "",
                "Net Credit (NC)": "",
                "Net Debit (NC)": "10.15",
                "Markup (NC)": "",
                "Scheme Fees (NC)": "",
                "Interchange (NC)": "",
            },
            {
                "kind": Kind.PAYOUT,
                "word": "MerchantPayout",
                "gross": -1_015,
                "fee": 0,
                "net": -1_015,
                "presented": None,
                "payment_reference": None,
                "our_reference": None,
            },
        ),
        ({"TimeZone": "GST", "Creation Date": "2026-11-20 13:30:00"}, {}),
        # As Adyen was told to call it: the attempt and its operation.
        ({"Merchant Reference": f"{SALE}-sale"}, {"our_reference": SALE}),
        (
            {
                "Merchant Reference": "order 1042",
                "Modification Merchant Reference": f"{SALE}-capture",
            },
            {"our_reference": SALE},
        ),
        ({"Merchant Reference": f"{SALE}-gift"}, {"our_reference": f"{SALE}-gift"}),
        # A sum so small that the fees take more than all of it.
        (
            {"Gross Credit (GC)": "0.10", "Net Credit (NC)": "", "Net Debit (NC)": "0.25"},
            {"gross": 10, "net": -25, "presented": Money(10, "AED")},
        ),
    ],
)
def test_rows_of_adyen(row: dict[str, str], expected: dict[str, Any]) -> None:
    settled = replace(
        LINE,
        word="Settled",
        processor_reference="JDD6LKT8MBLZNN84",
        payment_reference="WVD5F3ZKXQ4CCM82",
        our_reference="att_1",
        presented=Money(1_050, "AED"),
        batch="134",
    )
    assert lines("adyen", row) == [replace(settled, **expected)]


# --- what is refused -------------------------------------------------------------------------------------

SECRET: Final = "4242424242424242"
#: A capture that was taken back, and what its customer is said to have paid all the same.
BACK: Final = {"gross": "-10.50", "fee": "0", "net": "-10.50"}
PRESENTED: Final = {"presented_amount": "10.50", "presented_currency": "AED"}
FACING: Final = {"customer_facing_amount": "10.50", "customer_facing_currency": "aed"}
WRONG: Final[list[tuple[str, dict[str, str], str, str]]] = [
    ("generic", {"kind": "gift"}, "kind", "not one of"),
    ("generic", {"kind": ""}, "kind", "is empty"),
    ("generic", {"currency": "XBT"}, "currency", "not an ISO 4217 currency"),
    ("generic", {"gross": "10,50"}, "gross", "not an amount"),
    ("generic", {"gross": "1e3"}, "gross", "not an amount"),
    ("generic", {"gross": "+10.50"}, "gross", "not an amount"),
    ("generic", {"gross": "10."}, "gross", "not an amount"),
    ("generic", {"gross": "١٠"}, "gross", "not an amount"),
    ("generic", {"gross": "9" * 14}, "gross", "not an amount"),
    ("generic", {"gross": ""}, "gross", "is empty"),
    ("generic", {"gross": "10.501"}, "gross", "AED has 2 decimals"),
    ("generic", {"currency": "JPY"}, "gross", "JPY has 0 decimals"),
    ("generic", {"net": "10.16"}, "net", "is not gross less fee"),
    ("generic", {"kind": "fee"}, "gross", "is 0 on a line of kind fee"),
    ("generic", {"booked_at": "2026-11-20T09:30:00"}, "booked_at", "does not say its offset"),
    ("generic", {"booked_at": "2026-02-30T09:30:00Z"}, "booked_at", "not a time"),
    ("generic", {"booked_at": "20 Nov 2026"}, "booked_at", "not a time"),
    ("generic", {"booked_at": "0001-01-01T00:00:00+14:00"}, "booked_at", "not a time"),
    ("generic", {"batch": "x" * 256}, "batch", "longer than 255"),
    ("generic", {"batch": "a\nb"}, "batch", "control characters"),
    ("generic", {"presented_amount": "1"}, "presented_currency", "is empty"),
    ("generic", {**BACK, **PRESENTED}, "presented_amount", "is not gross"),
    ("generic", {**PRESENTED, "presented_amount": "-10.50"}, "presented_amount", "is not gross"),
    ("generic", {**PRESENTED, "presented_amount": "10.49"}, "presented_amount", "is not gross"),
    (
        "generic",
        {**BACK, **PRESENTED, "presented_currency": "USD"},
        "presented_amount",
        "another sign",
    ),
    ("stripe", {**BACK, **FACING}, "customer_facing_amount", "is not gross"),
    ("stripe", {**FACING, "customer_facing_amount": "9"}, "customer_facing_amount", "is not gross"),
    (
        "stripe",
        {**BACK, **FACING, "customer_facing_currency": "usd"},
        "customer_facing_amount",
        "another sign",
    ),
    ("stripe", {"reporting_category": "gift"}, "reporting_category", "not a category"),
    ("stripe", {"net": "10.16"}, "net", "is not gross less fee"),
    ("stripe", {"created_utc": "2026-11-20T09:30:00Z"}, "created_utc", "says an offset"),
    ("adyen", {"Type": "Gift"}, "Type", "not a journal type"),
    ("adyen", {"TimeZone": "XYZ"}, "TimeZone", "not a time zone"),
    ("adyen", {"Net Debit (NC)": "1"}, "Net Debit (NC)", "beside a credit"),
    ("adyen", {"Net Credit (NC)": "-1"}, "Net Credit (NC)", "below 0"),
    ("adyen", {"Gross Debit (GC)": "1"}, "Gross Debit (GC)", "beside a credit"),
    ("adyen", {"Net Credit (NC)": "10.16"}, "Net Credit (NC)", "gross less fees is not net"),
    # A card number, in whichever column, read or not, and however it is written.
    ("generic", {"our_reference": SECRET}, "our_reference", "looks like a card number"),
    ("stripe", {"description": "4242 4242 4242 4242"}, "description", "looks like a card number"),
    ("adyen", {"Reserved4": f"card {SECRET}"}, "Reserved4", "looks like a card number"),
]


@pytest.mark.parametrize(("form", "change", "column", "because"), WRONG)
def test_what_is_wrong_is_named_by_line_and_column(
    form: str, change: dict[str, str], column: str, because: str
) -> None:
    """Behind a row that spans two lines, the physical line counts; what stands in the cell is never repeated."""
    made, columns, row = FORMS[form]
    spanning = dict(row) if form == "stripe" else {**row, columns[-1]: ""}
    content = written(columns, spanning, {**row, **change})
    refused = refusal(made, content)
    assert (refused.line, refused.column) == (4 if form == "stripe" else 3, column)
    assert because in refused.because
    assert str(refused) == f'line {refused.line}, column "{column}": {refused.because}'
    assert not any(value in str(refused) for value in change.values() if len(value) > 4)


@pytest.mark.parametrize(
    ("content", "line", "column", "because"),
    [
        (b"", 1, None, "is empty"),
        (b"\xef\xbb\xbf", 1, None, "is empty"),
        (b"\n\n", 1, None, "is empty"),
        (b"kind,kind\n", 1, "kind", "twice"),
        (b"kind,booked_at,currency,gross,fee\n", 1, "net", "is missing"),
        (b"kind\x01\n", 1, None, "no name that can be read"),
        (f"{SECRET}\n".encode(), 1, None, "card number"),
        (b",".join([b"x%d" % each for each in range(201)]), 1, None, "more than 200 columns"),
        (
            b"kind,booked_at,currency,gross,fee,net\ncapture\n",
            2,
            None,
            "1 cells under a header of 6",
        ),
        (b"kind,booked_at,currency,gross,fee,net\n\ncapture,\xff\n", 3, None, "not UTF-8"),
        (
            b'kind,booked_at,currency,gross,fee,net\na"b,,,,,\n',
            2,
            None,
            "a quote or a carriage return",
        ),
        (b'kind,booked_at,currency,gross,fee,net\n"ab\n', 2, None, "a quote or a carriage return"),
        (
            b'kind,booked_at,currency,gross,fee,net\n"a"b,,,,,\n',
            2,
            None,
            "a quote or a carriage return",
        ),
        (
            b"kind,booked_at,currency,gross,fee,net\rcapture\r",
            1,
            None,
            "a quote or a carriage return",
        ),
        (b"kind," + b"x" * ROW_CHARACTERS_MAX + b"\n", 1, None, "no name"),
        (
            b"kind,booked_at,currency,gross,fee,net,x\na,,,,,," + b"x" * ROW_CHARACTERS_MAX,
            2,
            None,
            "more than 65536",
        ),
        (b'kind\n"' + b"x\n" * ROW_BYTES_MAX, 2, None, "more than 65536"),
    ],
)
def test_a_file_that_is_none_is_refused(
    content: bytes, line: int, column: str | None, because: str
) -> None:
    if content.startswith(b'kind\n"'):
        content = written(GENERIC) + content.removeprefix(b"kind\n")
    refused = refusal(GenericReport(), content)
    assert (refused.line, refused.column) == (line, column)
    assert because in refused.because


def test_the_example_of_the_page_is_read() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "settlement-csv.md"
    example = page.read_text("utf-8").split("```")[1]
    read_lines = list(read(GenericReport(), [example.lstrip("\n").encode()]))
    assert [(line.kind.value, line.net) for line in read_lines] == [
        ("capture", 1_015),
        ("refund", -400),
        ("fee", -115),
        ("payout", -500),
    ]
    assert sum(line.net for line in read_lines) == 0
