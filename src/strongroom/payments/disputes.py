# SPDX-License-Identifier: Apache-2.0
"""What a processor tells of a dispute does to its payment. Touches nothing.

A dispute goes forward only: each word of a processor's has a step, and what is told of an earlier one is old news,
whenever it comes. What is told is recorded, sums or no sums; what contradicts itself is a discrepancy, and changes
nothing else.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import msgspec

from strongroom.kernel.events import EventType
from strongroom.kernel.ids import ConnectionId, DisputeId
from strongroom.payments.decisions import Decided, decided_over
from strongroom.payments.findings import breaks_a_sum
from strongroom.payments.ledger import dispute_postings
from strongroom.payments.model import Dispute, DisputeStatus, DisputeTold, Loaded, Payment

_replace: Final = msgspec.structs.replace
#: While it stands there, the processor has taken the amount.
TAKEN: Final = frozenset({DisputeStatus.LOST, DisputeStatus.OPENED, DisputeStatus.UNDER_REVIEW})
#: While it stands there, evidence helps.
ANSWERABLE: Final = frozenset({DisputeStatus.INQUIRY, DisputeStatus.OPENED})
_HEARD: Final = {
    DisputeStatus.INQUIRY: EventType.DISPUTE_OPENED,
    DisputeStatus.LOST: EventType.DISPUTE_LOST,
    DisputeStatus.OPENED: EventType.DISPUTE_OPENED,
    DisputeStatus.REVERSED: EventType.DISPUTE_REVERSED,
    DisputeStatus.UNDER_REVIEW: EventType.DISPUTE_UPDATED,
    DisputeStatus.WON: EventType.DISPUTE_WON,
}


@dataclass(frozen=True, slots=True)
class Opening:
    """What a dispute gets that is not known yet."""

    dispute: DisputeId
    connection: ConnectionId
    now: datetime


def settle_dispute(loaded: Loaded, told: DisputeTold, opening: Opening) -> Decided:
    """Apply what a processor tells of a dispute: it opens one, moves it on, or says nothing new.

    An amount that another notice told otherwise, or an end that is not the end that was told, is a discrepancy. So is
    an amount that does not fit into what was captured, and a currency that is not the payment's: those are recorded.
    """
    payment = loaded.payment
    known = loaded.dispute(told.processor_reference)
    if known is None:
        return _saved(loaded, None, _opened(payment, told, opening), opening.now)
    if told.step < known.step:
        return Decided(payment, changed=False)
    if _contradicts(known, told):
        return _discrepancy(loaded, opening.now)
    moved = _replace(
        known,
        status=told.status,
        step=told.step,
        counted=_counted(payment, told),
        reason=told.reason or known.reason,
        evidence_due_by=told.evidence_due_by or known.evidence_due_by,
    )
    if moved == known:
        return Decided(payment, changed=False)
    return _saved(loaded, known, _replace(moved, updated_at=opening.now), opening.now)


def _opened(payment: Payment, told: DisputeTold, opening: Opening) -> Dispute:
    return Dispute(
        merchant_id=payment.merchant_id,
        mode=payment.mode,
        dispute_id=opening.dispute,
        payment_id=payment.payment_id,
        connection_id=opening.connection,
        processor_reference=told.processor_reference,
        status=told.status,
        step=told.step,
        amount=told.amount,
        currency=told.currency,
        counted=_counted(payment, told),
        reason=told.reason,
        evidence_due_by=told.evidence_due_by,
        created_at=opening.now,
        updated_at=opening.now,
    )


def _counted(payment: Payment, told: DisputeTold) -> int:
    """Return what stands in the payment's `disputed`. Another currency's units are never added to it."""
    fits = told.currency == payment.currency
    return told.amount if told.status in TAKEN and fits else 0


def _contradicts(known: Dispute, told: DisputeTold) -> bool:
    if (told.amount, told.currency) != (known.amount, known.currency):
        return True
    return told.step == known.step and told.status is not known.status


def _saved(loaded: Loaded, known: Dispute | None, dispute: Dispute, now: datetime) -> Decided:
    payment = loaded.payment
    before = 0 if known is None else known.counted
    changed = _replace(payment, disputed=payment.disputed - before + dispute.counted)
    decided = decided_over(loaded, changed, None, now=now, happened=_happened(known, dispute))
    decided = replace(
        decided,
        disputes=(dispute,),
        postings=dispute_postings(payment, decided.payment, dispute, now),
    )
    misfit = breaks_a_sum(decided.payment) or dispute.currency != payment.currency
    if not misfit or payment.discrepancy:
        return decided
    return replace(
        decided,
        payment=_replace(decided.payment, discrepancy=True),
        happened=(*decided.happened, EventType.PAYMENT_DISCREPANCY),
        discrepancy=True,
    )


def _happened(known: Dispute | None, dispute: Dispute) -> tuple[EventType, ...]:
    """Say what a merchant hears of it."""
    heard: tuple[EventType, ...] = ()
    if known is None or known.step != dispute.step:
        word = _HEARD[dispute.status]
        if known is None and dispute.status is DisputeStatus.UNDER_REVIEW:
            word = EventType.DISPUTE_OPENED
        heard = (word,)
    due = dispute.evidence_due_by
    if dispute.status in ANSWERABLE and due is not None:
        told_already = known is not None and known.evidence_due_by == due
        heard += () if told_already else (EventType.DISPUTE_EVIDENCE_NEEDED,)
    return heard or (EventType.DISPUTE_UPDATED,)


def _discrepancy(loaded: Loaded, now: datetime) -> Decided:
    payment = loaded.payment
    if payment.discrepancy:
        return Decided(payment, changed=False, discrepancy=True)
    at = max(now, payment.updated_at)
    marked = _replace(payment, discrepancy=True, version=payment.version + 1, updated_at=at)
    return Decided(marked, (), (), (EventType.PAYMENT_DISCREPANCY,), discrepancy=True)
