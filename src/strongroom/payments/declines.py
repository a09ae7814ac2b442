# SPDX-License-Identifier: Apache-2.0
"""One vocabulary for why a payment was declined, and what may be done then, whatever the processor calls it.

An adapter maps each code that its processor publishes to one of these; a code that nobody published is
`generic_decline`, and the processor's own word stays beside it as the reason.
"""

import enum
import re
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
    BLOCKED_BY_MERCHANT = "blocked_by_merchant"
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
    # Ours, no processor's: a brake refused it, and nothing was sent. A block says `never`.
    DeclineCode.BLOCKED_BY_MERCHANT: Advice.LATER,
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


#: Mastercard's merchant advice codes. Adyen and Checkout.com describe the member that has one, and not its values: the
#: list is Mastercard's, as several processors print it, and what each allows is our reading.
ADVICE_CODES: Final[Mapping[str, Advice]] = {
    "01": Advice.NEW_CARD,  # new account information available
    "02": Advice.LATER,  # cannot approve at this time
    "03": Advice.NEVER,  # do not try again
    "04": Advice.NEW_CARD,  # token not supported
    "21": Advice.NEVER,  # the customer cancelled with the network
    "22": Advice.NEW_CARD,  # the merchant does not qualify for the product
    "24": Advice.LATER,  # after an hour
    "25": Advice.LATER,  # after 24 hours
    "26": Advice.LATER,  # after 2 days
    "27": Advice.LATER,  # after 4 days
    "28": Advice.LATER,  # after 6 days
    "29": Advice.LATER,  # after 8 days
    "30": Advice.LATER,  # after 10 days
    "40": Advice.NEW_CARD,  # a prepaid card that is not loaded again
    "41": Advice.NEW_CARD,  # a virtual number for one use
    "42": Advice.NEVER,  # sanctions scoring
    "43": Advice.NEW_CARD,  # a virtual number for several uses
}
#: "01 : New account information available", or the number alone, with or without its leading zero.
_ADVICE_NUMBER: Final = re.compile(r"\s*([0-9]{1,2})(?![0-9])")


def advised(advice_code: str | None) -> Advice | None:
    """Read a merchant advice code. One that is not known says that the network was asked: nobody else is now."""
    if not advice_code:
        return None
    number = _ADVICE_NUMBER.match(advice_code)
    return ADVICE_CODES.get(number[1].zfill(2) if number else "", Advice.LATER)
