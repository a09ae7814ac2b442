# SPDX-License-Identifier: Apache-2.0
"""What goes over the vault's internal port of what merchants are to be told. No secret and no card data is among it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from strongroom.kernel.events import Happened
from strongroom.kernel.ids import MerchantId, OutboxId
from strongroom.kernel.mode import Mode
from strongroom.vault.outbox.ports import PAGE_ROWS_MAX

WAITING: Final = "/internal/v1/outbox/waiting"
ACKNOWLEDGE: Final = "/internal/v1/outbox/acknowledge"


class WaitingAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Behind which of its ids the outbox is asked for, and for how much of it."""

    after: Annotated[str, Meta(max_length=64)]
    limit: Annotated[int, Meta(ge=1, le=PAGE_ROWS_MAX)]


class AcknowledgeAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What of the outbox is committed elsewhere."""

    taken: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=PAGE_ROWS_MAX)]


class HappenedOut(msgspec.Struct, frozen=True):
    """`kernel.events.Happened`."""

    outbox_id: str
    merchant: str
    mode: Mode
    type: str
    object_id: str
    data: str
    at: datetime


class WaitingOut(msgspec.Struct, frozen=True, tag="waiting"):
    """What waits in the outbox, in the order of its ids."""

    happened: list[HappenedOut]

    @classmethod
    def of(cls, happened: Sequence[Happened]) -> "WaitingOut":
        """Say it."""
        return cls(
            [
                HappenedOut(
                    each.outbox_id,
                    each.merchant,
                    each.mode,
                    each.type,
                    each.object_id,
                    each.data,
                    each.at,
                )
                for each in happened
            ]
        )

    def value(self) -> Sequence[Happened]:
        """Return what it stands for."""
        return [
            Happened(
                OutboxId(each.outbox_id),
                MerchantId(each.merchant),
                each.mode,
                each.type,
                each.object_id,
                each.data,
                each.at,
            )
            for each in self.happened
        ]
