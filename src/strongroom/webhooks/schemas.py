# SPDX-License-Identifier: Apache-2.0
"""A JSON schema (draft 2020-12) for each type of event: the envelope, and the shape of its data."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from strongroom.kernel.events import EventType
from strongroom.webhooks.envelope import API_VERSION

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
#: An identifier, which is not fetched.
ID_PREFIX: Final = "https://strongroom.example/events/"


class EndpointTested(msgspec.Struct, frozen=True):
    """What `webhook.test` carries."""

    #: The endpoint that was to be tested.
    endpoint: str


def event_schema(event_type: EventType, data_type: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the schema of an event whose `data` has that type. Members may be added to events within a version."""
    data = msgspec.json.schema(data_type)
    shapes = data.pop("$defs", {})
    return {
        "$schema": DRAFT,
        "$id": f"{ID_PREFIX}{API_VERSION}/{event_type}",
        "title": event_type.value,
        "type": "object",
        "properties": {
            "id": {"type": "string", "pattern": "^evt_[0-7][0-9A-HJKMNP-TV-Z]{25}$"},
            "type": {"const": event_type.value},
            "timestamp": {"type": "string", "format": "date-time"},
            "mode": {"enum": ["live", "test"]},
            "api_version": {"const": API_VERSION},
            "data": data,
        },
        "required": ["id", "type", "timestamp", "mode", "api_version", "data"],
        "$defs": shapes,
    }


def event_schemas(data_types: Mapping[EventType, type[msgspec.Struct]]) -> dict[str, Any]:
    """Return every schema by its type's word. `data_types` are the other domains'; ours is added."""
    known: dict[EventType, type[msgspec.Struct]] = {
        **data_types,
        EventType.WEBHOOK_TEST: EndpointTested,
    }
    return {each.value: event_schema(each, known[each]) for each in EventType}
