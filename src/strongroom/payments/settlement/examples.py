# SPDX-License-Identifier: Apache-2.0
"""Examples of reconciliations for the API's document."""

from typing import Any, Final

_ID: Final = "rcn_01KAHX7T2B5M8R4V0Q3S6W9YCE"
_CONNECTION: Final = "con_01KAHX2Q7N5B8D3F6H9J1K4M0P"
_PAYMENT: Final = "pay_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_ATTEMPT: Final = "att_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_DIGEST: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_WHEN: Final = "2026-11-21T06:00:00.000000Z"
_NOTHING: Final = {
    "matched": 0,
    "kept": 0,
    "amount_differs": 0,
    "currency_differs": 0,
    "doubled": 0,
    "missing_here": 0,
    "missing_there": 0,
}

RECONCILIATION_IN: Final[dict[str, Any]] = {"connection": _CONNECTION, "sha256": _DIGEST}
RECONCILIATION_BEGUN: Final[dict[str, Any]] = {
    "id": _ID,
    "object": "reconciliation",
    "mode": "test",
    "connection": _CONNECTION,
    "format": "generic",
    "state": "open",
    "sha256": _DIGEST,
    "offset": 0,
    "period": None,
    "agrees": None,
    "lines": 0,
    "counts": _NOTHING,
    "totals": [],
    "problem": None,
    "created_at": _WHEN,
    "ended_at": None,
}
RECONCILIATION_ON: Final[dict[str, Any]] = {
    **RECONCILIATION_BEGUN,
    "state": "received",
    "offset": 482,
}
RECONCILIATION_AGAIN: Final[dict[str, Any]] = RECONCILIATION_ON
RECONCILIATION: Final[dict[str, Any]] = {
    **RECONCILIATION_ON,
    "state": "done",
    "agrees": False,
    "lines": 3,
    "counts": {**_NOTHING, "matched": 1, "kept": 1, "amount_differs": 1},
    "totals": [
        {"currency": "AED", "kind": "capture", "lines": 2, "gross": 2100, "fee": 70, "net": 2030},
        {"currency": "AED", "kind": "payout", "lines": 1, "gross": -2030, "fee": 0, "net": -2030},
    ],
    "ended_at": _WHEN,
}
RECONCILIATIONS: Final[dict[str, Any]] = {
    "data": [RECONCILIATION],
    "has_more": False,
    "next_cursor": None,
}
LINES: Final[dict[str, Any]] = {
    "data": [
        {
            "object": "reconciliation_line",
            "line": 3,
            "result": "amount_differs",
            "kind": "capture",
            "word": "capture",
            "payment": _PAYMENT,
            "attempt": _ATTEMPT,
            "processor_reference": "cap_8f2k3j4h5g",
            "our_reference": _ATTEMPT,
            "batch": "2026-11-20",
            "booked_at": "2026-11-20T09:30:00.000000Z",
            "gross": 1050,
            "fee": 35,
            "net": 1015,
            "currency": "AED",
            "presented_amount": None,
            "presented_currency": None,
            "expected": 1000,
            "expected_currency": "AED",
        }
    ],
    "has_more": False,
    "next_cursor": None,
}
LINES_CSV: Final = (
    "line,result,kind,word,payment,attempt,processor_reference,our_reference,batch,booked_at,gross,fee,net,currency,"
    "presented_amount,presented_currency,expected,expected_currency\r\n"
    f"3,amount_differs,capture,capture,{_PAYMENT},{_ATTEMPT},cap_8f2k3j4h5g,{_ATTEMPT},2026-11-20,"
    "2026-11-20T09:30:00.000000Z,1050,35,1015,AED,,,1000,AED\r\n"
)
