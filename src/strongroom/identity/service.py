# SPDX-License-Identifier: Apache-2.0
"""Makes and ends merchants and keys; each act commits with its audit record. A key's text is returned once."""

import re
from collections.abc import Sequence
from typing import Final

from strongroom.audit import Action, Origin, Recorder
from strongroom.crypto.digest import hmac_sha256
from strongroom.crypto.ids import new_id
from strongroom.db.errors import ConstraintBroken
from strongroom.db.pool import Database
from strongroom.identity import store
from strongroom.identity.errors import KeyRefused, KeyUnknown, MerchantUnknown
from strongroom.identity.grants import GRANTABLE
from strongroom.identity.key_text import new_key_text
from strongroom.identity.model import ApiKey, KeyWish, Merchant, NewKey
from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import KeyId, MerchantId, is_id
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import KeyKind
from strongroom.kernel.region import REGION
from strongroom.kernel.secret import Secret

NAME_CHARACTERS_MAX: Final = 100
ORIGINS_MAX: Final = 20
#: As browsers print one (RFC 6454 §6.1); without TLS only the developer's own machine.
_ORIGIN: Final = re.compile(
    r"(?:https://[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|http://(?:localhost|127\.0\.0\.1))(?::[0-9]{1,5})?"
)


class IdentityService:
    """Merchants and keys in the core database."""

    def __init__(
        self, database: Database, hash_key: Secret[bytes], recorder: Recorder, clock: Clock
    ) -> None:
        self._database = database
        self._hash_key = hash_key
        self._recorder = recorder
        self._clock = clock

    async def create_merchant(
        self, name: str, *, actor: str, origin: Origin, region: str | None = None
    ) -> Merchant:
        """Make a tenant."""
        require_name(name)
        if region is not None and not REGION.fullmatch(region):
            raise Invalid(
                FieldError("/region", "region_malformed", "a region is a word like `uae`")
            )
        merchant = MerchantId(new_id("mer"))
        now = self._clock.now()
        async with self._database.transaction([merchant]) as tx:
            await store.insert_merchant(tx, merchant, name, region, now)
            record = self._recorder.make(
                Action.IDENTITY_MERCHANT_CREATED,
                actor=actor,
                merchant=merchant,
                mode=None,
                thing=merchant,
                origin=origin,
                now=now,
            )
            await self._recorder.insert(tx, record)
        return Merchant(merchant, name, "active", region, now)

    async def merchant(self, merchant: MerchantId) -> Merchant:
        """Return a tenant."""
        async with self._database.transaction([merchant]) as read:
            found = await store.merchant_by_id(read, merchant)
        if found is None:
            raise MerchantUnknown
        return found

    async def merchants(self) -> Sequence[Merchant]:
        """Return every tenant that this login may see."""
        async with self._database.transaction() as read:
            return await store.list_merchants(read)

    async def create_key(self, wish: KeyWish, *, actor: str, origin: Origin) -> NewKey:
        """Make an API key."""
        permissions = _granted(wish)
        require_name(wish.name)
        text = new_key_text(wish.kind, wish.mode)
        key_id = KeyId(new_id("key"))
        now = self._clock.now()
        if wish.expires_at is not None and wish.expires_at <= now:
            raise Invalid(FieldError("/expires_at", "expiry_past", "a key expires in the future"))
        key_hash = hmac_sha256(self._hash_key.expose(), text.expose().encode())
        last4 = text.expose()[-4:]
        try:
            async with self._database.transaction([wish.merchant]) as tx:
                await store.insert_key(
                    tx,
                    key_id,
                    wish,
                    key_hash=key_hash,
                    last4=last4,
                    permissions=permissions,
                    created_by=actor,
                    now=now,
                )
                record = self._recorder.make(
                    Action.IDENTITY_KEY_CREATED,
                    actor=actor,
                    merchant=wish.merchant,
                    mode=wish.mode,
                    thing=key_id,
                    origin=origin,
                    now=now,
                    details={"key_kind": wish.kind.value, "count": len(permissions)},
                )
                await self._recorder.insert(tx, record)
        except ConstraintBroken:
            raise MerchantUnknown from None
        key = ApiKey(
            key_id,
            wish.merchant,
            wish.mode,
            wish.kind,
            wish.name,
            last4,
            permissions,
            tuple(wish.origins),
            wish.expires_at,
            None,
            actor,
            now,
        )
        return NewKey(key, text)

    async def keys(self, merchant: MerchantId, mode: Mode) -> Sequence[ApiKey]:
        """Return a tenant's keys of one mode."""
        async with self._database.transaction([merchant]) as read:
            return await store.list_keys(read, merchant, mode)

    async def revoke_key(
        self, merchant: MerchantId, mode: Mode, key: KeyId, *, actor: str, origin: Origin
    ) -> None:
        """End a key. To end one twice is no error: the first time stays."""
        if not is_id("key", key):
            raise KeyUnknown
        now = self._clock.now()
        async with self._database.transaction([merchant]) as tx:
            kind = await store.revoke_key(tx, merchant, mode, key)
            if kind is None:
                raise KeyUnknown
            record = self._recorder.make(
                Action.IDENTITY_KEY_REVOKED,
                actor=actor,
                merchant=merchant,
                mode=mode,
                thing=key,
                origin=origin,
                now=now,
                details={"key_kind": kind.value},
            )
            await self._recorder.insert(tx, record)

    async def origin(self, merchant: MerchantId, address: str, request_hash: str) -> Origin:
        """Return the origin of a request, for records."""
        return await self._recorder.origin(merchant, address, request_hash, self._clock.now())


def require_name(name: str) -> None:
    """Raise Invalid for a name that is empty, long, not printable, or looks like a card number."""
    if not 0 < len(name.strip()) <= NAME_CHARACTERS_MAX or not name.isprintable():
        raise Invalid(
            FieldError(
                "/name",
                "name_malformed",
                f"a name has 1 to {NAME_CHARACTERS_MAX} printable characters",
            )
        )
    if has_cardlike(name):
        raise Invalid(
            FieldError("/name", "card_number_refused", "the name looks like a card number")
        )


def _granted(wish: KeyWish) -> frozenset[Permission]:
    """Say what a new key may do: all that its kind can have, or what a restricted key was asked for."""
    grantable = GRANTABLE[wish.kind]
    if len(wish.origins) > ORIGINS_MAX:
        raise KeyRefused(f"a key has at most {ORIGINS_MAX} origins")
    if wish.origins and wish.kind is not KeyKind.PUBLIC:
        raise KeyRefused("only a public key is bound to origins")
    if any(_ORIGIN.fullmatch(each) is None or has_cardlike(each) for each in wish.origins):
        raise KeyRefused("an origin is https://host[:port]")
    if wish.kind is not KeyKind.RESTRICTED:
        if wish.permissions is not None:
            raise KeyRefused("only a restricted key is made with chosen permissions")
        return grantable
    wanted = frozenset(wish.permissions or ())
    if not wanted:
        raise KeyRefused("a restricted key is made with at least one permission")
    if excess := wanted - grantable:
        raise KeyRefused(f"a restricted key cannot have {', '.join(sorted(excess))}")
    return wanted
