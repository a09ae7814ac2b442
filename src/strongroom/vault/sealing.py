# SPDX-License-Identifier: Apache-2.0
"""Seals card numbers and fingerprints them, under a merchant's own data keys. The keyring bounds how long."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from strongroom.crypto import Algorithm, CannotOpen, Place, Sealer
from strongroom.kernel.clock import Clock, SystemClock
from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.keys import DataKey, DataKeyDestroyed, DataKeys, KeyName, phase
from strongroom.vault.diagnosis import Diagnosis, Unopened
from strongroom.vault.envelopes import require_envelope
from strongroom.vault.errors import CannotReadCard, MerchantErased
from strongroom.vault.model import StoredToken
from strongroom.vault.pan import SEALED_DIGITS, Pan
from strongroom.vault.residency import Residency

CARD_PURPOSE: Final = "card"
NUMBER_FIELD: Final = "number"


class MerchantKeys(NamedTuple):
    """What it takes to make a merchant's tokens: each key apart, each versioned."""

    card: DataKey
    fingerprint: DataKey
    idempotency: DataKey
    sealer: Sealer
    #: While cards move to another fingerprint key: the other versions that a card may be known by. Hardly ever any.
    fingerprints_elsewhere: Sequence[DataKey] = ()
    #: Under which other versions requests of the last two days may have been fingerprinted. Hardly ever any.
    idempotency_before: Sequence[DataKey] = ()

    def sealed(self, pan: Pan, mode: Mode, merchant: MerchantId, token: TokenId) -> bytes:
        """Seal a number for its token only."""
        place = _place(mode, merchant, token, self.card.version, self.sealer.algorithm)
        return self.sealer.seal(pan.sealable(), place)

    def elsewhere(self, pan: Pan) -> Sequence[tuple[int, bytes]]:
        """Return (version, fingerprint) of a number under the other versions that it may be known by."""
        identity = pan.identity()
        return [(key.version, key.mac().of(identity)) for key in self.fingerprints_elsewhere]

    def fingerprinted(self, pan: Pan) -> bytes:
        """Return the keyed fingerprint of the whole number (PCI DSS 3.5.1.1)."""
        return fingerprint_under(self.fingerprint, pan)

    def request_fingerprint(self, canonical: bytes) -> bytes:
        """Return the keyed fingerprint of a request's body."""
        return self.idempotency.mac().of(canonical)

    def request_fingerprints_before(self, canonical: bytes) -> Sequence[bytes]:
        """Return what else a request of the last two days may be known by, around a rotation of the key."""
        return [key.mac().of(canonical) for key in self.idempotency_before]


class CardSealer:
    """The merchants' keys of this process, by way of the keyring's bounded cache. `algorithm` seals; either opens."""

    def __init__(
        self,
        keyring: DataKeys,
        residency: Residency,
        algorithm: Algorithm = Algorithm.A256CBC_HS512,
        clock: Clock | None = None,
        diagnosis: Diagnosis | None = None,
    ) -> None:
        self._keyring = keyring
        self._diagnosis = diagnosis
        self._residency = residency
        self._algorithm = algorithm
        self._clock = clock or SystemClock()

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
        sealer = card.sealer(self._algorithm, CARD_PURPOSE)
        if fingerprint.version == 1 == idempotency.version:  # never rotated: nearly always
            return MerchantKeys(card, fingerprint, idempotency, sealer)
        known_by = keyring.cached_older(merchant, mode, KeyName.FINGERPRINT)
        before = keyring.cached_older(merchant, mode, KeyName.IDEMPOTENCY)
        if known_by is None or before is None:
            return None
        now = self._clock.now()
        prints, elsewhere = phase(fingerprint, known_by, now)
        requests, before = phase(idempotency, before, now)
        return MerchantKeys(card, prints, requests, sealer, elsewhere, before)

    async def keys(self, merchant: MerchantId, mode: Mode) -> MerchantKeys:
        """Return a merchant's keys, opening or making them where needed.

        Raises:
            MerchantElsewhere: their cards rest in another region.
            MerchantErased: every key of theirs was destroyed.
            KeyStoreUnavailable: they are not open and the key store does not answer.
        """
        await self._residency.require(merchant)
        rotated = False
        for _ in range(3):  # a key may run out between the opening of the first and of the last
            if (keys := self.recent(merchant, mode)) is not None:
                return keys
            for name in (KeyName.CARD, KeyName.FINGERPRINT, KeyName.IDEMPOTENCY):
                try:
                    key = await self._keyring.current(merchant, mode, name)
                except DataKeyDestroyed:
                    raise MerchantErased from None
                rotated = rotated or key.version > 1
            if rotated:
                for name in (KeyName.FINGERPRINT, KeyName.IDEMPOTENCY):
                    await self._keyring.older(merchant, mode, name)
        raise CannotReadCard("this merchant's data keys do not stay open")

    @property
    def algorithm(self) -> Algorithm:
        """What seals from here on."""
        return self._algorithm

    async def card_key(
        self, merchant: MerchantId, mode: Mode, version: int | None = None
    ) -> DataKey:
        """Return a key of cards, for what is sealed beside a number; without a version the one that seals now.

        Raises:
            MerchantElsewhere: this merchant's cards rest in another region.
            KeyStoreUnavailable, KeysBroken: see each.
        """
        await self._residency.require(merchant)
        if version is None:
            return await self._keyring.current(merchant, mode, KeyName.CARD)
        return await self._keyring.version(merchant, mode, KeyName.CARD, version)

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
        """Open what `vault.use_card` gave out.

        Raises:
            MerchantElsewhere: this merchant's cards rest in another region.
            CannotReadCard: the row was altered, moved, or its key is lost; one that is cut or of an unknown format
                has an error of its own.
            KeyStoreUnavailable: its key is not open and the key store does not answer.
        """
        place = _place(mode, merchant, token, key_version, self._algorithm)
        return Pan.from_sealed(await self.open_sealed(sealed, place, SEALED_DIGITS))

    async def open_sealed(self, sealed: bytes, place: Place, clear_bytes: int = 0) -> bytes:
        """Open what is sealed for a place of a card, with whichever algorithm it says. Raises as `open_number`.

        What does not open is looked into for operators, where this process diagnoses.
        """
        await self._residency.require(place.merchant)
        try:
            algorithm = require_envelope(sealed, clear_bytes)
            key = await self._keyring.version(
                place.merchant, place.mode, KeyName.CARD, place.key_version
            )
            at = place._replace(algorithm=algorithm)
            return key.sealer(algorithm, place.purpose).open(sealed, at)
        except CannotOpen:
            error = CannotReadCard()
        except CannotReadCard as refused:
            error = refused
        if self._diagnosis is not None:
            error = await self._diagnosis.why(Unopened(sealed, place), error)
        raise error


def fingerprint_under(key: DataKey, pan: Pan) -> bytes:
    """Return the keyed fingerprint of a whole number under one version of a merchant's key (PCI DSS 3.5.1.1)."""
    return key.mac().of(pan.identity())


def _place(
    mode: Mode, merchant: MerchantId, token: TokenId, key_version: int, algorithm: Algorithm
) -> Place:
    return Place(algorithm, mode, merchant, token, NUMBER_FIELD, key_version, CARD_PURPOSE)
