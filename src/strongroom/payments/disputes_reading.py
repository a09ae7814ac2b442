# SPDX-License-Identifier: Apache-2.0
"""Reads disputes for their merchant, and whose payment a processor speaks of. Changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from strongroom.db.pool import Database
from strongroom.kernel.ids import ConnectionId, MerchantId, is_id
from strongroom.kernel.mode import Mode
from strongroom.payments.errors import DisputeUnknown
from strongroom.payments.model import Dispute
from strongroom.payments.store import QUERIES, dispute_of

PAGE_ROWS_MAX: Final = 100
#: After every id, so that the first page begins with the newest.
AFTER_EVERY_ID: Final = "dsp_~"


@dataclass(frozen=True, slots=True)
class Sought:
    """What narrows a list; None does not."""

    status: str | None = None
    payment: str | None = None
    due_before: datetime | None = None


class Disputes:
    """One database's disputes, for reading."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def one(self, merchant: MerchantId, mode: Mode, dispute: str) -> Dispute:
        """Return a dispute.

        Raises:
            DisputeUnknown: not there for this tenant and mode.
        """
        if not is_id("dsp", dispute):
            raise DisputeUnknown
        async with self._database.transaction([merchant]) as read:
            row = await read.row(QUERIES["dispute_by_id"], merchant, mode, dispute)
        if row is None:
            raise DisputeUnknown
        return dispute_of(row["row"])

    async def page(
        self, merchant: MerchantId, mode: Mode, sought: Sought, before: str | None, limit: int
    ) -> tuple[Sequence[Dispute], str | None]:
        """Return a page, newest first, and the cursor of the next if there is one."""
        async with self._database.transaction([merchant]) as read:
            rows = await read.rows(
                QUERIES["list_disputes"],
                merchant,
                mode,
                before or AFTER_EVERY_ID,
                sought.status,
                sought.payment,
                sought.due_before,
                limit + 1,
            )
        page = [dispute_of(row["row"]) for row in rows[:limit]]
        return page, page[-1].dispute_id if len(rows) > limit else None

    async def authorization(
        self, merchant: MerchantId, mode: Mode, connection: ConnectionId, reference: str
    ) -> str | None:
        """Return the attempt that a processor calls so; None: none, or several."""
        async with self._database.transaction([merchant]) as read:
            rows = await read.rows(
                QUERIES["attempt_by_processor_reference"], merchant, mode, connection, reference
            )
        return str(rows[0]["attempt_id"]) if len(rows) == 1 else None
