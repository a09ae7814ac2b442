# SPDX-License-Identifier: Apache-2.0
"""In which region each tenant's cards rest, for the vaults of every region. Implements the vault's `Regions`."""

from strongroom.db.pool import Database
from strongroom.db.queries import load_queries
from strongroom.kernel.ids import MerchantId


class MerchantRegions:
    """The tenants of the core database."""

    def __init__(self, core: Database) -> None:
        self._core = core

    async def region_of(self, merchant: MerchantId, /) -> tuple[bool, str | None]:
        """Tell whether there is such a tenant, and its region; None: made before regions were told apart.

        Raises:
            Unavailable: the core database does not answer.
        """
        query = load_queries("strongroom.identity")["merchant_region"]
        async with self._core.transaction([merchant]) as read:
            row = await read.row(query, merchant)
        return (False, None) if row is None else (True, row["region"])
