# SPDX-License-Identifier: Apache-2.0
"""Makes events: the exact text that is stored, signed and delivered (Standard Webhooks 1.0, "Payload structure")."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from strongroom.crypto.ids import new_id
from strongroom.kernel.clock import rfc3339
from strongroom.kernel.events import EventType
from strongroom.kernel.ids import EventId
from strongroom.kernel.invariant import invariant
from strongroom.kernel.mode import Mode
from strongroom.webhooks.model import NewEvent

API_VERSION: Final = "v1"
#: Nearly all have less than 3 kB. Metadata can make one large, and is bound where it is taken in.
PAYLOAD_BYTES_MAX: Final = 64 * 1024


class Envelope(msgspec.Struct, frozen=True):
    """What every event is. `data` has a shape of its own for each type."""

    id: str
    type: str
    #: When it happened, RFC 3339.
    timestamp: str
    mode: Literal["live", "test"]
    api_version: Literal["v1"]
    data: Any


_encode: Final = msgspec.json.Encoder().encode


def new_event_ids(number: int) -> Sequence[EventId]:
    """Return ids for events that happen at once, in the order in which they are listed: within a millisecond, too."""
    return sorted(EventId(new_id("evt")) for _ in range(number))


def make_event(
    event_type: EventType,
    object_id: str,
    data: msgspec.Struct | Mapping[str, object] | msgspec.Raw,
    mode: Mode,
    now: datetime,
    event_id: EventId | None = None,
) -> NewEvent:
    """Make an event of what happened at `now` to an object, with an id of its own where none is given."""
    event_id = event_id or new_event_ids(1)[0]
    payload = _encode(
        Envelope(event_id, event_type.value, rfc3339(now), mode.value, API_VERSION, data)
    )
    invariant(len(payload) <= PAYLOAD_BYTES_MAX, "what an event is made of is bounded")
    return NewEvent(event_id, event_type, object_id, payload.decode())
