# SPDX-License-Identifier: Apache-2.0
"""One example for each operation, shown in the OpenAPI document and sent by a test as it stands."""

from typing import Any, Final

_ID: Final = "tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"

TOKEN_IN: Final[dict[str, Any]] = {
    "card": {"number": "4242424242424242", "exp_month": 12, "exp_year": 2034, "cvc": "737"},
    "deduplicate": True,
    "metadata": {"customer": "c-17"},
    "holder": "Amal Haddad",
}
TOKEN: Final[dict[str, Any]] = {
    "id": _ID,
    "object": "token",
    "mode": "test",
    "brand": "visa",
    "bin": "424242",
    "last4": "4242",
    "exp_month": 12,
    "exp_year": 2034,
    "single_use": False,
    "deduplicated": False,
    "created_at": "2026-11-20T09:30:00.000000Z",
    "expires_at": None,
    "metadata": {"customer": "c-17"},
    "cvc_state": "absent",
    "cvc": None,
    "cvc_expires_at": None,
    "container": "default",
}
READ: Final[dict[str, Any]] = {
    **TOKEN,
    "pan_alias": "9930518846214242",
    "details": ["billing_address", "holder"],
    "holder": "Amal Haddad",
    "billing_address": {
        "country": "AE",
        "line1": "1 Harbour Street",
        "line2": None,
        "city": "Dubai",
        "region": None,
        "postal_code": None,
    },
}
CHANGE: Final[dict[str, Any]] = {
    "exp_month": 11,
    "exp_year": 2036,
    "holder": "Amal Haddad",
    "metadata": {"customer": "c-18"},
}
CHANGED: Final[dict[str, Any]] = {
    **TOKEN,
    "exp_month": 11,
    "exp_year": 2036,
    "metadata": {"customer": "c-18"},
    "details": ["holder"],
}
SEALED_CVC: Final[dict[str, Any]] = {
    "object": "sealed_cvc",
    "token": _ID,
    "cvc": "cvc_Y3ZrXzAxS0FIWDNNWjRWOFEyVDZOMFI1VzdZOUNC",
    "cvc_expires_at": "2026-11-20T10:00:00.000000Z",
}
TOKEN_WITH_CVC: Final[dict[str, Any]] = {
    **TOKEN,
    "details": ["holder"],
    "cvc_state": "sealed",
    "cvc": SEALED_CVC["cvc"],
    "cvc_expires_at": SEALED_CVC["cvc_expires_at"],
}
DEDUPLICATED: Final[dict[str, Any]] = {**TOKEN, "deduplicated": True}
TOKENS_IN: Final[dict[str, Any]] = {
    "tokens": [
        {"card": {"number": "4242424242424242", "exp_month": 12, "exp_year": 2034}},
        {
            "card": {"number": "5555555555554444", "exp_month": 1, "exp_year": 2031},
            "deduplicate": True,
        },
    ]
}
TOKENS_OUT: Final[dict[str, Any]] = {
    "object": "list",
    "created": 1,
    "refused": 1,
    "data": [
        {"index": 0, "token": TOKEN},
        {
            "index": 1,
            "problem": {
                "code": "invalid",
                "detail": "the card's expiry has passed",
                "errors": [
                    {
                        "pointer": "/card/exp_year",
                        "code": "card_expired",
                        "detail": "the card's expiry has passed",
                    }
                ],
            },
        },
    ],
}
PAGE: Final[dict[str, Any]] = {"data": [TOKEN], "has_more": True, "next_cursor": _ID}
CVC_DISCARDED: Final[dict[str, Any]] = {"object": "sealed_cvc", "token": _ID, "discarded": True}
