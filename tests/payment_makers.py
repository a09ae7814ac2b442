# SPDX-License-Identifier: Apache-2.0
"""Makes payments and attempts for tests of decisions."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from strongroom.crypto.ids import new_id
from strongroom.kernel.ids import AttemptId, ConnectionId, MerchantId, PaymentId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.payments.decisions import Asking, Card
from strongroom.payments.model import (
    Basis,
    CaptureMethod,
    Found,
    Loaded,
    Outcome,
    Payment,
    Status,
)

NOW: Final = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
MERCHANT: Final = MerchantId(new_id("mer"))
CARD: Final = Card(TokenId(new_id("tok")), "visa", "424242", "4242")
CONNECTION: Final = ConnectionId(new_id("con"))


def payment(**more: Any) -> Payment:
    return Payment(
        **{
            "merchant_id": MERCHANT,
            "mode": Mode.TEST,
            "payment_id": PaymentId(new_id("pay")),
            "version": 1,
            "status": Status.REQUIRES_PAYMENT_METHOD,
            "amount": 1_000,
            "currency": "AED",
            "capture_method": CaptureMethod.MANUAL,
            "created_by": "key:test",
            "created_at": NOW,
            "updated_at": NOW,
            **more,
        }
    )


def loaded(**more: Any) -> Loaded:
    return Loaded(payment(**more), (), ())


def asking(now: datetime = NOW, **more: Any) -> Asking:
    attempt = AttemptId(new_id("att"))
    ends_at = now + timedelta(seconds=25)
    return Asking(attempt, f"wish {attempt}", CONNECTION, now, ends_at, **more)


def found(outcome: Outcome, basis: Basis = Basis.ANSWER, **more: Any) -> Found:
    return Found(outcome, basis, **more)
