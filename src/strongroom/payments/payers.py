# SPDX-License-Identifier: Apache-2.0
"""Who pays, with which card, and whether they agreed to it: what a wish for a payment is read against."""

from strongroom.kernel.ids import is_id
from strongroom.payments.customers import CardsOnFile, CustomerUnknown
from strongroom.payments.decisions import Card
from strongroom.payments.repeats import Wish
from strongroom.payments.stored import StoredCredential, reference_for
from strongroom.vault import CardFacts


class Payers:
    """The customers of a wish's merchant."""

    def __init__(self, cards: CardsOnFile) -> None:
        self._cards = cards

    async def default_card(self, wish: Wish, customer: str) -> str | None:
        """Return the token that a customer pays with; None: they saved none. Raises CustomerUnknown."""
        if not is_id("cus", customer):
            raise CustomerUnknown
        return await self._cards.default_of(wish.principal.merchant, wish.principal.mode, customer)

    async def require_saved(
        self, wish: Wish, customer: str, token: str | None, card: CardFacts | None
    ) -> None:
        """Refuse a card on file that its customer has saved no more, by either id that it may have.

        Raises:
            CustomerUnknown, CardNotSaved: see each.
        """
        if token is None or card is None:
            return
        merchant, mode = wish.principal.merchant, wish.principal.mode
        await self._cards.require_saved(merchant, mode, customer, {token, card.token})

    async def require_agreed(
        self,
        wish: Wish,
        stored: StoredCredential | None,
        customer: str | None,
        token: str | None,
        card: CardFacts | None,
    ) -> None:
        """Refuse what the merchant begins and its customer did not agree to, by either id that the card may have.

        Raises:
            MandateMissing, MandateRevoked: see each.
        """
        if stored is None or not stored.by_merchant or card is None:
            return
        merchant, mode = wish.principal.merchant, wish.principal.mode
        await self._cards.require_agreed(merchant, mode, token or card.token, customer)
        if card.token != token:
            await self._cards.require_agreed(merchant, mode, card.token, None)


def charged_card(card: CardFacts | None, stored: StoredCredential | None) -> Card | None:
    """Say what may be known of a card, and what a later payment with it refers to. Raises Invalid."""
    if card is None:
        return None
    agreed = card.stored_credential
    known = None if agreed is None else agreed.scheme_transaction_id
    return Card(card.token, card.brand, card.bin, card.last4, reference_for(stored, known))
