# SPDX-License-Identifier: Apache-2.0
"""What nobody uses ends: people who have not logged in for 90 days are suspended (PCI DSS 4.0.1 8.2.6).

Keys are flagged in reviews and not ended: a shop that sells once a year would stop selling.
"""

from typing import Final, final

from strongroom.audit import PLATFORM, Action, Origin, Recorder
from strongroom.db.pool import Database
from strongroom.identity.access import store
from strongroom.identity.access.ending import Ends
from strongroom.identity.access.model import UNUSED_AFTER
from strongroom.identity.access.reviews import AccessReviews
from strongroom.identity.tenants import EveryTenant
from strongroom.kernel.clock import Clock
from strongroom.telemetry.metrics import SecurityMetrics

WATCH_SECONDS: Final = 3_600.0


@final
class AccessWatch:
    """Looks at every tenant's access about once an hour."""

    def __init__(
        self,
        *,
        database: Database,
        recorder: Recorder,
        clock: Clock,
        sessions: Ends,
        tenants: EveryTenant,
        reviews: AccessReviews,
        metrics: SecurityMetrics,
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._clock = clock
        self._sessions = sessions
        self._tenants = tenants
        self._reviews = reviews
        self._metrics = metrics

    async def look(self) -> None:
        """Suspend whoever is unused, and count the tenants whose review is late."""
        await self.suspend_unused()
        now = self._clock.now()
        late = sum(each.overdue(now) for each in await self._reviews.due())
        self._metrics.reviews_overdue.set(late)

    async def suspend_unused(self) -> int:
        """Suspend people who have not logged in for 90 days, and end their sessions; return how many.

        The last admin of a tenant is no exception: the operator's command line lets them in again.
        """
        now = self._clock.now()
        suspended = 0
        for merchants in await self._tenants.groups():
            async with self._database.transaction(merchants) as tx:
                for person in await store.suspend_unused(tx, merchants, now - UNUSED_AFTER):
                    record = self._recorder.make(
                        Action.IDENTITY_PERSON_SUSPENDED,
                        actor="system:access",
                        merchant=None if person.merchant == PLATFORM else person.merchant,
                        mode=None,
                        thing=person.person_id,
                        origin=Origin(),
                        now=now,
                        details={"reason": "unused", "role": person.role.value},
                    )
                    await self._recorder.insert(tx, record)
                    await self._sessions.end_all(
                        tx, person, reason="unused", origin=Origin(), now=now
                    )
                    suspended += 1
        self._metrics.accounts_disabled.inc(suspended)
        return suspended
