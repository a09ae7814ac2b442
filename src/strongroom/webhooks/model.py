# SPDX-License-Identifier: Apache-2.0
"""What a merchant is told, where it listens, and how the telling went. No value here prints a secret."""

import enum
from dataclasses import dataclass, field
from datetime import datetime

from strongroom.audit import Origin
from strongroom.kernel.events import EventType
from strongroom.kernel.ids import DeliveryId, EndpointId, EventId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Principal
from strongroom.kernel.secret import Secret


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that is ready to be written, in the transaction of what it tells of. `payload` is what is delivered."""

    id: EventId
    type: EventType
    #: The payment, refund or endpoint that it is about.
    object_id: str
    payload: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as it was written."""

    event_id: EventId
    type: str
    object_id: str
    payload: str = field(repr=False)
    created_at: datetime


class EndpointStatus(enum.StrEnum):
    """Whether an endpoint is told anything."""

    ACTIVE = "active"
    #: By its merchant, or because it answered 410.
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a merchant listens. No `types`: to every type."""

    merchant_id: MerchantId
    mode: Mode
    endpoint_id: EndpointId
    url: str = field(repr=False)
    description: str
    types: tuple[str, ...]
    status: EndpointStatus
    disabled_reason: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class EndpointWish:
    """A wish for an endpoint."""

    url: str = field(repr=False)
    description: str = ""
    types: frozenset[EventType] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointChange:
    """What of an endpoint is to become another; None stays as it is."""

    url: str | None = field(default=None, repr=False)
    description: str | None = None
    types: frozenset[EventType] | None = None
    status: EndpointStatus | None = None


@dataclass(frozen=True, slots=True)
class NewSecret:
    """An endpoint and the secret that it has from now on: shown once."""

    endpoint: Endpoint
    secret: Secret[str]


class DeliveryStatus(enum.StrEnum):
    """How far a delivery is."""

    DELIVERED = "delivered"
    #: For good: the last try failed, or the endpoint is gone.
    FAILED = "failed"
    PENDING = "pending"


class TryReason(enum.StrEnum):
    """What came of a try, in a word; besides these, the words of `egress.Reason` where no answer came."""

    #: A 2xx.
    DELIVERED = "delivered"
    #: Not sent: the endpoint was disabled or deleted meanwhile.
    ENDPOINT_DISABLED = "endpoint_disabled"
    #: A 5xx that says nothing of waiting.
    FAILING = "failing"
    #: 410: it wants nothing more, and is disabled.
    GONE = "gone"
    #: A 3xx, which is not followed.
    REDIRECTED = "redirected"
    #: A 4xx.
    REFUSED = "refused"
    #: 429, 502, 503 or 504.
    THROTTLED = "throttled"


@dataclass(frozen=True, slots=True)
class Try:
    """One try of a delivery, as the log keeps it."""

    number: int
    at: datetime
    #: The endpoint's; None where no answer came.
    status: int | None
    reason: str
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to an endpoint."""

    delivery_id: DeliveryId
    event_id: EventId
    endpoint_id: EndpointId
    status: DeliveryStatus
    created_at: datetime
    next_at: datetime | None
    delivered_at: datetime | None
    tries: tuple[Try, ...]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and whence."""

    principal: Principal
    origin: Origin

    @property
    def scope(self) -> tuple[MerchantId, Mode]:
        """The merchant and mode whose rows are meant."""
        return self.principal.merchant, self.principal.mode
