# SPDX-License-Identifier: Apache-2.0
"""Where payments meet their merchant's brakes: the question before an authorization, and what a refusal saves.

A refusal is a decline of ours (ADR-0021): payment, key and record are saved in one commit, and nothing is sent.
"""

from dataclasses import replace

import msgspec

from strongroom.audit import NewRecord
from strongroom.kernel.clock import Clock
from strongroom.kernel.events import EventType
from strongroom.kernel.money import Money
from strongroom.payments.answers import Answered, refused_answer
from strongroom.payments.brakes.guard import NOTHING_HELD, Brakes, Guarded, Shopper
from strongroom.payments.brakes.guard import Asking as Braked
from strongroom.payments.brakes.model import Tripped
from strongroom.payments.brakes.refusing import refuse
from strongroom.payments.browsers import Browser
from strongroom.payments.changes import Changes
from strongroom.payments.decisions import Asking, Card, Decided
from strongroom.payments.model import Loaded, Payment, ThreeDs
from strongroom.payments.records import Act, Extras, Scribe
from strongroom.payments.repeats import Repeats, Wish
from strongroom.payments.store import Change, Taken
from strongroom.payments.wire import ConfirmIn, PaymentIn
from strongroom.vault import CardFacts


class Braking:
    """The brakes, as the service of payments calls them."""

    def __init__(
        self, brakes: Brakes, changes: Changes, scribe: Scribe, repeats: Repeats, clock: Clock
    ) -> None:
        self._brakes = brakes
        self._changes = changes
        self._scribe = scribe
        self._repeats = repeats
        self._clock = clock

    async def ask(
        self,
        payment: Payment,
        card: CardFacts | None,
        wanted: PaymentIn | ConfirmIn,
        wish: Wish,
    ) -> Guarded:
        """Ask before anything of an authorization is written. Without a card nothing is asked: it is refused anyhow.

        Raises:
            PaymentThrottled, Invalid: see `Brakes.ask`.
        """
        if card is None:
            return NOTHING_HELD
        stored = payment.stored_credential
        return await self._brakes.ask(
            Braked(
                merchant=payment.merchant_id,
                mode=payment.mode,
                key=wish.principal.subject,
                payment=payment.payment_id,
                money=Money(payment.amount, payment.currency),
                card=card,
                shopper=Shopper(wanted.customer_ip, wanted.customer_email),
                customer=payment.customer_id,
                nobody_there=stored is not None and stored.by_merchant,
            )
        )

    async def refused_new(
        self, asking: Asking, card: Card | None, by: Tripped, wish: Wish, made: "Made"
    ) -> Answered:
        """Save a new payment that is refused, and the answer to its key."""
        refused = refuse(made.nothing, card, asking, by)
        decided = replace(refused, happened=(EventType.PAYMENT_CREATED, *refused.happened))
        change, answer = self._refusal(decided, by, wish, made.act, [made.record])
        saved = await self._changes.insert(decided, change)
        return await self._repeats.answered(saved, wish) if isinstance(saved, Taken) else answer

    async def refused(
        self, loaded: Loaded, card: Card | None, asking: Asking, by: Tripped, wish: Wish
    ) -> Answered:
        """Save that a payment that is there is refused, and the answer to its key."""
        answers: list[Answered] = []

        def decide(known: Loaded) -> tuple[Decided, Change]:
            now = self._clock.now()
            decided = refuse(known, card, replace(asking, now=now), by)
            act = Act(wish.principal.actor, wish.origin, now)
            change, answer = self._refusal(decided, by, wish, act, [])
            answers.append(answer)
            return decided, change

        saved = await self._changes.apply(loaded, decide)
        return (
            await self._repeats.answered(saved, wish) if isinstance(saved, Taken) else answers[-1]
        )

    def _refusal(
        self, decided: Decided, by: Tripped, wish: Wish, act: Act, records: list[NewRecord]
    ) -> tuple[Change, Answered]:
        answer = refused_answer(decided.payment, claim=wish.claim)
        key = wish.claimed(decided.payment.payment_id, None, answer)
        audit = [*records, self._scribe.refused(decided.payment, by.name, act)]
        return self._scribe.change(decided, act, Extras(key=key, audit=audit)), answer


def braked(asking: Asking, guarded: Guarded, wanted: PaymentIn | ConfirmIn) -> Asking:
    """Return the attempt to be as brakes want it: what is asked about 3-D Secure, and what failed checks come to.

    The browser that a challenge would be shown in goes with it.
    """
    three_ds = ThreeDs.CHALLENGE if guarded.verdict.challenge else ThreeDs(wanted.three_ds)
    given = wanted.customer_browser
    browser = None if given is None else msgspec.convert(given, Browser, from_attributes=True)
    return replace(asking, three_ds=three_ds, checks_policy=guarded.checks_policy, browser=browser)


class Made:
    """A payment that is new: nothing of it is saved yet."""

    __slots__ = ("act", "nothing", "record")

    def __init__(self, nothing: Loaded, act: Act, record: NewRecord) -> None:
        self.nothing = nothing
        self.act = act
        self.record = record
