# SPDX-License-Identifier: Apache-2.0
"""The worker's job `release`: an approval whose AVS or CVC did not match is released, as its merchant's policy says.

A wish of ours like a merchant's own: one attempt, saved before it is asked, under one key. What was captured by then is
given back. Safe to repeat: the attempt's wish is unique in its payment.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from strongroom.audit import Origin
from strongroom.crypto.ids import new_id
from strongroom.jobs import Again, Claimed, Done, JobResult
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import AttemptId, RefundId
from strongroom.payments.attempts import Attempts
from strongroom.payments.brakes.store import ROUND
from strongroom.payments.changes import Changes
from strongroom.payments.checks import is_to_be_released
from strongroom.payments.decisions import Asking, Decided
from strongroom.payments.errors import (
    AmountBeyond,
    IdempotencyKeySpent,
    PaymentBusy,
    PaymentNotReady,
    PaymentUnresolved,
)
from strongroom.payments.model import Attempt, Loaded
from strongroom.payments.records import Act, Extras, Scribe
from strongroom.payments.store import Change, Taken
from strongroom.payments.wishes import start_refund, start_void
from strongroom.telemetry.brake_metrics import BrakeMetrics
from strongroom.telemetry.log import Log

#: So often a release that the processor declined, or that was certainly not sent, is wished anew.
WISHES_MAX: Final = 5
_WAIT: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class ReleaseParts:
    """What releasing takes."""

    changes: Changes
    attempts: Attempts
    scribe: Scribe
    clock: Clock
    log: Log
    metrics: BrakeMetrics
    #: For how long an answer is waited for.
    lease: timedelta


class Releases:
    """The job `release`."""

    def __init__(self, parts: ReleaseParts) -> None:
        self._parts = parts

    async def run(self, job: Claimed) -> JobResult:
        """Release what is held, and give back what was taken.

        1. Find the approval, and what of it is left.
        2. Look at what is not known, and wait while something is under way.
        3. Wish a void, or a refund where nothing is held any more; each wish has a name, so that it is made once.
        4. Ask, and come again until nothing is left, or too many wishes have failed.
        """
        parts = self._parts
        loaded = await parts.changes.reader.load(
            job.merchant, job.mode, None, also_attempt=job.object_id
        )
        approval = None if loaded is None else loaded.attempt(job.object_id)
        if loaded is None or approval is None or not is_to_be_released(approval):
            return Done()  # (1)
        loaded = await parts.attempts.resolved(loaded)  # (2)
        payment, now = loaded.payment, parts.clock.now()
        if any(each.is_open for each in loaded.attempts):
            return Again(parts.scribe.next_look(job.tries - 1, now))
        what = "void" if payment.capturable else "refund"
        if not payment.capturable and not payment.refundable:
            return Done()
        name = await self._next_wish(loaded, approval, what)  # (3)
        if name is None:
            parts.metrics.not_released(what)
            parts.log.emit(
                "error",
                "payments.not_released",
                {"transaction_id": payment.payment_id, "merchant_id": payment.merchant_id},
            )
            return Done()
        await self._wished(loaded, approval, what, name)
        return Again(parts.clock.now() + _WAIT)  # (4)

    async def _next_wish(self, loaded: Loaded, approval: Attempt, what: str) -> str | None:
        """Return the name of the wish to make now; None: as many have failed as may. Nothing is under way here."""
        payment = loaded.payment
        for number in range(1, WISHES_MAX + 1):
            name = f"brakes {what} {approval.attempt_id} {number}"
            made = await self._parts.changes.reader.attempt_of_wish(
                payment.merchant_id, payment.mode, payment.payment_id, name
            )
            if made is None:
                return name
        return None

    async def _wished(self, loaded: Loaded, approval: Attempt, what: str, name: str) -> None:
        parts = self._parts
        attempt = AttemptId(new_id("att"))
        start = _void if what == "void" else _refund

        def decide(known: Loaded) -> tuple[Decided, Change]:
            now = parts.clock.now()
            asking = Asking(attempt, name, approval.connection_id, now, now + parts.lease)
            decided = start(known, asking)
            return decided, parts.scribe.change(decided, _act(now), Extras())

        try:
            saved = await parts.changes.apply(loaded, decide)
        except (
            AmountBeyond,
            IdempotencyKeySpent,
            PaymentBusy,
            PaymentNotReady,
            PaymentUnresolved,
        ):
            return  # somebody else was first: what is left is seen the next time
        made = None if isinstance(saved, Taken) else saved.attempt(attempt)
        if made is None or isinstance(saved, Taken):
            return
        await parts.attempts.send(
            saved, made, _act(parts.clock.now()), cvc=None, single_use=False, finish=None
        )


def _act(now: datetime) -> Act:
    return Act(ROUND, Origin(), now)


def _void(known: Loaded, asking: Asking) -> Decided:
    reasoned = msgspec.structs.replace(known.payment, cancel_reason="check_failed")
    return start_void(Loaded(reasoned, known.attempts, known.refunds), asking)


def _refund(known: Loaded, asking: Asking) -> Decided:
    return start_refund(
        known,
        None,
        RefundId(new_id("ref")),
        asking,
        reason=None,
        reference=None,
        metadata={},
    )
