# SPDX-License-Identifier: Apache-2.0
"""One example for each operation, shown in the OpenAPI document and sent by a test as it stands."""

from typing import Any, Final

_PAYMENT: Final = "pay_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_TOKEN: Final = "tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"  # noqa: S105 - an id, not a secret
_ATTEMPT: Final = "att_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_CONNECTION: Final = "con_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_OTHER: Final = "con_01KAHX3MZ4V8Q2T6N0R5W7Y9CC"
_WHEN: Final = "2026-11-20T09:30:00.000000Z"

PAYMENT_IN: Final[dict[str, Any]] = {
    "amount": 1050,
    "currency": "AED",
    "capture_method": "manual",
    "reference": "order-1042",
    "metadata": {"customer": "c-17"},
}
ATTEMPT: Final[dict[str, Any]] = {
    "id": _ATTEMPT,
    "object": "attempt",
    "payment": _PAYMENT,
    "operation": "authorize",
    "outcome": "approved",
    "basis": "answer",
    "amount": 1050,
    "currency": "AED",
    "connection": _CONNECTION,
    "refund": None,
    "processor_reference": "sp_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "settled_amount": 1050,
    "raises_to": None,
    "decline_code": None,
    "advice": None,
    "reason": None,
    "step": 1,
    "route": {
        "by": "rule",
        "version": 3,
        "rule": "uae-cards",
        "connections": [
            {"connection": _OTHER, "result": "passed_over", "reason": "connection_resting"},
            {"connection": _CONNECTION, "result": "chosen", "reason": None},
        ],
        "after": None,
        "onward": None,
    },
    "three_ds": "automatic",
    "created_at": _WHEN,
    "settled_at": _WHEN,
    "initial_transaction_id": None,
    "scheme_transaction_id": "489341065491658",
    "avs_result": None,
    "cvc_result": "match",
}
PAYMENT: Final[dict[str, Any]] = {
    "id": _PAYMENT,
    "object": "payment",
    "mode": "test",
    "status": "requires_capture",
    "amount": 1050,
    "currency": "AED",
    "capture_method": "manual",
    "token": _TOKEN,
    "card": {"brand": "visa", "bin": "424242", "last4": "4242"},
    "connection": _CONNECTION,
    "reference": "order-1042",
    "metadata": {"customer": "c-17"},
    "return_url": None,
    "next_action": None,
    "balances": {
        "authorized": 1050,
        "capturing": 0,
        "captured": 0,
        "voiding": 0,
        "voided": 0,
        "refunding": 0,
        "refunded": 0,
        "disputed": 0,
        "capturable": 1050,
        "refundable": 0,
        "incrementing": 0,
        "incremented": 0,
    },
    "decline_code": None,
    "advice": None,
    "cancellation_reason": None,
    "discrepancy": False,
    "estimated": False,
    "capture_before": "2026-11-27T09:30:00.000000Z",
    "capture_at": None,
    "on_expiry": "cancel",
    "created_at": _WHEN,
    "updated_at": _WHEN,
    "attempt": ATTEMPT,
    "stored_credential": None,
    "customer": None,
    "next_retry_at": None,
}
RESOLVE_IN: Final[dict[str, Any]] = {
    "outcome": "not_sent",
    "evidence": "asked the processor's support, case 4711: no request with this reference reached them",
}
HELD: Final[dict[str, Any]] = {
    **PAYMENT,
    "capture_at": "2026-11-24T09:30:00.000000Z",
    "attempt": None,
}
PAGE: Final[dict[str, Any]] = {
    "data": [{**PAYMENT, "attempt": None}],
    "has_more": False,
    "next_cursor": None,
}
ATTEMPTS: Final[dict[str, Any]] = {"data": [ATTEMPT], "has_more": False, "next_cursor": None}
REFUND: Final[dict[str, Any]] = {
    "id": "ref_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "object": "refund",
    "mode": "test",
    "payment": _PAYMENT,
    "attempt": "att_01KAHX3MZ4V8Q2T6N0R5W7Y9CC",
    "amount": 500,
    "currency": "AED",
    "status": "succeeded",
    "reason": "requested_by_customer",
    "reference": "return-7",
    "metadata": {},
    "failure_code": None,
    "created_at": _WHEN,
    "updated_at": _WHEN,
}
REFUNDS: Final[dict[str, Any]] = {"data": [REFUND], "has_more": False, "next_cursor": None}
DECLINED: Final[dict[str, Any]] = {
    "type": "https://strongroom.example/problems/declined",
    "title": "Declined",
    "status": 402,
    "code": "declined",
    "detail": "the processor declined: insufficient_funds",
    "request_id": "req_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "payment": {**PAYMENT, "status": "requires_payment_method", "token": None, "attempt": None},
    "decline_code": "insufficient_funds",
    "advice": "later",
}
DISPUTE: Final[dict[str, Any]] = {
    "id": "dsp_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "object": "dispute",
    "mode": "test",
    "payment": _PAYMENT,
    "connection": _CONNECTION,
    "processor_reference": "sd_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "status": "opened",
    "amount": 1050,
    "currency": "AED",
    "counted": 1050,
    "reason": "fraudulent",
    "evidence_due_by": "2026-12-04T00:00:00.000000Z",
    "created_at": _WHEN,
    "updated_at": _WHEN,
}
DISPUTES: Final[dict[str, Any]] = {"data": [DISPUTE], "has_more": False, "next_cursor": None}
CONNECTION_IN: Final[dict[str, Any]] = {
    "processor": "simulator",
    "account": "acct_shop",
    "base_url": "https://processor.example",
    "credentials": {"api_key": "sim_sk_an_example_and_no_secret"},
    "webhook_secret": "an_example_and_no_secret_at_all",
    "name": "shop",
}
CONNECTION: Final[dict[str, Any]] = {
    "id": _CONNECTION,
    "object": "connection",
    "mode": "test",
    "name": "shop",
    "processor": "simulator",
    "account": "acct_shop",
    "finding": "by_reference",
    "status": "active",
    "webhook_url": f"https://pay.example/v1/inbound/{_CONNECTION}",
    "created_at": _WHEN,
    "updated_at": _WHEN,
}
TRIAL_BALANCE: Final[dict[str, Any]] = {
    "object": "trial_balance",
    "balanced": True,
    "data": [
        {
            "account": account,
            "currency": "AED",
            "debits": debit,
            "credits": credit,
            "balance": debit - credit,
        }
        for account, debit, credit in (
            ("authorizations", 1050, 1050),
            ("holds", 1050, 1050),
            ("receivable", 1050, 200),
            ("refunds", 200, 0),
            ("sales", 0, 1050),
        )
    ],
}
POSTINGS: Final[dict[str, Any]] = {
    "data": [
        {
            "object": "posting",
            "payment": _PAYMENT,
            "cause": f"{_ATTEMPT}:3:capture",
            "debit": "receivable",
            "credit": "sales",
            "amount": 1050,
            "currency": "AED",
            "connection": _CONNECTION,
            "made_at": _WHEN,
        }
    ],
    "has_more": False,
    "next_cursor": None,
}
LEDGER_CHECK: Final[dict[str, Any]] = {"object": "ledger_check", "agrees": True, "data": []}
CONNECTIONS: Final[dict[str, Any]] = {"data": [CONNECTION], "has_more": False, "next_cursor": None}
CONNECTION_TEST: Final[dict[str, Any]] = {
    "object": "connection_test",
    "connection": _CONNECTION,
    "passed": False,
    "reachable": True,
    "account": "acct_shop",
    "mode": "test",
    "raw_cards": True,
    "missing": ["the account has no webhook: notices will not come"],
    "duration_ms": 104,
}
NEXT_IN: Final[dict[str, Any]] = {
    "credentials": {"api_key": "sim_sk_another_example_and_no_secret"}
}
CREDENTIALS: Final[dict[str, Any]] = {
    "object": "connection_credentials",
    "connection": _CONNECTION,
    "staged_at": _WHEN,
    "former_until": None,
    "webhook_secrets_until": [None],
}
PROMOTE_IN: Final[dict[str, Any]] = {"staged_at": _WHEN, "keep_seconds": 86_400}
PROMOTED: Final[dict[str, Any]] = {
    **CREDENTIALS,
    "staged_at": None,
    "former_until": "2026-11-21T09:30:00.000000Z",
}
