# SPDX-License-Identifier: Apache-2.0
"""What is found out about an attempt does to its payment: an answer, a look, a signed notice. Touches nothing.

What was known is never forgotten for something vaguer; what a processor reports is recorded, sums or no sums.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import msgspec

from strongroom.kernel.events import EventType
from strongroom.payments.checks import failed_checks
from strongroom.payments.decisions import (
    CAPTURE_FAILED,
    Decided,
    added,
    contribution,
    decided_over,
)
from strongroom.payments.holds import holds_now, prolonged
from strongroom.payments.ledger import postings
from strongroom.payments.model import (
    Attempt,
    Basis,
    Found,
    Loaded,
    Operation,
    Outcome,
    Payment,
    Refund,
    RefundStatus,
    Status,
)

_replace: Final = msgspec.structs.replace
#: Why a pending payment that a merchant began leads nowhere.
NOBODY_THERE: Final = "challenge_not_possible"
#: Why an attempt that is reported approved does not say so yet: another one of its payment is open, and ends first.
APPROVED_BESIDE: Final = "approved_beside_another"
#: What a merchant hears of what did not happen, and leaves the authorization as it is.
_FAILED: Final = {
    Operation.CAPTURE: EventType.PAYMENT_CAPTURE_FAILED,
    Operation.INCREMENT: EventType.PAYMENT_INCREMENT_FAILED,
    Operation.VOID: EventType.PAYMENT_VOID_FAILED,
}
#: What saving takes at most: a lease that ends sooner may be over by then.
_SAVING: Final = timedelta(seconds=2)


def settle(loaded: Loaded, attempt: Attempt, found: Found, now: datetime) -> Decided:
    """Apply what is known of an attempt now. What was known before is never forgotten for something vaguer.

    A final outcome that changes is a fact too: a capture that fails after it was approved gives its amount back to what
    may be captured; an approval that comes late counts, unless another authorization lives: then it is a discrepancy.
    Where another one may live, it is a discrepancy now, and is to be told again when that one has ended.
    """
    payment = loaded.payment
    found = _without_challenge(payment, found)
    found = _of_the_first(payment, attempt, found)
    if _tells_nothing_new(payment, attempt, found):
        return Decided(payment, changed=False)
    other = loaded.authorization
    contradicts = (
        attempt.operation.authorizes
        and attempt.outcome is Outcome.APPROVED
        and found.outcome is not Outcome.APPROVED
    )
    doubled = (
        attempt.operation.authorizes
        and found.outcome is Outcome.APPROVED
        and other is not None
        and other.attempt_id != attempt.attempt_id
    )
    beside = is_beside_open(loaded, attempt, found)
    if contradicts or doubled or beside or _approved_twice(attempt, found):
        return _discrepancy(loaded, attempt, found, now)
    known = _replace(
        attempt,
        outcome=found.outcome,
        basis=found.basis,
        processor_reference=found.processor_reference or attempt.processor_reference,
        settled_amount=_settled(attempt, found),
        decline_code=found.decline_code,
        advice=found.advice,
        reason=_reason(attempt, found.reason),
        action_url=found.action_url,
        scheme_transaction_id=found.scheme_transaction_id or attempt.scheme_transaction_id,
        avs_result=found.avs_result or attempt.avs_result,
        cvc_result=found.cvc_result or attempt.cvc_result,
        # Whoever sent it has stopped: what has not arrived by now never will.
        lease_until=min(attempt.lease_until, now),
        settled_at=now if found.outcome.is_final else None,
    )
    changed = _balanced(payment, attempt, known)
    if _lost_capture(known, found):
        known = _replace(known, reason=CAPTURE_FAILED)
        changed = _replace(changed, captured=changed.captured - (known.settled_amount or 0))
    if _unknown_release(changed, known, found):
        changed = _replace(changed, voided=_released(changed, found) or 0, cancel_reason="expired")
    if _stays_released(changed, attempt, found):
        changed = _replace(changed, voided=found.released or 0)
    if holds_now(attempt.operation, found):
        changed = prolonged(changed, found.capture_before)
    if attempt.operation.authorizes:
        changed = _replace(
            changed,
            action_url=found.action_url,
            decline_code=found.decline_code,
            advice=found.advice,
            token_id=None if found.outcome is Outcome.DECLINED else changed.token_id,
            # What follows goes where it is held, also where another attempt was the last to be asked.
            connection_id=attempt.connection_id
            if found.outcome is Outcome.APPROVED
            else changed.connection_id,
        )
    refund = loaded.refund_of(attempt)
    refunds = () if refund is None else _refund_settled(refund, known, now)
    decided = decided_over(
        loaded, changed, known, now=now, happened=_happened(attempt, known, refunds)
    )
    if decided.payment.status is Status.CANCELED is not payment.status:
        decided = replace(decided, happened=(*decided.happened, EventType.PAYMENT_CANCELED))
    if failed_checks(known) and not failed_checks(attempt):
        decided = replace(decided, happened=(*decided.happened, EventType.PAYMENT_CHECK_FAILED))
    wrong = breaks_a_sum(decided.payment) or _contradicts_people(attempt, found)
    broken = wrong and not payment.discrepancy
    if broken:
        decided = replace(
            decided,
            payment=_replace(decided.payment, discrepancy=True),
            happened=(*decided.happened, EventType.PAYMENT_DISCREPANCY),
            discrepancy=True,
        )
    posted = postings(payment, decided.payment, attempt, known, now)
    return replace(decided, refunds=refunds, postings=posted)


def _without_challenge(payment: Payment, found: Found) -> Found:
    """Return what was found, without an address to send a customer to where none is there."""
    stored = payment.stored_credential
    if stored is None or not stored.by_merchant or found.action_url is None:
        return found
    return replace(found, action_url=None, reason=NOBODY_THERE)


def told_in_time(attempt: Attempt, found: Found, now: datetime) -> Found:
    """Return what an answer says, or that it says nothing: "not sent" by a sender whose lease is over, or nearly.

    Somebody else may be looking for the attempt by then, and where looking is a replay, has sent it.
    """
    if found.outcome is not Outcome.NOT_SENT or found.basis is not Basis.ANSWER:
        return found
    if attempt.outcome is None and now + _SAVING < attempt.lease_until:
        return found
    return replace(found, outcome=Outcome.UNKNOWN)


def agrees(payment: Payment, attempt: Attempt, found: Found) -> bool:
    """Tell whether a report says what is known already."""
    found = _of_the_first(payment, attempt, found)
    return (
        attempt.outcome is found.outcome
        and not _unknown_release(payment, attempt, found)
        and not _lost_capture(attempt, found)
        and not _approved_twice(attempt, found)
        and (found.amount is None or attempt.settled_amount in (None, found.amount))
        and (found.outcome is not Outcome.PENDING or attempt.action_url == found.action_url)
    )


def _tells_nothing_new(payment: Payment, attempt: Attempt, found: Found) -> bool:
    if attempt.outcome is None:
        return False
    if attempt.outcome.is_final:
        # Vaguer, or "nothing found" about what was seen: neither takes anything back.
        return (
            agrees(payment, attempt, found)
            or not found.outcome.is_final
            or (found.outcome is Outcome.NOT_SENT)
            or is_overtaken(attempt, found)
            or is_of_another_try(attempt, found)
        )
    if found.outcome is Outcome.UNKNOWN:
        return True
    return agrees(payment, attempt, found)


def _contradicts_people(attempt: Attempt, found: Found) -> bool:
    """Tell whether a processor says otherwise than two people did: it is recorded, and somebody looks."""
    if attempt.basis is not Basis.PERSON or found.basis is Basis.PERSON:
        return False
    approved = Outcome.APPROVED
    return found.outcome.is_final and (attempt.outcome is approved) is not (
        found.outcome is approved
    )


def _of_the_first(payment: Payment, attempt: Attempt, found: Found) -> Found:
    """Return what is found of an authorization without what increments have added: those are attempts of their own."""
    if not attempt.operation.authorizes or None in (found.amount, attempt.settled_amount):
        return found
    added_since = (found.amount or 0) - (attempt.settled_amount or 0)
    known = (payment.incremented, payment.incremented + payment.incrementing)
    if added_since > 0 and added_since in known:
        return replace(found, amount=attempt.settled_amount)
    return found


def _approved_twice(attempt: Attempt, found: Found) -> bool:
    """Tell whether the processor names another authorization of an attempt than the one that is known: it made two."""
    return (
        attempt.operation.authorizes
        and attempt.outcome is found.outcome is Outcome.APPROVED
        and attempt.processor_reference is not None
        and found.processor_reference not in (None, attempt.processor_reference)
    )


def _lost_capture(attempt: Attempt, found: Found) -> bool:
    """Tell whether the capture of a sale has failed since, which leaves an authorization."""
    return (
        attempt.operation is Operation.SALE
        and found.outcome is Outcome.APPROVED
        and found.captured == 0
        and attempt.reason != CAPTURE_FAILED
    )


def is_early(payment: Payment, attempt: Attempt, found: Found) -> bool:
    """Tell whether a release is reported while a capture or a void is under way, which may be what released it."""
    return _released_more(payment, attempt, found) and bool(payment.voiding or payment.capturing)


def is_beside_open(loaded: Loaded, attempt: Attempt, found: Found) -> bool:
    """Tell whether an attempt that had ended is reported approved while another that begins the payment is open.

    The database takes one that lives or may live, no second: this approval is saved when the other attempt has ended.
    """
    if not attempt.operation.authorizes or attempt.is_open:
        return False
    if attempt.outcome is Outcome.APPROVED or found.outcome is not Outcome.APPROVED:
        return False
    return any(
        each.operation.authorizes and each.is_open and each.attempt_id != attempt.attempt_id
        for each in loaded.attempts
    )


def _unknown_release(payment: Payment, attempt: Attempt, found: Found) -> bool:
    """Tell whether a processor released more of an authorization than we asked it to: it expired there."""
    return _released_more(payment, attempt, found) and not (payment.voiding or payment.capturing)


def _released_more(payment: Payment, attempt: Attempt, found: Found) -> bool:
    return (
        attempt.operation.authorizes
        and attempt.operation is not Operation.VERIFY  # which holds nothing
        and found.outcome is Outcome.APPROVED
        and (_released(payment, found) or 0) > payment.voided
    )


def _released(payment: Payment, found: Found) -> int | None:
    """Return how much is said to be released by now."""
    if found.released is None or not found.releases_rest:
        return found.released
    return min(found.released, max(payment.authorized - payment.captured, payment.voided))


def _stays_released(payment: Payment, attempt: Attempt, found: Found) -> bool:
    """Tell whether a final capture that failed after it succeeded has released the rest, which does not come back."""
    return (
        attempt.operation is Operation.CAPTURE
        and found.outcome is Outcome.DECLINED
        and found.released is not None
        and not payment.voiding
        and found.released > payment.voided
    )


def is_of_another_try(attempt: Attempt, found: Found) -> bool:
    """Tell whether a notice refuses another try than the one that was approved: the customer had several."""
    return (
        attempt.operation.authorizes
        and attempt.outcome is Outcome.APPROVED
        and found.outcome is Outcome.DECLINED
        and found.basis is Basis.NOTICE
        and attempt.processor_reference is not None
        and found.processor_reference not in (None, attempt.processor_reference)
    )


def is_overtaken(attempt: Attempt, found: Found) -> bool:
    """Tell whether a notice of a success comes after that of its failure: what failed does not succeed any more."""
    return (
        not attempt.operation.authorizes
        and attempt.outcome is Outcome.DECLINED
        and found.outcome is Outcome.APPROVED
        and found.basis is Basis.NOTICE
        and attempt.basis is not Basis.PERSON
    )


def _discrepancy(loaded: Loaded, attempt: Attempt, found: Found, now: datetime) -> Decided:
    """Two authorizations, or one that was taken back: nothing of ours adds up with that, so a person looks."""
    payment = loaded.payment
    word = "approved_twice" if found.outcome is Outcome.APPROVED else "taken_back"
    if is_beside_open(loaded, attempt, found):
        word = APPROVED_BESIDE
    noted = _replace(attempt, reason=_reason(attempt, word))
    if noted == attempt and payment.discrepancy:
        return Decided(payment, changed=False)
    at = max(now, payment.updated_at)
    marked = _replace(payment, discrepancy=True, version=payment.version + 1, updated_at=at)
    if payment.discrepancy and attempt.reason == APPROVED_BESIDE:
        return Decided(marked, (noted,))  # it was said while the other attempt was open
    return Decided(marked, (noted,), (), (EventType.PAYMENT_DISCREPANCY,), discrepancy=True)


def _balanced(payment: Payment, before: Attempt, after: Attempt) -> Payment:
    return added(added(payment, contribution(before), -1), contribution(after), 1)


def _settled(attempt: Attempt, found: Found) -> int | None:
    if found.outcome is not Outcome.APPROVED:
        return None
    return attempt.amount if found.amount is None else found.amount


def _reason(attempt: Attempt, word: str | None) -> str | None:
    """Return why. That a sale's capture failed is kept: told of again, it must not be taken away again."""
    lost = attempt.operation is Operation.SALE and attempt.reason == CAPTURE_FAILED
    return CAPTURE_FAILED if lost else word


