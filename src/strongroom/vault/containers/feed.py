# SPDX-License-Identifier: Apache-2.0
"""Every tenant's rules, in this process, at most two seconds old. Implements `ContainerRules`.

Twice a second the changes are looked at; the rules of a tenant are read when it next calls, and those of the longest
silent are forgotten. When looking fails for two seconds, nobody is let at a token until it works again.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from time import perf_counter
from typing import Final, NamedTuple, final

from strongroom.db.pool import Database
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.invariant import invariant
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Principal
from strongroom.vault.containers import store
from strongroom.vault.containers.decision import PAYMENTS, CallerAccess, TenantAccess
from strongroom.vault.containers.errors import RulesUnknown
from strongroom.vault.containers.model import Access, Granted

REFRESHED_EVERY_SECONDS: Final = 0.5
#: Counted from before the changes were looked at.
KNOWN_SECONDS_MAX: Final = 2.0
#: Of so many tenants the rules are remembered; 200 rules and 100 containers each at most.
TENANTS_REMEMBERED_MAX: Final = 2_000

invariant(REFRESHED_EVERY_SECONDS * 2 < KNOWN_SECONDS_MAX, "one look that fails closes nothing")
_NOTHING: Final = TenantAccess()


class _Known(NamedTuple):
    """A tenant's rules, and the number of the change that they are as new as."""

    version: int
    access: TenantAccess


@final
class RuleFeed:
    """The rules as one process knows them. Belongs to one event loop."""

    def __init__(self, database: Database, *, tenants_max: int = TENANTS_REMEMBERED_MAX) -> None:
        self._database = database
        self._tenants_max = tenants_max
        self._tenants: OrderedDict[MerchantId, _Known] = OrderedDict()
        self._versions: Mapping[MerchantId, int] = {}
        self._until = 0.0
        self._looking: asyncio.Task[None] | None = None

    def is_fresh(self) -> bool:
        """Tell whether what is known is at most two seconds old."""
        return perf_counter() < self._until

    async def refresh(self) -> None:
        """Look at the changes. Joins a look that is under way.

        Raises:
            Unavailable: the database is away; what was known runs out.
        """
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look())
            self._looking.add_done_callback(self._looked)
        await asyncio.shield(self._looking)

    async def catch_up(self) -> None:
        """Look at the changes, in a look that begins after this call: what was committed before is known then.

        Raises:
            Unavailable: the database is away; what was known runs out.
        """
        if self._looking is not None:
            await asyncio.wait({self._looking})
        await self.refresh()

    def _looked(self, done: "asyncio.Task[None]") -> None:
        self._looking = None
        if not done.cancelled():
            done.exception()  # whoever waits is told; if nobody does, it is no news either

    async def _look(self) -> None:
        began = perf_counter()
        async with self._database.transaction() as read:
            self._versions = await store.list_changes(read)
        self._until = began + KNOWN_SECONDS_MAX

    async def access_of(self, merchant: MerchantId) -> TenantAccess:
        """Return a tenant's containers and rules.

        Raises:
            Unavailable: they are older than two seconds and cannot be read.
        """
        if not self.is_fresh():
            await self.refresh()
            if not self.is_fresh():
                raise RulesUnknown
        version = self._versions.get(merchant)
        if version is None:
            return _NOTHING
        known = self._tenants.get(merchant)
        if known is None or known.version < version:
            known = await self._read(merchant)
        else:
            self._tenants.move_to_end(merchant)
        return known.access

    async def _read(self, merchant: MerchantId) -> _Known:
        async with self._database.transaction([merchant]) as read:
            # The number first: what is read after it is at least as new.
            version = await store.change_of(read, merchant)
            rules = await store.list_rules(read, merchant)
            containers = await store.list_containers(read, merchant)
        known = _Known(version, TenantAccess(rules, containers))
        before = self._tenants.get(merchant)
        if before is None or before.version < version:
            self._tenants[merchant] = known
            self._tenants.move_to_end(merchant)
            if len(self._tenants) > self._tenants_max:
                self._tenants.popitem(last=False)
        return known

    async def of(self, principal: Principal) -> CallerAccess:
        """Return what a caller may do. Raises as `access_of`."""
        return (await self.access_of(principal.merchant)).of(principal)

    async def granted(self, principal: Principal, container: str) -> Granted | None:
        """Return what a caller may do in a container. See `ContainerRules`."""
        return (await self.of(principal)).granted(container)

    async def require(self, principal: Principal, container: str, wanted: Access) -> Granted:
        """Return what a caller may do, where it is as much as wanted. See `ContainerRules`."""
        return (await self.of(principal)).require(container, wanted)

    async def require_payments(
        self, merchant: MerchantId, mode: Mode, container: str, wanted: Access
    ) -> Granted:
        """Likewise for the merchant's own payments. See `ContainerRules`."""
        payments = CallerAccess(await self.access_of(merchant), mode, PAYMENTS)
        return payments.require(container, wanted)
