# SPDX-License-Identifier: Apache-2.0
"""What a merchant asks for: create, confirm, capture, cancel, refund. A wish makes one attempt, or one after another.

To serve a wish:
 1. Read it, its key and its card; refuse before anything is written.
 2. Look at earlier attempts whose outcome should be known by now.
 3. Decide, and save payment, attempt, reservation, key, record and events in one commit.
 4. Ask the processor, with nothing held open. A caller who leaves does not stop this.
 5. Save what it answered, with the answer that repeats of the key get; or with the attempt that follows it elsewhere,
    where a rule of the merchant's says so and nothing can have moved (ADR 16).
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from strongroom.audit import NewRecord
from strongroom.crypto.ids import new_id
from strongroom.kernel.clock import Clock
from strongroom.kernel.events import EventType
from strongroom.kernel.ids import (
    AttemptId,
    ConnectionId,
    CustomerId,
    RefundId,
    TokenId,
    is_id,
)
from strongroom.kernel.money import Money
from strongroom.payments.answers import Answered, answer_of, kept_answer, kept_status
from strongroom.payments.attempts import Attempts
from strongroom.payments.beginning import new_payment
from strongroom.payments.braking import Braking, Made, braked
from strongroom.payments.calls import SENDING_SECONDS_MAX
from strongroom.payments.changes import Changes
from strongroom.payments.customers import CardsOnFile
from strongroom.payments.decisions import Asking, Decided
from strongroom.payments.errors import PaymentUnknown
from strongroom.payments.holds import require_hold, require_schedule
from strongroom.payments.holds_wire import IncrementIn
from strongroom.payments.model import CaptureMethod, Loaded, Payment
from strongroom.payments.payers import Payers, charged_card
from strongroom.payments.records import Act, Extras, Scribe
from strongroom.payments.repeats import Repeats, Wish
from strongroom.payments.returns import read_return_url
from strongroom.payments.route import Route
from strongroom.payments.routing.router import Router
from strongroom.payments.routing.way import GoingOn, Way
from strongroom.payments.store import Change, KeyDone, Taken
from strongroom.payments.stored import (
    CARD_ON_FILE,
    StoredCredential,
    require_nobody_asked,
    wished,
)
from strongroom.payments.wire import (
    CancelIn,
    CaptureIn,
    ConfirmIn,
    PaymentIn,
    RefundIn,
)
from strongroom.payments.wishes import (
    call_off,
    start_authorization,
    start_capture,
    start_increment,
    start_refund,
    start_void,
)
from strongroom.vault import CardFacts, Forwarder

#: Beyond a processor's time: what saving before and after the call may take.
LEASE_SLACK_SECONDS: Final = SENDING_SECONDS_MAX

_encode_sorted: Final = msgspec.json.Encoder(order="sorted").encode
#: Decides over what was loaded, for an attempt to be.
Start = Callable[[Loaded, Asking], Decided]


@dataclass(frozen=True, slots=True)
class _Carried:
    """What an authorization carries: a card, a sealed CVC, and where it may go."""

    card: CardFacts | None = None
    cvc: str | None = None
    way: Way | None = None
    route: Route | None = None
    stored: StoredCredential | None = None


class PaymentService:
    """Payments for the routes of one process."""

    def __init__(
        self,
        *,
        changes: Changes,
        scribe: Scribe,
        attempts: Attempts,
        router: Router,
        forwarder: Forwarder,
        repeats: Repeats,
        braking: Braking,
        cards: CardsOnFile,
        clock: Clock,
        timeout_seconds: int,
    ) -> None:
        self.repeats = repeats
        self._braking = braking
        self._changes = changes
        self._scribe = scribe
        self._attempts = attempts
        self._router = router
        self._forwarder = forwarder
        self._payers = Payers(cards)
        self._clock = clock
        self._lease = timedelta(seconds=timeout_seconds + LEASE_SLACK_SECONDS)
        self._under_way: set[asyncio.Task[Any]] = set()

    async def create(self, wanted: PaymentIn, wish: Wish) -> Answered:
        """Make a payment, and charge it where that is wished.

        Raises:
            Invalid, TokenUnknown, NoConnection, IdempotencyMismatch, IdempotencyInFlight: see each.
        """
        return await self.repeats.once(wish, self._create(wanted, wish))

    async def _create(self, wanted: PaymentIn, wish: Wish) -> Answered:
        Money(wanted.amount, wanted.currency)  # refuses what is no currency (1)
        require_hold(
            CaptureMethod(wanted.capture_method),
            estimated=wanted.estimated,
            capture_at=wanted.capture_at,
            on_expiry=wanted.on_expiry,
        )
        require_schedule(wanted.capture_at, self._clock.now())
        stored = wished(wanted.stored_credential, wanted.amount, wanted.capture_method, wanted.cvc)
        return_url = read_return_url(wanted.return_url, wish.principal.mode)
        token = wanted.token
        if wanted.customer is not None and token is None:
            token = await self._payers.default_card(wish, wanted.customer)
            stored = stored or CARD_ON_FILE
        elif wanted.customer is not None:
            await self._payers.default_card(wish, wanted.customer)  # whoever pays is there
        card = await self._card(wish, token)
        now = self._clock.now()
        made = msgspec.structs.replace(
            new_payment(wanted, wish, card, return_url, now, self._scribe.holds),
            stored_credential=stored,
            customer_id=None if wanted.customer is None else CustomerId(wanted.customer),
        )
        act = Act(wish.principal.actor, wish.origin, now)
        created = self._scribe.created(made, act)
        if not wanted.confirm:
            return await self._made(made, wish, act, created)
        await self._payers.require_agreed(wish, stored, wanted.customer, token, card)
        way = await self._router.way(made, card, wanted.connection)
        connection, route = way.first()
        guarded = await self._braking.ask(made, card, wanted, wish)
        asking = self._asking(AttemptId(new_id("att")), wish, connection, now, route)
        asking = braked(asking, guarded, wanted)
        nothing = Loaded(msgspec.structs.replace(made, version=0), (), ())
        if guarded.refused is not None:
            return await self._braking.refused_new(
                asking,
                charged_card(card, stored),
                guarded.refused,
                wish,
                Made(nothing, act, created),
            )
        started = start_authorization(nothing, charged_card(card, stored), asking)
        decided = replace(started, happened=(EventType.PAYMENT_CREATED, *started.happened))
        change = self._scribe.change(
            decided,
            act,
            Extras(key=wish.claimed(made.payment_id, asking.lease_until), audit=[created]),
        )  # (3)
        saved = await self._changes.insert(decided, change)
        if isinstance(saved, Taken):
            return await self.repeats.answered(saved, wish)
        carried = _Carried(card, wanted.cvc, way, route, stored)
        return await self._sent(saved, asking.attempt, wish, act, carried)

    async def confirm(self, payment: str, wanted: ConfirmIn, wish: Wish) -> Answered:
        """Charge a payment with its card, or with the one given now.

        Raises:
            PaymentUnknown, PaymentNotReady, PaymentUnresolved, TokenUnknown, NoConnection: see each.
        """
        return await self.repeats.once(wish, self._confirm(payment, wanted, wish))

    async def _confirm(self, payment: str, wanted: ConfirmIn, wish: Wish) -> Answered:
        return_url = read_return_url(wanted.return_url, wish.principal.mode)
        loaded = await self._loaded(payment, wish)
        stored = loaded.payment.stored_credential
        require_nobody_asked(stored, wanted.cvc)
        customer, token = loaded.payment.customer_id, wanted.token or loaded.payment.token_id
        if customer is not None:
            default = await self._payers.default_card(wish, customer)  # whoever pays is there still
            # Their card on file is for what was begun with it, and not in the place of one that was declined.
            token = default if token is None and stored is not None else token
        card = await self._card(wish, token)
        if customer is not None and stored == CARD_ON_FILE and wanted.token is None:
            await self._payers.require_saved(wish, customer, token, card)
        await self._payers.require_agreed(wish, stored, customer, token, card)
        way = await self._router.way(loaded.payment, card, wanted.connection)
        connection, route = way.first()

        guarded = await self._braking.ask(loaded.payment, card, wanted, wish)
        if guarded.refused is not None:
            never = AttemptId(new_id("att"))
            asking = self._asking(never, wish, connection, self._clock.now(), route)
            return await self._braking.refused(
                loaded, charged_card(card, stored), asking, guarded.refused, wish
            )

        def start(known: Loaded, asking: Asking) -> Decided:
            asking = braked(asking, guarded, wanted)
            if return_url is not None:
                changed = msgspec.structs.replace(known.payment, return_url=return_url)
                known = Loaded(changed, known.attempts, known.refunds)
            return start_authorization(known, charged_card(card, stored), asking)

        carried = _Carried(card, wanted.cvc, way, route, stored)
        return await self._started(loaded, start, wish, connection, carried)

    async def capture(self, payment: str, wanted: CaptureIn, wish: Wish) -> Answered:
        """Take money that is authorized.

        Raises:
            PaymentUnknown, PaymentNotReady, PaymentBusy, PaymentUnresolved, AmountBeyond: see each.
        """
        return await self.repeats.once(wish, self._capture(payment, wanted, wish))

    async def _capture(self, payment: str, wanted: CaptureIn, wish: Wish) -> Answered:
        loaded = await self._loaded(payment, wish)

        def start(known: Loaded, asking: Asking) -> Decided:
            return start_capture(known, wanted.amount, asking, final=wanted.final_capture)

        return await self._started(loaded, start, wish, _connection_of(loaded))

    async def cancel(self, payment: str, wanted: CancelIn, wish: Wish) -> Answered:
        """Call a payment off: at the processor, where it holds something; here alone, where it does not.

        Raises:
            PaymentUnknown, PaymentNotReady, PaymentBusy, PaymentUnresolved: see each.
        """
        return await self.repeats.once(wish, self._cancel(payment, wanted, wish))

    async def _cancel(self, payment: str, wanted: CancelIn, wish: Wish) -> Answered:
        loaded = await self._loaded(payment, wish, canceling=True)
        if loaded.payment.authorized:

            def start(known: Loaded, asking: Asking) -> Decided:
                reasoned = msgspec.structs.replace(known.payment, cancel_reason=wanted.reason)
                return start_void(Loaded(reasoned, known.attempts, known.refunds), asking)

            return await self._started(loaded, start, wish, _connection_of(loaded))
        act = Act(wish.principal.actor, wish.origin, self._clock.now())

        def decide(known: Loaded) -> tuple[Decided, Change]:
            decided = call_off(known, wanted.reason, act.now)
            answer = answer_of(decided.payment, None, None, created=False, claim=wish.claim)
            key = wish.claimed(decided.payment.payment_id, None, answer)
            records = [self._scribe.canceled(decided.payment, act)]
            return decided, self._scribe.change(decided, act, Extras(key=key, audit=records))

        saved = await self._changes.apply(loaded, decide)
        if isinstance(saved, Taken):
            return await self.repeats.answered(saved, wish)
        return answer_of(saved.payment, None, None, created=False, claim=wish.claim)

    async def increment(self, payment: str, wanted: IncrementIn, wish: Wish) -> Answered:
        """Hold more of a payment whose amount is an estimate.

        Raises:
            PaymentUnknown, PaymentNotReady, PaymentBusy, PaymentUnresolved, AmountBeyond, CommandNotTaken: see each.
        """
        return await self.repeats.once(wish, self._increment(payment, wanted, wish))

    async def _increment(self, payment: str, wanted: IncrementIn, wish: Wish) -> Answered:
        loaded = await self._loaded(payment, wish)
        await self._attempts.require_raises(loaded)

        def start(known: Loaded, asking: Asking) -> Decided:
            return start_increment(known, wanted.amount, asking)

        return await self._started(loaded, start, wish, _connection_of(loaded))

    async def refund(self, payment: str, wanted: RefundIn, wish: Wish) -> Answered:
        """Give money back.

        Raises:
            PaymentUnknown, PaymentNotReady, AmountBeyond: see each.
        """
        return await self.repeats.once(wish, self._refund(payment, wanted, wish))

    async def _refund(self, payment: str, wanted: RefundIn, wish: Wish) -> Answered:
        loaded = await self._loaded(payment, wish)
        refund = RefundId(new_id("ref"))

        def start(known: Loaded, asking: Asking) -> Decided:
            return start_refund(
                known,
                wanted.amount,
                refund,
                asking,
                reason=wanted.reason,
                reference=wanted.reference,
                metadata=wanted.metadata or {},
            )

        return await self._started(loaded, start, wish, _connection_of(loaded))

    async def drain(self) -> None:
        """Wait until what is under way has been answered and saved."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def _loaded(self, payment: str, wish: Wish, *, canceling: bool = False) -> Loaded:
        """Load a payment, and look at what should be known of it by now: (2)."""
        if not is_id("pay", payment):
            raise PaymentUnknown
        loaded = await self._changes.load(wish.principal.merchant, wish.principal.mode, payment)
        return await self._attempts.resolved(loaded, canceling=canceling)

    async def _card(self, wish: Wish, token: str | None) -> CardFacts | None:
        if token is None:
            return None
        return await self._forwarder.describe(
            wish.principal.merchant, wish.principal.mode, TokenId(token)
        )

    async def _made(self, made: Payment, wish: Wish, act: Act, created: NewRecord) -> Answered:
        """Save a payment that is not charged yet; its key is answered in the same commit."""
        answer = answer_of(made, None, None, created=True, claim=wish.claim)
        key = wish.claimed(made.payment_id, None, answer)
        decided = Decided(made, happened=(EventType.PAYMENT_CREATED,))
        change = self._scribe.change(decided, act, Extras(key=key, audit=[created]))
        saved = await self._changes.insert(decided, change)
        if isinstance(saved, Taken):
            return await self.repeats.answered(saved, wish)
        return answer

    async def _started(
        self,
        loaded: Loaded,
        start: Start,
        wish: Wish,
        connection: ConnectionId,
        carried: "_Carried | None" = None,
    ) -> Answered:
        """Decide and save an attempt of a payment that is there, then ask: (3) to (5)."""
        attempt = AttemptId(new_id("att"))
        act = Act(wish.principal.actor, wish.origin, self._clock.now())
        carried = carried or _Carried()

        def decide(known: Loaded) -> tuple[Decided, Change]:
            # Its time counts from here: it may have waited its turn behind others of this payment.
            now = self._clock.now()
            asking = self._asking(attempt, wish, connection, now, carried.route)
            decided = start(known, asking)
            key = wish.claimed(known.payment.payment_id, asking.lease_until)
            return decided, self._scribe.change(decided, replace(act, now=now), Extras(key=key))

        saved = await self._changes.apply(loaded, decide)
        if isinstance(saved, Taken):
            return await self.repeats.answered(saved, wish)
        return await self._sent(saved, attempt, wish, act, carried)

    async def _sent(
        self, saved: Loaded, attempt_id: AttemptId, wish: Wish, act: Act, carried: "_Carried"
    ) -> Answered:
        attempt = saved.attempt(attempt_id)
        if attempt is None:
            raise PaymentUnknown
        created = saved.payment.version == 1
        #: What was printed last, and of what: a payment that is decided once is one object.
        printed: tuple[Payment, str, Answered] | None = None

        def answer_to(known: Loaded, attempt: str) -> Answered:
            nonlocal printed
            if printed is None or printed[0] is not known.payment or printed[1] != attempt:
                answer = kept_answer(known, attempt, created=created, claim=wish.claim)
                printed = (known.payment, attempt, answer)
            return printed[2]

        def finish(known: Loaded, attempt: str) -> KeyDone:
            answer = answer_to(known, attempt)
            return KeyDone(wish.route, wish.key, kept_status(known, attempt, answer), answer.body)

        async def to_its_end() -> Answered:
            known, current, cvc = saved, attempt, carried.cvc
            onward = self._onward(carried)
            while True:
                known = await self._attempts.send(
                    known,
                    current,
                    act,
                    cvc=cvc,
                    single_use=carried.card is not None and carried.card.single_use,
                    finish=finish,
                    onward=onward,
                )
                following = None if onward is None else onward.following(known)
                if following is None or onward is None:
                    break
                # Crash here: the next attempt is saved and was not sent. It is found out like any other.
                current, cvc = following, onward.cvc
            return answer_to(known, current.attempt_id)

        return await self._whatever_happens(to_its_end())  # (4) (5)

    async def _whatever_happens(self, work: Coroutine[Any, Any, Answered]) -> Answered:
        """Finish although the caller may leave or the request's time be over."""
        task = asyncio.get_running_loop().create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    def _onward(self, carried: "_Carried") -> GoingOn | None:
        """Return what lets an authorization go on elsewhere; None for all else."""
        card = charged_card(carried.card, carried.stored)
        if carried.way is None or card is None:
            return None
        return GoingOn(carried.way, card, cvc=carried.cvc, lease=self._lease)

    def _asking(
        self,
        attempt: AttemptId,
        wish: Wish,
        connection: ConnectionId,
        now: datetime,
        route: Route | None = None,
    ) -> Asking:
        return Asking(attempt, wish.name, connection, now, now + self._lease, route=route)


def _connection_of(loaded: Loaded) -> ConnectionId:
    """Everything after an authorization goes where that went."""
    return loaded.payment.connection_id or ConnectionId("")
