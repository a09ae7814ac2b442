# SPDX-License-Identifier: Apache-2.0
"""One example for each operation, shown in the OpenAPI document and sent by a test as it stands."""

from typing import Any, Final

_ID: Final = "tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_RECORD: Final = "aud_01KAHX3MZ4V8Q2T6N0R5W7Y9CC"
_KEY: Final = "key_01KAHX3MZ4V8Q2T6N0R5W7Y9CD"

REVEAL_IN: Final[dict[str, Any]] = {
    "purpose": "dispute",
    "note": "case 1042, asked for by the acquirer",
}
REVEALED: Final[dict[str, Any]] = {
    "token": _ID,
    "mode": "test",
    "brand": "visa",
    "purpose": "dispute",
    "record": _RECORD,
    "card": {"number": "4242424242424242", "exp_month": 12, "exp_year": 2034},
    "jwe": None,
    "object": "revealed_card",
}
STOP: Final[dict[str, Any]] = {
    "object": "reveal_stop",
    "caller": _KEY,
    "count": 30,
    "stopped_at": "2026-11-20T09:30:00.000000Z",
    "ends_at": "2026-11-20T10:30:00.000000Z",
    "lifted_at": None,
    "lifted_by": None,
}
LIFTED: Final[dict[str, Any]] = {
    **STOP,
    "lifted_at": "2026-11-20T09:41:00.000000Z",
    "lifted_by": "usr_01KAHX3MZ4V8Q2T6N0R5W7Y9CE",
}
STOPS: Final[dict[str, Any]] = {"data": [STOP], "has_more": False, "next_cursor": None}
KEPT_PAGE: Final[dict[str, Any]] = {
    "data": [
        {
            "object": "reveal",
            "record": _RECORD,
            "token": _ID,
            "caller": _KEY,
            "purpose": "dispute",
            "note": "case 1042, asked for by the acquirer",
            "revealed_at": "2026-11-20T09:30:00.000000Z",
        }
    ],
    "has_more": False,
    "next_cursor": None,
}
