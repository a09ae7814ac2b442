# SPDX-License-Identifier: Apache-2.0
"""The keys of a tree, from the keyring: who signs its heads, whose signatures are believed, what rows are MACed with.

None of them is in the database. Every version that is not destroyed still verifies.
"""

from collections.abc import Sequence
from typing import final

from strongroom.audit.note import NoteSigner, VerifierKey
from strongroom.crypto.digest import equal, hmac_sha256
from strongroom.crypto.sign import SigningKey
from strongroom.keys import (
    PLATFORM_MERCHANT,
    PLATFORM_MODE,
    DataKey,
    DataKeyDestroyed,
    DataKeys,
    DataKeyUnknown,
    KeyName,
)


@final
class TreeKeys:
    """The keys of one tree. `name` is the key's name in notes: the tree's origin without its generation.

    Every method raises what `DataKeys` raises.
    """

    def __init__(self, keys: DataKeys, name: str) -> None:
        self._keys = keys
        self._name = name

    async def signers(self) -> Sequence[NoteSigner]:
        """Return who signs now: the present key, and for as long as it lives the one before it.

        So whoever trusts the old key alone goes on believing the log while the new one spreads.
        """
        return [
            NoteSigner(self._name, SigningKey.from_seed(key.secret.expose()))
            for key in (await self._versions(KeyName.CHECKPOINT_SEED))[:2]
        ]

    async def verifiers(self) -> Sequence[VerifierKey]:
        """Return every public key whose signature is believed, the present one first."""
        return [
            NoteSigner(self._name, SigningKey.from_seed(key.secret.expose())).verifier
            for key in await self._versions(KeyName.CHECKPOINT_SEED)
        ]

    async def row_keys(self) -> Sequence[bytes]:
        """Return the keys under which rows are MACed until they are sealed, the present one first."""
        return [key.secret.expose() for key in await self._versions(KeyName.AUDIT_ROW_MAC)]

    async def origin_mac(self, origin: str) -> bytes:
        """Return what shows that a sealer, and nobody in the database, gave the tree this origin."""
        keys = await self.row_keys()
        return hmac_sha256(keys[0], _origin_text(origin))

    async def origin_holds(self, origin: str, mac: bytes) -> bool:
        """Tell whether a sealer gave the tree this origin."""
        return any(
            equal(hmac_sha256(key, _origin_text(origin)), mac) for key in await self.row_keys()
        )

    async def _versions(self, name: KeyName) -> Sequence[DataKey]:
        current = await self._keys.current(PLATFORM_MERCHANT, PLATFORM_MODE, name)
        found = [current]
        for version in range(current.version - 1, 0, -1):
            try:
                found.append(
                    await self._keys.version(PLATFORM_MERCHANT, PLATFORM_MODE, name, version)
                )
            except (DataKeyDestroyed, DataKeyUnknown):
                continue
        return found


def _origin_text(origin: str) -> bytes:
    # A row's MAC is over 32 bytes, and this is longer: neither passes for the other.
    return b"strongroom audit tree's origin\n" + origin.encode()
