# SPDX-License-Identifier: Apache-2.0
"""What a merchant can hear of. A word once shipped is never reused; tests/golden/events.txt keeps the list."""

import enum
from dataclasses import dataclass
from datetime import datetime

from strongroom.kernel.ids import MerchantId, OutboxId
from strongroom.kernel.mode import Mode


class EventType(enum.StrEnum):
    """`<object>.<what happened>`; sorted; each has a JSON schema."""

    CUSTOMER_ERASED = "customer.erased"
    DISPUTE_EVIDENCE_NEEDED = "dispute.evidence_needed"
    DISPUTE_LOST = "dispute.lost"
    DISPUTE_OPENED = "dispute.opened"
    DISPUTE_REVERSED = "dispute.reversed"
    DISPUTE_UPDATED = "dispute.updated"
    DISPUTE_WON = "dispute.won"
    ERASURE_COMPLETED = "erasure.completed"
    EXPORT_CANCELED = "export.canceled"
    EXPORT_COMPLETED = "export.completed"
    EXPORT_FAILED = "export.failed"
    IMPORT_CANCELED = "import.canceled"
    IMPORT_COMPLETED = "import.completed"
    IMPORT_FAILED = "import.failed"
    INCIDENT_BEGAN = "incident.began"
    INCIDENT_ENDED = "incident.ended"
    MANDATE_REVOKED = "mandate.revoked"
    PAYMENT_ACTION_REQUIRED = "payment.action_required"
    PAYMENT_AUTHORIZED = "payment.authorized"
    PAYMENT_CANCELED = "payment.canceled"
    PAYMENT_CAPTURE_DUE_SOON = "payment.capture_due_soon"
    PAYMENT_CAPTURE_FAILED = "payment.capture_failed"
    PAYMENT_CAPTURED = "payment.captured"
    PAYMENT_CHECK_FAILED = "payment.check_failed"
    PAYMENT_CREATED = "payment.created"
    PAYMENT_DECLINED = "payment.declined"
    PAYMENT_DISCREPANCY = "payment.discrepancy"
    PAYMENT_INCREMENT_FAILED = "payment.increment_failed"
    PAYMENT_INCREMENTED = "payment.incremented"
    PAYMENT_NOT_SENT = "payment.not_sent"
    PAYMENT_PROCESSING = "payment.processing"
    PAYMENT_RETRIES_ENDED = "payment.retries_ended"
    PAYMENT_RETRY_CANCELED = "payment.retry_canceled"
    PAYMENT_RETRY_SCHEDULED = "payment.retry_scheduled"
    PAYMENT_UNRESOLVED = "payment.unresolved"
    PAYMENT_VERIFIED = "payment.verified"
    PAYMENT_VOID_FAILED = "payment.void_failed"
    PAYMENT_VOIDED = "payment.voided"
    RECONCILIATION_AGREED = "reconciliation.agreed"
    RECONCILIATION_DIFFERED = "reconciliation.differed"
    RECONCILIATION_FAILED = "reconciliation.failed"
    REFUND_CREATED = "refund.created"
    REFUND_FAILED = "refund.failed"
    REFUND_SUCCEEDED = "refund.succeeded"
    TOKEN_RETOKENIZED = "token.retokenized"  # noqa: S105 - a word
    WEBHOOK_TEST = "webhook.test"


@dataclass(frozen=True, slots=True)
class Happened:
    """What a domain with a database of its own tells a merchant: it waits there, and is brought to where events are."""

    outbox_id: OutboxId
    merchant: MerchantId
    mode: Mode
    #: The word of its type; of a later release it may be one that is not known here.
    type: str
    object_id: str
    #: JSON of the shape that the type has.
    data: str
    at: datetime
