# SPDX-License-Identifier: Apache-2.0
"""Lets reports go: those that are older than the installation keeps them, and uploads that nobody has gone on with."""

from datetime import timedelta
from typing import Final

from strongroom.db.pool import Database
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import MerchantId, ReportId
from strongroom.kernel.mode import Mode
from strongroom.payments.settlement import store

#: How often it is looked for what is to go.
LOOK_SECONDS: Final = 3_600.0
#: An upload that has stood still for so long is over.
STALE: Final = timedelta(days=7)
_REPORTS_AT_ONCE: Final = 20
_LINES_AT_ONCE: Final = 5_000
#: Above every run.
_EVERY_RUN: Final = 2**31 - 1


class Retention:
    """Removes old reports of every tenant, a bounded number of rows a transaction."""

    def __init__(self, database: Database, clock: Clock, days: int) -> None:
        self._database = database
        self._clock = clock
        self._kept = timedelta(days=days)

    async def run(self) -> int:
        """Remove what is to go; return how many reports that were."""
        now, gone = self._clock.now(), 0
        while True:
            async with self._database.transaction() as read:
                await read.row(store.QUERIES["be_settlement_retention"])
                rows = [
                    *await read.rows(
                        store.QUERIES["reports_to_go"], now - self._kept, _REPORTS_AT_ONCE
                    ),
                    *await read.rows(store.QUERIES["stale_uploads"], now - STALE, _REPORTS_AT_ONCE),
                ]
            if not rows:
                return gone
            for row in rows:
                await self._drop(
                    MerchantId(row["merchant_id"]), Mode(row["mode"]), ReportId(row["report_id"])
                )
                gone += 1

    async def _drop(self, merchant: MerchantId, mode: Mode, report: ReportId) -> None:
        # The row goes last: what is killed before is found again.
        for name, more in (
            ("clear_lines", (_EVERY_RUN, _LINES_AT_ONCE)),
            ("drop_pieces", (store.PIECES_DROPPED,)),
            ("drop_report", ()),
        ):
            query = store.QUERIES[name]
            while True:
                async with self._database.transaction([merchant]) as tx:
                    if not await tx.run(query, merchant, mode, report, *more):
                        break
