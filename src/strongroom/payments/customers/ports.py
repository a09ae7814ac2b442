# SPDX-License-Identifier: Apache-2.0
"""What payments ask of customers."""

from collections.abc import Collection
from typing import Protocol

from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode


class CardsOnFile(Protocol):
    """The cards that customers saved, and what they agreed to."""

    async def default_of(self, merchant: MerchantId, mode: Mode, customer: str) -> str | None:
        """Return the token that a customer pays with; None: they saved none.

        Raises:
            CustomerUnknown: not there for this tenant and mode, or erased.
        """

    async def require_saved(
        self, merchant: MerchantId, mode: Mode, customer: str, tokens: Collection[str]
    ) -> None:
        """Refuse a card, by each id that it may have, that a customer has not saved or saves no more.

        Raises:
            CardNotSaved: see there.
        """

    async def require_agreed(
        self, merchant: MerchantId, mode: Mode, token: str, customer: str | None
    ) -> None:
        """Refuse what the merchant begins with a card, where its customer did not agree.

        Raises:
            MandateMissing, MandateRevoked: see each.
        """
