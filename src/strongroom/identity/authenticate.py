# SPDX-License-Identifier: Apache-2.0
"""Checks API keys. A key that held is remembered for a second, so a revocation is seen everywhere within two.

Fails closed: when the database cannot be asked, a key that is not remembered does not hold.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from time import monotonic
from typing import Final

from strongroom.crypto.digest import HmacSha256
from strongroom.db.pool import Database
from strongroom.http import Credential, Request, Unauthenticated
from strongroom.http.auth import BEARER
from strongroom.identity import store
from strongroom.identity.access.key_use import KeyUse
from strongroom.identity.key_text import is_well_formed
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import KeyId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import CallerKind, Principal
from strongroom.kernel.secret import Secret

REMEMBERED_SECONDS: Final = 1.0
#: From here on the next use asks again in the background, so that a busy key never waits for its own check.
REFRESHED_AFTER_SECONDS: Final = 0.4
REMEMBERED_KEYS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Held:
    principal: Principal
    refresh_from: float
    until: float


class KeyAuthenticator:
    """Authenticates the callers of one process."""

    def __init__(
        self,
        database: Database,
        hash_key: Secret[bytes],
        clock: Clock,
        use: KeyUse | None = None,
    ) -> None:
        self._database = database
        #: Who notes that a key was used: when it is checked, not at every request that is served from memory.
        self._use = use
        self._hashed = HmacSha256(hash_key.expose())
        self._clock = clock
        self._held: OrderedDict[bytes, _Held] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[Principal]] = {}

    def recent(self, request: Request, credential: Credential) -> Principal | None:  # noqa: ARG002 - the port's
        """Return the principal of a key that held within the last second."""
        if not credential.text.isascii():
            return None
        key_hash = self._hashed.of(credential.text.encode())
        held = self._held.get(key_hash)
        now = monotonic()
        if held is None or now >= held.until or held.principal.kind is CallerKind.PUBLIC:
            return None
        if now >= held.refresh_from and key_hash not in self._asking:
            refreshing = self._ask_once(key_hash, None)
            refreshing.add_done_callback(lambda done: self._refreshed(key_hash, done))
        return held.principal

    def _refreshed(self, key_hash: bytes, done: "asyncio.Task[Principal]") -> None:
        """A key that no longer holds is forgotten at once; one that could not be asked about runs out by itself."""
        error = None if done.cancelled() else done.exception()
        if isinstance(error, Unauthenticated):
            self._held.pop(key_hash, None)
        elif error is None and not done.cancelled():
            self._remember(key_hash, done.result())

    async def authenticate(self, request: Request, credential: Credential) -> Principal:
        """Check a key. One question to the database at a time for one key, however many ask.

        Raises:
            Unauthenticated, DatabaseAway: it does not hold.
        """
        if credential.scheme != BEARER or not is_well_formed(credential.text):
            raise Unauthenticated("malformed")
        origin = request.headers.get("origin")
        key_hash = self._hashed.of(credential.text.encode())
        asking = self._asking.get(key_hash) if origin is None else None
        principal = await asyncio.shield(asking or self._ask_once(key_hash, origin))
        self._remember(key_hash, principal)
        return principal

    def _ask_once(self, key_hash: bytes, origin: str | None) -> "asyncio.Task[Principal]":
        asking = asyncio.get_running_loop().create_task(self._ask(key_hash, origin))
        if origin is None:  # a browser's origin is part of the answer, so it is not shared
            self._asking[key_hash] = asking
            asking.add_done_callback(lambda _: self._asking.pop(key_hash, None))
        return asking

    def _remember(self, key_hash: bytes, principal: Principal) -> None:
        if key_hash not in self._held and len(self._held) >= REMEMBERED_KEYS_MAX:
            self._held.popitem(last=False)
        now = monotonic()
        self._held[key_hash] = _Held(
            principal, now + REFRESHED_AFTER_SECONDS, now + REMEMBERED_SECONDS
        )

    async def _ask(self, key_hash: bytes, origin: str | None) -> Principal:
        async with self._database.transaction() as read:
            row = await store.key_by_hash(read, key_hash)
        if row is None:
            raise Unauthenticated("unknown")
        now = self._clock.now()
        if row["revoked_at"] is not None:
            raise Unauthenticated("revoked")
        if row["expires_at"] is not None and row["expires_at"] <= now:
            raise Unauthenticated("expired")
        if row["status"] != "active":
            raise Unauthenticated("merchant_suspended")
        origins = row["origins"]
        if origins and (origin is None or origin not in origins):
            raise Unauthenticated("origin_not_allowed")
        if self._use is not None:
            self._use.note(MerchantId(row["merchant_id"]), KeyId(row["key_id"]), now)
        return Principal(
            row["key_id"],
            CallerKind(row["kind"]),
            MerchantId(row["merchant_id"]),
            Mode(row["mode"]),
            store.permissions_of(row["permissions"]),
        )
