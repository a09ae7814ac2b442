# SPDX-License-Identifier: Apache-2.0
"""One example for each operation about brakes, shown in the OpenAPI document and sent by a test as it stands."""

from typing import Any, Final

_ENTRY: Final = "blk_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_INCIDENT: Final = "inc_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_TOKEN: Final = "tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"  # noqa: S105 - an id, not a secret
_KEY: Final = "key_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_WHEN: Final = "2026-11-20T09:30:00.000000Z"

_RULES: Final[list[dict[str, Any]]] = [
    {
        "name": "one_card",
        "subject": "card",
        "measure": "tries",
        "window_seconds": 3600,
        "threshold": 5,
        "action": "throttle",
    },
    {
        "name": "cards_of_an_address",
        "subject": "address",
        "measure": "cards",
        "window_seconds": 3600,
        "threshold": 4,
        "action": "authenticate",
    },
]
_CARD_TESTING: Final[dict[str, Any]] = {
    "action": "brake",
    "window_seconds": 600,
    "cards": 10,
    "declines": 10,
    "decline_percent": 50,
    "small_amount": 5,
    "pause_seconds": 10,
    "calm_seconds": 900,
}
_CHECKS: Final[dict[str, Any]] = {"avs": "mark", "cvc": "void"}
BRAKES_IN: Final[dict[str, Any]] = {
    "version": 0,
    "rules": _RULES,
    "card_testing": _CARD_TESTING,
    "checks": _CHECKS,
}
BRAKES: Final[dict[str, Any]] = {
    "object": "brakes",
    "mode": "test",
    "version": 1,
    "rules": _RULES,
    "card_testing": _CARD_TESTING,
    "checks": _CHECKS,
    "set_by": _KEY,
    "set_at": _WHEN,
}
ENTRY_IN: Final[dict[str, Any]] = {
    "list": "block",
    "kind": "address",
    "value": "203.0.113.0/24",
    "reason": "tried forty cards on Friday",
    "expires_in_seconds": 86400,
}
ENTRY: Final[dict[str, Any]] = {
    "id": _ENTRY,
    "object": "brake_entry",
    "list": "block",
    "kind": "address",
    "value": "203.0.113.0/24",
    "enforced": False,
    "reason": "tried forty cards on Friday",
    "made_by": _KEY,
    "made_at": _WHEN,
    "expires_at": "2026-11-21T09:30:00.000000Z",
}
ENFORCED_IN: Final[dict[str, Any]] = {
    "kind": "bin",
    "value": "400000",
    "reason": "the scheme asked for it",
}
ENFORCED: Final[dict[str, Any]] = {
    **ENTRY,
    "kind": "bin",
    "value": "400000",
    "enforced": True,
    "reason": "the scheme asked for it",
    "expires_at": None,
}
ENTRIES: Final[dict[str, Any]] = {"data": [ENTRY], "has_more": False, "next_cursor": None}
INCIDENT: Final[dict[str, Any]] = {
    "id": _INCIDENT,
    "object": "card_testing",
    "subject": "address",
    "value": "203.0.113.7",
    "signs": ["many_cards", "high_decline_share", "small_amounts"],
    "tries": 12,
    "declines": 11,
    "cards": 12,
    "held": 240,
    "passed": 31,
    "started_at": _WHEN,
    "last_sign_at": _WHEN,
    "until": "2026-11-20T09:45:00.000000Z",
    "ended_at": None,
    "ended_by": None,
}
INCIDENTS: Final[dict[str, Any]] = {"data": [INCIDENT], "has_more": False, "next_cursor": None}
TRIAL_IN: Final[dict[str, Any]] = {
    "amount": 1050,
    "currency": "AED",
    "token": _TOKEN,
    "customer_ip": "203.0.113.7",
}
TRIAL: Final[dict[str, Any]] = {
    "object": "brake_test",
    "action": "throttle",
    "would_be_sent": False,
    "retry_after_seconds": 180,
    "tripped": [{"name": "one_card", "subject": "card", "action": "throttle"}],
}
