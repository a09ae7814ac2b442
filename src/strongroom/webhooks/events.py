# SPDX-License-Identifier: Apache-2.0
"""What happened and how the telling went: events, their deliveries with every try, and delivering one anew."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from strongroom.audit import Action, Recorder
from strongroom.db.pool import Database
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import EndpointId, is_id
from strongroom.webhooks import store
from strongroom.webhooks.errors import EndpointDisabled, EndpointUnknown, EventUnknown
from strongroom.webhooks.model import Caller, Delivery, EndpointStatus, StoredEvent
from strongroom.webhooks.store import Scope

PAGE_ROWS_MAX: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which events. `after`: those behind one, oldest first; else newest first, those before the cursor."""

    event_type: str | None = None
    object_id: str | None = None
    before: str | None = None
    after: str | None = None
    limit: int = 20


class Events:
    """Events in the core database, under the gateway's login. `wake` as in `Endpoints`."""

    def __init__(
        self,
        *,
        database: Database,
        recorder: Recorder,
        clock: Clock,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._clock = clock
        self._wake = wake

    async def search(
        self, caller: Caller, wanted: Search
    ) -> tuple[Sequence[StoredEvent], str | None]:
        """Return a page of events, and the cursor of the next one if there is more.

        An event is there when its transaction is committed: one whose id is a little older than another's may come
        to be seen after it. Who follows events looks back a few seconds.
        """
        scope = Scope(*caller.scope)
        async with self._database.transaction([scope.merchant]) as read:
            if wanted.after is not None:
                found = await store.list_events_after(
                    read,
                    scope,
                    after=wanted.after,
                    event_type=wanted.event_type,
                    limit=wanted.limit + 1,
                )
            else:
                found = await store.list_events(
                    read,
                    scope,
                    before=wanted.before,
                    object_id=wanted.object_id,
                    event_type=wanted.event_type,
                    limit=wanted.limit + 1,
                )
        page = found[: wanted.limit]
        return page, page[-1].event_id if len(found) > len(page) else None

    async def one(self, caller: Caller, event_id: str) -> StoredEvent:
        """Return an event. Raises EventUnknown."""
        _require_form(event_id)
        async with self._database.transaction([caller.principal.merchant]) as read:
            found = await store.event_by_id(read, Scope(*caller.scope), event_id)
        if found is None:
            raise EventUnknown
        return found

    async def deliveries(self, caller: Caller, event_id: str) -> Sequence[Delivery]:
        """Return where an event went, with every try. Raises EventUnknown."""
        _require_form(event_id)
        scope = Scope(*caller.scope)
        async with self._database.transaction([scope.merchant]) as read:
            if await store.event_by_id(read, scope, event_id) is None:
                raise EventUnknown
            return await store.deliveries_of_event(read, scope, event_id)

    async def redeliver(
        self, caller: Caller, event_id: str, endpoint_id: str | None = None
    ) -> Sequence[Delivery]:
        """Deliver an event anew: to one endpoint, or to all that are told of its type. Each is a new delivery.

        Raises:
            EventUnknown, EndpointUnknown, EndpointDisabled: see each.
        """
        _require_form(event_id)
        if endpoint_id is not None and not is_id("whe", endpoint_id):
            raise EndpointUnknown
        scope = Scope(*caller.scope)
        now = self._clock.now()
        async with self._database.transaction([scope.merchant]) as tx:
            event = await store.event_by_id(tx, scope, event_id)
            if event is None:
                raise EventUnknown
            endpoints: Sequence[EndpointId]
            if endpoint_id is None:
                endpoints = await store.listening_endpoints(tx, scope, event.type)
            else:
                named = await store.endpoint_by_id(tx, scope, endpoint_id)
                if named is None:
                    raise EndpointUnknown
                if named.status is not EndpointStatus.ACTIVE:
                    raise EndpointDisabled
                endpoints = [named.endpoint_id]
            made = await store.insert_deliveries(tx, scope, event.event_id, endpoints, now)
            record = self._recorder.make(
                Action.WEBHOOKS_EVENT_REDELIVERED,
                actor=caller.principal.actor,
                merchant=scope.merchant,
                mode=scope.mode,
                thing=event.event_id,
                origin=caller.origin,
                now=now,
                details={"count": len(made), "event_type": event.type},
            )
            await self._recorder.insert(tx, record)
        # Committed. Crash here: the jobs are there, and some worker finds them when it looks.
        self._wake()
        return made


def _require_form(event_id: str) -> None:
    """What has not an event's form is no event: the database need not be asked."""
    if not is_id("evt", event_id):
        raise EventUnknown
