# SPDX-License-Identifier: Apache-2.0
"""The keys that sign access tokens: seeds in the keyring under the identity root, public halves in a table.

A new key signs a few seconds after it was made, when every process has read it; the one before is believed until the
last token that it signed has expired.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Final, final

from strongroom.audit import PLATFORM, Action, Origin, Recorder
from strongroom.crypto.sign import SigningKey
from strongroom.db.pool import Database, ReadOnly, Record, Transaction
from strongroom.db.queries import load_queries
from strongroom.identity.access_tokens import ACCESS_SECONDS, LEEWAY_SECONDS
from strongroom.identity.jose import EDDSA, Ed25519Signer, ed25519_public_key
from strongroom.identity.revocation import LOST_AFTER_SECONDS
from strongroom.identity.signing_ports import SigningKeyInfo
from strongroom.kernel.clock import Clock
from strongroom.kernel.invariant import Bug
from strongroom.keys import PLATFORM_MERCHANT, PLATFORM_MODE, DataKey, DataKeys, KeyName

#: By then every process that believes tokens at all has read the new key, with room to spare.
SPREAD: Final = timedelta(seconds=LOST_AFTER_SECONDS + 3)
SHOWN_SECONDS: Final = 1.0
_LAST_TOKEN: Final = timedelta(seconds=ACCESS_SECONDS + LEEWAY_SECONDS)
_QUERIES: Final = load_queries("strongroom.identity")
_SYSTEM: Final = "system:signing"


@final
class SigningKeys:
    """Makes, rotates and uses the signing keys of an installation, under the console's login."""

    def __init__(
        self, database: Database, keys: DataKeys, recorder: Recorder, clock: Clock
    ) -> None:
        self._database = database
        self._keys = keys
        self._recorder = recorder
        self._clock = clock
        #: What strangers are answered with, so that their number does not become the database's.
        self._shown: Sequence[SigningKeyInfo] = ()
        self._shown_until = 0.0

    async def ensure(self) -> None:
        """Publish the first key, if there is none yet. Of two processes at once, one does."""
        if await self.published():
            return
        seed = await self._keys.current(
            PLATFORM_MERCHANT, PLATFORM_MODE, KeyName.TOKEN_SIGNING_SEED
        )
        now = self._clock.now()
        async with self._database.transaction([PLATFORM]) as tx:
            await self._publish(tx, seed, now, sign_from=now, actor=_SYSTEM)

    async def rotate(self, *, actor: str, compromised: bool = False) -> SigningKeyInfo:
        """Make the next key. `compromised`: the keys before are not believed from now on, and every token ends.

        Seeds of keys that nothing is believed of any more are destroyed.

        Raises:
            DatabaseAway, and what `DataKeys` raises: nothing has changed, or a seed was made that nothing uses.
        """
        seed = await self._keys.rotate(PLATFORM_MERCHANT, PLATFORM_MODE, KeyName.TOKEN_SIGNING_SEED)
        now = self._clock.now()
        sign_from = now if compromised else now + SPREAD
        until = now if compromised else sign_from + _LAST_TOKEN
        async with self._database.transaction([PLATFORM]) as tx:
            made = await self._publish(tx, seed, now, sign_from=sign_from, actor=actor)
            for row in await tx.rows(_QUERIES["end_signing_keys"], seed.version, until):
                await self._record(
                    tx, Action.IDENTITY_SIGNING_KEY_RETIRED, row["version"], actor=actor, now=now
                )
        self._shown_until = 0.0
        for each in await self.published():
            if each.verify_until is not None and each.verify_until <= now:
                await self._keys.destroy(
                    PLATFORM_MERCHANT, PLATFORM_MODE, KeyName.TOKEN_SIGNING_SEED, each.version
                )
        return made

    async def published(self) -> Sequence[SigningKeyInfo]:
        """Return every key, the newest first."""
        async with self._database.transaction() as read:
            return [_info(row) for row in await read.rows(_QUERIES["signing_keys"])]

    async def signer(self, read: ReadOnly) -> Ed25519Signer:
        """Return who signs now: the newest key that every process has read."""
        now = self._clock.now()
        for row in await read.rows(_QUERIES["signing_keys"]):
            info = _info(row)
            # A key that was made a moment ago is passed over: the one before signs until it is known everywhere.
            if info.sign_from <= now and (info.verify_until is None or now < info.verify_until):
                # The seed is asked of the keyring each time, which bounds how long it is at hand.
                seed = await self._keys.version(
                    PLATFORM_MERCHANT, PLATFORM_MODE, KeyName.TOKEN_SIGNING_SEED, info.version
                )
                return Ed25519Signer(seed.secret, info.public, info.kid)
        raise Bug("no key signs: `ensure` was not called")

    async def jwks(self) -> dict[str, Any]:
        """Return the public keys that are believed, as a JWK set (RFC 7517 §5); read at most once a second."""
        now = self._clock.now()
        if monotonic() >= self._shown_until:
            self._shown = await self.published()
            self._shown_until = monotonic() + SHOWN_SECONDS
        return {
            "keys": [
                {**ed25519_public_key(each.public).jwk, "alg": EDDSA, "kid": each.kid, "use": "sig"}
                for each in self._shown
                if each.verify_until is None or now < each.verify_until
            ]
        }

    async def _publish(
        self, tx: Transaction, seed: DataKey, now: datetime, *, sign_from: datetime, actor: str
    ) -> SigningKeyInfo:
        public = SigningKey.from_seed(seed.secret.expose()).public
        kid = ed25519_public_key(public).thumbprint
        made = await tx.run(
            _QUERIES["insert_signing_key"], kid, seed.version, public, now, sign_from
        )
        if made:
            await self._record(
                tx, Action.IDENTITY_SIGNING_KEY_MADE, seed.version, actor=actor, now=now
            )
        return SigningKeyInfo(kid, seed.version, public, now, sign_from, None)

    async def _record(
        self, tx: Transaction, action: Action, version: int, *, actor: str, now: datetime
    ) -> None:
        record = self._recorder.make(
            action,
            actor=actor,
            merchant=None,
            mode=None,
            thing=f"signing_key:{version}",
            origin=Origin(),
            now=now,
            details={"key_version": version},
        )
        await self._recorder.insert(tx, record)


def _info(row: Record) -> SigningKeyInfo:
    return SigningKeyInfo(
        row["kid"],
        row["version"],
        row["public_key"],
        row["made_at"],
        row["sign_from"],
        row["verify_until"],
    )
