# SPDX-License-Identifier: Apache-2.0
"""One example for each operation, shown in the OpenAPI document."""

from typing import Any, Final

MERCHANT: Final[dict[str, Any]] = {
    "id": "mer_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "object": "merchant",
    "name": "Corner Shop",
    "status": "active",
    "region": "local",
    "mode": "test",
    "created_at": "2026-11-20T09:30:00.000000Z",
}
KEY_IN: Final[dict[str, Any]] = {
    "kind": "rk",
    "name": "nightly export",
    "permissions": ["vault:token:read"],
    "expires_at": "2034-01-01T00:00:00Z",
}
KEY: Final[dict[str, Any]] = {
    "id": "key_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "object": "api_key",
    "kind": "rk",
    "mode": "test",
    "name": "nightly export",
    "last4": "h3Xw",
    "permissions": ["vault:token:read"],
    "origins": [],
    "created_at": "2026-11-20T09:30:00.000000Z",
    "expires_at": "2034-01-01T00:00:00.000000Z",
    "revoked_at": None,
    "text": None,
}
NEW_KEY: Final[dict[str, Any]] = {**KEY, "text": "rk_test_<43 characters and a checksum>"}
KEYS: Final[dict[str, Any]] = {"data": [KEY], "has_more": False, "next_cursor": None}
