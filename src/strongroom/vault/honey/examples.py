# SPDX-License-Identifier: Apache-2.0
"""One example for each operation about honeytokens."""

from typing import Any, Final

HONEYTOKEN_IN: Final[dict[str, Any]] = {
    "exp_month": 11,
    "exp_year": 2034,
    "holder": "Amal Haddad",
    "metadata": {"customer": "c-20417"},
}
HONEYTOKEN: Final[dict[str, Any]] = {
    "token": "tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "object": "honeytoken",
    "mode": "live",
    "brand": "visa",
    "last4": "3068",
    "container": "default",
    "created_by": "usr_01KAHX3MZ4V8Q2T6N0R5W7Y9CD",
    "created_at": "2026-11-20T09:30:00.000000Z",
    "uses": 0,
    "last_used_at": None,
    "last_used_by": None,
}
HONEYTOKENS: Final[dict[str, Any]] = {
    "data": [
        {
            **HONEYTOKEN,
            "uses": 2,
            "last_used_at": "2026-11-21T02:14:07.000000Z",
            "last_used_by": "key_01KAHX3MZ4V8Q2T6N0R5W7Y9CE",
        }
    ],
    "has_more": False,
    "next_cursor": None,
}
