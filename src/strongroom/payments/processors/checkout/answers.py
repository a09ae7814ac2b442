# SPDX-License-Identifier: Apache-2.0
"""What Checkout.com answers, read strictly: what says two things at once, or speaks of something else, is surprising.

Captures, releases and refunds are taken (202) and become true later: an answer to one never says more than "pending".
A raise of what is held is answered at once.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import msgspec

from strongroom.payments.declines import ADVICE, DeclineCode
from strongroom.payments.model import Attempt, Basis, Connection, Found, Operation, Outcome
from strongroom.payments.ports import Account, AnswerSurprising, Command
from strongroom.payments.processors.checkout.checks import told_beside
from strongroom.payments.processors.checkout.declines import declined
from strongroom.payments.processors.checkout.notices import captured_of, place_of
from strongroom.payments.processors.checkout.wire import (
    APPROVED,
    AcceptedOut,
    ActedOut,
    ActionOut,
    Balances,
    ErrorOut,
    IncrementedOut,
    Links,
    PaymentOut,
    PaymentsOut,
    ProcessedOut,
    WorkflowsOut,
)
from strongroom.payments.published import decoded
from strongroom.vault import Forwarded

#: Refusals that the API reference documents as such: nothing was executed. A status alone is anybody's on the way.
_NOT_EXECUTED: Final = frozenset({401, 403, 404, 422})
#: Of these the ones that are documented without a body.
_BODILESS: Final = frozenset({401, 404})
_DUPLICATE: Final = 429
_ACTIONS: Final = {
    Operation.CAPTURE: "Capture",
    Operation.INCREMENT: "Authorization",
    Operation.REFUND: "Refund",
    Operation.VOID: "Void",
}
#: What only a payment can be whose money was taken, or is about to be.
_TAKEN: Final = frozenset(
    {
        "Captured",
        "Deferred Capture",
        "Deferred Refund",
        "Partially Captured",
        "Partially Refunded",
        "Refunded",
    }
)
#: What only an authorized payment can be.
_AUTHORIZED: Final = _TAKEN | {"Authorized", "Voided"}
_processed: Final = msgspec.json.Decoder(ProcessedOut).decode
_incremented: Final = msgspec.json.Decoder(IncrementedOut).decode
_accepted: Final = msgspec.json.Decoder(AcceptedOut).decode
_acted: Final = msgspec.json.Decoder(ActedOut).decode
_payments: Final = msgspec.json.Decoder(PaymentsOut).decode
_actions: Final = msgspec.json.Decoder(list[ActionOut]).decode
_error: Final = msgspec.json.Decoder(ErrorOut).decode
_workflows: Final = msgspec.json.Decoder(WorkflowsOut).decode


def answered(command: Command, reply: Forwarded) -> Found:
    """Read an answer."""
    if reply.status in _NOT_EXECUTED or reply.status == _DUPLICATE:
        return _refused(reply)
    attempt = command.attempt
    if reply.status == 201 and attempt.operation.authorizes:  # noqa: PLR2004 - HTTP
        return _processed_known(attempt, decoded(_processed, reply.body))
    if reply.status in (200, 201, 202) and attempt.operation is Operation.INCREMENT:
        return _incremented_known(command, decoded(_incremented, reply.body))
    if reply.status == 202:  # noqa: PLR2004 - HTTP
        if attempt.operation.authorizes:
            return _accepted_known(attempt, decoded(_accepted, reply.body))
        return _acted_known(command, decoded(_acted, reply.body))
    if reply.status < 300:  # noqa: PLR2004 - HTTP; what is published of these stands above
        raise AnswerSurprising
    # A 5xx may have acted before it failed; whatever else it is, it is not published.
    return Found(Outcome.UNKNOWN, Basis.ANSWER, reason="processor_error")


def found(attempt: Attempt, reply: Forwarded) -> Found | None:
    """Read what was found."""
    if reply.status != 200:  # noqa: PLR2004 - HTTP
        raise AnswerSurprising
    if reply.body.lstrip()[:1] == b"[":
        return _action_found(attempt, decoded(_actions, reply.body))
    listed = decoded(_payments, reply.body)
    if not attempt.operation.authorizes:
        # A list of payments says nothing of an action: "not there" would be a guess.
        return Found(Outcome.UNKNOWN, Basis.LOOKUP, reason="payment_not_known")
    if not listed.data and not listed.total_count:
        return None
    if listed.total_count != 1 or len(listed.data) != 1:
        raise AnswerSurprising
    return _payment_found(attempt, listed.data[0])


def account(connection: Connection, reply: Forwarded) -> Account:
    """Read the account. Nothing there names it but the links, so without a workflow it stays unsaid."""
    if reply.status != 200:  # noqa: PLR2004 - HTTP
        raise AnswerSurprising
    listed = decoded(_workflows, reply.body)
    place = place_of((listed.links.own, *(each.links.own for each in listed.data)))
    missing = []
    if not any(each.active for each in listed.data):
        missing.append("the account has no active workflow: notices will not come")
    if place is None:
        missing.append("it does not say which account this is: make its workflow, and ask again")
        return Account("", "", missing)
    if place.account != connection.account:
        missing.append("the credentials are of another account than the connection names")
    if place.mode != connection.mode:
        missing.append("the account is of the other mode")
    return Account(place.account, place.mode, missing)


def _refused(reply: Forwarded) -> Found:
    """Read a refusal: certain where it is one as published, else unknown.

    Of 429 nothing is certain: the same key is under way, or there were too many requests, and only words say which.
    """
    word = _word(reply.body)
    alone = reply.status in _BODILESS and not reply.body.strip()
    certain = reply.status in _NOT_EXECUTED and (alone or word is not None)
    outcome = Outcome.NOT_SENT if certain else Outcome.UNKNOWN
    return Found(outcome, Basis.ANSWER, reason=word or f"http_{reply.status}")


def _word(body: bytes) -> str | None:
    """Return the word of a refusal as it is published; None where this is none."""
    try:
        error = decoded(_error, body)
    except AnswerSurprising:
        return None
    return next(iter(error.error_codes), error.error_type)


def _require_ours(attempt: Attempt, reference: str | None, links: Links) -> None:
    """Believe an object only where it is what we asked about, in the mode that we asked in (promise 5, C17)."""
    if reference != attempt.attempt_id:
        raise AnswerSurprising
    place = place_of((links.own, links.payment))
    if place is not None and place.mode != attempt.mode:
        raise AnswerSurprising


def _require_amount(attempt: Attempt, amount: int | None, currency: str | None) -> None:
    if amount is not None and amount != attempt.amount:
        raise AnswerSurprising
    if currency is not None and currency != attempt.currency:
        raise AnswerSurprising


def _require_hold(attempt: Attempt, status: str, sums: Balances | None) -> None:
    """Believe that a hold is one: `"capture": false` was asked for, so money that was taken is not what was asked.

    Of a hold that was seen as one before, we may have captured since.
    """
    if attempt.operation is Operation.SALE or attempt.outcome is Outcome.APPROVED:
        return
    if status in _TAKEN or (sums is not None and sums.total_captured):
        raise AnswerSurprising


def _processed_known(attempt: Attempt, payment: ProcessedOut) -> Found:
    """Read 201: status, `approved` and the code must say the same."""
    _require_ours(attempt, payment.reference, payment.links)
    _require_amount(attempt, payment.amount, payment.currency)
    coded = payment.response_code.startswith(APPROVED)
    if payment.approved and coded and payment.status in _approvals(attempt):
        _require_hold(attempt, payment.status, payment.balances)
        found = _approved(attempt, payment.id, payment.balances, Basis.ANSWER)
        told = told_beside(found, payment)
        return replace(told, capture_before=_until(payment.expires_on))
    if not payment.approved and not coded and payment.status == "Declined":
        said = payment.processing
        found = _declined(
            payment.id,
            payment.currency,
            payment.response_code,
            Basis.ANSWER,
            None if said is None else said.advice_code,
        )
        return told_beside(found, payment)
    raise AnswerSurprising


def _approvals(attempt: Attempt) -> Sequence[str]:
    """Return what a payment is called there that was approved at once."""
    verifies = attempt.operation is Operation.VERIFY
    return ("Card Verified",) if verifies else ("Authorized", "Captured")


def _incremented_known(command: Command, raised: IncrementedOut) -> Found:
    """Read the answer to a raise: by how much, and what is held by now."""
    attempt = command.attempt
    _require_ours(attempt, raised.reference, raised.links)
    _require_amount(attempt, raised.amount, raised.currency)
    if raised.approved is not raised.response_code.startswith(APPROVED):
        raise AnswerSurprising
    if not raised.approved:
        declined_ = _declined(raised.action_id, raised.currency, raised.response_code, Basis.ANSWER)
        return replace(declined_, advice=None)
    if raised.balances is not None and raised.balances.total_authorized != attempt.raises_to:
        raise AnswerSurprising
    return Found(
        Outcome.APPROVED,
        Basis.ANSWER,
        processor_reference=raised.action_id,
        amount=raised.amount,
        currency=raised.currency,
        capture_before=_until(raised.expires_on),
    )


def _until(text: str | None) -> datetime | None:
    """Read until when something holds; what is no time says nothing, and decides nothing about money."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _accepted_known(attempt: Attempt, payment: AcceptedOut) -> Found:
    _require_ours(attempt, payment.reference, payment.links)
    _require_amount(attempt, payment.amount, payment.currency)
    redirect = payment.links.redirect
    return Found(
        Outcome.PENDING,
        Basis.ANSWER,
        processor_reference=payment.id,
        currency=payment.currency,
        action_url=None if redirect is None else redirect.href,
    )


