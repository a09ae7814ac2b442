# SPDX-License-Identifier: Apache-2.0
"""What is done about holds without a request of the moment: the job `hold`, and the merchant's changes to it.

The job may run twice, late, and beside requests: what it asks for is a wish of its own, saved with its attempt in the
commit that uses the wish up, so that however often it runs there is one attempt. While anything of a payment is not
known it waits: a hold is neither taken nor released beside an attempt that may have happened.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from msgspec import UNSET

from strongroom.audit import Origin
from strongroom.crypto.ids import new_id
from strongroom.jobs import Again, Claimed, Done, JobResult, Kept
from strongroom.kernel.clock import Clock, rfc3339
from strongroom.kernel.ids import AttemptId, ConnectionId, is_id
from strongroom.kernel.invariant import Bug
from strongroom.kernel.principal import Principal
from strongroom.payments.attempts import Attempts
from strongroom.payments.changes import Changes
from strongroom.payments.decisions import Asking, Decided
from strongroom.payments.errors import (
    AmountBeyond,
    PaymentBusy,
    PaymentNotReady,
    PaymentUnknown,
    PaymentUnresolved,
)
from strongroom.payments.holds import (
    BUSY_SECONDS,
    Step,
    change_hold,
    is_any_open,
    start_expiry,
    start_scheduled_capture,
    told_soon,
)
from strongroom.payments.holds_wire import HoldIn
from strongroom.payments.model import Loaded, OnExpiry, Outcome, Payment
from strongroom.payments.records import HOLDS, Act, Extras, Scribe
from strongroom.payments.store import Change, Taken

#: How the wish of a scheduled capture begins.
CAPTURE_WISH: Final = "capture_at "
#: Starts what a step asks for.
_Start = Callable[[Loaded, Asking], Decided]
_STARTS: Final[dict[Step, _Start]] = {
    Step.CANCEL: start_expiry,
    Step.CAPTURE: start_scheduled_capture,
}
#: Something is under way that has to end first.
_LATER: Final = (PaymentBusy, PaymentUnresolved)
#: There is nothing left to be done about.
_NOTHING: Final = (AmountBeyond, PaymentNotReady)


@dataclass(frozen=True, slots=True)
class HoldParts:
    """What seeing to holds takes."""

    changes: Changes
    attempts: Attempts
    scribe: Scribe
    clock: Clock
    #: How long an attempt may be on its way.
    lease: timedelta


class Holds:
    """The job `hold` of a payment."""

    def __init__(self, parts: HoldParts) -> None:
        self._parts = parts

    async def run(self, job: Claimed) -> JobResult:
        """See to a hold once: find out what is open, then do what is due now."""
        parts = self._parts
        loaded = await parts.changes.reader.load(job.merchant, job.mode, job.object_id)
        if loaded is None:
            return Done()
        now = parts.clock.now()
        holds = parts.scribe.holds
        step = holds.step(loaded.payment, now)
        if step is Step.TELL:
            await self._tell(loaded)
            return Kept()
        if step is None and loaded.payment.voiding:
            # A release that was not sent after all is asked for again.
            return Again(parts.scribe.next_look(job.tries - 1, now))
        if step is None:
            moment = holds.next_moment(loaded.payment)
            waits = loaded.payment.capturable > 0 and moment is not None and moment > now
            # What is given back by a capture that fails puts this job anew.
            return Again(moment) if moment is not None and waits else Done()
        loaded = await parts.attempts.resolved(loaded)
        if is_any_open(loaded):
            return Again(parts.clock.now() + timedelta(seconds=BUSY_SECONDS))
        return await self._ask(loaded, step, job)

    async def _tell(self, loaded: Loaded) -> None:
        """Tell that it ends soon; the job's next moment is in the same commit."""
        parts = self._parts

        def decide(known: Loaded) -> tuple[Decided, Change] | None:
            now = parts.clock.now()
            if parts.scribe.holds.step(known.payment, now) is not Step.TELL:
                return None
            decided = told_soon(known, now)
            act = Act(HOLDS, Origin(), now)
            records = [parts.scribe.announced(decided.payment, act)]
            return decided, parts.scribe.change(decided, act, Extras(audit=records))

        await parts.changes.apply(loaded, decide)

    async def _ask(self, loaded: Loaded, step: Step, job: Claimed) -> JobResult:
        """Save the attempt of a step, and ask. Crash between: `unknown`, found out by the job `lookup`."""
        parts = self._parts
        attempt_id = AttemptId(new_id("att"))

        def decide(known: Loaded) -> tuple[Decided, Change] | None:
            now = parts.clock.now()
            if parts.scribe.holds.step(known.payment, now) is not step or is_any_open(known):
                return None
            asking = _asking(known.payment, step, attempt_id, now, now + parts.lease)
            decided = _STARTS[step](known, asking)
            return decided, parts.scribe.change(decided, Act(HOLDS, Origin(), now), Extras())

        try:
            saved = await parts.changes.apply(loaded, decide)
        except _LATER:
            return Again(parts.clock.now() + timedelta(seconds=BUSY_SECONDS))
        except _NOTHING:
            return Done()
        attempt = None if isinstance(saved, Taken) else saved.attempt(attempt_id)
        if isinstance(saved, Taken) or attempt is None:
            return Again(parts.clock.now() + timedelta(seconds=BUSY_SECONDS))
        act = Act(HOLDS, Origin(), parts.clock.now())
        settled = await parts.attempts.send(
            saved, attempt, act, cvc=None, single_use=False, finish=None
        )
        known = settled.attempt(attempt_id)
        if step is Step.CANCEL and known is not None and known.outcome is not Outcome.APPROVED:
            return self._not_released(known.outcome, job)
        if step is Step.CAPTURE and known is not None and known.outcome is Outcome.NOT_SENT:
            await self._capture_later(settled)
        return Kept()

    async def _capture_later(self, loaded: Loaded) -> None:
        """Schedule a capture anew that certainly was not sent, later and later, where the hold lasts that long.

        Crash before: the schedule is used up, and the merchant heard `payment.capture_failed`.
        """
        parts = self._parts
        missed = [
            each
            for each in loaded.attempts
            if each.wish.startswith(CAPTURE_WISH) and each.outcome is Outcome.NOT_SENT
        ]

        def decide(known: Loaded) -> tuple[Decided, Change] | None:
            now = parts.clock.now()
            at = parts.scribe.next_look(len(missed) - 1, now)
            ends = known.payment.capture_before
            moved_on = known.payment.version != loaded.payment.version
            if moved_on or (ends is not None and at >= ends):
                return None
            decided = change_hold(known, now, capture_at=at, on_expiry=UNSET)
            act = Act(HOLDS, Origin(), now)
            records = [parts.scribe.hold_changed(decided.payment, act)]
            return decided, parts.scribe.change(decided, act, Extras(audit=records))

        await parts.changes.apply(loaded, decide)

    def _not_released(self, outcome: Outcome | None, job: Claimed) -> JobResult:
        """Ask again for a release that certainly was not asked for, later and later; not for one that was refused."""
        if outcome is Outcome.DECLINED:
            return Done()
        return Again(self._parts.scribe.next_look(job.tries - 1, self._parts.clock.now()))


