# SPDX-License-Identifier: Apache-2.0
"""What a merchant says of retries: the policy, and that a scheduled one is not to be made."""

from strongroom.audit import Action, Recorder
from strongroom.db.pool import Database
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.events import EventType
from strongroom.kernel.ids import is_id
from strongroom.payments.changes import Changes
from strongroom.payments.connections import By
from strongroom.payments.decisions import Decided
from strongroom.payments.errors import PaymentNotReady, PaymentUnknown
from strongroom.payments.model import RETRY_CANCELED, Loaded, Payment
from strongroom.payments.records import Act, Scribe
from strongroom.payments.retries import store
from strongroom.payments.retries.job import marked
from strongroom.payments.retries.model import SPAN_HOURS_MAX, Policy
from strongroom.payments.retries.wire import RetryPolicyIn
from strongroom.payments.store import Change, Taken


class RetryService:
    """Retries, for the routes of one process."""

    def __init__(
        self,
        *,
        database: Database,
        changes: Changes,
        scribe: Scribe,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self._database = database
        self._changes = changes
        self._scribe = scribe
        self._recorder = recorder
        self._clock = clock

    async def policy(self, by: By) -> Policy:
        """Return what holds now."""
        async with self._database.transaction([by.merchant]) as read:
            return await store.policy_of(read, by.merchant, by.mode)

    async def put_policy(self, wish: RetryPolicyIn, by: By) -> Policy:
        """Say what holds from now on. What is scheduled is judged by it when it is due.

        Raises:
            Invalid: the tries would not end within thirty days.
        """
        if sum(wish.delays_hours) > SPAN_HOURS_MAX:
            raise Invalid(
                FieldError("/delays_hours", "span_too_long", "the tries end within 30 days")
            )
        now = self._clock.now()
        policy = Policy(wish.enabled, tuple(wish.delays_hours), now)
        async with self._database.transaction([by.merchant]) as tx:
            await store.put_policy(tx, by.merchant, by.mode, policy)
            record = self._recorder.make(
                Action.PAYMENTS_RETRY_POLICY_CHANGED,
                actor=by.actor,
                merchant=by.merchant,
                mode=by.mode,
                thing=None,
                origin=by.origin,
                now=now,
                details={
                    "count": len(policy.delays_hours),
                    "state": "enabled" if policy.enabled else "disabled",
                },
            )
            await self._recorder.insert(tx, record)
        return policy

    async def cancel(self, payment: str, by: By) -> Payment:
        """Have a scheduled retry not made, by a worker who has begun with it neither.

        Raises:
            PaymentUnknown: not there for this tenant and mode.
            PaymentNotReady: none is scheduled.
        """
        if not is_id("pay", payment):
            raise PaymentUnknown
        loaded = await self._changes.load(by.merchant, by.mode, payment)
        act = Act(by.actor, by.origin, self._clock.now())

        def decide(known: Loaded) -> tuple[Decided, Change]:
            if known.payment.next_retry_at is None:
                raise PaymentNotReady("no retry of this payment is scheduled")
            return marked(
                self._scribe,
                known,
                RETRY_CANCELED,
                EventType.PAYMENT_RETRY_CANCELED,
                Action.PAYMENTS_RETRY_CANCELED,
                act,
                None,
            )

        saved = await self._changes.apply(loaded, decide)
        return loaded.payment if isinstance(saved, Taken) else saved.payment
