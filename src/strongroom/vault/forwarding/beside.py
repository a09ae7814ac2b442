# SPDX-License-Identifier: Apache-2.0
"""Holders, addresses and network tokens, as they stand sealed beside the numbers. Implements `Beside`."""

from collections.abc import Collection, Mapping, Sequence

from strongroom.db.pool import Database
from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.vault.details import Details, DetailSealer, SealedDetail
from strongroom.vault.forwarding import store


class TokenDetails:
    """What is sealed beside the numbers of tokens, for this process."""

    def __init__(self, database: Database, details: DetailSealer) -> None:
        self._database = database
        self._details = details

    async def sealed(
        self, merchant: MerchantId, mode: Mode, tokens: Collection[str], fields: Collection[str]
    ) -> Mapping[str, Sequence[SealedDetail]]:
        """Return what is sealed of those tokens. See `Beside`."""
        async with self._database.transaction([merchant]) as read:
            return await store.sealed_beside(read, merchant, mode, tokens, fields)

    async def opened(
        self, sealed: Sequence[SealedDetail], merchant: MerchantId, mode: Mode, token: TokenId
    ) -> Details:
        """Return it in clear. See `Beside`."""
        return await self._details.open(sealed, mode, merchant, token)
