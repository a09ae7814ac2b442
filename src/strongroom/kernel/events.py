# SPDX-License-Identifier: Apache-2.0
"""What a merchant can hear of. A word once shipped is never reused; tests/golden/events.txt keeps the list."""

import enum
from dataclasses import dataclass
from datetime import datetime

from strongroom.kernel.ids import MerchantId, OutboxId
from strongroom.kernel.mode import Mode


class EventType(enum.StrEnum):
    """`<object>.<what happened>`; sorted; each has a JSON schema."""

    ERASURE_COMPLETED = "erasure.completed"
    EXPORT_CANCELED = "export.canceled"
    EXPORT_COMPLETED = "export.completed"
    EXPORT_FAILED = "export.failed"
    IMPORT_CANCELED = "import.canceled"
    IMPORT_COMPLETED = "import.completed"
    IMPORT_FAILED = "import.failed"
    PAYMENT_ACTION_REQUIRED = "payment.action_required"
    PAYMENT_AUTHORIZED = "payment.authorized"
    PAYMENT_CANCELED = "payment.canceled"
    PAYMENT_CAPTURE_FAILED = "payment.capture_failed"
    PAYMENT_CAPTURED = "payment.captured"
    PAYMENT_CREATED = "payment.created"
    PAYMENT_DECLINED = "payment.declined"
    PAYMENT_DISCREPANCY = "payment.discrepancy"
    PAYMENT_PROCESSING = "payment.processing"
    PAYMENT_VOIDED = "payment.voided"
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
