# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of endpoints, events and deliveries. Unknown fields are refused; only new secrets are ever shown."""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from strongroom.kernel.clock import rfc3339
from strongroom.kernel.events import EventType
from strongroom.webhooks.endpoints import OVERLAP_SECONDS, OVERLAP_SECONDS_MAX
from strongroom.webhooks.envelope import Envelope
from strongroom.webhooks.model import Delivery, Endpoint, StoredEvent

Url = Annotated[str, Meta(min_length=8, max_length=2_000, description="https://host/path")]
Description = Annotated[str, Meta(max_length=200)]
Types = Annotated[
    list[EventType],
    Meta(max_length=len(EventType), description="what it is told of; empty: everything"),
]


class EndpointIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wish for an endpoint."""

    url: Url
    description: Description = ""
    types: Types = []


class EndpointChangeIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What of an endpoint is to become another."""

    url: Url | None = None
    description: Description | None = None
    types: Types | None = None
    status: Literal["active", "disabled"] | None = None


class RotateEndpointIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wish for another secret."""

    overlap_seconds: Annotated[
        int,
        Meta(ge=0, le=OVERLAP_SECONDS_MAX, description="how long the old secret signs beside it"),
    ] = OVERLAP_SECONDS


class RedeliverIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wish to be told again: at one endpoint, or at all that are told of the type."""

    endpoint: Annotated[str, Meta(min_length=30, max_length=30)] | None = None


class EndpointOut(msgspec.Struct, frozen=True):
    """An endpoint, without its secret but for the answers that made one."""

    id: str
    object: str
    mode: str
    url: str
    description: str
    types: list[str]
    status: str
    #: `gone`: it answered 410; `by_merchant`.
    disabled_reason: str | None
    created_at: str
    updated_at: str
    #: whsec_…, shown once.
    secret: str | None = None


class EndpointsOut(msgspec.Struct, frozen=True):
    """A merchant's endpoints, oldest first."""

    data: list[EndpointOut]
    has_more: bool
    next_cursor: str | None


class EventsOut(msgspec.Struct, frozen=True):
    """A page of events, each as it is delivered."""

    data: list[Envelope]
    has_more: bool
    next_cursor: str | None


class TryOut(msgspec.Struct, frozen=True):
    """One try of a delivery. `status` is the endpoint's; null where no answer came."""

    number: Annotated[int, Meta(ge=1, le=9_999, description="the first is 1")]
    at: str
    status: int | None
    reason: str
    duration_ms: int


class DeliveryOut(msgspec.Struct, frozen=True):
    """An event on its way to an endpoint."""

    id: str
    object: str
    event: str
    endpoint: str
    status: str
    created_at: str
    next_at: str | None
    delivered_at: str | None
    tries: list[TryOut]


class DeliveriesOut(msgspec.Struct, frozen=True):
    """An event's deliveries, oldest first."""

    data: list[DeliveryOut]
    has_more: bool
    next_cursor: str | None


_decode_event: Final = msgspec.json.Decoder(Envelope).decode


def endpoint_out(endpoint: Endpoint, secret: str | None = None) -> EndpointOut:
    """Print an endpoint."""
    return EndpointOut(
        id=endpoint.endpoint_id,
        object="endpoint",
        mode=endpoint.mode,
        url=endpoint.url,
        description=endpoint.description,
        types=list(endpoint.types),
        status=endpoint.status,
        disabled_reason=endpoint.disabled_reason,
        created_at=rfc3339(endpoint.created_at),
        updated_at=rfc3339(endpoint.updated_at),
        secret=secret,
    )


def event_out(event: StoredEvent) -> Envelope:
    """Print an event as it is delivered."""
    return _decode_event(event.payload)


def delivery_out(delivery: Delivery) -> DeliveryOut:
    """Print a delivery with its tries."""
    return DeliveryOut(
        id=delivery.delivery_id,
        object="delivery",
        event=delivery.event_id,
        endpoint=delivery.endpoint_id,
        status=delivery.status,
        created_at=rfc3339(delivery.created_at),
        next_at=None if delivery.next_at is None else rfc3339(delivery.next_at),
        delivered_at=None if delivery.delivered_at is None else rfc3339(delivery.delivered_at),
        tries=[
            TryOut(each.number, rfc3339(each.at), each.status, each.reason, each.duration_ms)
            for each in delivery.tries
        ],
    )
