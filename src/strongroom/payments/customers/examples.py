# SPDX-License-Identifier: Apache-2.0
"""One example for each operation, shown in the OpenAPI document and sent by a test as it stands."""

from typing import Any, Final

_CUSTOMER: Final = "cus_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_TOKEN: Final = "tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"  # noqa: S105 - an id, not a secret
_MANDATE: Final = "mnd_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_WHEN: Final = "2026-11-20T09:30:00.000000Z"

CUSTOMER_IN: Final[dict[str, Any]] = {
    "reference": "c-17",
    "name": "Amal Haddad",
    "email": "amal@example.com",
    "metadata": {"plan": "yearly"},
}
CUSTOMER_CHANGE: Final[dict[str, Any]] = {"phone": "+971 4 000 0000"}
CUSTOMER: Final[dict[str, Any]] = {
    "id": _CUSTOMER,
    "object": "customer",
    "mode": "test",
    "reference": "c-17",
    "name": "Amal Haddad",
    "email": "amal@example.com",
    "phone": None,
    "metadata": {"plan": "yearly"},
    "default_card": _TOKEN,
    "created_at": _WHEN,
    "updated_at": _WHEN,
}
CUSTOMERS: Final[dict[str, Any]] = {"data": [CUSTOMER], "has_more": False, "next_cursor": None}
CARD_IN: Final[dict[str, Any]] = {"token": _TOKEN, "default": True}
CARD: Final[dict[str, Any]] = {
    "object": "saved_card",
    "customer": _CUSTOMER,
    "token": _TOKEN,
    "brand": "visa",
    "bin": "424242",
    "last4": "4242",
    "exp_month": 12,
    "exp_year": 2034,
    "default": True,
    "mandate": _MANDATE,
    "mandate_status": "active",
    "created_at": _WHEN,
}
CARDS: Final[dict[str, Any]] = {"data": [CARD], "has_more": False, "next_cursor": None}
MANDATE_IN: Final[dict[str, Any]] = {
    "token": _TOKEN,
    "method": "web",
    "text_version": "terms-2026-03",
    "agreed_at": _WHEN,
    "ip_address": "192.0.2.7",
    "user_agent": "Mozilla/5.0",
}
MANDATE: Final[dict[str, Any]] = {
    "id": _MANDATE,
    "object": "mandate",
    "customer": _CUSTOMER,
    "token": _TOKEN,
    "status": "active",
    "method": "web",
    "text_version": "terms-2026-03",
    "agreed_at": _WHEN,
    "ip_address": "192.0.2.7",
    "user_agent": "Mozilla/5.0",
    "created_at": _WHEN,
    "revoked_at": None,
}
MANDATES: Final[dict[str, Any]] = {"data": [MANDATE], "has_more": False, "next_cursor": None}
REVOKED: Final[dict[str, Any]] = {**MANDATE, "status": "revoked", "revoked_at": _WHEN}