def _acted_known(command: Command, acted: ActedOut) -> Found:
    _require_ours(command.attempt, acted.reference, acted.links)
    payment = acted.links.payment
    if payment is not None and not payment.href.endswith(f"/payments/{command.authorization}"):
        raise AnswerSurprising
    return Found(Outcome.PENDING, Basis.ANSWER, processor_reference=acted.action_id)


def _payment_found(attempt: Attempt, payment: PaymentOut) -> Found:
    """Read a payment as it is by now: what happened to it since does not undo that it was authorized."""
    _require_ours(attempt, payment.reference, payment.links)
    sums = payment.balances
    # Once it was approved it may have been raised: those are actions of their own.
    raised = attempt.outcome is Outcome.APPROVED and payment.amount > attempt.amount
    _require_amount(attempt, None if raised else payment.amount, payment.currency)
    authorized = sums is not None and sums.total_authorized > 0
    if payment.status == "Card Verified":
        if attempt.operation is not Operation.VERIFY or authorized:
            raise AnswerSurprising
        return _approved(attempt, payment.id, sums, Basis.LOOKUP)
    if payment.status in _AUTHORIZED or (payment.status == "Expired" and authorized):
        _require_hold(attempt, payment.status, sums)
        if payment.status == "Voided" and sums is None:
            sums = Balances(attempt.amount, attempt.amount, 0)
        return _approved(
            attempt, payment.id, sums, Basis.LOOKUP, expired=payment.status == "Expired"
        )
    if payment.status in ("Pending", "Retry Scheduled"):
        redirect = payment.links.redirect
        return Found(
            Outcome.PENDING,
            Basis.LOOKUP,
            processor_reference=payment.id,
            currency=payment.currency,
            # A list need not repeat it, and the customer may still be on the way there.
            action_url=attempt.action_url if redirect is None else redirect.href,
        )
    if authorized or payment.approved:
        # Declined, canceled or expired, and authorized all the same: of how much, is not said.
        raise AnswerSurprising
    if payment.status == "Declined":
        codes = [each.response_code for each in payment.actions if each.type == "Authorization"]
        code = codes[0] if len(codes) == 1 else None
        if code is not None and code.startswith(APPROVED):
            raise AnswerSurprising
        return _declined(payment.id, payment.currency, code, Basis.LOOKUP)
    return Found(
        Outcome.DECLINED,
        Basis.LOOKUP,
        processor_reference=payment.id,
        currency=payment.currency,
        decline_code=DeclineCode.CANCELED_BY_CUSTOMER.value,
        advice=ADVICE[DeclineCode.CANCELED_BY_CUSTOMER].value,
        reason=payment.status.lower(),
    )


