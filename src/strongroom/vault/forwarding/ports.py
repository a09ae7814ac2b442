# SPDX-License-Identifier: Apache-2.0
"""What forwards need besides the vault's own parts, and what their routes call."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode

if TYPE_CHECKING:  # both need `Holders`
    from strongroom.vault.forwarding.book import DestinationBook
    from strongroom.vault.forwarding.service import Forwarding


class Holders(Protocol):
    """Opens the names of cards' holders, where tokens have them."""

    async def holder(self, merchant: MerchantId, mode: Mode, token: TokenId) -> str | None:
        """Return a name, or None. The use of the card is recorded already."""


@dataclass(frozen=True, slots=True)
class ForwardDesk:
    """The parts that routes call; `compose` joins them."""

    book: "DestinationBook"
    forwarding: "Forwarding"
