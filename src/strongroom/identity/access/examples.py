# SPDX-License-Identifier: Apache-2.0
"""Examples of break-glass and access reviews, shown in the OpenAPI document."""

from typing import Any, Final

from strongroom.http.approval import EXAMPLE

_REASON: Final = "the admins are on a plane and a key has leaked"
BREAK_GLASS_IN: Final[dict[str, Any]] = {
    "permissions": ["identity:key:revoke"],
    "minutes": 30,
    "reason": _REASON,
}
BREAK_GLASS: Final[dict[str, Any]] = {
    "id": "brk_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "object": "break_glass",
    "state": "active",
    "mode": "live",
    "person": "usr_01KAHX3MZ4V8Q2T6N0R5W7Y9CC",
    "permissions": ["identity:key:revoke"],
    "reason": _REASON,
    "started_at": "2026-11-20T09:30:00.000000Z",
    "expires_at": "2026-11-20T10:00:00.000000Z",
    "extended_at": None,
    "ended_at": None,
    "ended_by": None,
}
BREAK_GLASSES: Final[dict[str, Any]] = {
    "data": [BREAK_GLASS],
    "has_more": False,
    "next_cursor": None,
}
EXTEND_IN: Final[dict[str, Any]] = {"minutes": 30}
EXTEND_ASKED: Final[dict[str, Any]] = {**EXAMPLE, "action": "break_glass_extend"}
EXTENDED: Final[dict[str, Any]] = {
    **BREAK_GLASS,
    "extended_at": "2026-11-20T09:55:00.000000Z",
    "expires_at": "2026-11-20T10:25:00.000000Z",
}
REVIEW: Final[dict[str, Any]] = {
    "id": "rvw_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "object": "access_review",
    "state": "open",
    "started_by": "usr_01KAHX3MZ4V8Q2T6N0R5W7Y9CC",
    "started_at": "2026-11-20T09:30:00.000000Z",
    "closed_at": None,
    "items": 7,
    "undecided": 7,
}
REVIEWS: Final[dict[str, Any]] = {
    "data": [REVIEW],
    "has_more": False,
    "next_cursor": None,
    "due_at": "2027-05-19T09:30:00.000000Z",
    "overdue": False,
}
DECIDE_IN: Final[dict[str, Any]] = {"decision": "keep"}
ITEM: Final[dict[str, Any]] = {
    "object": "access_item",
    "subject": "key_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "kind": "key",
    "person": None,
    "email": None,
    "description": "rk key, live mode",
    "permissions": ["vault:token:read"],
    "made_at": "2026-11-20T09:30:00.000000Z",
    "last_used_at": None,
    "unused": False,
    "decision": None,
    "decided_by": None,
    "decided_at": None,
}
ITEMS: Final[dict[str, Any]] = {"data": [ITEM], "has_more": False, "next_cursor": None}
DECIDED: Final[dict[str, Any]] = {
    **ITEM,
    "decision": "keep",
    "decided_by": "usr_01KAHX3MZ4V8Q2T6N0R5W7Y9CC",
    "decided_at": "2026-11-20T09:40:00.000000Z",
}
