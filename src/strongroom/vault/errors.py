# SPDX-License-Identifier: Apache-2.0
"""What the vault may answer instead of a token. None holds a number, a code or a part of one.

Refused
├── TokenUnknown            404   not there, another tenant's, of the other mode, deleted or expired
├── Invalid                 422   one FieldError a field
├── IdempotencyKeyMissing   400
├── IdempotencyKeyMalformed 400
├── IdempotencyMismatch     422   the key was used with another body
├── IdempotencyInFlight     409
├── CvcInvalid              422   altered, of another token, merchant or mode
├── CvcExpired              410   its epoch key is gone
└── CvcUsed                 409   used or discarded before
CannotReadCard              503   data altered or key lost: page someone
"""

from typing import ClassVar

from strongroom.kernel.errors import Conflict, NotThere, Refused, Unavailable


class TokenUnknown(NotThere):
    """There is no such token."""

    code = "token_unknown"


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


class CvcInvalid(Refused):
    """This is not a sealed CVC of this token."""

    code = "cvc_invalid"
    status = 422


class CvcExpired(Refused):
    """This sealed CVC's time has passed."""

    code = "cvc_expired"
    status = 410


class CvcUsed(Conflict):
    """This sealed CVC was used before."""

    code = "cvc_used"


class CannotReadCard(Unavailable):
    """A stored card does not open: it was altered or its key is lost."""

    code = "card_unreadable"
    retry_after_seconds: ClassVar[int] = 60
