# SPDX-License-Identifier: Apache-2.0
"""One example for each operation of imports and exports."""

from typing import Any, Final

_IMPORT_ID: Final = "imp_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"
_NOW: Final = "2026-11-20T09:30:00.000000Z"
_PERSON: Final = "usr_01KAHX3MZ4V8Q2T6N0R5W7Y9CD"

IMPORT_IN: Final[dict[str, Any]] = {
    "format": "csv",
    "columns": {
        "number": "card_number",
        "expiry": "exp",
        "external_id": "id",
        "metadata": {"customer": "customer_id"},
        "holder": "name_on_card",
        "billing_address": {"country": "bill_country", "postal_code": "bill_zip"},
        "stored_credential": {"initiator": "initiator", "scheme_transaction_id": "nti"},
    },
}
IMPORT: Final[dict[str, Any]] = {
    "id": _IMPORT_ID,
    "object": "import",
    "mode": "test",
    "state": "open",
    "format": "csv",
    "encryption": "none",
    "container": "default",
    "dry_run": False,
    "offset": 0,
    "rows": 0,
    "created": 0,
    "duplicates": 0,
    "refused": 0,
    "digest_kind": "hmac-sha256",
    "digest": None,
    "problem": None,
    "job": None,
    "created_by": "key_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "created_at": _NOW,
    "updated_at": _NOW,
    "ended_at": None,
}
IMPORT_ON: Final[dict[str, Any]] = {
    **IMPORT,
    "offset": 1_048_552,
    "rows": 24_966,
    "created": 24_963,
    "duplicates": 1,
    "refused": 2,
    "digest": "2b4c342f5433ebe591a1da77e013d1b72475562d48578dca8b84bac6651c3cb9",
}
IMPORT_CANCELED: Final[dict[str, Any]] = {**IMPORT, "state": "canceled", "ended_at": _NOW}
IMPORTS: Final[dict[str, Any]] = {"data": [IMPORT_ON], "has_more": False, "next_cursor": None}
RESULTS_CSV: Final = (
    "row,status,token,brand,last4,external_id,problem,field\n"
    "1,created,tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB,visa,4242,,,\n"
    "2,refused,,,,,number_checksum_wrong,\n"
    "3,refused,,,,,field_missing,/billing_address/country\n"
)
RESULTS: Final = (
    '{"row":1,"status":"created","token":"tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB","brand":"visa","last4":"4242"}\n'
    '{"row":2,"status":"refused","problem":"number_checksum_wrong"}\n'
    '{"row":3,"status":"refused","problem":"field_missing","field":"/billing_address/country"}\n'
)
IMPORT_KEY: Final[dict[str, Any]] = {
    "id": "imk_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "object": "import_key",
    "mode": "test",
    "certificate": "-----BEGIN PGP PUBLIC KEY BLOCK-----\n…\n-----END PGP PUBLIC KEY BLOCK-----\n",
    "jwk": {
        "alg": "ECDH-ES+A256KW",
        "crv": "P-256",
        "kid": "imk_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
        "kty": "EC",
        "use": "enc",
        "x": "WKn-ZIGevcwGIyyrzFoZNBdaq9_TsqzGl96oc0CWuis",
        "y": "y77t-RvAHRKTsSGdIYUfweuOvwrvDD-Q3Hv5J0fSKbE",
    },
    "created_by": _PERSON,
    "created_at": _NOW,
}
_RECIPIENT: Final = (
    '{"kty":"EC","crv":"P-256","x":"WKn-ZIGevcwGIyyrzFoZNBdaq9_TsqzGl96oc0CWuis",'
    '"y":"y77t-RvAHRKTsSGdIYUfweuOvwrvDD-Q3Hv5J0fSKbE"}'
)
EXPORT_IN: Final[dict[str, Any]] = {
    "encryption": "jwe_lines",
    "recipient": _RECIPIENT,
    "purpose": "provider_change",
    "note": "to the new processor, contract 77",
    "container": "default",
    "rate": 1_000,
}
EXPORT: Final[dict[str, Any]] = {
    "id": "job_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "object": "export",
    "mode": "test",
    "state": "waiting",
    "container": "default",
    "encryption": "jwe_lines",
    "fingerprint": "3yVQ3yrTDy1PuFBI9mJtBRvfPzRHBY0dTTpTzHIsFTw",
    "total": 1_200,
    "done": 0,
    "pieces": None,
    "digest": None,
    "problem": None,
    "created_by": _PERSON,
    "created_at": _NOW,
    "ended_at": None,
}
PIECE: Final = "eyJhbGciOiJFQ0RILUVTK0EyNTZLVyIsImVuYyI6IkEyNTZHQ00ifQ.5hZ8….Xw0….q1k….mJ4…\n"
