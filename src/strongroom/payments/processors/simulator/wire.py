# SPDX-License-Identifier: Apache-2.0
"""The simulator's JSON, as it is published (docs/reference/simulator.md). What has another shape does not decode."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from strongroom.payments.model import Check

Amount = Annotated[int, Meta(ge=0, lt=10**12)]
#: Printable ASCII: what is kept of it is never a control character that a database refuses.
Text = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[ -~]+$(?!\n)")]
Word = Annotated[str, Meta(pattern=r"^[a-z][a-z_]{0,47}$(?!\n)")]


class ActionOut(msgspec.Struct, frozen=True):
    """What the customer has to do."""

    type: Literal["redirect"]
    url: Annotated[str, Meta(max_length=2_000, pattern=r"^https?://[!-~]+$(?!\n)")]


class PaymentOut(msgspec.Struct, frozen=True, tag_field="object", tag="payment"):
    """A payment there."""

    id: Text
    account: Text
    mode: Literal["test"]
    reference: Text
    status: Literal[
        "authorized",
        "captured",
        "declined",
        "requires_action",
        "pending",
        "voided",
        "expired",
        "verified",
    ]
    amount: Amount
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)")]
    capture: bool
    authorized: Amount
    captured: Amount
    voided: Amount
    refunded: Amount
    incremented: Amount = 0
    capture_before: datetime | None = None
    decline_code: Word | None = None
    advice: Word | None = None
    action: ActionOut | None = None
    network_transaction_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9 ]{1,64}$(?!\n)")] | None = (
        None
    )
    cvc_check: Literal["match", "mismatch"] | None = None
    avs_check: Check | None = None


class Totals(msgspec.Struct, frozen=True):
    """A payment's sums after an operation."""

    authorized: Amount
    captured: Amount
    voided: Amount
    refunded: Amount


class _Operation(msgspec.Struct, frozen=True):
    id: Text
    payment: Text
    account: Text
    mode: Literal["test"]
    reference: Text
    amount: Amount
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)")]
    status: Literal["succeeded", "failed", "pending"]
    totals: Totals
    decline_code: Word | None = None


class CaptureOut(_Operation, frozen=True, tag_field="object", tag="capture"):
    """A capture there."""


class VoidOut(_Operation, frozen=True, tag_field="object", tag="void"):
    """A release there."""


class RefundOut(_Operation, frozen=True, tag_field="object", tag="refund"):
    """A refund there."""


class DisputeOut(msgspec.Struct, frozen=True, tag_field="object", tag="dispute"):
    """A dispute there, in notices only. The reference is the payment's."""

    id: Text
    account: Text
    mode: Literal["test"]
    reference: Text
    amount: Annotated[int, Meta(ge=1, lt=10**12)]
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)")]
    status: Literal["inquiry", "lost", "opened", "reversed", "won"]
    step: Annotated[int, Meta(ge=1, lt=2**31)]
    reason: Word | None = None
    evidence_due_by: Annotated[datetime, Meta(tz=True)] | None = None


class IncrementOut(_Operation, frozen=True, tag_field="object", tag="increment"):
    """A raised authorization there. Its amount is what was added."""


ThingOut = PaymentOut | CaptureOut | VoidOut | RefundOut | IncrementOut


class FoundOut(msgspec.Struct, frozen=True):
    """What carries a reference."""

    data: Annotated[list[ThingOut], Meta(max_length=10)]


class NoticeIn(msgspec.Struct, frozen=True):
    """A notice."""

    id: Text
    type: Annotated[str, Meta(pattern=r"^[a-z_]{1,32}\.[a-z_]{1,32}$(?!\n)")]
    account: Text
    mode: Literal["test"]
    data: ThingOut | DisputeOut


class ErrorOut(msgspec.Struct, frozen=True):
    """Why it refused."""

    code: Word
    message: str


class ProblemOut(msgspec.Struct, frozen=True):
    """A refusal: documented as not executed."""

    error: ErrorOut


class WebhookOut(msgspec.Struct, frozen=True):
    """Whether it knows where to send notices."""

    configured: bool
    url: str | None = None


class AccountOut(msgspec.Struct, frozen=True):
    """An account there."""

    account: Text
    mode: Literal["test"]
    raw_cards: bool
    capabilities: list[str]
    webhook: WebhookOut
