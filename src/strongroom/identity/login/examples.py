# SPDX-License-Identifier: Apache-2.0
"""One example for each operation of logging in, shown in the OpenAPI document."""

from typing import Any, Final

LOGIN_IN: Final[dict[str, Any]] = {
    "email": "ada@shop.example",
    "password": "correct horse battery staple 9",
    "mode": "test",
}
LOGIN: Final[dict[str, Any]] = {
    "object": "login",
    "handle": "9fQ2mXw7Lr4TzB8cVn5KdY1sHp6GjA3eUo0RiWqZxMt",
    "expires_at": "2026-11-20T09:35:00.000000Z",
    "second_steps": ["recovery_code", "totp"],
}
#: A code is good for half a minute: whoever sends an example puts their own.
TOTP_IN: Final[dict[str, Any]] = {"handle": LOGIN["handle"], "code": "492039"}
RECOVERY_IN: Final[dict[str, Any]] = {"handle": LOGIN["handle"], "code": "K7QX-2M9F-TR4B-W8ZC"}
STEP_UP_IN: Final[dict[str, Any]] = {"code": "492039"}
TOKENS: Final[dict[str, Any]] = {
    "object": "session_tokens",
    "session": "ses_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "token_type": "Bearer",
    "access_token": "<a JWT>",
    "expires_in": 300,
    "refresh_token": "<43 characters>",
}
RECOVERED: Final[dict[str, Any]] = {**TOKENS, "recovery_codes_left": 9}
STEPPED_UP: Final[dict[str, Any]] = {
    name: value for name, value in TOKENS.items() if name != "refresh_token"
}