def _action_found(attempt: Attempt, actions: Sequence[ActionOut]) -> Found | None:
    """Read the actions of a payment: ours is the one with our reference."""
    if attempt.operation.authorizes:
        return _sale_found(attempt, actions)
    ours = [each for each in actions if each.reference == attempt.attempt_id]
    if not ours:
        return None
    if len(ours) > 1 or ours[0].type != _ACTIONS[attempt.operation]:
        raise AnswerSurprising
    action = ours[0]
    outcome = _outcome(action)
    if outcome is Outcome.APPROVED and attempt.operation is not Operation.VOID:
        # A release is of whatever was left there: what it says is recorded.
        _require_amount(attempt, action.amount, None)
    why = declined(action.response_code) if outcome is Outcome.DECLINED else None
    return Found(
        outcome,
        Basis.LOOKUP,
        processor_reference=action.id,
        amount=action.amount if outcome is Outcome.APPROVED else None,
        currency=attempt.currency,
        decline_code=None if why is None else why.code.value,
        reason=None if why is None else why.reason,
        released=_sum(actions, "Void"),
    )


def _sale_found(attempt: Attempt, actions: Sequence[ActionOut]) -> Found:
    """Read what became of a sale that was approved, in a currency that was checked then."""
    first = [each for each in actions if each.type == "Authorization"]
    if len(first) != 1 or first[0].reference != attempt.attempt_id:
        raise AnswerSurprising
    _require_amount(attempt, first[0].amount, None)
    if _outcome(first[0]) is not Outcome.APPROVED or attempt.outcome is not Outcome.APPROVED:
        raise AnswerSurprising
    captures = [_outcome(each) for each in actions if each.type == "Capture"]
    lost = Outcome.DECLINED in captures and Outcome.PENDING not in captures
    sums = Balances(attempt.amount, _sum(actions, "Void"), _sum(actions, "Capture"))
    return Found(
        Outcome.APPROVED,
        Basis.LOOKUP,
        processor_reference=attempt.processor_reference,
        amount=attempt.amount,
        currency=attempt.currency,
        released=sums.total_voided,
        captured=captured_of(attempt.operation, sums, lost=lost),
    )


