# SPDX-License-Identifier: Apache-2.0
"""Identity as its routes and the command line see it."""

from collections.abc import Sequence
from typing import Protocol

from strongroom.audit import Origin
from strongroom.identity.model import ApiKey, KeyWish, Merchant, NewKey
from strongroom.kernel.ids import KeyId, MerchantId
from strongroom.kernel.mode import Mode


class Identity(Protocol):
    """Merchants and keys."""

    async def create_merchant(
        self, name: str, *, actor: str, origin: Origin, region: str | None = None
    ) -> Merchant:
        """Make a tenant, whose cards rest in `region` for ever (None: wherever a vault of this core is).

        Raises Invalid for a name that is empty or looks like a card number, and for a region that is no word.
        """

    async def merchant(self, merchant: MerchantId) -> Merchant:
        """Return a tenant. Raises MerchantUnknown."""

    async def merchants(self) -> Sequence[Merchant]:
        """Return every tenant that this login may see."""

    async def create_key(self, wish: KeyWish, *, actor: str, origin: Origin) -> NewKey:
        """Make an API key. Raises KeyRefused for what its kind may not have, MerchantUnknown."""

    async def keys(self, merchant: MerchantId, mode: Mode) -> Sequence[ApiKey]:
        """Return a tenant's keys of one mode."""

    async def revoke_key(
        self, merchant: MerchantId, mode: Mode, key: KeyId, *, actor: str, origin: Origin
    ) -> None:
        """End a key, everywhere within two seconds. Raises KeyUnknown."""

    async def origin(self, merchant: MerchantId, address: str, request_hash: str) -> Origin:
        """Return the origin of a request, for records."""
