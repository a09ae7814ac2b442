# SPDX-License-Identifier: Apache-2.0
"""Makes, changes and ends a tenant's identity providers; each act commits with its audit record."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from strongroom.audit import PLATFORM, Action, Origin, Recorder
from strongroom.crypto.ids import new_id
from strongroom.db.pool import Database, ReadOnly, Transaction
from strongroom.egress import DestinationRefused
from strongroom.identity import store as merchants
from strongroom.identity.errors import MerchantUnknown
from strongroom.identity.sessions.ports import Sessions
from strongroom.identity.sso import store
from strongroom.identity.sso.errors import ProviderDisabled, ProvidersFull, ProviderUnknown
from strongroom.identity.sso.model import (
    Provider,
    ProviderBy,
    ProviderId,
    ProviderStatus,
    ProviderTerms,
)
from strongroom.identity.sso.rules import require_sound
from strongroom.identity.sso.secret import seal_secret
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import MerchantId, is_id
from strongroom.kernel.secret import Secret
from strongroom.keys import DataKeys

#: Active ones of a tenant; those that are disabled stay for the record.
PROVIDERS_MAX: Final = 10
SECRET_CHARACTERS_MAX: Final = 1_000


class Providers:
    """Identity providers in the core database."""

    def __init__(
        self,
        *,
        database: Database,
        keys: DataKeys,
        recorder: Recorder,
        sessions: Sessions,
        clock: Clock,
        check_url: Callable[[str], object],
    ) -> None:
        self._database = database
        self._keys = keys
        self._recorder = recorder
        self._sessions = sessions
        self._clock = clock
        self._check_url = check_url

    async def origin(self, merchant: MerchantId, address: str, request_hash: str) -> Origin:
        """Return the origin of a request, for records."""
        return await self._recorder.origin(merchant, address, request_hash, self._clock.now())

    async def create(self, terms: ProviderTerms, secret: Secret[str], by: ProviderBy) -> Provider:
        """Make a provider.

        Raises:
            Invalid, MerchantUnknown, ProvidersFull: see each.
        """
        self.require_sound(terms, secret)
        now = self._clock.now()
        provider_id = ProviderId(new_id("sso"))
        async with self._database.transaction([by.merchant]) as read:
            await _require_tenant(read, by.merchant)  # before a data key is made for nobody
        sealed, version = await seal_secret(self._keys, by.merchant, provider_id, secret)
        provider = Provider(
            by.merchant,
            provider_id,
            terms,
            ProviderStatus.ACTIVE,
            sealed,
            version,
            by.actor,
            now,
            now,
        )
        async with self._database.transaction([by.merchant]) as tx:
            if not await store.insert_provider(tx, provider, PROVIDERS_MAX):
                raise ProvidersFull
            await self._record(tx, provider, by, "created")
        return provider

    async def all(self, merchant: MerchantId) -> Sequence[Provider]:
        """Return a tenant's providers, oldest first."""
        async with self._database.transaction([merchant]) as read:
            return await store.list_providers(read, merchant)

    async def one(self, merchant: MerchantId, provider_id: str) -> Provider:
        """Return a provider. Raises ProviderUnknown."""
        _require_form(provider_id)
        async with self._database.transaction([merchant]) as read:
            found = await store.provider_by_id(read, merchant, provider_id)
        if found is None:
            raise ProviderUnknown
        return found

    async def changeable(self, merchant: MerchantId, provider_id: str) -> Provider:
        """Return a provider that may be changed. Raises ProviderUnknown, ProviderDisabled."""
        found = await self.one(merchant, provider_id)
        if found.status is ProviderStatus.DISABLED:
            raise ProviderDisabled
        return found

    async def change(
        self,
        provider_id: str,
        changed: Callable[[ProviderTerms], ProviderTerms],
        secret: Secret[str] | None,
        by: ProviderBy,
    ) -> Provider:
        """Put what is given in place of what was. Who logs in afterwards does so by the new terms.

        Another issuer is another provider: its subjects are other people, so links of the old one do not count there.

        Raises:
            ProviderUnknown, ProviderDisabled, Invalid: see each.
        """
        before = await self.one(by.merchant, provider_id)
        self.require_sound(changed(before.terms), secret)
        sealed = None
        if secret is not None:  # outside a transaction: the key store may be asked
            sealed = await seal_secret(self._keys, by.merchant, before.provider_id, secret)
        async with self._database.transaction([by.merchant]) as tx:
            locked = await store.provider_by_id(tx, by.merchant, provider_id, lock=True)
            if locked is None:
                raise ProviderUnknown
            if locked.status is ProviderStatus.DISABLED:
                raise ProviderDisabled
            terms = changed(locked.terms)
            require_sound(terms)
            after = replace(locked, terms=terms, updated_at=self._clock.now())
            if sealed is not None:
                after = replace(after, sealed_secret=sealed[0], key_version=sealed[1])
            if after == replace(locked, updated_at=after.updated_at):
                return locked
            await store.change_provider(tx, after)
            await self._record(tx, after, by, "changed")
        return after

    async def disable(self, provider_id: str, by: ProviderBy) -> Provider:
        """End a provider, and the sessions of whoever logged in by it last. To end one twice is no error.

        Raises:
            ProviderUnknown: it is not there.
        """
        _require_form(provider_id)
        now = self._clock.now()
        async with self._database.transaction([by.merchant]) as tx:
            locked = await store.provider_by_id(tx, by.merchant, provider_id, lock=True)
            if locked is None:
                raise ProviderUnknown
            if locked.status is ProviderStatus.DISABLED:
                return locked
            after = replace(locked, status=ProviderStatus.DISABLED, updated_at=now)
            await store.change_provider(tx, after)
            await self._record(tx, after, by, "disabled")
            for person in await store.people_by_provider(tx, by.merchant, after.provider_id):
                await self._sessions.end_all(
                    tx, person, reason="provider_disabled", origin=by.origin, now=now
                )
        return after

    def require_sound(self, terms: ProviderTerms, secret: Secret[str] | None) -> None:
        """Let through what can be kept: asked before another person is, so that nothing waits that cannot be.

        Raises:
            Invalid: names every field that is wrong.
        """
        require_sound(terms)
        if "?" in terms.issuer:
            raise Invalid(FieldError("/issuer", "issuer_malformed", "an issuer has no query"))
        try:
            self._check_url(terms.issuer)
        except DestinationRefused as refused:
            raise Invalid(
                FieldError(
                    "/issuer",
                    "issuer_refused",
                    f"the issuer is no address that may be called: {refused.reason}",
                )
            ) from None
        text = None if secret is None else secret.expose()
        if text is not None and not (
            0 < len(text) <= SECRET_CHARACTERS_MAX and text.isascii() and text.isprintable()
        ):
            raise Invalid(
                FieldError("/client_secret", "value_wrong", "a client secret is printable ASCII")
            )

    async def _record(self, tx: Transaction, provider: Provider, by: ProviderBy, what: str) -> None:
        record = self._recorder.make(
            Action.IDENTITY_PROVIDER_CHANGED,
            actor=by.actor,
            merchant=provider.merchant,
            mode=None,
            thing=provider.provider_id,
            origin=by.origin,
            now=provider.updated_at,
            details={"operation": what, "state": provider.status.value},
        )
        await self._recorder.insert(tx, record)


async def _require_tenant(read: ReadOnly, merchant: MerchantId) -> None:
    """Refuse a tenant that is not there; the platform has no row."""
    if merchant != PLATFORM and await merchants.merchant_by_id(read, merchant) is None:
        raise MerchantUnknown


def _require_form(provider_id: str) -> None:
    if not is_id("sso", provider_id):
        raise ProviderUnknown