def breaks_a_sum(payment: Payment) -> bool:
    """Tell whether more was taken, given back or released than there was."""
    return (
        payment.capturing + payment.captured + payment.voiding + payment.voided > payment.authorized
        or payment.refunding + payment.refunded + payment.disputed > payment.captured
        or payment.authorized > payment.amount + payment.incremented
    )


def _refund_settled(refund: Refund, attempt: Attempt, now: datetime) -> tuple[Refund, ...]:
    if attempt.is_open:
        return ()
    status = RefundStatus.SUCCEEDED if attempt.outcome is Outcome.APPROVED else RefundStatus.FAILED
    code = attempt.decline_code or (
        None if status is RefundStatus.SUCCEEDED else (attempt.outcome or Outcome.UNKNOWN).value
    )
    return (_replace(refund, status=status, failure_code=code, updated_at=now),)


def _happened(
    before: Attempt, after: Attempt, refunds: tuple[Refund, ...]
) -> tuple[EventType, ...]:
    """Say what a merchant hears of it."""
    outcome = after.outcome
    if after.reason == CAPTURE_FAILED != before.reason:
        return (EventType.PAYMENT_CAPTURE_FAILED,)
    if before.operation.authorizes and before.outcome is outcome is Outcome.APPROVED:
        return (EventType.PAYMENT_VOIDED,)  # it expired at the processor
    if before.operation is Operation.REFUND:
        if not refunds:
            return ()
        succeeded = refunds[0].status is RefundStatus.SUCCEEDED
        return (EventType.REFUND_SUCCEEDED if succeeded else EventType.REFUND_FAILED,)
    if outcome is Outcome.APPROVED:
        return (
            {
                Operation.AUTHORIZE: EventType.PAYMENT_AUTHORIZED,
                Operation.VERIFY: EventType.PAYMENT_VERIFIED,
                Operation.INCREMENT: EventType.PAYMENT_INCREMENTED,
                Operation.VOID: EventType.PAYMENT_VOIDED,
            }.get(before.operation, EventType.PAYMENT_CAPTURED),
        )
    if outcome in (Outcome.UNKNOWN, Outcome.PENDING):
        asks = after.action_url is not None
        return (EventType.PAYMENT_ACTION_REQUIRED if asks else EventType.PAYMENT_PROCESSING,)
    failed = _FAILED.get(before.operation)
    if failed is not None:
        return (failed,)
    if before.operation.authorizes and outcome is Outcome.DECLINED:
        return (EventType.PAYMENT_DECLINED,)
    told = before.outcome in (Outcome.UNKNOWN, Outcome.PENDING)
    if before.operation.authorizes and told and outcome is Outcome.NOT_SENT:
        return (EventType.PAYMENT_NOT_SENT,)
    return ()
