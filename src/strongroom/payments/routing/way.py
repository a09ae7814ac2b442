# SPDX-License-Identifier: Apache-2.0
"""The way of one wish: where it goes first, and on to where. Lives as long as its request, and is never resumed.

A process that dies leaves what is committed: attempts that are final, and at most one that recovery looks for. Recovery
asks; it never goes on elsewhere.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from math import ceil
from typing import Final, Protocol

import msgspec

from strongroom.crypto.ids import new_id
from strongroom.kernel.errors import Refused
from strongroom.kernel.ids import AttemptId, ConnectionId
from strongroom.payments.decisions import Asking, Card, Decided
from strongroom.payments.errors import ConnectionsResting, NoConnection
from strongroom.payments.model import Attempt, Loaded, Outcome, ThreeDs
from strongroom.payments.route import Route
from strongroom.payments.routing.breakers import Breakers
from strongroom.payments.routing.failover import (
    FAILED_OVER,
    NONE_LEFT,
    RESTING,
    cvc_is_left,
    fail_over,
    noted,
    stays,
    tried,
)
from strongroom.payments.routing.plan import Plan, Tried, choose
from strongroom.telemetry.work_metrics import PaymentMetrics

_CHOSEN: Final = "chosen"


class Onward(Protocol):
    """What a settled attempt is followed by."""

    def after(
        self, known: Loaded, before: Attempt, settled: Decided, now: datetime
    ) -> tuple[Decided, bool]:
        """Return what is to be saved, and whether the wish ends with it. May be asked again over a later payment."""


class Way:
    """The connections that one wish may go through."""

    def __init__(
        self,
        plan: Plan,
        gone: Mapping[ConnectionId, str],
        breakers: Breakers,
        metrics: PaymentMetrics,
    ) -> None:
        self.plan = plan
        self._gone = gone
        self._breakers = breakers
        self._metrics = metrics

    def first(self) -> tuple[ConnectionId, Route]:
        """Return where it goes first.

        Raises:
            NoConnection: none is there and active.
            ConnectionsResting: those that are do not answer at present.
        """
        chosen, route = self.looked_at()
        if self.plan.by == "rule":
            self._metrics.routed(NONE_LEFT if chosen is None else _CHOSEN)
        if chosen is not None:
            return chosen, route
        waits = [
            self._breakers.seconds_left(each.connection)
            for each in route.connections
            if each.reason == RESTING
        ]
        if waits:
            raise ConnectionsResting(retry_after_seconds=max(1, ceil(min(waits))))
        raise NoConnection

    def looked_at(self, before: tuple[Tried, ...] = ()) -> tuple[ConnectionId | None, Route]:
        """Return the next connection, or none, and what became of each."""
        unusable = dict(self._gone)
        if self.plan.by == "rule":
            unusable |= {
                each: RESTING
                for each in self.plan.order
                if each not in unusable and self._breakers.rests(each)
            }
        return choose(self.plan, unusable, before)

    def counted(self, result: str) -> None:
        """Count how a wish that a rule routed went on."""
        self._metrics.routed(result)


class GoingOn:
    """Begins the next attempt of a wish over one that certainly moved nothing. Implements `Onward`."""

    def __init__(self, way: Way, card: Card, *, cvc: str | None, lease: timedelta) -> None:
        #: What the next attempt carries: none where it was spent.
        self.cvc = cvc
        self._way = way
        self._card = card
        self._lease = lease
        self._tried: tuple[Tried, ...] = ()
        self._next: AttemptId | None = None
        self._last: Attempt | None = None
        self._word: str | None = None

    def after(
        self, known: Loaded, before: Attempt, settled: Decided, now: datetime
    ) -> tuple[Decided, bool]:
        """Return what is to be saved: the outcome alone, or with the attempt that follows it."""
        self._next, self._last, self._word = None, None, None
        if not settled.changed and self._was_saved(known, before):
            return settled, False
        attempt = next((a for a in settled.attempts if a.attempt_id == before.attempt_id), None)
        routed = attempt is not None and attempt.route is not None and attempt.route.by == "rule"
        if attempt is None or not routed or not settled.changed:
            return settled, True
        if attempt.outcome is Outcome.APPROVED:
            return settled, True
        why = stays(self._way.plan, before, attempt, with_cvc=self.cvc is not None, now=now)
        if why is None and settled.payment.discrepancy:
            why = "discrepancy"
        if why is None:
            chosen, route = self._way.looked_at((*self._tried, tried(attempt)))
            if chosen is not None:
                return self._over(known, before, settled, chosen, route, now)
            why = NONE_LEFT
        return self._ended(settled, before, why)

    def following(self, saved: Loaded) -> Attempt | None:
        """Return the attempt that was saved to follow, once; None: the wish has ended."""
        attempt = None if self._next is None else saved.attempt(self._next)
        if self._word is not None:
            self._way.counted(self._word)
        if attempt is not None and self._last is not None:
            self._tried = (*self._tried, tried(self._last))
            if not cvc_is_left(self._last):
                self.cvc = None
        self._next, self._last, self._word = None, None, None
        return attempt

    def _was_saved(self, known: Loaded, before: Attempt) -> bool:
        """Go on with the next attempt that this wish has already: the commit that saved it was in doubt, and landed."""
        after_it = before.step + 1
        for each in known.attempts:
            if each.wish == before.wish and each.step == after_it and each.is_open:
                self._next, self._word = each.attempt_id, FAILED_OVER
                self._last = known.attempt(before.attempt_id)
                return True
        return False

    def _over(
        self,
        known: Loaded,
        before: Attempt,
        settled: Decided,
        chosen: ConnectionId,
        route: Route,
        now: datetime,
    ) -> tuple[Decided, bool]:
        asking = Asking(
            AttemptId(new_id("att")),
            before.wish,
            chosen,
            now,
            now + self._lease,
            before.step + 1,
            msgspec.structs.replace(route, after=before.attempt_id),
            # Whatever the brakes asked for holds at the next processor, too.
            before.three_ds or ThreeDs.AUTOMATIC,
            before.checks_policy,
            before.browser,
        )
        try:
            both = fail_over(
                known, noted(settled, before.attempt_id, FAILED_OVER), self._card, asking
            )
        except Refused:
            return self._ended(settled, before, "payment_moved_on")
        self._next, self._word = asking.attempt, FAILED_OVER
        self._last = next(a for a in both.attempts if a.attempt_id == before.attempt_id)
        return both, False

    def _ended(self, settled: Decided, before: Attempt, why: str) -> tuple[Decided, bool]:
        self._word = why
        return noted(settled, before.attempt_id, why), True
