# SPDX-License-Identifier: Apache-2.0
"""Brings what happened in the vault to where merchants' events are: each becomes an event once, whoever is killed.

The vault has a database of its own, and no login of either side reaches the other's. So what it tells rests there until
the worker has taken it over the vault's port and committed it here.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, final

import msgspec

from strongroom.db.errors import ConstraintBroken
from strongroom.db.pool import Database
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.events import EventType, Happened
from strongroom.kernel.ids import OutboxId
from strongroom.telemetry.log import Log
from strongroom.webhooks.envelope import make_event
from strongroom.webhooks.store import QUERIES

PAGE_ROWS: Final = 50


class EventUnreadable(StrongroomError):
    """What the vault tells is of a type, or of a shape, that this release does not know. It stays where it is."""

    code = "event_unreadable"


class Source(Protocol):
    """Where it waits."""

    async def waiting(self, after: str, limit: int) -> Sequence[Happened]:
        """Return what waits, in the order of its ids, behind one of them ('': from the first)."""

    async def acknowledge(self, taken: Sequence[OutboxId]) -> None:
        """Forget what is committed here. May be said twice."""


@final
class Relay:
    """The worker's hand at the vault's outbox. May run in several processes at once."""

    def __init__(
        self,
        *,
        source: Source,
        database: Database,
        clock: Clock,
        shapes: Mapping[EventType, type[msgspec.Struct]],
        log: Log,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._source = source
        self._database = database
        self._clock = clock
        self._shapes = shapes
        self._log = log
        self._wake = wake
        #: What this process has said of already.
        self._refused: set[OutboxId] = set()

    async def run(self) -> int:
        """Bring over everything that waits; return how many became events.

        What cannot become one is logged, stays in the vault, and keeps nothing else waiting.

        Raises:
            Unavailable: the vault or the database does not answer; the next round goes on.
        """
        # To bring over what happened:
        #  1. Ask for a page behind the last one. The mark is this round's alone: ids are made before they commit, so
        #     every round begins at the first that is left.
        #  2. Make an event of each, with its deliveries, unless that was done: a transaction each, of its tenant.
        #  3. Tell the vault what is committed. It forgets that.
        after, published = "", 0
        while page := await self._source.waiting(after, PAGE_ROWS):  # (1)
            taken: list[OutboxId] = []
            for happened in page:
                # Crash here: it waits where it waited.
                try:
                    published += await self._publish(happened)  # (2)
                except (EventUnreadable, ConstraintBroken) as error:
                    self._refuse(happened, error)
                    continue
                taken.append(happened.outbox_id)
            # Crash here: it is an event, and is brought once more; the row of (2) says so, and none is made.
            if taken:
                await self._source.acknowledge(taken)  # (3)
            # Crash here, or the answer is lost: it may be left, and is brought once more.
            after = page[-1].outbox_id
            if len(page) < PAGE_ROWS:
                break
        if published:
            self._wake()
        return published

    def _refuse(self, happened: Happened, error: StrongroomError) -> None:
        """Log what cannot become an event, once a process."""
        if happened.outbox_id in self._refused:
            return
        self._refused.add(happened.outbox_id)
        self._log.emit(
            "error",
            "webhooks.relay_refused",
            {
                "code": error.code,
                "merchant_id": happened.merchant,
                "mode": happened.mode.value,
                "object_id": happened.object_id,
            },
        )

    async def _publish(self, happened: Happened) -> bool:
        """Make an event of it; tell whether it was not one yet.

        Raises:
            EventUnreadable: see there.
        """
        now = self._clock.now()
        event_type = self._read(happened)
        event = make_event(
            event_type,
            happened.object_id,
            msgspec.Raw(happened.data.encode()),
            happened.mode,
            happened.at,
        )
        async with self._database.transaction([happened.merchant]) as tx:
            row = await tx.row(
                QUERIES["publish_once"],
                happened.merchant,
                happened.mode,
                happened.outbox_id,
                event.id,
                event.type,
                event.object_id,
                event.payload,
                now,
            )
        return row is not None and bool(row["published"])

    def _read(self, happened: Happened) -> EventType:
        """Return the type of what the vault tells, once it has the shape of that."""
        try:
            event_type = EventType(happened.type)
            msgspec.json.decode(happened.data, type=self._shapes[event_type])
        except (ValueError, KeyError, msgspec.MsgspecError, RecursionError):
            raise EventUnreadable from None
        return event_type
