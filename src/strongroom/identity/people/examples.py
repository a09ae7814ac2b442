# SPDX-License-Identifier: Apache-2.0
"""One example for each operation, shown in the OpenAPI document."""

from typing import Any, Final

PERSON: Final[dict[str, Any]] = {
    "id": "usr_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "object": "person",
    "merchant": "mer_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "email": "amal@shop.example",
    "name": "Amal Haddad",
    "role": "developer",
    "status": "active",
    "created_by": "usr_01KAHX3MZ4V8Q2T6N0R5W7Y9CC",
    "created_at": "2026-11-20T09:30:00.000000Z",
    "last_used_at": "2026-11-21T08:01:12.000000Z",
}
PEOPLE: Final[dict[str, Any]] = {"data": [PERSON], "has_more": False, "next_cursor": None}
ROLE_IN: Final[dict[str, Any]] = {"role": "operator"}
INVITATION_IN: Final[dict[str, Any]] = {
    "email": "noor@shop.example",
    "name": "Noor Rahman",
    "role": "auditor",
}
INVITATION: Final[dict[str, Any]] = {
    "id": "inv_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "object": "invitation",
    "person": "usr_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "reason": "invited",
    "status": "open",
    "created_by": "usr_01KAHX3MZ4V8Q2T6N0R5W7Y9CC",
    "created_at": "2026-11-20T09:30:00.000000Z",
    "expires_at": "2026-11-21T09:30:00.000000Z",
    "link": None,
}
NEW_INVITATION: Final[dict[str, Any]] = {
    **INVITATION,
    "link": "https://console.example/setup#link_<43 characters>",
}
INVITATIONS: Final[dict[str, Any]] = {
    "data": [INVITATION],
    "has_more": False,
    "next_cursor": None,
}
MERCHANT_IN: Final[dict[str, Any]] = {
    "name": "Corner Shop",
    "admin": {"email": "layla@corner.example", "name": "Layla Mansour"},
}
NEW_MERCHANT: Final[dict[str, Any]] = {
    "id": "mer_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "object": "merchant",
    "name": "Corner Shop",
    "status": "active",
    "region": "local",
    "created_at": "2026-11-20T09:30:00.000000Z",
    "invitation": {**NEW_INVITATION, "reason": "first_admin"},
}
LINK_IN: Final[dict[str, Any]] = {"link": "https://console.example/setup#link_<43 characters>"}
SETUP: Final[dict[str, Any]] = {
    "object": "setup",
    "email": "noor@shop.example",
    "name": "Noor Rahman",
    "role": "auditor",
    "tenant": "Corner Shop",
    "needs": [["password", "totp"], ["passkey"]],
    "password": {"characters_min": 12, "characters_max": 128, "letter_and_digit": True},
    "ticket": "ticket_<43 characters>",
    "ticket_expires_at": "2026-11-20T10:00:00.000000Z",
}
SETUP_PASSWORD_IN: Final[dict[str, Any]] = {
    "ticket": "ticket_<43 characters>",
    "password": "quiet harbour 7 lanterns",
}
PASSWORD_IN: Final[dict[str, Any]] = {
    "current": "quiet harbour 7 lanterns",
    "new": "9 copper kettles whistle",
}
OWN: Final[dict[str, Any]] = {
    "object": "own",
    "person": PERSON,
    "tenant": "Corner Shop",
    "mode": "test",
    "permissions": ["identity:key:read", "identity:own:manage"],
    "methods": ["mfa", "otp", "pwd"],
    "stepped_up": True,
}
