# SPDX-License-Identifier: Apache-2.0
"""Stripe's decline codes and advice in our words (docs.stripe.com/declines/codes, docs.stripe.com/error-codes).

A decline has a `decline_code` where the issuer gave a reason, and a `code` always: both are here.
"""

from collections.abc import Mapping
from typing import Final

from strongroom.payments.declines import ADVICE, Advice, DeclineCode, stricter

DECLINES: Final[Mapping[str, DeclineCode]] = {
    "amount_too_large": DeclineCode.AMOUNT_NOT_ALLOWED,
    "amount_too_small": DeclineCode.AMOUNT_NOT_ALLOWED,
    "approve_with_id": DeclineCode.CALL_ISSUER,
    "authentication_not_handled": DeclineCode.AUTHENTICATION_REQUIRED,
    "authentication_required": DeclineCode.AUTHENTICATION_REQUIRED,
    "balance_insufficient": DeclineCode.INSUFFICIENT_FUNDS,
    "call_issuer": DeclineCode.CALL_ISSUER,
    "capture_charge_authorization_expired": DeclineCode.GENERIC_DECLINE,
    "card_decline_rate_limit_exceeded": DeclineCode.CARD_VELOCITY_EXCEEDED,
    "card_declined": DeclineCode.GENERIC_DECLINE,
    "card_not_supported": DeclineCode.CARD_NOT_SUPPORTED,
    "card_velocity_exceeded": DeclineCode.CARD_VELOCITY_EXCEEDED,
    "currency_not_supported": DeclineCode.CURRENCY_NOT_SUPPORTED,
    "do_not_honor": DeclineCode.DO_NOT_HONOR,
    "do_not_try_again": DeclineCode.DO_NOT_HONOR,
    "duplicate_transaction": DeclineCode.DUPLICATE_TRANSACTION,
    "expired_card": DeclineCode.EXPIRED_CARD,
    "fraudulent": DeclineCode.FRAUDULENT,
    "generic_decline": DeclineCode.GENERIC_DECLINE,
    "highest_risk_level": DeclineCode.BLOCKED_BY_PROCESSOR,
    "incorrect_address": DeclineCode.AVS_MISMATCH,
    "incorrect_cvc": DeclineCode.INCORRECT_CVC,
    "incorrect_number": DeclineCode.INCORRECT_NUMBER,
    "incorrect_pin": DeclineCode.INCORRECT_PIN,
    "incorrect_zip": DeclineCode.AVS_MISMATCH,
    "insufficient_funds": DeclineCode.INSUFFICIENT_FUNDS,
    "invalid_account": DeclineCode.INVALID_ACCOUNT,
    "invalid_amount": DeclineCode.AMOUNT_NOT_ALLOWED,
    "invalid_card_type": DeclineCode.CARD_NOT_SUPPORTED,
    "invalid_cvc": DeclineCode.INCORRECT_CVC,
    "invalid_expiry_month": DeclineCode.INVALID_EXPIRY,
    "invalid_expiry_year": DeclineCode.INVALID_EXPIRY,
    "invalid_number": DeclineCode.INCORRECT_NUMBER,
    "invalid_pin": DeclineCode.INCORRECT_PIN,
    "issuer_not_available": DeclineCode.ISSUER_NOT_AVAILABLE,
    "lost_card": DeclineCode.LOST_CARD,
    "merchant_blacklist": DeclineCode.BLOCKED_BY_PROCESSOR,
    "new_account_information_available": DeclineCode.INVALID_ACCOUNT,
    "no_action_taken": DeclineCode.CALL_ISSUER,
    "not_permitted": DeclineCode.NOT_PERMITTED,
    "offline_pin_required": DeclineCode.INCORRECT_PIN,
    "online_or_offline_pin_required": DeclineCode.INCORRECT_PIN,
    "payment_intent_authentication_failure": DeclineCode.AUTHENTICATION_FAILED,
    "pickup_card": DeclineCode.PICKUP_CARD,
    "pin_try_exceeded": DeclineCode.INCORRECT_PIN,
    "processing_error": DeclineCode.PROCESSING_ERROR,
    "reenter_transaction": DeclineCode.TRY_AGAIN_LATER,
    "restricted_card": DeclineCode.RESTRICTED_CARD,
    "revocation_of_all_authorizations": DeclineCode.MANDATE_REVOKED,
    "revocation_of_authorization": DeclineCode.MANDATE_REVOKED,
    "security_violation": DeclineCode.SECURITY_VIOLATION,
    "service_not_allowed": DeclineCode.NOT_PERMITTED,
    "stolen_card": DeclineCode.STOLEN_CARD,
    "stop_payment_order": DeclineCode.MANDATE_REVOKED,
    "testmode_decline": DeclineCode.INCORRECT_NUMBER,
    "transaction_not_allowed": DeclineCode.NOT_PERMITTED,
    "try_again_later": DeclineCode.TRY_AGAIN_LATER,
    "withdrawal_count_limit_exceeded": DeclineCode.WITHDRAWAL_LIMIT_EXCEEDED,
}
#: Why a refund did not arrive (`failure_reason`). `insufficient_funds` is of the merchant's own balance.
REFUND_FAILURES: Final[Mapping[str, DeclineCode]] = {
    "charge_for_pending_refund_disputed": DeclineCode.NOT_PERMITTED,
    "declined": DeclineCode.GENERIC_DECLINE,
    "expired_or_canceled_card": DeclineCode.EXPIRED_CARD,
    "insufficient_funds": DeclineCode.INSUFFICIENT_FUNDS,
    "lost_or_stolen_card": DeclineCode.LOST_CARD,
    "merchant_request": DeclineCode.NOT_PERMITTED,
    "unknown": DeclineCode.GENERIC_DECLINE,
}
#: `advice_code`, which the issuer's network gave. Some came as decline codes before, and still do.
ADVICE_CODES: Final[Mapping[str, Advice]] = {
    "confirm_card_data": Advice.NEW_CARD,
    "do_not_try_again": Advice.NEVER,
    "try_again_later": Advice.LATER,
}


def read_decline(word: str | None, advice_code: str | None) -> tuple[DeclineCode, Advice]:
    """Return our words for a decline; the network's advice where it is stricter than the reason's own."""
    code = DECLINES.get(word or "", DeclineCode.GENERIC_DECLINE)
    advice = stricter(ADVICE[code], ADVICE_CODES.get(word or ""))
    return code, stricter(advice, ADVICE_CODES.get(advice_code or ""))
