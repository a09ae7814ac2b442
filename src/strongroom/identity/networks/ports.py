# SPDX-License-Identifier: Apache-2.0
"""Allow-lists as their routes and the command line see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from strongroom.audit import Origin
from strongroom.identity.networks.model import AllowList, ListWish
from strongroom.kernel.ids import MerchantId, NetworkId
from strongroom.kernel.principal import Principal


@dataclass(frozen=True, slots=True)
class Changer:
    """Who changes lists: somebody who called, or an operator at the machine itself, whom no list excludes."""

    actor: str
    origin: Origin
    #: Only of a caller.
    principal: Principal | None = None
    address: str = ""


class Networks(Protocol):
    """Keeps allow-lists."""

    async def all(self, merchant: MerchantId) -> Sequence[AllowList]:
        """Return a tenant's lists, oldest first."""

    async def put(self, merchant: MerchantId, wish: ListWish, by: Changer) -> AllowList:
        """Make a list, or change the one that its subject has in that mode. Effective everywhere within two seconds.

        Raises:
            Invalid: a subject or network is malformed, or everybody is admitted without saying so.
            WouldLockOut: the caller could not undo it from where they are.
            TooManyLists: the tenant has as many as it can have.
            Denied: a key changes the lists of its own mode only.
        """

    async def remove(self, merchant: MerchantId, network: NetworkId, by: Changer) -> None:
        """End a list, everywhere within two seconds.

        Raises:
            NetworkUnknown: there is none.
        """

    async def origin(self, merchant: MerchantId, address: str, request_hash: str) -> Origin:
        """Return the origin of a request, for records."""
