# SPDX-License-Identifier: Apache-2.0
"""The card vault: the only place where a card number enters and rests. Values and errors; never a card number."""

from strongroom.vault.errors import (
    CannotReadCard,
    CvcExpired,
    CvcInvalid,
    CvcUsed,
    IdempotencyInFlight,
    IdempotencyKeyMalformed,
    IdempotencyKeyMissing,
    IdempotencyMismatch,
    TokenUnknown,
)

__all__ = [
    "CannotReadCard",
    "CvcExpired",
    "CvcInvalid",
    "CvcUsed",
    "IdempotencyInFlight",
    "IdempotencyKeyMalformed",
    "IdempotencyKeyMissing",
    "IdempotencyMismatch",
    "TokenUnknown",
]
