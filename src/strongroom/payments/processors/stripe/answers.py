# SPDX-License-Identifier: Apache-2.0
"""Reads Stripe's answers to what we asked. What is not about our attempt, to the reference and the unit, surprises."""

from dataclasses import replace
from typing import Final

import msgspec

from strongroom.kernel.mode import Mode
from strongroom.payments.model import Attempt, Basis, Found, Operation, Outcome
from strongroom.payments.ports import AnswerSurprising, Command
from strongroom.payments.processors.stripe import setups
from strongroom.payments.processors.stripe.amounts import amount_from_stripe
from strongroom.payments.processors.stripe.reading import (
    ATTEMPT,
    CAPTURE,
    INCREMENT,
    PAYMENT,
    authorization_known,
    capture_known,
    decline_of,
    decoded,
    increment_known,
    operation_of,
    refund_known,
    void_known,
)
from strongroom.payments.processors.stripe.wire import (
    AccountOut,
    ErrorOut,
    IntentOut,
    MethodOut,
    ProblemOut,
    RefundOut,
    SetupOut,
)
from strongroom.vault import Forwarded

_intent: Final = msgspec.json.Decoder(IntentOut).decode
_setup: Final = msgspec.json.Decoder(SetupOut).decode
_refund: Final = msgspec.json.Decoder(RefundOut).decode
_method: Final = msgspec.json.Decoder(MethodOut).decode
_account: Final = msgspec.json.Decoder(AccountOut).decode
_problem: Final = msgspec.json.Decoder(ProblemOut).decode

_DECLINED: Final = 402
#: Refusals before anything was executed: what was asked for was wrong, or not allowed.
_NOT_EXECUTED: Final = frozenset({400, 401, 403, 404})
_TOO_MANY: Final = 429
_CONFLICT: Final = 409
#: A PaymentIntent that stands here has charged nobody.
_UNCHARGED: Final = frozenset({"requires_payment_method", "requires_confirmation", "canceled"})


def account_of(body: bytes) -> AccountOut:
    """Read an account. Raises AnswerSurprising."""
    return decoded(_account, body)


def method_of(attempt: Attempt, body: bytes) -> str:
    """Read the name of the PaymentMethod that was made for an attempt. Raises AnswerSurprising."""
    method = decoded(_method, body)
    _require_mode(attempt, livemode=method.livemode)
    if (method.metadata or {}).get(ATTEMPT) != attempt.attempt_id:
        raise AnswerSurprising
    return method.id


def refused_to_prepare(reply: Forwarded) -> Found:
    """Read why no PaymentMethod was made: the card is bad, or it is not the card's fault. No money was asked for."""
    error = decoded(_problem, reply.body).error
    if reply.status == _DECLINED and error.type == "card_error":
        return decline_of(error, Basis.ANSWER)
    return Found(Outcome.NOT_SENT, Basis.ANSWER, reason=error.code or error.type)


def read_answer(command: Command, body: bytes) -> Found:
    """Read the answer to a command. Raises AnswerSurprising."""
    attempt = command.attempt
    if attempt.operation is Operation.REFUND:
        refund = decoded(_refund, body)
        if refund.payment_intent != command.authorization:
            raise AnswerSurprising
        return _refund_checked(attempt, refund, Basis.ANSWER)
    if attempt.operation is Operation.VERIFY:
        return setups.checked(attempt, decoded(_setup, body), Basis.ANSWER)
    intent = decoded(_intent, body)
    if not attempt.operation.authorizes and intent.id != command.authorization:
        raise AnswerSurprising
    return _intent_checked(attempt, intent, Basis.ANSWER)


def read_found(attempt: Attempt, body: bytes) -> Found:
    """Read what stands under the name that an earlier answer gave. Raises AnswerSurprising."""
    if attempt.operation is Operation.REFUND:
        return _refund_checked(attempt, decoded(_refund, body), Basis.LOOKUP)
    if attempt.operation is Operation.VERIFY:
        return setups.checked(attempt, decoded(_setup, body), Basis.LOOKUP)
    return _intent_checked(attempt, decoded(_intent, body), Basis.LOOKUP)


