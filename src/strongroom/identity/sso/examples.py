# SPDX-License-Identifier: Apache-2.0
"""One example for each operation of single sign-on, shown in the OpenAPI document."""

from typing import Any, Final

PROVIDER_ID: Final = "sso_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
PROVIDER_IN: Final[dict[str, Any]] = {
    "name": "Corner Shop's accounts",
    "issuer": "https://accounts.shop.example",
    "client_id": "strongroom",
    "client_secret": "what the provider gave for this client",
    "domains": ["shop.example"],
    "redirects": ["https://console.shop.example/signed-in"],
    "role_claim": "groups",
    "roles": [
        {"value": "payments-admins", "role": "admin"},
        {"value": "support", "role": "operator"},
    ],
    "required_amr": ["mfa"],
    "required_acr": [],
    "max_age_seconds": 300,
    "creates_people": True,
}
PROVIDER: Final[dict[str, Any]] = {
    "id": PROVIDER_ID,
    "object": "identity_provider",
    **{name: value for name, value in PROVIDER_IN.items() if name != "client_secret"},
    "status": "active",
    "created_at": "2026-11-20T09:30:00.000000Z",
    "updated_at": "2026-11-20T09:30:00.000000Z",
}
PROVIDERS: Final[dict[str, Any]] = {"data": [PROVIDER], "has_more": False, "next_cursor": None}
PROVIDER_CHANGE_IN: Final[dict[str, Any]] = {"domains": ["shop.example", "warehouse.shop.example"]}
CHANGED_PROVIDER: Final[dict[str, Any]] = {**PROVIDER, **PROVIDER_CHANGE_IN}
DISABLED_PROVIDER: Final[dict[str, Any]] = {**PROVIDER, "status": "disabled"}
START_IN: Final[dict[str, Any]] = {
    "provider": PROVIDER_ID,
    "mode": "test",
    "redirect": "https://console.shop.example/signed-in",
}
STARTED: Final[dict[str, Any]] = {
    "object": "sso_start",
    "authorization_url": "https://accounts.shop.example/authorize?response_type=code&…",
    "ticket": "<43 characters that stay in the browser>",
    "expires_seconds": 600,
}
FINISH_IN: Final[dict[str, Any]] = {
    "state": "<from the address that the provider sent the browser to>",
    "code": "<likewise>",
    "iss": "https://accounts.shop.example",
    "ticket": "<from the start>",
}
SIGNED_IN: Final[dict[str, Any]] = {
    "object": "session_tokens",
    "session": "ses_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "access_token": "<a token for five minutes>",
    "token_type": "Bearer",
    "expires_in": 300,
    "refresh_token": "<a token that is used once>",
}
