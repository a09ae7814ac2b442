# SPDX-License-Identifier: Apache-2.0
"""The Idempotency-Key header (ietf-wg-httpapi draft): how it is read, and what is said of one missing or taken.

Refused
├── IdempotencyKeyMissing   400
├── IdempotencyKeyMalformed 400
├── IdempotencyMismatch     422   the key was used with another body
└── IdempotencyInFlight     409
"""

from typing import Annotated, Final

from litestar.openapi.spec import Example
from litestar.params import Parameter

from strongroom.http.limits import IDEMPOTENCY_KEY_CHARACTERS_MAX
from strongroom.http.request import Request
from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.errors import Conflict, Refused

#: Said of an answer that was kept.
REPLAYED: Final = ("idempotent-replayed", "true")

#: The header, for a route's documentation.
IdempotencyKey = Annotated[
    str | None,
    Parameter(
        header="Idempotency-Key",
        required=True,
        description="Your name for this request; the same key gets the same answer for at least 24 hours.",
        examples=[Example(value="order-1042-card")],
    ),
]


class IdempotencyKeyMissing(Refused):
    """This route needs an Idempotency-Key header."""

    code = "idempotency_key_missing"
    status = 400


class IdempotencyKeyMalformed(Refused):
    """An Idempotency-Key has 1 to 255 printable ASCII characters and is not a card number."""

    code = "idempotency_key_malformed"
    status = 400


class IdempotencyMismatch(Refused):
    """This Idempotency-Key was used with another body."""

    code = "idempotency_key_reused"
    status = 422


class IdempotencyInFlight(Conflict):
    """A request with this Idempotency-Key is still being served."""

    code = "idempotency_in_flight"


def idempotency_key(request: Request) -> str:
    """Return the request's Idempotency-Key; quoted (RFC 8941) and unquoted are the same key.

    Raises:
        IdempotencyKeyMissing, IdempotencyKeyMalformed: see each.
    """
    text = request.headers.get("idempotency-key")
    if text is None:
        raise IdempotencyKeyMissing
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if not 1 <= len(text) <= IDEMPOTENCY_KEY_CHARACTERS_MAX or not (
        text.isascii() and text.isprintable()
    ):
        raise IdempotencyKeyMalformed
    if has_cardlike(text):
        raise IdempotencyKeyMalformed
    return text
