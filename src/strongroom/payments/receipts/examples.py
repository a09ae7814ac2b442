# SPDX-License-Identifier: Apache-2.0
"""One example for each operation about receipts."""

from typing import Any, Final

RECEIPT: Final[dict[str, Any]] = {
    "object": "receipt",
    "payment": "pay_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
    "issued_at": "2026-11-20T09:30:00.000000Z",
    "jws": "eyJhbGciOiJFZERTQSIs…",
}
JWKS: Final[dict[str, Any]] = {
    "keys": [
        {
            "alg": "EdDSA",
            "crv": "Ed25519",
            "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
            "kty": "OKP",
            "use": "sig",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        }
    ]
}
