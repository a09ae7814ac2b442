# SPDX-License-Identifier: Apache-2.0
"""One example for each operation, shown in the OpenAPI document."""

from typing import Any, Final

REFRESH_IN: Final[dict[str, Any]] = {"refresh_token": "rt_<26 and 65 characters>", "mode": "test"}
TOKENS: Final[dict[str, Any]] = {
    "object": "session_tokens",
    "session": "ses_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "access_token": "eyJ<a JWT>",
    "token_type": "Bearer",
    "expires_in": 300,
    "refresh_token": "rt_<26 and 65 characters>",
}
SESSION: Final[dict[str, Any]] = {
    "id": "ses_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "object": "session",
    "person": "usr_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "current": True,
    "methods": ["mfa", "otp", "pwd"],
    "bound_to_key": False,
    "started_at": "2026-11-20T09:30:00.000000Z",
    "stepped_up_at": "2026-11-20T09:30:00.000000Z",
    "used_at": "2026-11-20T09:34:10.000000Z",
    "ends_at": "2026-11-20T21:30:00.000000Z",
}
SESSIONS: Final[dict[str, Any]] = {"data": [SESSION], "has_more": False, "next_cursor": None}
JWKS: Final[dict[str, Any]] = {
    "keys": [
        {
            "alg": "EdDSA",
            "crv": "Ed25519",
            "kid": "<43 characters>",
            "kty": "OKP",
            "use": "sig",
            "x": "<43 characters>",
        }
    ]
}
