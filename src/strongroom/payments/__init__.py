# SPDX-License-Identifier: Apache-2.0
"""Payments: values and errors. Never a card number, never the service or the store."""

from strongroom.payments.errors import (
    AmountBeyond,
    AttemptUnknown,
    ConnectionRefused,
    IdempotencyKeySpent,
    NoConnection,
    PaymentBusy,
    PaymentNotReady,
    PaymentUnknown,
    PaymentUnresolved,
    RefundUnknown,
)

__all__ = [
    "AmountBeyond",
    "AttemptUnknown",
    "ConnectionRefused",
    "IdempotencyKeySpent",
    "NoConnection",
    "PaymentBusy",
    "PaymentNotReady",
    "PaymentUnknown",
    "PaymentUnresolved",
    "RefundUnknown",
]
