# SPDX-License-Identifier: Apache-2.0
"""What forwards need besides the vault's own parts."""

from typing import Protocol

from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode


class Holders(Protocol):
    """Opens the names of cards' holders, where tokens have them."""

    async def holder(self, merchant: MerchantId, mode: Mode, token: TokenId) -> str | None:
        """Return a name, or None. The use of the card is recorded already."""
