# SPDX-License-Identifier: Apache-2.0
"""One example for each operation, shown in the OpenAPI document."""

from typing import Any, Final

#: The public key of RFC 8037 appendix A.2.
JWK: Final[dict[str, Any]] = {
    "kty": "OKP",
    "crv": "Ed25519",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}
SERVICE_IN: Final[dict[str, Any]] = {
    "name": "billing",
    "permissions": ["payments:payment:create", "payments:payment:read"],
    "jwks": {"keys": [JWK]},
}
KEYS_IN: Final[dict[str, Any]] = {"jwks": {"keys": [JWK]}}
CERTIFICATE_IN: Final[dict[str, Any]] = {
    "thumbprint": "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"
}
SERVICE: Final[dict[str, Any]] = {
    "id": "svc_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "object": "service",
    "mode": "test",
    "name": "billing",
    "permissions": ["payments:payment:create", "payments:payment:read"],
    "keys": [{**JWK, "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"}],
    "certificate_bound": False,
    "created_at": "2026-11-20T09:30:00.000000Z",
    "revoked_at": None,
    "last_used_at": None,
}
SERVICES: Final[dict[str, Any]] = {"data": [SERVICE], "has_more": False, "next_cursor": None}
TOKEN_IN: Final[dict[str, Any]] = {
    "grant_type": "client_credentials",
    "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    "client_assertion": "eyJ<a JWT that the service has signed>",
}
TOKEN: Final[dict[str, Any]] = {
    "access_token": "eyJ<a JWT>",
    "token_type": "Bearer",
    "expires_in": 300,
    "scope": "payments:payment:create payments:payment:read",
}
