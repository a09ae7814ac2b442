# SPDX-License-Identifier: Apache-2.0
"""One example for each operation, shown in the OpenAPI document."""

from typing import Any, Final

_ENDPOINT: Final = "whe_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_EVENT: Final = "evt_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_MADE: Final = "2026-11-20T09:30:00.000000Z"

ENDPOINT_IN: Final[dict[str, Any]] = {
    "url": "https://shop.example/webhooks",
    "description": "orders",
    "types": ["payment.captured", "refund.succeeded"],
}
ENDPOINT: Final[dict[str, Any]] = {
    "id": _ENDPOINT,
    "object": "endpoint",
    "mode": "test",
    "url": "https://shop.example/webhooks",
    "description": "orders",
    "types": ["payment.captured", "refund.succeeded"],
    "status": "active",
    "disabled_reason": None,
    "created_at": _MADE,
    "updated_at": _MADE,
    "secret": None,
}
NEW_ENDPOINT: Final[dict[str, Any]] = {**ENDPOINT, "secret": "whsec_<base64 of 32 bytes>"}
ENDPOINTS: Final[dict[str, Any]] = {"data": [ENDPOINT], "has_more": False, "next_cursor": None}
CHANGE_IN: Final[dict[str, Any]] = {"status": "disabled"}
CHANGED: Final[dict[str, Any]] = {
    **ENDPOINT,
    "status": "disabled",
    "disabled_reason": "by_merchant",
}
ROTATE_IN: Final[dict[str, Any]] = {"overlap_seconds": 86_400}
EVENT: Final[dict[str, Any]] = {
    "id": _EVENT,
    "type": "webhook.test",
    "timestamp": _MADE,
    "mode": "test",
    "api_version": "v1",
    "data": {"endpoint": _ENDPOINT},
}
EVENTS: Final[dict[str, Any]] = {"data": [EVENT], "has_more": True, "next_cursor": _EVENT}
DELIVERY: Final[dict[str, Any]] = {
    "id": "dlv_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "object": "delivery",
    "event": _EVENT,
    "endpoint": _ENDPOINT,
    "status": "delivered",
    "created_at": _MADE,
    "next_at": None,
    "delivered_at": "2026-11-20T09:30:05.210000Z",
    "tries": [
        {
            "number": 1,
            "at": "2026-11-20T09:30:00.020000Z",
            "status": 503,
            "reason": "throttled",
            "duration_ms": 41,
        },
        {
            "number": 2,
            "at": "2026-11-20T09:30:05.210000Z",
            "status": 200,
            "reason": "delivered",
            "duration_ms": 38,
        },
    ],
}
DELIVERIES: Final[dict[str, Any]] = {"data": [DELIVERY], "has_more": False, "next_cursor": None}
REDELIVER_IN: Final[dict[str, Any]] = {"endpoint": _ENDPOINT}
REDELIVERED: Final[dict[str, Any]] = {
    "data": [
        {
            **DELIVERY,
            "status": "pending",
            "next_at": _MADE,
            "delivered_at": None,
            "tries": [],
        }
    ],
    "has_more": False,
    "next_cursor": None,
}
