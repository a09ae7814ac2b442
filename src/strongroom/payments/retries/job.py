# SPDX-License-Identifier: Apache-2.0
"""The job `retry`: looks at a payment that was declined, schedules the next try, and makes it when it is due.

To deal with a payment:
 1. Load it, its attempts, its merchant's policy, and how often its card was asked with.
 2. While an attempt's outcome is not known, nothing is decided: nothing is sent under another key (promise 4).
 3. Decide. A schedule and its end are changes of the payment, with a record and an event.
 4. When it is due: the card is still there and on no list, its mandate holds, its first payment is known, its
    connection is active.
 5. Save the attempt under the wish `retry n`, which a payment has once; then ask, as any attempt is asked.

It may run twice, and beside a merchant who confirms or cancels: whoever saves first wins, and the other decides anew. A
retry that was canceled stays so until the merchant asks again: it is not scheduled anew by a look that had begun.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from strongroom.audit import Action, Origin
from strongroom.crypto.ids import new_id
from strongroom.jobs import Again, Claimed, Done, JobResult, Kept
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import Refused, Unavailable
from strongroom.kernel.events import EventType
from strongroom.kernel.ids import AttemptId, ConnectionId, TokenId
from strongroom.payments.attempts import Attempts
from strongroom.payments.brakes.guard import Brakes
from strongroom.payments.calls import SENDING_SECONDS_MAX
from strongroom.payments.changes import Changes
from strongroom.payments.connections import ConnectionBook
from strongroom.payments.customers import CardsOnFile
from strongroom.payments.decisions import Asking, Card, Decided, decided_over
from strongroom.payments.declines import DeclineCode
from strongroom.payments.errors import IdempotencyKeySpent, PaymentUnknown
from strongroom.payments.model import Attempt, Loaded, ThreeDs
from strongroom.payments.records import RETRIES, RETRY, Act, Extras, Scribe
from strongroom.payments.retries.model import WISH, End, Hold, Known, Schedule, Try, judge
from strongroom.payments.retries.store import RetryFacts
from strongroom.payments.store import Change, JobChange, Taken
from strongroom.payments.stored import reference_for
from strongroom.payments.wishes import start_authorization
from strongroom.vault import Forwarder

#: How soon it is looked at again while an outcome is not known.
UNKNOWN_AGAIN: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class RetryParts:
    """What trying again takes."""

    changes: Changes
    attempts: Attempts
    brakes: Brakes
    connections: ConnectionBook
    forwarder: Forwarder
    cards: CardsOnFile
    facts: RetryFacts
    scribe: Scribe
    clock: Clock
    timeout_seconds: int


class RetryJob:
    """Deals with one payment at a time."""

    def __init__(self, parts: RetryParts) -> None:
        self._parts = parts
        self._lease = timedelta(seconds=parts.timeout_seconds + SENDING_SECONDS_MAX)

    async def run(self, job: Claimed) -> JobResult:
        """Look once."""
        parts = self._parts
        try:
            loaded = await parts.changes.load(job.merchant, job.mode, job.object_id)  # (1)
        except PaymentUnknown:
            return Done()
        if any(each.operation.authorizes and each.is_open for each in loaded.attempts):  # (2)
            return Again(parts.clock.now() + UNKNOWN_AGAIN)
        now = parts.clock.now()
        known = await parts.facts.of(loaded.payment, now)
        match judge(known, now):  # (3)
            case Schedule(at=at):
                return await self._scheduled(loaded, at)
            case Hold(until=until):
                return Again(until)
            case End(reason=reason):
                return await self._ended(loaded, reason)
            case Try(number=number):
                return await self._tried(loaded, known, number)
            case _:
                return Done()

    async def _scheduled(self, loaded: Loaded, at: datetime) -> JobResult:
        return await self._marked(
            loaded, at, EventType.PAYMENT_RETRY_SCHEDULED, Action.PAYMENTS_RETRY_SCHEDULED, None
        )

    async def _ended(self, loaded: Loaded, reason: str) -> JobResult:
        return await self._marked(
            loaded, None, EventType.PAYMENT_RETRIES_ENDED, Action.PAYMENTS_RETRY_ENDED, reason
        )

    async def _marked(
        self,
        loaded: Loaded,
        at: datetime | None,
        event: EventType,
        action: Action,
        reason: str | None,
    ) -> JobResult:
        """Save when it is tried, or that it is not any more, unless the payment has moved on."""
        act = Act(RETRIES, Origin(), self._parts.clock.now())

        def decide(known: Loaded) -> tuple[Decided, Change] | None:
            if known.payment.version != loaded.payment.version:
                return None
            return marked(self._parts.scribe, known, at, event, action, act, reason)

        saved = await self._parts.changes.apply(loaded, decide)
        moved_on = isinstance(saved, Taken) or saved.payment.version == loaded.payment.version
        return Again(act.now) if moved_on else Kept()

    async def _tried(self, loaded: Loaded, known: Known, number: int) -> JobResult:
        """Make the attempt that is due: (4), (5)."""
        parts = self._parts
        merchant, mode, payment = known.payment.merchant_id, known.payment.mode, known.payment
        try:  # (4)
            token = TokenId("" if known.last is None else known.last.token_id or "")
            card = await parts.forwarder.describe(merchant, mode, token)
            await parts.cards.require_agreed(merchant, mode, token, payment.customer_id)
            if card.token != token:
                # It has another id since a retokenization, and what was agreed to may stand under that one.
                await parts.cards.require_agreed(merchant, mode, card.token, None)
            agreed = card.stored_credential
            scheme = None if agreed is None else agreed.scheme_transaction_id
            first = reference_for(payment.stored_credential, scheme)
            connection = await parts.connections.chosen(merchant, mode, payment.connection_id)
            blocked = await parts.brakes.blocks_again(merchant, mode, card, payment.customer_id)
        except Unavailable:
            raise  # the vault does not answer: not now
        except Refused as refused:
            return await self._ended(loaded, refused.code)
        if blocked:
            return await self._ended(loaded, DeclineCode.BLOCKED_BY_MERCHANT)
        attempt = AttemptId(new_id("att"))
        given = Card(card.token, card.brand, card.bin, card.last4, first)
        act = Act(RETRIES, Origin(), parts.clock.now())
        ends_at = act.now + self._lease

        def decide(now_known: Loaded) -> tuple[Decided, Change] | None:
            if now_known.payment.version != loaded.payment.version:
                return None
            asking = asked_again(
                known.last, attempt, number, connection.connection_id, act.now, ends_at
            )
            decided = start_authorization(now_known, given, asking)
            jobs = [JobChange(RETRY, payment.payment_id, ends_at)]
            return decided, parts.scribe.change(decided, act, Extras(jobs=jobs))

        try:
            saved = await parts.changes.apply(loaded, decide)  # (5)
        except IdempotencyKeySpent:
            return Again(act.now + UNKNOWN_AGAIN)  # this try was made: its outcome comes
        made = None if isinstance(saved, Taken) else saved.attempt(attempt)
        if made is None or isinstance(saved, Taken):
            return Again(act.now)
        # Crash here: the attempt stands, and nobody was asked. It is looked for when its lease is over.
        await parts.attempts.send(saved, made, act, cvc=None, single_use=False, finish=None)
        return Kept()


def asked_again(
    last: Attempt | None,
    attempt: AttemptId,
    number: int,
    connection: ConnectionId,
    now: datetime,
    ends_at: datetime,
) -> Asking:
    """Return the attempt to be: with what was asked for at the last one, for the merchant wants the same of both."""
    return Asking(
        attempt,
        f"{WISH}{number}",
        connection,
        now,
        ends_at,
        three_ds=(None if last is None else last.three_ds) or ThreeDs.AUTOMATIC,
        checks_policy=None if last is None else last.checks_policy,
    )


def marked(
    scribe: Scribe,
    known: Loaded,
    at: datetime | None,
    event: EventType,
    action: Action,
    act: Act,
    reason: str | None,
) -> tuple[Decided, Change]:
    """Decide that a payment is tried then, or not any more (None, `RETRY_CANCELED`), with job, record and event."""
    payment = msgspec.structs.replace(known.payment, retry_at=at)
    decided = decided_over(known, payment, None, now=act.now, happened=(event,))
    details = {} if reason is None else {"reason": reason}
    record = scribe.record(action, payment, payment.payment_id, act, details)
    jobs = [JobChange(RETRY, payment.payment_id, payment.next_retry_at)]
    return decided, scribe.change(decided, act, Extras(jobs=jobs, audit=[record]))
