# SPDX-License-Identifier: Apache-2.0
"""Sentences that people give with what they do: bounded, printable, and never a card number."""

from typing import Final

from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.errors import FieldError, Invalid

REASON_CHARACTERS_MAX: Final = 500


def read_reason(text: str | None, *, characters_min: int = 0) -> str | None:
    """Return a reason without spaces around it; None where there is none.

    Raises:
        Invalid: too short or long, not printable, or it looks like it holds a card number.
    """
    reason = (text or "").strip()
    if not characters_min <= len(reason) <= REASON_CHARACTERS_MAX or not reason.isprintable():
        raise Invalid(
            FieldError(
                "/reason",
                "reason_malformed",
                f"a reason has {characters_min} to {REASON_CHARACTERS_MAX} printable characters",
            )
        )
    if has_cardlike(reason):
        raise Invalid(
            FieldError("/reason", "card_number_refused", "the reason looks like a card number")
        )
    return reason or None
