# SPDX-License-Identifier: Apache-2.0
"""One example for each operation, shown in the OpenAPI document. A proof works once, so theirs are only of its form."""

from typing import Any, Final

_CHALLENGE: Final = "3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
_CREDENTIAL: Final = "bXktY3JlZGVudGlhbC1pZA"
_CLIENT_DATA: Final = "eyJ0eXBlIjoid2ViYXV0aG4uZ2V0In0"
_HANDLE: Final = "dXNyXzAxS0FIWDNNWjRWOFEyVDZOMFI1VzdZOUNC"

REQUEST_OPTIONS: Final[dict[str, Any]] = {
    "public_key": {
        "challenge": _CHALLENGE,
        "rpId": "console.example",
        "timeout": 300_000,
        "userVerification": "required",
        "allowCredentials": [],
    }
}
CREATION_OPTIONS: Final[dict[str, Any]] = {
    "public_key": {
        "rp": {"id": "console.example", "name": "Strongroom"},
        "user": {"id": _HANDLE, "name": "ada@shop.example", "displayName": "Ada"},
        "challenge": _CHALLENGE,
        "pubKeyCredParams": [{"type": "public-key", "alg": -8}, {"type": "public-key", "alg": -7}],
        "timeout": 300_000,
        "excludeCredentials": [],
        "authenticatorSelection": {
            "residentKey": "required",
            "requireResidentKey": True,
            "userVerification": "required",
        },
        "attestation": "none",
        "extensions": {"credProps": True},
    }
}
ASSERTED: Final[dict[str, Any]] = {
    "id": _CREDENTIAL,
    "rawId": _CREDENTIAL,
    "type": "public-key",
    "response": {
        "clientDataJSON": _CLIENT_DATA,
        "authenticatorData": "SZYN5YgOjGh0NBcPZHZgW4_krrmihjLHmVzzuoMdl2MFAAAAAA",
        "signature": "MEUCIQDx",
        "userHandle": _HANDLE,
    },
}
ATTESTED: Final[dict[str, Any]] = {
    "id": _CREDENTIAL,
    "rawId": _CREDENTIAL,
    "type": "public-key",
    "response": {
        "clientDataJSON": _CLIENT_DATA,
        "attestationObject": "o2NmbXRkbm9uZWdhdHRTdG10oGhhdXRoRGF0YQ",
        "transports": ["internal"],
    },
    "clientExtensionResults": {"credProps": {"rk": True}},
}
LOGIN_IN: Final[dict[str, Any]] = {"mode": "live", "credential": ASSERTED}
STEP_UP_IN: Final[dict[str, Any]] = {"credential": ASSERTED}
PASSKEY_IN: Final[dict[str, Any]] = {"name": "blue key", "credential": ATTESTED}
NAME_IN: Final[dict[str, Any]] = {"name": "key in the safe"}
TICKET_IN: Final[dict[str, Any]] = {"ticket": "set-up-ticket"}
SETUP_IN: Final[dict[str, Any]] = {**TICKET_IN, **PASSKEY_IN}
TOKENS: Final[dict[str, Any]] = {
    "object": "session_tokens",
    "session": "ses_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "access_token": "<access token>",
    "token_type": "Bearer",
    "expires_in": 300,
    "refresh_token": "<refresh token>",
}
STEPPED_UP: Final[dict[str, Any]] = {**TOKENS, "refresh_token": None}
PASSKEY: Final[dict[str, Any]] = {
    "id": "psk_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "object": "passkey",
    "name": "blue key",
    "model": "00000000-0000-0000-0000-000000000000",
    "attestation": "none",
    "transports": ["internal"],
    "backup_eligible": False,
    "backed_up": False,
    "created_at": "2026-11-20T09:30:00.000000Z",
    "last_used_at": None,
}
PASSKEYS: Final[dict[str, Any]] = {"data": [PASSKEY], "has_more": False, "next_cursor": None}
