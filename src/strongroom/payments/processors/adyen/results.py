# SPDX-License-Identifier: Apache-2.0
"""What the result of a payment means, by its `resultCode`. Believed for our reference, amount and currency only."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from strongroom.payments.declines import DeclineCode
from strongroom.payments.model import Attempt, Basis, Check, Found, Outcome
from strongroom.payments.ports import AnswerSurprising
from strongroom.payments.processors.adyen.declines import decline_of, declined
from strongroom.payments.processors.adyen.references import reference_of
from strongroom.payments.processors.adyen.wire import PaymentOut
from strongroom.payments.stored import readable_id

#: `additionalData.cvcResult`: "1 Matches", by its number.
CVC: Final[Mapping[str, Check]] = {
    "0": Check.UNAVAILABLE,  # unknown
    "1": Check.MATCH,
    "2": Check.MISMATCH,
    "3": Check.UNCHECKED,
    "4": Check.UNCHECKED,  # required, and not given
    "5": Check.UNAVAILABLE,  # the issuer does not take part
    "6": Check.UNCHECKED,  # not given
}
#: `additionalData.avsResult`: "7 Both postal code and address match", by its number. Names are left out of account.
AVS: Final[Mapping[str, Check]] = {
    "0": Check.UNAVAILABLE,
    "1": Check.PARTIAL,
    "2": Check.MISMATCH,
    "3": Check.UNAVAILABLE,
    "4": Check.UNAVAILABLE,
    "5": Check.UNCHECKED,
    "6": Check.PARTIAL,
    "7": Check.MATCH,
    "8": Check.UNAVAILABLE,
}


def payment_found(attempt: Attempt, given: PaymentOut) -> Found:
    """Read the result of a payment.

    Raises:
        AnswerSurprising: it speaks of another reference, amount or currency, or is no result of such a request.
    """
    if given.merchant_reference not in (None, reference_of(attempt)):
        raise AnswerSurprising
    found = RESULTS[given.result_code](attempt, given)
    told = given.additional_data
    return replace(
        found,
        scheme_transaction_id=readable_id(told.get("networkTxReference")),
        avs_result=_numbered(AVS, told.get("avsResult")),
        cvc_result=_numbered(CVC, told.get("cvcResult")),
    )


def _numbered(meanings: Mapping[str, Check], told: str | None) -> Check | None:
    """Read "1 Matches" by its number."""
    return None if told is None else meanings.get(told.partition(" ")[0])


def _authorized(attempt: Attempt, given: PaymentOut) -> Found:
    if given.psp_reference is None:
        # Without it nothing more can be asked for.
        raise AnswerSurprising
    for currency, value in _said(given):
        if currency not in (None, attempt.currency) or value not in (None, attempt.amount):
            raise AnswerSurprising
    return _approved(attempt, given, attempt.amount)


def _partly(attempt: Attempt, given: PaymentOut) -> Found:
    """Less than was asked for is held; how much must be said, and said alike wherever it is."""
    said = _said(given)
    currencies = {currency for currency, _ in said if currency is not None}
    values = {value for _, value in said if value is not None}
    if given.psp_reference is None or currencies != {attempt.currency} or len(values) != 1:
        raise AnswerSurprising
    (amount,) = values
    if not 0 < amount < attempt.amount:
        raise AnswerSurprising
    return _approved(attempt, given, amount)


def _said(given: PaymentOut) -> list[tuple[str | None, int | None]]:
    """Return every amount that an answer speaks of."""
    said: list[tuple[str | None, int | None]] = []
    if given.amount is not None:
        said.append((given.amount.currency, given.amount.value))
    value = given.additional_data.get("authorisedAmountValue")
    currency = given.additional_data.get("authorisedAmountCurrency")
    if value is not None and not (value.isascii() and value.isdigit() and len(value) <= 12):  # noqa: PLR2004
        raise AnswerSurprising
    if value is not None or currency is not None:
        said.append((currency, None if value is None else int(value)))
    return said


def _approved(attempt: Attempt, given: PaymentOut, amount: int) -> Found:
    return Found(
        Outcome.APPROVED,
        Basis.ANSWER,
        processor_reference=given.psp_reference,
        amount=amount,
        currency=attempt.currency,
    )


def _refused(otherwise: DeclineCode) -> Callable[[Attempt, PaymentOut], Found]:
    def read(_attempt: Attempt, given: PaymentOut) -> Found:
        code = decline_of(given.refusal_reason_code, given.refusal_reason, otherwise)
        reason = given.refusal_reason or given.refusal_reason_code
        advised = given.additional_data.get("merchantAdviceCode")
        return declined(Basis.ANSWER, code, reason, given.psp_reference, advised)

    return read


def _pending(reason: str) -> Callable[[Attempt, PaymentOut], Found]:
    def read(attempt: Attempt, given: PaymentOut) -> Found:
        return Found(
            Outcome.PENDING,
            Basis.ANSWER,
            processor_reference=given.psp_reference,
            currency=attempt.currency,
            reason=reason,
        )

    return read


def _redirected(attempt: Attempt, given: PaymentOut) -> Found:
    action = given.action
    if action is None or action.type != "redirect" or action.url is None:
        raise AnswerSurprising
    # A form that has to be posted is no address to send a customer to.
    followed = action.method in (None, "GET")
    return Found(
        Outcome.PENDING,
        Basis.ANSWER,
        processor_reference=given.psp_reference,
        currency=attempt.currency,
        action_url=action.url if followed else None,
        reason=None if followed else "action_not_supported",
    )


def _not_ours(_attempt: Attempt, _given: PaymentOut) -> Found:
    """A result of requests that we do not make."""
    raise AnswerSurprising


RESULTS: Final[Mapping[str, Callable[[Attempt, PaymentOut], Found]]] = {
    "AuthenticationFinished": _not_ours,
    "AuthenticationNotRequired": _not_ours,
    "Authorised": _authorized,
    "Cancelled": _refused(DeclineCode.CANCELED_BY_CUSTOMER),
    "ChallengeShopper": _pending("action_not_supported"),
    "Error": _refused(DeclineCode.PROCESSING_ERROR),
    "IdentifyShopper": _pending("action_not_supported"),
    "PartiallyAuthorised": _partly,
    "Pending": _pending("pending"),
    "PresentToShopper": _pending("action_not_supported"),
    "Received": _pending("received"),
    "RedirectShopper": _redirected,
    "Refused": _refused(DeclineCode.GENERIC_DECLINE),
    "Success": _not_ours,
}
