# SPDX-License-Identifier: Apache-2.0
"""Adyen's refusal reasons in our words. What is not published is `generic_decline`, with Adyen's word as the reason."""

from collections.abc import Mapping
from typing import Final

from strongroom.payments.declines import ADVICE, DeclineCode, advised, stricter
from strongroom.payments.model import Basis, Found, Outcome

#: `refusalReasonCode` → `refusalReason` and our word. Code 0 comes with approvals and means nothing.
DECLINES: Final[Mapping[str, tuple[str, DeclineCode]]] = {
    "2": ("Refused", DeclineCode.DO_NOT_HONOR),
    "3": ("Referral", DeclineCode.CALL_ISSUER),
    "4": ("Acquirer Error", DeclineCode.ACQUIRER_ERROR),
    "5": ("Blocked Card", DeclineCode.RESTRICTED_CARD),
    "6": ("Expired Card", DeclineCode.EXPIRED_CARD),
    "7": ("Invalid Amount", DeclineCode.AMOUNT_NOT_ALLOWED),
    "8": ("Invalid Card Number", DeclineCode.INCORRECT_NUMBER),
    "9": ("Issuer Unavailable", DeclineCode.ISSUER_NOT_AVAILABLE),
    "10": ("Not supported", DeclineCode.NOT_PERMITTED),
    "11": ("3D Not Authenticated", DeclineCode.AUTHENTICATION_FAILED),
    "12": ("Not enough balance", DeclineCode.INSUFFICIENT_FUNDS),
    "14": ("Acquirer Fraud", DeclineCode.FRAUDULENT),
    "15": ("Cancelled", DeclineCode.CANCELED_BY_CUSTOMER),
    "16": ("Shopper Cancelled", DeclineCode.CANCELED_BY_CUSTOMER),
    "17": ("Invalid Pin", DeclineCode.INCORRECT_PIN),
    "18": ("Pin tries exceeded", DeclineCode.INCORRECT_PIN),
    "19": ("Pin validation not possible", DeclineCode.INCORRECT_PIN),
    # Adyen's own risk engine: not the issuer's suspicion.
    "20": ("FRAUD", DeclineCode.BLOCKED_BY_PROCESSOR),
    "21": ("Not Submitted", DeclineCode.PROCESSING_ERROR),
    "22": ("FRAUD-CANCELLED", DeclineCode.BLOCKED_BY_PROCESSOR),
    "23": ("Transaction Not Permitted", DeclineCode.NOT_PERMITTED),
    "24": ("CVC Declined", DeclineCode.INCORRECT_CVC),
    "25": ("Restricted Card", DeclineCode.RESTRICTED_CARD),
    "26": ("Revocation Of Auth", DeclineCode.MANDATE_REVOKED),
    "27": ("Declined Non Generic", DeclineCode.GENERIC_DECLINE),
    "28": ("Withdrawal amount exceeded", DeclineCode.WITHDRAWAL_LIMIT_EXCEEDED),
    "29": ("Withdrawal count exceeded", DeclineCode.WITHDRAWAL_LIMIT_EXCEEDED),
    "31": ("Issuer Suspected Fraud", DeclineCode.FRAUDULENT),
    "32": ("AVS Declined", DeclineCode.AVS_MISMATCH),
    "33": ("Card requires online pin", DeclineCode.NOT_PERMITTED),
    "34": ("No checking account available on Card", DeclineCode.INVALID_ACCOUNT),
    "35": ("No savings account available on Card", DeclineCode.INVALID_ACCOUNT),
    "36": ("Mobile pin required", DeclineCode.AUTHENTICATION_REQUIRED),
    "37": ("Contactless fallback", DeclineCode.NOT_PERMITTED),
    "38": ("Authentication required", DeclineCode.AUTHENTICATION_REQUIRED),
    "39": ("RReq not received from DS", DeclineCode.AUTHENTICATION_FAILED),
    "40": ("Current AID is in Penalty Box", DeclineCode.TRY_AGAIN_LATER),
    "41": ("CVM Required Restart Payment", DeclineCode.NOT_PERMITTED),
    "42": ("3DS Authentication Error", DeclineCode.AUTHENTICATION_FAILED),
    "43": ("Online PIN required", DeclineCode.NOT_PERMITTED),
    "44": ("Try another interface", DeclineCode.NOT_PERMITTED),
    "45": ("Chip downgrade mode", DeclineCode.NOT_PERMITTED),
    # To spare retry fees: another processor would ask the same issuer once more.
    "46": (
        "Transaction blocked by Adyen to prevent excessive retry fees",
        DeclineCode.BLOCKED_BY_PROCESSOR,
    ),
}
_BY_WORD: Final = {word.casefold(): code for word, code in DECLINES.values()}
REASON_CHARACTERS_MAX: Final = 100


def decline_of(code: str | None, word: str | None, otherwise: DeclineCode) -> DeclineCode:
    """Return our word for a refusal: by its code, else by its word, else `otherwise` where Adyen gave neither."""
    known = DECLINES.get(code or "")
    if known is not None:
        return known[1]
    if word:
        return _BY_WORD.get(word.casefold(), DeclineCode.GENERIC_DECLINE)
    return DeclineCode.GENERIC_DECLINE if code else otherwise


def declined(
    basis: Basis,
    code: DeclineCode,
    reason: str | None,
    processor_reference: str | None,
    advice_code: str | None = None,
) -> Found:
    """Say that an operation was refused; `reason` is Adyen's own word, `advice_code` the network's, if it gave one."""
    return Found(
        Outcome.DECLINED,
        basis,
        processor_reference=processor_reference,
        decline_code=code.value,
        advice=stricter(ADVICE[code], advised(advice_code)).value,
        reason=printable(reason),
    )


def printable(word: str | None) -> str | None:
    """Return a processor's word as it may be kept: printable ASCII, not endless."""
    if not word:
        return None
    kept = "".join(each if " " <= each <= "~" else "?" for each in word)
    return kept[:REASON_CHARACTERS_MAX]
