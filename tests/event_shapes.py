# SPDX-License-Identifier: Apache-2.0
"""Whether events are what is published of them, for every suite that makes some."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import jsonschema

from service import Service
from strongroom import compose
from strongroom.db.logins import Domain

SCHEMAS: Final = json.loads(compose.events_document())


def misshapen(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return what is wrong with events, each a row with its type and payload."""
    found = []
    for row in rows:
        validator = jsonschema.Draft202012Validator(
            SCHEMAS[row["type"]], format_checker=jsonschema.FormatChecker()
        )
        found += [
            f"{row['type']}: {error.message}"
            for error in validator.iter_errors(json.loads(row["payload"]))
        ]
    return found


async def events_of(service: Service) -> list[dict[str, Any]]:
    """Return every event of a service, whoever's it is."""
    rows = await service.look(Domain.CORE, "select type, payload from webhooks.event")
    return [dict(row) for row in rows]
