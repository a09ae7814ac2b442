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


class ChecksOut(msgspec.Struct, frozen=True):
    """What the issuer said of address and security code."""

    address_line1_check: str | None = None
    address_postal_code_check: str | None = None
    cvc_check: str | None = None


class CardDetailsOut(msgspec.Struct, frozen=True):
    """A card, where a payment was made with it. The network's id is in charges only."""

    checks: ChecksOut | None = None
    network_transaction_id: str | None = None
    #: Until when it may be captured, in seconds since 1970; in charges only.
    capture_before: Annotated[int, Meta(ge=0, lt=2**33)] | None = None


class DetailsOut(msgspec.Struct, frozen=True):
    """How a payment was made."""

    card: CardDetailsOut | None = None


class ChargedOut(msgspec.Struct, frozen=True, kw_only=True):
    """A Charge where it was asked for in full, as far as it says how the payment was made."""

    object: Literal["charge"]
    id: Text
    payment_method_details: DetailsOut | None = None


class SetupTriedOut(msgspec.Struct, frozen=True, kw_only=True):
    """A SetupAttempt where it was asked for in full."""

    object: Literal["setup_attempt"]
    id: Text
    payment_method_details: DetailsOut | None = None


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
    latest_charge: Text | ChargedOut | None = None
    next_action: ActionOut | None = None
    last_payment_error: LastErrorOut | None = None


class SetupOut(msgspec.Struct, frozen=True, kw_only=True):
    """A SetupIntent: whether a card is good. It has no amount and no currency."""

    object: Literal["setup_intent"]
    id: Annotated[str, Meta(pattern=r"^seti_[A-Za-z0-9_]{1,200}$(?!\n)")]
    status: Literal[
        "requires_payment_method",
        "requires_confirmation",
        "requires_action",
        "processing",
        "canceled",
        "succeeded",
    ]
    livemode: bool
    metadata: Metadata = {}
    next_action: ActionOut | None = None
    last_setup_error: LastErrorOut | None = None
    latest_attempt: Text | SetupTriedOut | None = None


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


class EvidenceOut(msgspec.Struct, frozen=True):
    """Until when evidence is taken (Unix time); 0 where the issuer takes none."""

    due_by: Annotated[int, Meta(ge=0, lt=2**33)] | None = None


class DisputeOut(msgspec.Struct, frozen=True, kw_only=True):
    """A Dispute, in events only. It does not say whose payment it is about but by Stripe's names."""

    object: Literal["dispute"]
    id: Text
    amount: Amount
    currency: Currency
    charge: Text
    status: Literal[
        "lost",
        "needs_response",
        "under_review",
        "warning_closed",
        "warning_needs_response",
        "warning_under_review",
        "won",
    ]
    reason: Word | None = None
    evidence_details: EvidenceOut | None = None
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
    setup_intent: SetupOut | None = None


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