def _outcome(action: ActionOut) -> Outcome:
    """Tell what came of an action. Without a verdict and a code it is under way; with two that differ, surprising."""
    if action.approved is None or action.response_code is None:
        return Outcome.PENDING
    if action.approved is not action.response_code.startswith(APPROVED):
        raise AnswerSurprising
    return Outcome.APPROVED if action.approved else Outcome.DECLINED


def _sum(actions: Sequence[ActionOut], kind: str) -> int:
    return sum(
        each.amount for each in actions if each.type == kind and _outcome(each) is Outcome.APPROVED
    )


def _approved(
    attempt: Attempt,
    payment: str,
    sums: Balances | None,
    basis: Basis,
    *,
    expired: bool = False,
) -> Found:
    if sums is not None and sums.total_authorized != attempt.amount:
        raised = attempt.outcome is Outcome.APPROVED and sums.total_authorized > attempt.amount
        if not raised:
            raise AnswerSurprising
    released = None if sums is None else sums.total_voided
    if expired and sums is not None:
        released = sums.total_authorized - sums.total_captured
    return Found(
        Outcome.APPROVED,
        basis,
        processor_reference=payment,
        amount=attempt.amount,
        currency=attempt.currency,
        released=released,
        captured=None if sums is None else captured_of(attempt.operation, sums, lost=expired),
    )


def _declined(
    payment: str,
    currency: str,
    code: str | None,
    basis: Basis,
    advice_code: str | None = None,
) -> Found:
    why = declined(code, advice_code)
    return Found(
        Outcome.DECLINED,
        basis,
        processor_reference=payment,
        currency=currency,
        decline_code=why.code.value,
        advice=why.advice.value,
        reason=why.reason,
    )
