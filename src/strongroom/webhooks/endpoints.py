# SPDX-License-Identifier: Apache-2.0
"""Where a merchant listens: every change in one transaction with its audit record; secrets are shown once."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from strongroom.audit import Action, Recorder
from strongroom.crypto.ids import new_id
from strongroom.db.pool import Database, Transaction
from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.events import EventType
from strongroom.kernel.ids import EndpointId, is_id
from strongroom.keys import DataKeys
from strongroom.webhooks import store
from strongroom.webhooks.envelope import make_event
from strongroom.webhooks.errors import (
    EndpointBusy,
    EndpointDisabled,
    EndpointsFull,
    EndpointUnknown,
)
from strongroom.webhooks.model import (
    Caller,
    Endpoint,
    EndpointChange,
    EndpointStatus,
    EndpointWish,
    NewSecret,
    StoredEvent,
)
from strongroom.webhooks.schemas import EndpointTested
from strongroom.webhooks.secrets import EndpointSecret, open_secrets, rotated, seal_secrets
from strongroom.webhooks.signing import new_secret
from strongroom.webhooks.store import Scope

#: Of one merchant and mode. Each is asked at every event.
ENDPOINTS_MAX: Final = 20
URL_CHARACTERS_MAX: Final = 2_000
DESCRIPTION_CHARACTERS_MAX: Final = 200
OVERLAP_SECONDS: Final = 86_400
OVERLAP_SECONDS_MAX: Final = 7 * 86_400
ROTATE_TRIES_MAX: Final = 3
#: Why an endpoint is disabled when its merchant did it.
BY_MERCHANT: Final = "by_merchant"


class Endpoints:
    """Endpoints in the core database, under the gateway's login.

    `check_url` is egress' guard: it raises DestinationRefused for what may not be called. `wake` has this process'
    worker look for deliveries at once.
    """

    def __init__(
        self,
        *,
        database: Database,
        keys: DataKeys,
        recorder: Recorder,
        clock: Clock,
        check_url: Callable[[str], object],
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._keys = keys
        self._recorder = recorder
        self._clock = clock
        self._check_url = check_url
        self._wake = wake

    async def create(self, wish: EndpointWish, caller: Caller) -> NewSecret:
        """Make an endpoint with a secret of its own.

        Raises:
            Invalid, DestinationRefused, EndpointsFull: see each.
        """
        self._require_url(wish.url)
        _require_description(wish.description)
        merchant, mode = caller.scope
        now = self._clock.now()
        endpoint = Endpoint(
            merchant,
            mode,
            EndpointId(new_id("whe")),
            wish.url,
            wish.description,
            tuple(sorted(wish.types)),
            EndpointStatus.ACTIVE,
            None,
            now,
            now,
        )
        secret = new_secret()
        sealed = await seal_secrets(
            self._keys, merchant, mode, endpoint.endpoint_id, [EndpointSecret(secret)]
        )
        async with self._database.transaction([merchant]) as tx:
            if not await store.insert_endpoint(tx, endpoint, sealed, ENDPOINTS_MAX):
                raise EndpointsFull
            facts = {"count": len(endpoint.types)}
            await self._record(
                tx, caller, Action.WEBHOOKS_ENDPOINT_CREATED, endpoint.endpoint_id, now, facts
            )
        return NewSecret(endpoint, secret)

    async def all(self, caller: Caller) -> Sequence[Endpoint]:
        """Return the caller's endpoints."""
        async with self._database.transaction([caller.principal.merchant]) as read:
            return await store.list_endpoints(read, Scope(*caller.scope))

    async def one(self, caller: Caller, endpoint_id: str) -> Endpoint:
        """Return an endpoint. Raises EndpointUnknown."""
        _require_form(endpoint_id)
        async with self._database.transaction([caller.principal.merchant]) as read:
            found = await store.endpoint_by_id(read, Scope(*caller.scope), endpoint_id)
        if found is None:
            raise EndpointUnknown
        return found

    async def change(self, caller: Caller, endpoint_id: str, wanted: EndpointChange) -> Endpoint:
        """Change what is given.

        Raises:
            EndpointUnknown, Invalid, DestinationRefused: see each.
        """
        _require_form(endpoint_id)
        if wanted.url is not None:
            self._require_url(wanted.url)
        if wanted.description is not None:
            _require_description(wanted.description)
        now = self._clock.now()
        async with self._database.transaction([caller.principal.merchant]) as tx:
            locked = await store.endpoint_for_change(tx, Scope(*caller.scope), endpoint_id)
            if locked is None:
                raise EndpointUnknown
            before = locked.endpoint
            after = _changed(before, wanted)
            if after == before:
                return before
            action, facts = Action.WEBHOOKS_ENDPOINT_CHANGED, {"state": after.status.value}
            if after.status is EndpointStatus.DISABLED and before.status is EndpointStatus.ACTIVE:
                action, facts = Action.WEBHOOKS_ENDPOINT_DISABLED, {"reason": BY_MERCHANT}
            await self._record(tx, caller, action, before.endpoint_id, now, facts)
            return await store.change_endpoint(tx, replace(after, updated_at=now))

    async def rotate(
        self, caller: Caller, endpoint_id: str, overlap_seconds: int = OVERLAP_SECONDS
    ) -> NewSecret:
        """Make a new secret, which signs at once; the one before signs beside it for the overlap.

        Raises:
            EndpointUnknown, EndpointBusy, EndpointSecretsUnreadable: see each.
        """
        _require_form(endpoint_id)
        scope = Scope(*caller.scope)
        now = self._clock.now()
        new = new_secret()
        for _ in range(ROTATE_TRIES_MAX):
            async with self._database.transaction([scope.merchant]) as read:
                seen = await store.endpoint_for_change(read, scope, endpoint_id)
            if seen is None:
                raise EndpointUnknown
            # Outside a transaction: the key store may be asked.
            endpoint = seen.endpoint.endpoint_id
            present = await open_secrets(self._keys, *scope, endpoint, seen.sealed)
            secrets = rotated(present, new, now, overlap_seconds)
            sealed = await seal_secrets(self._keys, *scope, endpoint, secrets)
            async with self._database.transaction([scope.merchant]) as tx:
                locked = await store.endpoint_for_change(tx, scope, endpoint_id)
                if locked is None:
                    raise EndpointUnknown
                if locked.sealed != seen.sealed:
                    continue  # rotated by somebody else meanwhile: theirs signs on beside this one
                changed = await store.reseal_endpoint(tx, scope, endpoint, sealed, now)
                facts = {"window_seconds": overlap_seconds}
                await self._record(
                    tx, caller, Action.WEBHOOKS_ENDPOINT_ROTATED, endpoint, now, facts
                )
            return NewSecret(changed or locked.endpoint, new)
        raise EndpointBusy

    async def delete(self, caller: Caller, endpoint_id: str) -> None:
        """Delete an endpoint and its secrets. What was to be delivered there fails. Raises EndpointUnknown."""
        _require_form(endpoint_id)
        now = self._clock.now()
        async with self._database.transaction([caller.principal.merchant]) as tx:
            if not await store.delete_endpoint(tx, Scope(*caller.scope), endpoint_id, now):
                raise EndpointUnknown
            await self._record(
                tx, caller, Action.WEBHOOKS_ENDPOINT_DELETED, EndpointId(endpoint_id), now, {}
            )

    async def test(self, caller: Caller, endpoint_id: str) -> StoredEvent:
        """Send a `webhook.test` event to this endpoint and no other, whatever types it wants.

        Raises:
            EndpointUnknown, EndpointDisabled: see each.
        """
        merchant, mode = caller.scope
        endpoint = await self.one(caller, endpoint_id)
        if endpoint.status is not EndpointStatus.ACTIVE:
            raise EndpointDisabled
        now = self._clock.now()
        data = EndpointTested(endpoint.endpoint_id)
        event = make_event(EventType.WEBHOOK_TEST, endpoint.endpoint_id, data, mode, now)
        scope = Scope(merchant, mode)
        async with self._database.transaction([merchant]) as tx:
            written = await store.insert_event(tx, scope, event, now)
            await store.insert_deliveries(tx, scope, event.id, [endpoint.endpoint_id], now)
        # Committed. Crash here: the job is there, and some worker finds it when it looks.
        self._wake()
        return written

    def _require_url(self, url: str) -> None:
        if has_cardlike(url):
            raise Invalid(
                FieldError("/url", "card_number_refused", "the URL looks like a card number")
            )
        if len(url) > URL_CHARACTERS_MAX:
            raise Invalid(
                FieldError(
                    "/url", "url_too_long", f"a URL has at most {URL_CHARACTERS_MAX} characters"
                )
            )
        self._check_url(url)

    async def _record(
        self,
        tx: Transaction,
        caller: Caller,
        action: Action,
        endpoint: EndpointId,
        now: datetime,
        details: dict[str, str] | dict[str, int],
    ) -> None:
        merchant, mode = caller.scope
        record = self._recorder.make(
            action,
            actor=caller.principal.actor,
            merchant=merchant,
            mode=mode,
            thing=endpoint,
            origin=caller.origin,
            now=now,
            details={**details},
        )
        await self._recorder.insert(tx, record)


def _changed(endpoint: Endpoint, wanted: EndpointChange) -> Endpoint:
    status = wanted.status or endpoint.status
    reason = endpoint.disabled_reason
    if status is not endpoint.status:
        reason = BY_MERCHANT if status is EndpointStatus.DISABLED else None
    return replace(
        endpoint,
        url=endpoint.url if wanted.url is None else wanted.url,
        description=endpoint.description if wanted.description is None else wanted.description,
        types=endpoint.types if wanted.types is None else tuple(sorted(wanted.types)),
        status=status,
        disabled_reason=reason,
    )


def _require_description(text: str) -> None:
    if len(text) > DESCRIPTION_CHARACTERS_MAX or not text.isprintable():
        raise Invalid(
            FieldError(
                "/description",
                "description_malformed",
                f"a description has at most {DESCRIPTION_CHARACTERS_MAX} printable characters",
            )
        )
    if has_cardlike(text):
        raise Invalid(
            FieldError(
                "/description",
                "card_number_refused",
                "the description looks like a card number",
            )
        )


def _require_form(endpoint_id: str) -> None:
    """What has not an endpoint's form is no endpoint: the database need not be asked."""
    if not is_id("whe", endpoint_id):
        raise EndpointUnknown
