# SPDX-License-Identifier: Apache-2.0
"""The keys that sign receipts: seeds in the keyring under the identity root, and nothing of them in a table.

A new key is published at once and signs after an hour, so that whoever fetches the public keys now and then has it by
its first receipt. Every version that is not destroyed stays published: receipts are kept for years.
"""

from collections.abc import Sequence
from datetime import timedelta
from time import monotonic
from typing import Any, Final, final

from strongroom.crypto.sign import SigningKey
from strongroom.identity import EDDSA, Ed25519Signer, ed25519_public_key
from strongroom.kernel.clock import Clock
from strongroom.keys import PLATFORM_MERCHANT, PLATFORM_MODE, DataKey, DataKeys, KeyName

#: How long a key is published before it signs.
PUBLISHED_AHEAD: Final = timedelta(hours=1)
SHOWN_SECONDS: Final = 1.0
_NAME: Final = (PLATFORM_MERCHANT, PLATFORM_MODE, KeyName.RECEIPT_SIGNING_SEED)


@final
class ReceiptKeys:
    """The receipt keys of one installation. Every method raises what `DataKeys` raises."""

    def __init__(self, keys: DataKeys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        #: What strangers are answered with, so that their number does not become the key store's.
        self._shown: dict[str, Any] = {}
        self._shown_until = 0.0

    async def signer(self) -> Ed25519Signer:
        """Return who signs now: the newest key that was published for long enough, or the only one."""
        current, *older = await self._versions()
        made_at = current.made_at
        if older and made_at is not None and self._clock.now() < made_at + PUBLISHED_AHEAD:
            current = older[0]
        seed = current.secret
        public = SigningKey.from_seed(seed.expose()).public
        return Ed25519Signer(seed, public, ed25519_public_key(public).thumbprint)

    async def jwks(self) -> dict[str, Any]:
        """Return the public keys, the newest first, as a JWK set (RFC 7517 §5); made at most once a second."""
        if monotonic() >= self._shown_until:
            keys = []
            for each in await self._versions():
                key = ed25519_public_key(SigningKey.from_seed(each.secret.expose()).public)
                keys.append({**key.jwk, "alg": EDDSA, "kid": key.thumbprint, "use": "sig"})
            self._shown = {"keys": keys}
            self._shown_until = monotonic() + SHOWN_SECONDS
        return self._shown

    async def _versions(self) -> Sequence[DataKey]:
        current = await self._keys.current(*_NAME)
        return [current, *await self._keys.older(*_NAME)]
