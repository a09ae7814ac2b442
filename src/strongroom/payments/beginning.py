# SPDX-License-Identifier: Apache-2.0
"""A payment as a merchant wishes it, before anything is decided. Touches nothing."""

from datetime import datetime

from strongroom.crypto.ids import new_id
from strongroom.kernel.ids import PaymentId
from strongroom.kernel.mode import Mode
from strongroom.payments.holds import HoldPolicy
from strongroom.payments.model import CaptureMethod, OnExpiry, Payment, Status
from strongroom.payments.repeats import Wish
from strongroom.payments.wire import PaymentIn
from strongroom.vault import CardFacts


def new_payment(
    wanted: PaymentIn,
    wish: Wish,
    card: CardFacts | None,
    return_url: str | None,
    now: datetime,
    holds: HoldPolicy,
) -> Payment:
    """Return the payment that a wish makes, before anything of it is saved."""
    held = wanted.capture_method == "manual"
    return Payment(
        merchant_id=wish.principal.merchant,
        mode=Mode(wish.principal.mode),
        payment_id=PaymentId(new_id("pay")),
        version=1,
        status=Status.REQUIRES_PAYMENT_METHOD if card is None else Status.REQUIRES_CONFIRMATION,
        amount=wanted.amount,
        currency=wanted.currency,
        capture_method=CaptureMethod(wanted.capture_method),
        token_id=None if card is None else card.token,
        brand=None if card is None else card.brand,
        bin=None if card is None else card.bin,
        last4=None if card is None else card.last4,
        reference=wanted.reference,
        metadata=wanted.metadata or {},
        return_url=return_url,
        estimated=wanted.estimated,
        capture_at=wanted.capture_at,
        on_expiry=OnExpiry(wanted.on_expiry or holds.on_expiry) if held else None,
        created_by=wish.principal.actor,
        created_at=now,
        updated_at=now,
    )
