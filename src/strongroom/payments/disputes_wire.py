# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of disputes. Amounts are whole minor units of the dispute's own currency."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from strongroom.kernel.clock import rfc3339
from strongroom.kernel.events import EventType
from strongroom.payments.model import Dispute, DisputeStatus
from strongroom.payments.wire import PaymentOut


class DisputeOut(msgspec.Struct, frozen=True):
    """What a cardholder takes back. `counted` of it stands in the payment's `disputed`."""

    id: str
    object: Literal["dispute"]
    mode: str
    payment: str
    connection: str
    processor_reference: str
    status: DisputeStatus
    amount: int
    currency: str
    counted: int
    reason: str | None
    evidence_due_by: str | None
    created_at: str
    updated_at: str


class DisputePage(msgspec.Struct, frozen=True):
    """A page of disputes, newest first."""

    data: list[DisputeOut]
    has_more: bool
    next_cursor: str | None


class DisputeEvent(msgspec.Struct, frozen=True):
    """What an event about a dispute carries."""

    dispute: DisputeOut
    payment: PaymentOut


#: What the `data` of each event of disputes is.
EVENT_DATA: Final[Mapping[EventType, type[msgspec.Struct]]] = {
    each: DisputeEvent for each in EventType if each.value.startswith("dispute.")
}


def dispute_out(dispute: Dispute) -> DisputeOut:
    """Print a dispute."""
    due = dispute.evidence_due_by
    return DisputeOut(
        id=dispute.dispute_id,
        object="dispute",
        mode=dispute.mode,
        payment=dispute.payment_id,
        connection=dispute.connection_id,
        processor_reference=dispute.processor_reference,
        status=dispute.status,
        amount=dispute.amount,
        currency=dispute.currency,
        counted=dispute.counted,
        reason=dispute.reason,
        evidence_due_by=None if due is None else rfc3339(due),
        created_at=rfc3339(dispute.created_at),
        updated_at=rfc3339(dispute.updated_at),
    )
