# SPDX-License-Identifier: Apache-2.0
"""The shapes of the control API. What is left out of a wish stays as it is."""

import enum
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from strongroom.simulator.books import AMOUNT_MAX
from strongroom.simulator.faults import DrawBy, Fault
from strongroom.simulator.journal import Entry
from strongroom.simulator.wire import Reference, Url

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
Rate = Annotated[float, msgspec.Meta(ge=0, le=1)]
AccountName = Annotated[str, msgspec.Meta(pattern=r"\A[a-z][a-z0-9_]{0,63}\Z")]
Text = Annotated[str, msgspec.Meta(pattern=r"\A[\x21-\x7e]{8,200}\Z")]
HexKey = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-fA-F]{64}\Z")]
#: What a demanded fault may wait for: a kind of request, or for webhooks also an event's type.
OperationWord = Annotated[str, msgspec.Meta(pattern=r"\A[a-z_.]{1,40}\Z")]


class WebhookWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where events go: signed under each secret, or encrypted under a key."""

    url: Url
    secrets: Annotated[tuple[Text, ...], msgspec.Meta(max_length=5)] = ()
    encryption_key: HexKey | None = None

    def __repr__(self) -> str:
        return "WebhookWish(***)"


class AccountWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /control/accounts."""

    account: AccountName
    api_key: Text | None = None
    webhook: WebhookWish | UnsetType | None = UNSET
    signing_secret: Text | UnsetType | None = UNSET

    def __repr__(self) -> str:
        return f"AccountWish({self.account})"


class DemandWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fault for the next request that fits."""

    fault: Fault
    operation: OperationWord | None = None
    reference: Reference | None = None
    seconds: Seconds | None = None


class FaultsWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /control/faults. `next` is added to what waits; everything else replaces."""

    seed: int | UnsetType | None = UNSET
    #: What names a request in a draw.
    draw_by: DrawBy | UnsetType = UNSET
    rates: dict[Fault, Rate] | UnsetType = UNSET
    #: How long each fault lasts.
    seconds: dict[Fault, Seconds] | UnsetType = UNSET
    next: tuple[DemandWish, ...] = ()
    visibility: Seconds | UnsetType = UNSET
    latency_ms: Annotated[float, msgspec.Meta(ge=0, le=60_000)] | UnsetType = UNSET
    #: None: pending payments wait for the control API.
    pending_seconds: Seconds | UnsetType | None = UNSET
    retry_seconds: tuple[Seconds, ...] | UnsetType = UNSET


class FaultsView(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong now, and how slowly things go."""

    seed: int | None
    draw_by: DrawBy
    rates: dict[Fault, float]
    seconds: dict[Fault, float]
    #: Demands that no request has met yet.
    waiting: int
    visibility: float
    latency_ms: float
    pending_seconds: float | None
    retry_seconds: tuple[float, ...]


class JournalView(msgspec.Struct, frozen=True):
    """GET /control/journal."""

    data: Sequence[Entry]


class CurrencyTotals(msgspec.Struct, frozen=True, kw_only=True):
    """All of an account's payments in one currency."""

    account: str
    currency: str
    authorized: int
    captured: int
    voided: int
    refunded: int
    disputed: int


class PaymentTotals(msgspec.Struct, frozen=True, kw_only=True):
    """One payment's sums."""

    id: str
    account: str
    reference: str
    status: str
    amount: int
    currency: str
    authorized: int
    captured: int
    voided: int
    refunded: int
    disputed: int


class BooksView(msgspec.Struct, frozen=True, kw_only=True):
    """GET /control/books."""

    totals: Sequence[CurrencyTotals]
    payments: Sequence[PaymentTotals]


class NoticesView(msgspec.Struct, frozen=True, kw_only=True):
    """GET /control/notices: webhooks since the start."""

    waiting: int
    delivered: int
    failed_attempts: int
    given_up: int
    dropped: int


class Happening(enum.StrEnum):
    """What can happen without a client."""

    CAPTURE_FAILED = "capture_failed"
    REFUND_FAILED = "refund_failed"
    PAYMENT_EXPIRED = "payment_expired"
    PENDING_APPROVED = "pending_approved"
    PENDING_DECLINED = "pending_declined"
    DISPUTE_INQUIRED = "dispute_inquired"
    DISPUTE_LOST = "dispute_lost"
    DISPUTE_OPENED = "dispute_opened"
    DISPUTE_REVERSED = "dispute_reversed"
    DISPUTE_WON = "dispute_won"
    WEBHOOK_AGAIN = "webhook_again"


class HappenWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /control/happen."""

    kind: Happening
    #: Of the payment or operation that it happens to.
    reference: Reference
    account: AccountName | None = None
    #: For a dispute: a part. None: all that is left of what was captured, or the dispute that there is.
    amount: Annotated[int, msgspec.Meta(ge=1, le=AMOUNT_MAX)] | None = None
