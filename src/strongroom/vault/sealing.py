# SPDX-License-Identifier: Apache-2.0
"""Seals card numbers and fingerprints them, under a merchant's own data keys. The keyring bounds how long."""

from typing import Final, NamedTuple

from strongroom.crypto import Algorithm, CannotOpen, Place, Sealer, hmac_sha256
from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.keys import DataKey, DataKeys, KeyName
from strongroom.vault.errors import CannotReadCard
from strongroom.vault.model import StoredToken
from strongroom.vault.pan import Pan
from strongroom.vault.residency import Residency

CARD_PURPOSE: Final = "card"
NUMBER_FIELD: Final = "number"


class MerchantKeys(NamedTuple):
    """What it takes to make a merchant's tokens: each key apart, each versioned."""

    card: DataKey
    fingerprint: DataKey
    idempotency: DataKey
    sealer: Sealer

    def sealed(self, pan: Pan, mode: Mode, merchant: MerchantId, token: TokenId) -> bytes:
        """Seal a number for its token only."""
        return self.sealer.seal(pan.sealable(), _place(mode, merchant, token, self.card.version))

    def fingerprinted(self, pan: Pan) -> bytes:
        """Return the keyed fingerprint of the whole number (PCI DSS 3.5.1.1)."""
        return hmac_sha256(self.fingerprint.secret.expose(), pan.identity())

    def request_fingerprint(self, canonical: bytes) -> bytes:
        """Return the keyed fingerprint of a request's body."""
        return hmac_sha256(self.idempotency.secret.expose(), canonical)


class CardSealer:
    """The merchants' keys of this process, by way of the keyring's bounded cache."""

    def __init__(self, keyring: DataKeys, residency: Residency) -> None:
        self._keyring = keyring
        self._residency = residency

    def recent(self, merchant: MerchantId, mode: Mode) -> MerchantKeys | None:
        """Return a merchant's keys if all of them are open now, without waiting; counts a use of each."""
        keyring = self._keyring
        if not self._residency.known(merchant):
            return None
        card = keyring.cached(merchant, mode, KeyName.CARD)
        fingerprint = keyring.cached(merchant, mode, KeyName.FINGERPRINT)
        idempotency = keyring.cached(merchant, mode, KeyName.IDEMPOTENCY)
        if card is None or fingerprint is None or idempotency is None:
            return None
        return MerchantKeys(
            card, fingerprint, idempotency, card.sealer(Algorithm.A256CBC_HS512, CARD_PURPOSE)
        )

    async def keys(self, merchant: MerchantId, mode: Mode) -> MerchantKeys:
        """Return a merchant's keys, opening or making them where needed.

        Raises:
            MerchantElsewhere: their cards rest in another region.
            KeyStoreUnavailable: they are not open and the key store does not answer.
        """
        await self._residency.require(merchant)
        for _ in range(3):  # a key may run out between the opening of the first and of the last
            if (keys := self.recent(merchant, mode)) is not None:
                return keys
            for name in (KeyName.CARD, KeyName.FINGERPRINT, KeyName.IDEMPOTENCY):
                await self._keyring.current(merchant, mode, name)
        raise CannotReadCard("this merchant's data keys do not stay open")

    async def open(self, token: StoredToken) -> Pan:
        """Open a stored number. Record the use first. Raises as `open_number`."""
        return await self.open_number(
            token.sealed_number,
            mode=token.mode,
            merchant=token.merchant_id,
            token=token.token_id,
            key_version=token.key_version,
        )

    async def open_number(
        self, sealed: bytes, *, mode: Mode, merchant: MerchantId, token: TokenId, key_version: int
    ) -> Pan:
        """Open what `vault.use_token` gave out.

        Raises:
            MerchantElsewhere: this merchant's cards rest in another region.
            CannotReadCard: the row was altered, moved, or its key is lost.
            KeyStoreUnavailable: its key is not open and the key store does not answer.
        """
        await self._residency.require(merchant)
        key = await self._keyring.version(merchant, mode, KeyName.CARD, key_version)
        sealer = key.sealer(Algorithm.A256CBC_HS512, CARD_PURPOSE)
        try:
            return Pan.from_sealed(sealer.open(sealed, _place(mode, merchant, token, key_version)))
        except CannotOpen:
            raise CannotReadCard from None


def _place(mode: Mode, merchant: MerchantId, token: TokenId, key_version: int) -> Place:
    return Place(
        algorithm=Algorithm.A256CBC_HS512,
        mode=mode,
        merchant=merchant,
        object_id=token,
        field=NUMBER_FIELD,
        key_version=key_version,
        purpose=CARD_PURPOSE,
    )