def _asking(
    payment: Payment, step: Step, attempt: AttemptId, now: datetime, lease_until: datetime
) -> Asking:
    """Name the wish: of a capture by its moment, of a release by the payment's version that it was decided over."""
    at = payment.capture_at
    if step is Step.CAPTURE and at is not None:
        wish = f"{CAPTURE_WISH}{rfc3339(at)} {payment.version}"
    else:
        wish = f"on_expiry {payment.version}"
    return Asking(attempt, wish, payment.connection_id or ConnectionId(""), now, lease_until)


class HoldChanges:
    """A merchant's changes to what happens to a hold by itself."""

    def __init__(self, changes: Changes, scribe: Scribe, clock: Clock) -> None:
        self._changes = changes
        self._scribe = scribe
        self._clock = clock

    async def change(
        self, principal: Principal, payment: str, wanted: HoldIn, origin: Origin
    ) -> Payment:
        """Schedule a capture, move it or call it off; say what is done at the end. Until it begins.

        Raises:
            PaymentUnknown, PaymentNotReady, Invalid: see each.
        """
        if not is_id("pay", payment):
            raise PaymentUnknown
        loaded = await self._changes.load(principal.merchant, principal.mode, payment)
        act = Act(principal.actor, origin, self._clock.now())
        on_expiry = UNSET if wanted.on_expiry is UNSET else OnExpiry(wanted.on_expiry)

        def decide(known: Loaded) -> tuple[Decided, Change] | None:
            now = self._clock.now()
            decided = change_hold(known, now, capture_at=wanted.capture_at, on_expiry=on_expiry)
            if not decided.changed:
                return None
            acting = replace(act, now=now)
            records = [self._scribe.hold_changed(decided.payment, acting)]
            return decided, self._scribe.change(decided, acting, Extras(audit=records))

        saved = await self._changes.apply(loaded, decide)
        if isinstance(saved, Taken):
            raise Bug("a change of a hold claims no key")
        return saved.payment
