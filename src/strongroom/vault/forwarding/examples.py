# SPDX-License-Identifier: Apache-2.0
"""One example for each operation about destinations and forwards."""

from typing import Any, Final

_ID: Final = "dst_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"

DESTINATION_IN: Final[dict[str, Any]] = {
    "name": "the partner's payout desk",
    "base_url": "https://api.partner.example",
    "path": "/v1/payouts/*/card",
    "methods": ["POST"],
    "content_type": "application/json",
    "request_headers": ["x-request-id"],
    "answer_headers": ["content-type", "x-payout"],
    "auth": "bearer",
    "credentials": {"token": "an_example_and_no_secret"},
    "timeout_ms": 10_000,
}
DESTINATION_CHANGE: Final[dict[str, Any]] = {
    name: value for name, value in DESTINATION_IN.items() if name != "credentials"
}
CREDENTIALS_IN: Final[dict[str, Any]] = {
    "credentials": {"token": "another_example_and_no_secret"},
    "overlap_seconds": 3_600,
}
DESTINATION: Final[dict[str, Any]] = {
    "id": _ID,
    "object": "destination",
    "mode": "test",
    "name": "the partner's payout desk",
    "status": "active",
    "base_url": "https://api.partner.example",
    "path": "/v1/payouts/*/card",
    "methods": ["POST"],
    "content_type": "application/json",
    "request_headers": ["x-request-id"],
    "query": [],
    "answer_headers": ["content-type", "x-payout"],
    "auth": "bearer",
    "auth_header": "",
    "hmac": None,
    "client_certificate": False,
    "answers": "redact",
    "tokenize": [],
    "timeout_ms": 10_000,
    "request_bytes_max": 65_536,
    "answer_bytes_max": 262_144,
    "created_by": "usr_01KAHX3MZ4V8Q2T6N0R5W7Y9CD",
    "created_at": "2026-11-20T09:30:00.000000Z",
    "updated_at": "2026-11-20T09:30:00.000000Z",
    "credentials_changed_at": "2026-11-20T09:30:00.000000Z",
}
DISABLED: Final[dict[str, Any]] = {**DESTINATION, "status": "disabled"}
DESTINATIONS: Final[dict[str, Any]] = {
    "data": [DESTINATION],
    "has_more": False,
    "next_cursor": None,
}
FORWARD_IN: Final[dict[str, Any]] = {
    "destination": _ID,
    "path": "/v1/payouts/p-1042/card",
    "tokens": {"card": "tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"},
    "headers": {"x-request-id": "p-1042"},
    "body": {
        "amount": 1_500,
        "currency": "AED",
        "card": {
            "pan": "{{ card.number }}",
            "expiry": "{{ card.expiry_iso }}",
            "month": "{{ card.exp_month | int }}",
        },
    },
    "dry_run": True,
}
FORWARDED: Final[dict[str, Any]] = {
    "id": "req_01KAHX3MZ4V8Q2T6N0R5W7Y9CE",
    "object": "forward",
    "destination": _ID,
    "outcome": "answered",
    "status": 201,
    "duration_ms": 84,
    "reason": None,
    "cvc_state": "absent",
    "headers": {"content-type": "application/json"},
    "body": '{"payout": "p-1042", "state": "accepted"}',
    "withheld": None,
    "tokens": [],
    "request": None,
}
NOT_ANSWERED: Final[dict[str, Any]] = {
    **FORWARDED,
    "outcome": "unknown",
    "status": None,
    "reason": "timeout",
    "headers": None,
    "body": None,
}
