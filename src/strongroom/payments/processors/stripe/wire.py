# SPDX-License-Identifier: Apache-2.0
"""Stripe's JSON at version 2023-08-16, as its OpenAPI description has it; what we do not read is left out.

What has another shape does not decode. Objects that may be expanded are ids here: nothing asks for them in full.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

#: Ours end at 10^12; a króna is written as a hundred.
Amount = Annotated[int, Meta(ge=0, lt=10**14)]
#: Printable ASCII: what is kept of it is never a control character that a database refuses.
Text = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[!-~]+$(?!\n)")]
Word = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$(?!\n)")]
Currency = Annotated[str, Meta(pattern=r"^[a-z]{3}$(?!\n)")]
Url = Annotated[str, Meta(max_length=2_000, pattern=r"^https?://[!-~]+$(?!\n)")]
IntentId = Annotated[str, Meta(pattern=r"^pi_[A-Za-z0-9_]{1,200}$(?!\n)")]
RefundId = Annotated[str, Meta(pattern=r"^(?:re|pyr)_[A-Za-z0-9_]{1,200}$(?!\n)")]
MethodId = Annotated[str, Meta(pattern=r"^(?:pm|card|src)_[A-Za-z0-9_]{1,200}$(?!\n)")]
Metadata = Annotated[dict[str, str], Meta(max_length=50)]


class RedirectOut(msgspec.Struct, frozen=True):
    """Where the customer has to go."""

    url: Url | None = None


class ActionOut(msgspec.Struct, frozen=True):
    """What the customer has to do."""

    type: Word
    redirect_to_url: RedirectOut | None = None


class LastErrorOut(msgspec.Struct, frozen=True):
    """Why the last try of a payment failed."""

    type: Word
    code: Word | None = None
    decline_code: Word | None = None
    advice_code: Word | None = None


class IntentOut(msgspec.Struct, frozen=True, kw_only=True):
    """A PaymentIntent."""

    object: Literal["payment_intent"]
    id: IntentId
    status: Literal[
        "requires_payment_method",
        "requires_confirmation",
        "requires_action",
        "processing",
        "requires_capture",
        "canceled",
        "succeeded",
    ]
    amount: Amount
    amount_capturable: Amount = 0
    amount_received: Amount = 0
    currency: Currency
    capture_method: Literal["automatic", "automatic_async", "manual"]
    livemode: bool
    metadata: Metadata = {}
    latest_charge: Text | None = None
    next_action: ActionOut | None = None
    last_payment_error: LastErrorOut | None = None


class RefundOut(msgspec.Struct, frozen=True, kw_only=True):
    """A Refund. It does not say its mode."""

    object: Literal["refund"]
    id: RefundId
    amount: Amount
    currency: Currency
    status: Literal["pending", "requires_action", "succeeded", "failed", "canceled"]
    payment_intent: IntentId | None
    charge: Text | None = None
    metadata: Metadata | None = None
    reason: Word | None = None
    failure_reason: Word | None = None


class ChargeOut(msgspec.Struct, frozen=True, kw_only=True):
    """A Charge, in events only. Its metadata are the payment's, as they were when it was made."""

    object: Literal["charge"]
    id: Text
    status: Literal["failed", "pending", "succeeded"]
    amount: Amount
    amount_captured: Amount
    amount_refunded: Amount
    currency: Currency
    captured: bool
    livemode: bool
    payment_intent: IntentId | None = None
    metadata: Metadata = {}


class DisputeOut(msgspec.Struct, frozen=True, kw_only=True):
    """A Dispute, in events only. It does not say whose payment it is about but by Stripe's names."""

    object: Literal["dispute"]
    id: Text
    amount: Amount
    currency: Currency
    charge: Text
    payment_intent: IntentId | None = None


class MethodOut(msgspec.Struct, frozen=True, kw_only=True):
    """A PaymentMethod."""

    object: Literal["payment_method"]
    id: MethodId
    type: Literal["card"]
    livemode: bool
    metadata: Metadata | None = None


class AccountOut(msgspec.Struct, frozen=True, kw_only=True):
    """An Account, as its own key sees it."""

    object: Literal["account"]
    id: Text
    charges_enabled: bool = False
    capabilities: dict[str, str] = {}


class ErrorOut(LastErrorOut, frozen=True):
    """Why it refused."""

    payment_intent: IntentOut | None = None


class ProblemOut(msgspec.Struct, frozen=True):
    """A refusal."""

    error: ErrorOut


class RequestOut(msgspec.Struct, frozen=True):
    """The request that made an event happen, where one did."""

    idempotency_key: str | None = None


class DataOut(msgspec.Struct, frozen=True):
    """What an event is about."""

    object: msgspec.Raw


class EventOut(msgspec.Struct, frozen=True, kw_only=True):
    """An event. `account` stands in those of connected accounts."""

    object: Literal["event"]
    id: Text
    type: Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,48}(?:\.[a-z0-9_]{1,48}){1,4}$(?!\n)")]
    livemode: bool
    data: DataOut
    account: Text | None = None
    request: RequestOut | None = None
