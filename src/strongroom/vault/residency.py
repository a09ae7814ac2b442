# SPDX-License-Identifier: Apache-2.0
"""Where cards may rest: a merchant is pinned to a region, and a vault elsewhere seals and opens none of its cards.

Asked at the one place where card keys are taken (`CardSealer`), so that no way in or out goes around it.
"""

from collections.abc import Collection, Sequence
from typing import Final, Protocol

from strongroom.db.pool import Database
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import Denied, StrongroomError
from strongroom.kernel.ids import MerchantId
from strongroom.keys import RootInfo, location_of
from strongroom.vault.writes import QUERIES

#: The region of who named none.
UNNAMED: Final = "local"
#: Merchants whose region was looked up; it never changes.
REMEMBERED_MAX: Final = 100_000


class MerchantElsewhere(Denied):
    """This merchant's cards rest in another region: ask the vault there."""

    code = "merchant_elsewhere"


class RegionWrong(StrongroomError):
    """This vault's region is not the one that its database, its key store or its audit sink was made for."""

    code = "region_wrong"


class Regions(Protocol):
    """Knows where merchants are at home."""

    async def region_of(self, merchant: MerchantId, /) -> tuple[bool, str | None]:
        """Tell whether there is such a merchant, and its region; None: at home wherever its core is.

        Raises:
            Unavailable: it cannot be asked.
        """


class Residency:
    """Knows which merchants are at home in this vault's region."""

    def __init__(self, regions: Regions, region: str) -> None:
        self._regions = regions
        self.region = region
        self._here: dict[MerchantId, bool] = {}

    def known(self, merchant: MerchantId) -> bool:
        """Tell whether this merchant is known to be at home here, without waiting; False: ask `require`."""
        return self._here.get(merchant, False)

    async def require(self, merchant: MerchantId) -> None:
        """Let a merchant pass who is at home here.

        Raises:
            MerchantElsewhere: at home in another region.
            Unavailable: the region is not known yet, and the core database does not answer.
        """
        here = self._here.get(merchant)
        if here is None:
            here = await self._look_up(merchant)
        if not here:
            raise MerchantElsewhere

    async def _look_up(self, merchant: MerchantId) -> bool:
        known, region = await self._regions.region_of(merchant)
        if not known:
            return False
        if len(self._here) >= REMEMBERED_MAX:
            self._here.clear()
        here = region in (None, self.region)
        self._here[merchant] = here
        return here


async def require_region(database: Database, region: str, clock: Clock) -> None:
    """Pin a vault's database to its region at the first start, and refuse any other from then on.

    Raises:
        RegionWrong: it was pinned to another one.
    """
    async with database.transaction() as tx:
        await tx.run(QUERIES["pin_region"], region, clock.now())
        row = await tx.row(QUERIES["pinned_region"])
    require_same(region, "" if row is None else row["region"], "its database")


def require_places(region: str, allowed: Collection[str], roots: Sequence[RootInfo]) -> None:
    """Refuse a key store that says that its roots are elsewhere. A region that was never named is not compared.

    Args:
        region: the vault's; its own name is a place that counts.
        allowed: further places that count as it.
        roots: what the store says of them.

    Raises:
        RegionWrong: names the root and its place.
    """
    if region == UNNAMED and not allowed:
        return
    for root in roots:
        place = location_of(root)
        if place is not None and place != region and place not in allowed:
            raise RegionWrong(
                f"this vault's region is {region}, and the {root.purpose} root is in {place}: set "
                "STRONGROOM_VAULT_REGION or _VAULT_LOCATIONS, or give it keys of its own region"
            )


def require_same(region: str, found: str, whose: str) -> None:
    """Refuse what was made for another region.

    Raises:
        RegionWrong: says whose, and which.
    """
    if found != region:
        raise RegionWrong(
            f"this vault's region is {region}, and {whose} is of {found or 'none'}: set STRONGROOM_VAULT_REGION, "
            "or give it what is of its own region"
        )
