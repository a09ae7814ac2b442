# SPDX-License-Identifier: Apache-2.0
"""Webhooks' front door: events, endpoints and their errors; making, signing and describing what merchants are told."""

from strongroom.webhooks.envelope import API_VERSION, Envelope, make_event, new_event_ids
from strongroom.webhooks.errors import (
    EndpointBusy,
    EndpointDisabled,
    EndpointSecretsUnreadable,
    EndpointsFull,
    EndpointUnknown,
    EventUnknown,
)
from strongroom.webhooks.inbound import NoticeSources, NoticeUnknown, OpenedNotice, VerifiedNotice
from strongroom.webhooks.model import (
    Delivery,
    DeliveryStatus,
    Endpoint,
    EndpointChange,
    EndpointStatus,
    EndpointWish,
    NewEvent,
    NewSecret,
    StoredEvent,
    Try,
    TryReason,
)
from strongroom.webhooks.schemas import EndpointTested, event_schema, event_schemas
from strongroom.webhooks.signing import new_secret, signed_headers, signing_key

__all__ = [
    "API_VERSION",
    "Delivery",
    "DeliveryStatus",
    "Endpoint",
    "EndpointBusy",
    "EndpointChange",
    "EndpointDisabled",
    "EndpointSecretsUnreadable",
    "EndpointStatus",
    "EndpointTested",
    "EndpointUnknown",
    "EndpointWish",
    "EndpointsFull",
    "Envelope",
    "EventUnknown",
    "NewEvent",
    "NewSecret",
    "NoticeSources",
    "NoticeUnknown",
    "OpenedNotice",
    "StoredEvent",
    "Try",
    "TryReason",
    "VerifiedNotice",
    "event_schema",
    "event_schemas",
    "make_event",
    "new_event_ids",
    "new_secret",
    "signed_headers",
    "signing_key",
]
