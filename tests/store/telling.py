# SPDX-License-Identifier: Apache-2.0
"""What the vault has told, for tests: out of its outbox, and what each event's published schema says of it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jsonschema
import msgspec

from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.clock import rfc3339
from strongroom.kernel.events import EventType
from strongroom.kernel.ids import MerchantId
from strongroom.vault.events import EVENT_DATA
from strongroom.webhooks import event_schema


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that a merchant is to be told."""

    type: str
    object_id: str
    mode: str
    data: dict[str, Any]
    at: datetime


async def told(
    look: Callable[..., Awaitable[Sequence[Any]]], merchant: MerchantId
) -> Sequence[Told]:
    """Return what a merchant is to be told, in its order; each is what its schema says, and holds no card number."""
    found = []
    for row in await look(
        "select * from vault.outbox where merchant_id = $1 order by outbox_id", merchant
    ):
        word = EventType(row["type"])
        event = {
            "id": "evt_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
            "type": word.value,
            "timestamp": rfc3339(row["happened_at"]),
            "mode": row["mode"],
            "api_version": "v1",
            "data": msgspec.json.decode(row["data"]),
        }
        jsonschema.Draft202012Validator(
            event_schema(word, EVENT_DATA[word]), format_checker=jsonschema.FormatChecker()
        ).validate(event)
        (inside,) = event["data"].values()
        assert (inside["id"], inside["mode"]) == (row["object_id"], row["mode"])
        words = {
            name: value
            for name, value in inside.items()
            if "digest" not in name and "sha" not in name
        }
        assert not has_cardlike(msgspec.json.encode(words).decode())
        found.append(Told(row["type"], row["object_id"], row["mode"], inside, row["happened_at"]))
    return found
