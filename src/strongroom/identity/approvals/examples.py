# SPDX-License-Identifier: Apache-2.0
"""Examples of approvals, shown in the OpenAPI document."""

from typing import Any, Final

from strongroom.http.approval import EXAMPLE

APPROVAL: Final[dict[str, Any]] = {
    **EXAMPLE,
    "action": "token_reveal",
    "route": "/v1/tokens/{token_id}/reveal",
    "object_id": "tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CF",
    "about": {
        "purpose": "dispute",
        "note": "case 1042, asked for by the acquirer",
        "tokens": [{"id": "tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CF", "brand": "visa", "last4": "4242"}],
        "container": "default",
        "method": "jwe",
        "recipient": "3yVQ3yrTDy1PuFBI9mJtBRvfPzRHBY0dTTpTzHIsFTw",
        "rate": None,
        "claim": None,
    },
}
APPROVED: Final[dict[str, Any]] = {
    **APPROVAL,
    "state": "approved",
    "decided_by": "usr_01KAHX3MZ4V8Q2T6N0R5W7Y9CE",
    "decided_at": "2026-11-20T09:35:00.000000Z",
    "reason": "spoke to her on the phone",
}
DENIED: Final[dict[str, Any]] = {**APPROVED, "state": "denied", "reason": "she knows nothing of it"}
WITHDRAWN: Final[dict[str, Any]] = {**APPROVAL, "state": "withdrawn"}
APPROVALS: Final[dict[str, Any]] = {"data": [APPROVAL], "has_more": False, "next_cursor": None}
APPROVE_IN: Final[dict[str, Any]] = {"reason": "spoke to her on the phone"}
DENY_IN: Final[dict[str, Any]] = {"reason": "she knows nothing of it"}
