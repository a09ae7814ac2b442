# SPDX-License-Identifier: Apache-2.0
"""One example for each operation on second factors, shown in the OpenAPI document."""

from typing import Any, Final

#: A code is good for half a minute: whoever sends an example puts their own.
CODE_IN: Final[dict[str, Any]] = {"code": "492039"}
TICKET_IN: Final[dict[str, Any]] = {"ticket": "9fQ2mXw7Lr4TzB8cVn5KdY1sHp6GjA3eUo0RiWqZxMt"}
TICKET_CODE_IN: Final[dict[str, Any]] = {**TICKET_IN, **CODE_IN}
ENROLMENT: Final[dict[str, Any]] = {
    "object": "totp_enrolment",
    "uri": "otpauth://totp/Strongroom:ada%40shop.example?secret=<32 characters>&issuer=Strongroom",
    "secret": "<32 characters of base32>",
    "qr_png": "<a picture in base64>",
    "algorithm": "SHA1",
    "digits": 6,
    "period_seconds": 30,
}
CODES: Final[list[str]] = ["<four groups of four characters>"]
CONFIRMED: Final[dict[str, Any]] = {"object": "totp", "active": True, "recovery_codes": CODES}
RECOVERY_CODES: Final[dict[str, Any]] = {"object": "recovery_codes", "codes": CODES}
FACTORS: Final[dict[str, Any]] = {
    "object": "factors",
    "totp": {"active": True, "since": "2026-11-20T09:30:00.000000Z"},
    "recovery_codes": {"left": 10, "made_at": "2026-11-20T09:30:00.000000Z"},
}
