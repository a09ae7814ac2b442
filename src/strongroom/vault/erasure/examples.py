# SPDX-License-Identifier: Apache-2.0
"""Examples of the API description; a test sends them as they stand."""

from typing import Any, Final

ERASURE_IN: Final[dict[str, Any]] = {"token": "tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"}
MERCHANT_IN: Final[dict[str, Any]] = {"merchant": "mer_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"}
ERASURE: Final[dict[str, Any]] = {
    "id": "ers_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "object": "erasure",
    "mode": "test",
    "scope": "token",
    "state": "waiting",
    "tokens": 1,
    "key_version": 1,
    "requested_by": "key_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "requested_at": "2026-11-20T09:30:00.000000Z",
    "rotate_at": "2026-11-21T09:30:00.000000Z",
    "destroyed_at": None,
    "complete_at": "2026-12-26T10:30:00.000000Z",
    "complete_at_is_final": False,
    "problem": None,
}
ERASURES: Final[dict[str, Any]] = {"data": [ERASURE], "has_more": False, "next_cursor": None}