def refused(command: Command, reply: Forwarded) -> Found:
    """Read an answer that is not a 200.

    `not_sent` where nothing was executed for certain; a key that is in use or was used for something else may have
    moved money, and so may whatever failed at Stripe: `unknown`.

    Raises:
        AnswerSurprising: it is no error as Stripe publishes them, or is about another payment.
    """
    error = decoded(_problem, reply.body).error
    word = error.code or error.type
    if error.type == "idempotency_error":
        return Found(Outcome.UNKNOWN, Basis.ANSWER, reason=error.type)
    if reply.status == _DECLINED and error.type == "card_error":
        return _declined(command.attempt, error)
    if reply.status == _TOO_MANY:
        # Too many requests, or a lock on the object: refused before the key was kept.
        return Found(Outcome.NOT_SENT, Basis.ANSWER, reason=word)
    if reply.status == _CONFLICT:
        held = error.code == "lock_timeout"
        return Found(Outcome.NOT_SENT if held else Outcome.UNKNOWN, Basis.ANSWER, reason=word)
    if reply.status in _NOT_EXECUTED and error.type == "invalid_request_error":
        intent = error.payment_intent
        charged = command.attempt.operation.authorizes and (
            intent is not None and intent.status not in _UNCHARGED
        )
        return Found(Outcome.UNKNOWN if charged else Outcome.NOT_SENT, Basis.ANSWER, reason=word)
    return Found(Outcome.UNKNOWN, Basis.ANSWER, reason="processor_error")


def _declined(attempt: Attempt, error: ErrorOut) -> Found:
    intent = error.payment_intent
    if not attempt.operation.authorizes:
        return decline_of(error, Basis.ANSWER)
    if attempt.operation is Operation.VERIFY:
        return _not_verified(attempt, error)
    if intent is None or intent.status not in _UNCHARGED:
        raise AnswerSurprising
    _require_ours(attempt, intent, ATTEMPT, attempt.attempt_id)
    return decline_of(error, Basis.ANSWER, intent.id)


def _not_verified(attempt: Attempt, error: ErrorOut) -> Found:
    setup = error.setup_intent
    if setup is None or setup.metadata.get(ATTEMPT) != attempt.attempt_id:
        raise AnswerSurprising
    _require_mode(attempt, livemode=setup.livemode)
    if setup.status not in _UNCHARGED:
        raise AnswerSurprising
    return decline_of(error, Basis.ANSWER, setup.id)


def _intent_checked(attempt: Attempt, intent: IntentOut, basis: Basis) -> Found:
    """Believe a PaymentIntent only where it is what we asked about, in amount and currency too (promise 5)."""
    _require_ours(attempt, intent, PAYMENT, attempt.payment_id)
    if attempt.operation is Operation.VOID:
        return void_known(intent, basis)
    amount, _ = amount_from_stripe(intent.amount, intent.currency)
    if attempt.operation is Operation.INCREMENT:
        if intent.metadata.get(INCREMENT) != attempt.attempt_id or amount != attempt.raises_to:
            raise AnswerSurprising
        return replace(increment_known(intent, basis), amount=attempt.amount)
    if attempt.operation is Operation.CAPTURE:
        if intent.metadata.get(CAPTURE) != attempt.attempt_id:
            raise AnswerSurprising
        found = capture_known(intent, basis)
        if found.outcome is Outcome.APPROVED and found.amount != attempt.amount:
            raise AnswerSurprising
        return found
    _require_ours(attempt, intent, ATTEMPT, attempt.attempt_id)
    if amount != attempt.amount or operation_of(intent) is not attempt.operation:
        raise AnswerSurprising
    return authorization_known(intent, basis)


def _refund_checked(attempt: Attempt, refund: RefundOut, basis: Basis) -> Found:
    amount, currency = amount_from_stripe(refund.amount, refund.currency)
    if (refund.metadata or {}).get(ATTEMPT) != attempt.attempt_id:
        raise AnswerSurprising
    if (amount, currency) != (attempt.amount, attempt.currency):
        raise AnswerSurprising
    return refund_known(refund, basis)


def _require_ours(attempt: Attempt, intent: IntentOut, member: str, reference: str) -> None:
    _require_mode(attempt, livemode=intent.livemode)
    if intent.metadata.get(member) != reference or intent.currency.upper() != attempt.currency:
        raise AnswerSurprising


def _require_mode(attempt: Attempt, *, livemode: bool) -> None:
    if livemode is not (attempt.mode is Mode.LIVE):
        raise AnswerSurprising
