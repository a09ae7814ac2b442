# SPDX-License-Identifier: Apache-2.0
"""Every tenant in groups, for jobs that look after all of them without seeing past row-level security."""

from collections.abc import Sequence
from typing import Final, final

from strongroom.audit import PLATFORM
from strongroom.db.pool import Database
from strongroom.identity import store
from strongroom.kernel.ids import MerchantId

#: Tenants that one transaction states: some 15 kB of setting.
GROUP: Final = 500


@final
class EveryTenant:
    """The merchants that the console's login may list, and the platform."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def groups(self) -> Sequence[Sequence[MerchantId]]:
        """Return all of them, `GROUP` at a time."""
        async with self._database.transaction() as read:
            merchants = await store.list_merchants(read)
        everybody = [PLATFORM, *(each.merchant_id for each in merchants)]
        return [everybody[at : at + GROUP] for at in range(0, len(everybody), GROUP)]
