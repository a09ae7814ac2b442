# SPDX-License-Identifier: Apache-2.0
"""The names of cards' holders, as they stand sealed beside the numbers. Implements `Holders`."""

from collections.abc import Collection, Mapping

from strongroom.db.pool import Database
from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.vault.details import HOLDER, DetailSealer, SealedDetail
from strongroom.vault.errors import CannotReadCard
from strongroom.vault.forwarding import store


class TokenHolders:
    """Holders of tokens, for this process."""

    def __init__(self, database: Database, details: DetailSealer) -> None:
        self._database = database
        self._details = details

    async def sealed(
        self, merchant: MerchantId, mode: Mode, tokens: Collection[str]
    ) -> Mapping[str, SealedDetail]:
        """Return what is sealed, of those tokens that have a holder."""
        async with self._database.transaction([merchant]) as read:
            return await store.sealed_holders(read, merchant, mode, tokens)

    async def opened(
        self, sealed: SealedDetail, merchant: MerchantId, mode: Mode, token: TokenId
    ) -> str:
        """Return a name. See `Holders`."""
        found = await self._details.open([sealed], mode, merchant, token)
        if sealed.field != HOLDER or found.holder is None:
            raise CannotReadCard
        return found.holder
