# SPDX-License-Identifier: Apache-2.0
"""One example for each operation about keys."""

from typing import Any, Final

ROTATE_IN: Final[dict[str, Any]] = {"name": "card", "rate": 1_000}
RESEAL_IN: Final[dict[str, Any]] = {"name": "card", "algorithm": "A256GCM", "rate": 1_000}
ROTATED: Final[dict[str, Any]] = {
    "object": "key_rotation",
    "name": "card",
    "version": 2,
    "job": "job_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
}
DESTROY_IN: Final[dict[str, Any]] = {"name": "card", "version": 1}
DESTROYED: Final[dict[str, Any]] = {
    "object": "key",
    "name": "card",
    "version": 1,
    "state": "destroyed",
}
KEY: Final[dict[str, Any]] = {
    "object": "key",
    "kind": "data_key",
    "name": "card",
    "version": 1,
    "state": "active",
    "algorithm": "A256CBC-HS512",
    "algorithms_in_use": ["A256CBC-HS512"],
    "made_at": "2026-11-20T09:30:00.000000Z",
    "rotates_at": "2027-11-20T09:30:00.000000Z",
    "overdue": False,
    "retired_at": None,
    "uses": 1042,
    "uses_exact": True,
}
KEYS: Final[dict[str, Any]] = {"data": [KEY], "has_more": False, "next_cursor": None}
