# SPDX-License-Identifier: Apache-2.0
"""One vocabulary for why a payment was declined, and what may be done then, whatever the processor calls it.

An adapter maps each code that its processor publishes to one of these; a code that nobody published is
`generic_decline`, and the processor's own word stays beside it as the reason.
"""

import enum
from collections.abc import Mapping
from typing import Final


class Advice(enum.StrEnum):
    """What may be done about a decline."""

    #: The same card once more, after the customer has proven who they are.
    AUTHENTICATE = "authenticate"
    #: The same card once more, another day: schemes limit how often (Visa: 15 times in 30 days).
    LATER = "later"
    #: Nothing: neither this card nor another try.
    NEVER = "never"
    #: Another card, or this one with its data corrected.
    NEW_CARD = "new_card"
    #: The same card, now, through another processor: this one could not, and the issuer was not asked.
    OTHER_PROCESSOR = "other_processor"


#: The stricter first: who has two advices follows the one that stands earlier.
STRICTNESS: Final = (
    Advice.NEVER,
    Advice.NEW_CARD,
    Advice.AUTHENTICATE,
    Advice.LATER,
    Advice.OTHER_PROCESSOR,
)


class DeclineCode(enum.StrEnum):
    """Why a payment was declined."""

    ACQUIRER_ERROR = "acquirer_error"
    AMOUNT_NOT_ALLOWED = "amount_not_allowed"
    AUTHENTICATION_FAILED = "authentication_failed"
    AUTHENTICATION_REQUIRED = "authentication_required"
    AVS_MISMATCH = "avs_mismatch"
    BLOCKED_BY_PROCESSOR = "blocked_by_processor"
    CALL_ISSUER = "call_issuer"
    CANCELED_BY_CUSTOMER = "canceled_by_customer"
    CARD_NOT_SUPPORTED = "card_not_supported"
    CARD_VELOCITY_EXCEEDED = "card_velocity_exceeded"
    CURRENCY_NOT_SUPPORTED = "currency_not_supported"
    DO_NOT_HONOR = "do_not_honor"
    DUPLICATE_TRANSACTION = "duplicate_transaction"
    EXPIRED_CARD = "expired_card"
    FRAUDULENT = "fraudulent"
    GENERIC_DECLINE = "generic_decline"
    INCORRECT_CVC = "incorrect_cvc"
    INCORRECT_NUMBER = "incorrect_number"
    INCORRECT_PIN = "incorrect_pin"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    INVALID_ACCOUNT = "invalid_account"
    INVALID_EXPIRY = "invalid_expiry"
    ISSUER_NOT_AVAILABLE = "issuer_not_available"
    LOST_CARD = "lost_card"
    MANDATE_REVOKED = "mandate_revoked"
    NOT_PERMITTED = "not_permitted"
    PICKUP_CARD = "pickup_card"
    PROCESSING_ERROR = "processing_error"
    RESTRICTED_CARD = "restricted_card"
    SECURITY_VIOLATION = "security_violation"
    STOLEN_CARD = "stolen_card"
    TRY_AGAIN_LATER = "try_again_later"
    WITHDRAWAL_LIMIT_EXCEEDED = "withdrawal_limit_exceeded"


#: What each says may be done, where the processor does not say something stricter itself.
ADVICE: Final[Mapping[DeclineCode, Advice]] = {
    DeclineCode.ACQUIRER_ERROR: Advice.OTHER_PROCESSOR,
    DeclineCode.AMOUNT_NOT_ALLOWED: Advice.NEVER,
    DeclineCode.AUTHENTICATION_FAILED: Advice.AUTHENTICATE,
    DeclineCode.AUTHENTICATION_REQUIRED: Advice.AUTHENTICATE,
    DeclineCode.AVS_MISMATCH: Advice.NEW_CARD,
    # Not another processor: what one takes for fraud is not tried at the next.
    DeclineCode.BLOCKED_BY_PROCESSOR: Advice.NEVER,
    DeclineCode.CALL_ISSUER: Advice.NEW_CARD,
    DeclineCode.CANCELED_BY_CUSTOMER: Advice.AUTHENTICATE,
    DeclineCode.CARD_NOT_SUPPORTED: Advice.OTHER_PROCESSOR,
    DeclineCode.CARD_VELOCITY_EXCEEDED: Advice.LATER,
    DeclineCode.CURRENCY_NOT_SUPPORTED: Advice.OTHER_PROCESSOR,
    DeclineCode.DO_NOT_HONOR: Advice.LATER,
    DeclineCode.DUPLICATE_TRANSACTION: Advice.NEVER,
    DeclineCode.EXPIRED_CARD: Advice.NEW_CARD,
    DeclineCode.FRAUDULENT: Advice.NEVER,
    DeclineCode.GENERIC_DECLINE: Advice.LATER,
    DeclineCode.INCORRECT_CVC: Advice.NEW_CARD,
    DeclineCode.INCORRECT_NUMBER: Advice.NEW_CARD,
    DeclineCode.INCORRECT_PIN: Advice.NEW_CARD,
    DeclineCode.INSUFFICIENT_FUNDS: Advice.LATER,
    DeclineCode.INVALID_ACCOUNT: Advice.NEW_CARD,
    DeclineCode.INVALID_EXPIRY: Advice.NEW_CARD,
    DeclineCode.ISSUER_NOT_AVAILABLE: Advice.LATER,
    DeclineCode.LOST_CARD: Advice.NEVER,
    DeclineCode.MANDATE_REVOKED: Advice.NEVER,
    DeclineCode.NOT_PERMITTED: Advice.NEW_CARD,
    DeclineCode.PICKUP_CARD: Advice.NEVER,
    DeclineCode.PROCESSING_ERROR: Advice.LATER,
    DeclineCode.RESTRICTED_CARD: Advice.NEW_CARD,
    DeclineCode.SECURITY_VIOLATION: Advice.NEW_CARD,
    DeclineCode.STOLEN_CARD: Advice.NEVER,
    DeclineCode.TRY_AGAIN_LATER: Advice.LATER,
    DeclineCode.WITHDRAWAL_LIMIT_EXCEEDED: Advice.LATER,
}


def stricter(one: Advice, other: Advice | None) -> Advice:
    """Return the advice that allows less."""
    return one if other is None else min(one, other, key=STRICTNESS.index)
