# SPDX-License-Identifier: Apache-2.0
"""One example for each operation, shown in the OpenAPI document and sent by a test as it stands."""

from typing import Any, Final

_CONNECTION: Final = "con_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_WHEN: Final = "2026-11-20T09:30:00.000000Z"
_RULE: Final[dict[str, Any]] = {
    "name": "uae-cards",
    "connections": [{"connection": _CONNECTION}],
    "when": {"currency": ["AED"], "amount": {"max": 500000}, "country": ["AE", "unknown"]},
}

RULES_IN: Final[dict[str, Any]] = {"rules": [_RULE], "note": "UAE cards first"}
RULES: Final[dict[str, Any]] = {
    "object": "routing_rules",
    "mode": "test",
    "version": 3,
    "active_since": _WHEN,
    "activated_by": "key_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "note": "UAE cards first",
    "made_by": "key_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "made_at": _WHEN,
    "rules": [_RULE],
}
VERSIONS: Final[dict[str, Any]] = {"data": [RULES], "has_more": False, "next_cursor": None}
TEST_IN: Final[dict[str, Any]] = {
    "amount": 1050,
    "currency": "AED",
    "brand": "visa",
    "bin": "424242",
}
TEST: Final[dict[str, Any]] = {
    "object": "routing_test",
    "payment": "pay_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "connection": _CONNECTION,
    "attempts_max": 3,
    "country": "AE",
    "funding": "debit",
    "route": {
        "by": "rule",
        "version": 3,
        "rule": "uae-cards",
        "connections": [{"connection": _CONNECTION, "result": "chosen", "reason": None}],
        "after": None,
        "onward": None,
    },
}
_RANGE: Final[dict[str, Any]] = {
    "first": "424242",
    "last": "424242",
    "country": "AE",
    "funding": "debit",
}
RANGES_IN: Final[dict[str, Any]] = {"ranges": [_RANGE], "replace": False}
RANGES: Final[dict[str, Any]] = {"data": [_RANGE], "has_more": False, "next_cursor": None}
