# SPDX-License-Identifier: Apache-2.0
"""Shows a stored card to who may see it. The only place where a stored number leaves the vault as an answer.

It is recorded, and the record is committed, before anything is opened (promise 3; PCI DSS 4.0.1 10.2.1.1): a failure
after that leaves a record of a card that nobody saw, never a card that was seen without one.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Final, final
from weakref import WeakValueDictionary

import msgspec

from strongroom.audit import Action, NewRecord, Recorder
from strongroom.db.pool import Database, Transaction
from strongroom.http.approval import ApprovalAbout, ApprovalToken
from strongroom.http.rate_limit import RateLimiter
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import MerchantId, TokenId, is_id
from strongroom.telemetry.reveal_metrics import RevealMetrics
from strongroom.vault.aliases import ids_of
from strongroom.vault.containers.model import Access
from strongroom.vault.containers.ports import ContainerRules
from strongroom.vault.details import DetailSealer
from strongroom.vault.errors import TokenUnknown
from strongroom.vault.finding import Caller, require_form
from strongroom.vault.reveal import store
from strongroom.vault.reveal.burst import Bounds, Verdict, decide
from strongroom.vault.reveal.errors import (
    RevealSingleUse,
    RevealStopOwn,
    RevealStopped,
    RevealStopUnknown,
)
from strongroom.vault.reveal.model import Kept, Stop, Wish
from strongroom.vault.reveal.store import Begun, SealedCard
from strongroom.vault.reveal.wire import RevealedCard, RevealedOut
from strongroom.vault.sealing import CardSealer
from strongroom.vault.watching import UNWATCHED, Watch, Way

STOPS_MAX: Final = 100
CLEAR: Final = "clear"
ENCRYPTED: Final = "encrypted"
#: As an approver is told how the card leaves.
JWE: Final = "jwe"

_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Revealed:
    """What goes back, and the record that says so."""

    answer: RevealedOut = field(repr=False)
    record: NewRecord


@final
class Reveals:
    """Shows cards of this process's vault."""

    def __init__(
        self,
        *,
        database: Database,
        sealer: CardSealer,
        rules: ContainerRules,
        recorder: Recorder,
        clock: Clock,
        metrics: RevealMetrics,
        bounds: Bounds,
        rate: RateLimiter,
        watch: Watch = UNWATCHED,
    ) -> None:
        self._watch = watch
        self._database = database
        self._sealer = sealer
        self._details = DetailSealer(sealer)
        self._rules = rules
        self._recorder = recorder
        self._clock = clock
        self._metrics = metrics
        self._bounds = bounds
        self._rate = rate
        #: Of one caller's requests one waits in the database; the others wait here, where they hold no connection.
        self._turns: WeakValueDictionary[tuple[MerchantId, str], asyncio.Lock] = (
            WeakValueDictionary()
        )

    def require_pace(self, caller: Caller) -> None:
        """Slow a caller down.

        Raises:
            TooMany: the caller asks faster than the rate.
        """
        self._rate.take(caller.principal.subject, monotonic())

    async def require_possible(
        self, caller: Caller, token_id: str, wish: Wish
    ) -> tuple[Sequence[TokenId], ApprovalAbout]:
        """Refuse what could not be shown anyway, so that no second person is asked for it. Raises as `reveal`.

        Returns:
            Every id that the token may be asked by now, its present one first; and what the second person is shown of
            the wish. That names the oldest of the ids, so that it is the same by whichever the token is asked.
        """
        require_form(token_id)
        principal = caller.principal
        await self._named(caller, token_id)
        now = self._clock.now()
        async with (
            self._turn(caller),
            self._database.transaction([principal.merchant]) as read,
        ):
            begun = await store.begin(
                read, caller.scope, token_id, principal.subject, now, self._bounds
            )
            ids = await ids_of(read, *caller.scope, begun.token, now)
        if begun.stop is not None and begun.stop.holds(now):
            raise RevealStopped
        card = await self._showable(caller, begun.card)
        return ids, ApprovalAbout(
            purpose=wish.purpose.value,
            note=wish.note,
            tokens=[ApprovalToken(min(ids), card.brand, card.last4)],
            container=card.container,
            method=CLEAR if wish.recipient is None else JWE,
            recipient=None if wish.recipient is None else wish.recipient.thumbprint,
        )

    async def reveal(self, caller: Caller, token_id: str, wish: Wish) -> Revealed:
        """Show a card to whom everybody agreed.

        Raises:
            TokenUnknown: not there for this tenant and mode, or expired.
            RevealSingleUse: the token is for one payment.
            AccessRefused: no rule of the container gives `reveal`.
            RevealStopped: the caller revealed too much at once.
            CannotReadCard, KeyStoreUnavailable: recorded, and nothing was shown.
        """
        # To show a card:
        #  1. One at a time of a caller; who burst is stopped, and that alone is committed.
        #     From here on it goes by the id that the token has now.
        #  2. It is there, lasting, and the container's rules give it to this caller.
        #  3. Record it, and commit.
        #  4. Open it.
        #  5. Encrypt it to the caller's key, if they gave one.
        require_form(token_id)
        await self._named(caller, token_id)
        now = self._clock.now()
        principal = caller.principal
        async with (
            self._turn(caller),
            self._database.transaction([principal.merchant]) as tx,
        ):
            begun = await store.begin(
                tx, caller.scope, token_id, principal.subject, now, self._bounds
            )
            token = begun.token
            stopped = await self._stopped(tx, caller, token, begun, now)  # (1)
            if not stopped:
                card = await self._showable(caller, begun.card)  # (2)
                sealed = await store.details(tx, caller.scope, token)
                record = await self._record(tx, caller, token, card, wish, now)  # (3)
        if stopped:
            raise RevealStopped
        # Crash here: the record says revealed, and nobody saw the card.
        pan = await self._sealer.open_number(  # (4)
            card.sealed_number,
            mode=principal.mode,
            merchant=principal.merchant,
            token=token,
            key_version=card.key_version,
        )
        details = await self._details.open(sealed, principal.mode, principal.merchant, token)
        shown = RevealedCard(
            number=pan.digits_for_revealing(),
            exp_month=card.exp_month,
            exp_year=card.exp_year,
            holder=details.holder,
            billing_address=details.billing_address,
        )
        out = RevealedOut(
            token=token,
            mode=principal.mode.value,
            brand=card.brand,
            purpose=wish.purpose.value,
            record=record.event_id,
            card=shown if wish.recipient is None else None,
            jwe=None if wish.recipient is None else wish.recipient.encrypt(_encode(shown)),  # (5)
        )
        self._metrics.revealed(principal.mode.value, _method(wish))
        return Revealed(out, record)

    async def stops(self, caller: Caller) -> Sequence[Stop]:
        """Return which of the tenant's callers reveal nothing now, the newest first, at most 100."""
        async with self._database.transaction([caller.principal.merchant]) as read:
            return await store.stops(read, caller.scope, self._clock.now(), STOPS_MAX)

    async def lift(self, caller: Caller, stopped: str) -> Stop:
        """Let a stopped caller go on before the time.

        Raises:
            RevealStopOwn: it is the caller's own.
            RevealStopUnknown: nobody of that id is stopped.
        """
        if stopped == caller.principal.subject:
            raise RevealStopOwn
        if not is_id(stopped[:3], stopped):
            raise RevealStopUnknown
        now = self._clock.now()
        async with self._database.transaction([caller.principal.merchant]) as tx:
            lifted = await store.lift(tx, caller.scope, stopped, now, caller.principal.subject)
            if lifted is None:
                raise RevealStopUnknown
            await self._recorder.insert(
                tx,
                self._made(
                    caller, Action.VAULT_REVEAL_RESUMED, stopped, now, {"count": lifted.count}
                ),
            )
        return lifted

    async def kept(
        self, caller: Caller, before: str | None, limit: int
    ) -> tuple[Sequence[Kept], str | None]:
        """Return a page of what was revealed, newest first, with the notes; and the next page's cursor.

        That somebody read it is recorded in the same transaction.
        """
        now = self._clock.now()
        async with self._database.transaction([caller.principal.merchant]) as tx:
            found = await store.reveals(tx, caller.scope, before, limit + 1)
            page = found[:limit]
            await self._recorder.insert(
                tx, self._made(caller, Action.AUDIT_RECORD_READ, None, now, {"count": len(page)})
            )
        return page, page[-1].event_id if len(found) > limit else None

    async def forget(self) -> None:
        """Remove notes and counts that are older than alarms and reviews need, of every tenant."""
        async with self._database.transaction() as tx:
            await store.forget(tx)

    async def _named(self, caller: Caller, token_id: str) -> None:
        who = caller.principal.subject
        await self._watch.named(caller.scope, who, caller.origin, Way.REVEAL, (token_id,))

    def _turn(self, caller: Caller) -> asyncio.Lock:
        who = caller.principal.merchant, caller.principal.subject
        return self._turns.setdefault(who, asyncio.Lock())

    async def _stopped(
        self, tx: Transaction, caller: Caller, token_id: str, begun: Begun, now: datetime
    ) -> bool:
        """Tell whether the caller reveals nothing; say that this is a burst, if it is one now."""
        verdict = decide(begun.recent, begun.stop, self._bounds, now)
        if verdict in (Verdict.ALARM, Verdict.STOP):
            stop = Stop(
                caller.principal.subject, begun.recent, now, now + self._bounds.stop, None, None
            )
            await store.put_stop(tx, caller.scope, stop)
            stops = verdict is Verdict.STOP
            facts: dict[str, str | int] = {
                "count": begun.recent,
                "state": "stopped" if stops else "warned",
                "window_seconds": int(self._bounds.window.total_seconds()),
            }
            if stops:
                facts["lifetime_seconds"] = int(self._bounds.stop.total_seconds())
            record = self._made(caller, Action.VAULT_REVEAL_ALARMED, token_id, now, facts)
            await self._recorder.insert(tx, record)
            mode, outcome = caller.principal.mode.value, str(facts["state"])
            tx.after_commit(lambda: self._metrics.burst(mode, outcome))
        return verdict in (Verdict.STOP, Verdict.STOPPED)

    async def _showable(self, caller: Caller, card: SealedCard | None) -> SealedCard:
        """Return the card that a caller may see."""
        if card is None:
            raise TokenUnknown
        await self._rules.require(caller.principal, card.container, Access.REVEAL)
        if card.single_use:
            raise RevealSingleUse
        return card

    async def _record(
        self,
        tx: Transaction,
        caller: Caller,
        token_id: str,
        card: SealedCard,
        wish: Wish,
        now: datetime,
    ) -> NewRecord:
        record = self._made(
            caller,
            Action.VAULT_TOKEN_REVEALED,
            token_id,
            now,
            {
                "brand": card.brand,
                "container": card.container,
                "last4": card.last4,
                "method": _method(wish),
                "purpose": wish.purpose.value,
            },
        )
        await self._recorder.insert(tx, record)
        kept = Kept(
            record.event_id,
            token_id,
            caller.principal.subject,
            wish.purpose.value,
            wish.note,
            now,
        )
        await store.insert(tx, caller.scope, kept)
        return record

    def _made(
        self,
        caller: Caller,
        action: Action,
        thing: str | None,
        now: datetime,
        facts: dict[str, str | int],
    ) -> NewRecord:
        return self._recorder.make(
            action,
            actor=caller.principal.actor,
            merchant=caller.principal.merchant,
            mode=caller.principal.mode,
            thing=thing,
            origin=caller.origin,
            now=now,
            details=facts,
        )


def _method(wish: Wish) -> str:
    return CLEAR if wish.recipient is None else ENCRYPTED
