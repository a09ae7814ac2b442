# SPDX-License-Identifier: Apache-2.0
"""Every tenant's allow-lists, in this process, at most two seconds old. Implements `http.gate.Gate`.

Twice a second the changes are looked at, and what changed is read anew. When that fails for two seconds, nobody is
admitted until it works again: a list that cannot be known might exclude whoever asks.
"""

import asyncio
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Final, final

from strongroom.db.pool import Database
from strongroom.http.gate import AddressNotAllowed, RouteGroup
from strongroom.http.request import Request
from strongroom.identity.networks import store
from strongroom.identity.networks.decision import TenantLists
from strongroom.kernel.addresses import AddressMalformed, parse_address
from strongroom.kernel.errors import Unavailable
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.invariant import invariant

REFRESHED_EVERY_SECONDS: Final = 0.5
#: Counted from before the changes were looked at.
KNOWN_SECONDS_MAX: Final = 2.0
TENANTS_PER_TRANSACTION: Final = 200

invariant(REFRESHED_EVERY_SECONDS * 2 < KNOWN_SECONDS_MAX, "one refresh that fails closes nothing")


class ListsUnknown(Unavailable):
    """The allow-lists cannot be read, so nobody is admitted now."""

    code = "allow_lists_unknown"


@final
class NetworkGate:
    """The lists as one process knows them. Belongs to one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lists: dict[MerchantId, TenantLists] = {}
        self._versions: Mapping[MerchantId, int] = {}
        self._until = 0.0
        self._refreshing: asyncio.Task[None] | None = None

    def is_fresh(self) -> bool:
        """Tell whether what is known is at most two seconds old."""
        return perf_counter() < self._until

    async def fresh(self) -> None:
        """Make sure that what is known is at most two seconds old; one look at a time, however many wait.

        Raises:
            Unavailable: it is older, and cannot be read.
        """
        if self.is_fresh():
            return
        await self.refresh()
        if not self.is_fresh():
            raise ListsUnknown

    async def refresh(self) -> None:
        """Look at the changes, and read what changed. Joins a look that is under way.

        Raises:
            Unavailable: the database is away; what was known runs out.
        """
        if self._refreshing is None:
            self._refreshing = asyncio.get_running_loop().create_task(self._refresh())
            self._refreshing.add_done_callback(self._refreshed)
        await asyncio.shield(self._refreshing)

    def _refreshed(self, done: "asyncio.Task[None]") -> None:
        self._refreshing = None
        if not done.cancelled():
            done.exception()  # whoever waits is told; if nobody does, it is no news either

    async def _refresh(self) -> None:
        began = perf_counter()
        async with self._database.transaction() as read:
            versions = await store.list_changes(read)
        changed = [
            each for each, version in versions.items() if self._versions.get(each) != version
        ]
        for first in range(0, len(changed), TENANTS_PER_TRANSACTION):
            await self._read(changed[first : first + TENANTS_PER_TRANSACTION])
        self._versions = versions
        self._until = began + KNOWN_SECONDS_MAX

    async def _read(self, merchants: Sequence[MerchantId]) -> None:
        async with self._database.transaction(merchants) as read:
            found = await store.list_networks(read)
        for merchant in merchants:
            lists = [each for each in found if each.merchant == merchant]
            if lists:
                self._lists[merchant] = TenantLists(lists)
            else:
                self._lists.pop(merchant, None)

    def admit_caller(self, request: Request) -> None:
        """Ask the lists of the caller's tenant, role, key or person."""
        principal = request.principal
        if principal is None:
            return
        lists = self._lists.get(principal.merchant)
        if lists is None:
            return
        try:
            admitted = lists.admit_caller(principal, parse_address(request.address))
        except AddressMalformed:
            admitted = False  # a socket of the file system is in no network
        if not admitted:
            raise AddressNotAllowed

    def admit_route(self, request: Request, groups: Sequence[RouteGroup]) -> None:
        """Ask the lists of the route's groups."""
        principal = request.principal
        if principal is None:
            return
        lists = self._lists.get(principal.merchant)
        if lists is None:
            return
        try:
            admitted = lists.admit_route(principal.mode, groups, parse_address(request.address))
        except AddressMalformed:
            admitted = False
        if not admitted:
            raise AddressNotAllowed
