# SPDX-License-Identifier: Apache-2.0
"""Checkout.com's JSON, as its API reference publishes it: only what is read. What has another shape does not decode.

Members are added there without notice (its API change policy), so unknown ones are passed over; what decides over money
is required, bounded and closed.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta

from strongroom.kernel.mode import Mode

Amount = Annotated[int, Meta(ge=0, lt=10**10)]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)")]
PaymentId = Annotated[str, Meta(pattern=r"^pay_[0-9A-Za-z]{26}$(?!\n)")]
ActionId = Annotated[str, Meta(pattern=r"^act_[0-9A-Za-z]{26}$(?!\n)")]
#: A reference is at most 80 characters there. Printable ASCII: nothing that a database refuses is kept of it.
Text = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[ -~]+$(?!\n)")]
#: Five characters, of which the first is a digit: `20051`, and `2005C` too.
Code = Annotated[str, Meta(pattern=r"^[1-9][0-9]{2}[0-9A-Z]{2}$(?!\n)")]
Url = Annotated[str, Meta(max_length=2_000, pattern=r"^https?://[!-~]+$(?!\n)")]

APPROVED: Final = "10"


class Link(msgspec.Struct, frozen=True):
    """Where something is."""

    href: Url


class Links(msgspec.Struct, frozen=True):
    """What an answer or an event links to. A redirect is what the customer has to do."""

    own: Link | None = msgspec.field(name="self", default=None)
    payment: Link | None = None
    redirect: Link | None = None


class Balances(msgspec.Struct, frozen=True):
    """A payment's sums by now."""

    total_authorized: Amount
    total_voided: Amount
    total_captured: Amount
    total_refunded: Amount = 0


#: What a payment's status may be (`PaymentStatus` of the API reference), of what a card can reach.
Status = Literal[
    "Authorized",
    "Canceled",
    "Captured",
    "Card Verified",
    "Declined",
    "Deferred Capture",
    "Deferred Refund",
    "Expired",
    "Partially Captured",
    "Partially Refunded",
    "Pending",
    "Refunded",
    "Retry Scheduled",
    "Voided",
]


class SourceOut(msgspec.Struct, frozen=True):
    """What was found of a card's address and code, in the schemes' letters."""

    avs_check: str | None = None
    cvv_check: str | None = None


class ProcessingOut(msgspec.Struct, frozen=True):
    """What the network said besides: Mastercard's merchant advice code (`ProcessingData`)."""

    advice_code: Annotated[str, Meta(max_length=100)] | None = msgspec.field(
        name="partner_merchant_advice_code", default=None
    )


class ProcessedOut(msgspec.Struct, frozen=True):
    """201 of `POST /payments`: the issuer has answered."""

    id: PaymentId
    amount: Amount
    currency: Currency
    approved: bool
    status: Status
    response_code: Code
    reference: Text
    links: Links = msgspec.field(name="_links", default_factory=Links)
    balances: Balances | None = None
    scheme_id: str | None = None
    source: SourceOut | None = None
    expires_on: Text | None = None
    processing: ProcessingOut | None = None


class IncrementedOut(msgspec.Struct, frozen=True):
    """The answer to a raise of what is held. Its amount is what was added; the balances have the whole."""

    action_id: ActionId
    amount: Amount
    currency: Currency
    approved: bool
    response_code: Code
    reference: Text
    links: Links = msgspec.field(name="_links", default_factory=Links)
    balances: Balances | None = None
    expires_on: Text | None = None


class AcceptedOut(msgspec.Struct, frozen=True):
    """202 of `POST /payments`: the customer has something to do, or it takes its time."""

    id: PaymentId
    status: Literal["Pending"]
    reference: Text
    links: Links = msgspec.field(name="_links", default_factory=Links)
    amount: Amount | None = None
    currency: Currency | None = None


class ActedOut(msgspec.Struct, frozen=True):
    """202 of a capture, a void or a refund: it was taken, and becomes true later."""

    action_id: ActionId
    reference: Text
    links: Links = msgspec.field(name="_links", default_factory=Links)


class Summary(msgspec.Struct, frozen=True):
    """An action, where a payment's details name them."""

    type: Text
    response_code: Code | None = None


class PaymentOut(msgspec.Struct, frozen=True):
    """A payment in the list that `GET /payments?reference=` answers."""

    id: PaymentId
    amount: Amount
    currency: Currency
    status: Status
    reference: Text
    approved: bool | None = None
    balances: Balances | None = None
    actions: Annotated[Sequence[Summary], Meta(max_length=100)] = ()
    links: Links = msgspec.field(name="_links", default_factory=Links)


class PaymentsOut(msgspec.Struct, frozen=True):
    """What carries a reference."""

    total_count: Annotated[int, Meta(ge=0)]
    data: Annotated[list[PaymentOut], Meta(max_length=100)]


class ActionOut(msgspec.Struct, frozen=True):
    """One step of a payment, of `GET /payments/{id}/actions`; the payment's currency is its own."""

    id: ActionId
    type: Text
    amount: Amount
    approved: bool | None = None
    response_code: Code | None = None
    reference: Text | None = None


class ErrorOut(msgspec.Struct, frozen=True):
    """A refusal. 401 and 404 have no body; in the others either member says why."""

    error_type: Text | None = None
    error_codes: Annotated[Sequence[Text], Meta(max_length=100)] = ()


class WorkflowOut(msgspec.Struct, frozen=True):
    """A workflow: what sends webhooks."""

    active: bool
    links: Links = msgspec.field(name="_links", default_factory=Links)


class WorkflowsOut(msgspec.Struct, frozen=True):
    """What `GET /workflows` answers."""

    data: Annotated[list[WorkflowOut], Meta(max_length=1_000)]
    links: Links = msgspec.field(name="_links", default_factory=Links)


class Marks(msgspec.Struct, frozen=True):
    """What we send along as metadata, and find in events: which of our operations it belongs to."""

    strongroom: (
        Literal["authorize", "capture", "increment", "refund", "sale", "verify", "void"] | None
    ) = None


class EventLinks(msgspec.Struct, frozen=True):
    """Links inside an event's data; these are bare."""

    payment: Url | None = None


class EventData(msgspec.Struct, frozen=True):
    """What an event tells of a payment. A dispute's has other names for the payment's."""

    amount: Amount
    currency: Currency
    id: Text
    action_id: Text | None = None
    reference: Text | None = None
    payment_reference: Text | None = None
    reason_code: Text | None = None
    evidence_required_by: datetime | None = None
    response_code: Code | None = None
    balances: Balances | None = None
    metadata: Marks | None = None
    processing: ProcessingOut | None = None
    event_links: EventLinks | None = None


class EventKind(msgspec.Struct, frozen=True):
    """An event, as far as to know whether it is read further."""

    type: Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,80}$(?!\n)")]


class EventIn(msgspec.Struct, frozen=True):
    """An event about a payment or a dispute."""

    type: Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,80}$(?!\n)")]
    data: EventData
    links: Links = msgspec.field(name="_links", default_factory=Links)


class Place(NamedTuple):
    """Whose API a link leads to. The account is the prefix of its host name; `api` where it has none."""

    account: str
    mode: Mode
