# SPDX-License-Identifier: Apache-2.0
"""One example for each answer of the audit log's routes. They verify: a test sees to it."""

from typing import Any, Final

_ID: Final = "aud_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"

RECORD: Final[dict[str, Any]] = {
    "id": _ID,
    "object": "audit_record",
    "record": {
        "action": "vault.token.created",
        "actor": "key_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
        "details": {"brand": "visa", "last4": "4242"},
        "event_id": _ID,
        "merchant": "mer_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
        "mode": "test",
        "object": "tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
        "origin": None,
        "outcome": "success",
        "request_hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "salt": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "time": "2026-11-20T09:30:00.000000Z",
        "transaction_id": None,
        "v": 1,
    },
    "leaf_hash": "abd5f78d970a04117998c3e62dc35abfed8dceb3a010ac0abddf2da21706effd",
    "sealed": True,
    "index": 0,
}
PAGE: Final[dict[str, Any]] = {"data": [RECORD], "has_more": True, "next_cursor": _ID}
NOTE: Final = (
    "strongroom.example/vault\n"
    "1\n"
    "q9X3jZcKBBF5mMPmLcNav+2NzrOgEKwKvd8tohcG7/0=\n"
    "\n"
    "— strongroom.example/vault JkPGeM/xZTohEFRG3yErBS4ZraNj+2iLwfG58fHT"
    "ioZzyVc1JfDGOtUv0ZixDzWZmz8wHvbjJuzp7V3lBJLE+XG23Qg=\n"
)
CHECKPOINT: Final[dict[str, Any]] = {
    "object": "checkpoint",
    "origin": "strongroom.example/vault",
    "size": 1,
    "root": "q9X3jZcKBBF5mMPmLcNav+2NzrOgEKwKvd8tohcG7/0=",
    "sealed_at": "2026-11-20T09:30:01.000000Z",
    "note": NOTE,
    "vkeys": ["strongroom.example/vault+2643c678+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"],
}
PROOF: Final = "c2sp.org/tlog-proof@v1\nindex 0\n\n" + NOTE
