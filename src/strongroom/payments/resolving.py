# SPDX-License-Identifier: Apache-2.0
"""Lets two people say what became of an attempt that nobody could find out, after one more look."""

from dataclasses import replace

from strongroom.audit import Origin
from strongroom.http.approval import ApprovalAbout, ApprovalClaim
from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import is_id
from strongroom.kernel.invariant import Bug
from strongroom.kernel.principal import Principal
from strongroom.payments.attempts import Attempts
from strongroom.payments.changes import Changes
from strongroom.payments.decisions import Decided
from strongroom.payments.errors import AttemptUnknown, PaymentUnknown
from strongroom.payments.leaving import resolve, said_by_people
from strongroom.payments.model import Attempt, Loaded, Payment
from strongroom.payments.processing_wire import ResolveIn
from strongroom.payments.records import Act, Extras, Scribe
from strongroom.payments.store import Change, Taken


class Resolutions:
    """What two people say; the second's yes is asked for at the route."""

    def __init__(self, changes: Changes, attempts: Attempts, scribe: Scribe, clock: Clock) -> None:
        self._changes = changes
        self._attempts = attempts
        self._scribe = scribe
        self._clock = clock

    async def require_possible(
        self, principal: Principal, payment: str, attempt: str, wanted: ResolveIn
    ) -> ApprovalAbout:
        """Return what the second person is shown: the attempt, what is said of it, and how the first one knows.

        Raises:
            PaymentUnknown, AttemptUnknown, PaymentNotReady, Invalid: nobody is asked to approve what cannot be.
        """
        loaded = await self._loaded(principal, payment, attempt, wanted)
        known = loaded.attempt(attempt)
        found = said_by_people(wanted.outcome, wanted.processor_reference)
        now, by = self._clock.now(), principal.actor
        resolve(loaded, known, found, by=by, evidence=wanted.evidence, now=now)
        if known is None:
            raise Bug("an attempt that can be resolved is there")
        claim = ApprovalClaim(
            payment=known.payment_id,
            attempt=known.attempt_id,
            operation=known.operation.value,
            amount=known.amount,
            currency=known.currency,
            outcome=wanted.outcome,
            processor_reference=wanted.processor_reference,
        )
        return ApprovalAbout(purpose=f"outcome_{wanted.outcome}", note=wanted.evidence, claim=claim)

    async def resolve(
        self, principal: Principal, payment: str, attempt: str, wanted: ResolveIn, origin: Origin
    ) -> tuple[Payment, Attempt]:
        """Look once more; then record what they say, with the events and postings of any other outcome.

        Raises:
            PaymentUnknown, AttemptUnknown, PaymentNotReady, Invalid: see each.
        """
        loaded = await self._loaded(principal, payment, attempt, wanted)
        loaded = await self._attempts.resolved(loaded)
        found = said_by_people(wanted.outcome, wanted.processor_reference)
        act = Act(principal.actor, origin, self._clock.now())

        def decide(known: Loaded) -> tuple[Decided, Change]:
            now = self._clock.now()
            decided = resolve(
                known,
                known.attempt(attempt),
                found,
                by=principal.actor,
                evidence=wanted.evidence,
                now=now,
            )
            acting = replace(act, now=now)
            records = [self._scribe.resolved(decided.payment, decided.attempts[0], acting)]
            return decided, self._scribe.change(decided, acting, Extras(audit=records))

        saved = await self._changes.apply(loaded, decide, also_attempt=attempt)
        settled = None if isinstance(saved, Taken) else saved.attempt(attempt)
        if isinstance(saved, Taken) or settled is None:
            raise Bug("a resolution claims no key and keeps its attempt")
        return saved.payment, settled

    async def _loaded(
        self, principal: Principal, payment: str, attempt: str, wanted: ResolveIn
    ) -> Loaded:
        if has_cardlike(wanted.evidence) or has_cardlike(wanted.processor_reference or ""):
            raise Invalid(
                FieldError("/evidence", "card_number_refused", "this looks like a card number")
            )
        if not is_id("pay", payment):
            raise PaymentUnknown
        if not is_id("att", attempt):
            raise AttemptUnknown
        return await self._changes.load(principal.merchant, principal.mode, payment, attempt)
