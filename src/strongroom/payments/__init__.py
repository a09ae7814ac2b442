# SPDX-License-Identifier: Apache-2.0
"""Payments: values, errors, and how a receipt is verified. Never a card number, never the service or the store."""

from strongroom.payments.errors import (
    AmountBeyond,
    AttemptUnknown,
    ConnectionRefused,
    ConnectionsResting,
    IdempotencyKeySpent,
    NoConnection,
    PaymentBusy,
    PaymentNotReady,
    PaymentUnknown,
    PaymentUnresolved,
    RefundUnknown,
    RulesChanged,
    RulesUnknown,
)
from strongroom.payments.receipts.errors import (
    JwksRefused,
    ReceiptFault,
    ReceiptFinding,
    ReceiptNotYet,
    ReceiptRefused,
    ReceiptTooLong,
)
from strongroom.payments.receipts.verify import (
    ReceiptKeySet,
    VerifiedReceipt,
    read_jwks,
    verify_receipt,
)

__all__ = [
    "AmountBeyond",
    "AttemptUnknown",
    "ConnectionRefused",
    "ConnectionsResting",
    "IdempotencyKeySpent",
    "JwksRefused",
    "NoConnection",
    "PaymentBusy",
    "PaymentNotReady",
    "PaymentUnknown",
    "PaymentUnresolved",
    "ReceiptFault",
    "ReceiptFinding",
    "ReceiptKeySet",
    "ReceiptNotYet",
    "ReceiptRefused",
    "ReceiptTooLong",
    "RefundUnknown",
    "RulesChanged",
    "RulesUnknown",
    "VerifiedReceipt",
    "read_jwks",
    "verify_receipt",
]
