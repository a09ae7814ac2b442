# SPDX-License-Identifier: Apache-2.0
"""What a merchant can hear of. A word once shipped is never reused; tests/golden/events.txt keeps the list."""

import enum


class EventType(enum.StrEnum):
    """`<object>.<what happened>`; sorted; each has a JSON schema."""

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
    WEBHOOK_TEST = "webhook.test"
