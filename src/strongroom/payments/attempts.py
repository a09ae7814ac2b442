# SPDX-License-Identifier: Apache-2.0
"""Asks processors, and finds out what became of it. Sending, recovery and notices end in the same `settle`.

A processor is asked once a wish: an attempt whose outcome is not known is looked for, and never sent under another key.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from time import perf_counter

from strongroom.audit import Origin
from strongroom.kernel.errors import StrongroomError, told
from strongroom.kernel.invariant import Bug
from strongroom.payments.calls import (
    TOO_LATE,
    UNREADABLE,
    Parts,
    call,
    command_of,
    is_too_late,
    surprised,
)
from strongroom.payments.checks import is_to_be_released
from strongroom.payments.continuing import Continuations
from strongroom.payments.decisions import Decided, after
from strongroom.payments.errors import CommandNotTaken
from strongroom.payments.findings import is_beside_open, settle, told_in_time
from strongroom.payments.holds import holds_now
from strongroom.payments.looks import not_there, question
from strongroom.payments.model import (
    Attempt,
    Basis,
    Connection,
    Finding,
    Found,
    Loaded,
    Operation,
    Outcome,
)
from strongroom.payments.ports import (
    Adapter,
    AnswerSurprising,
    Command,
    FindsByName,
    Increments,
)
from strongroom.payments.preparing import (
    NOT_PREPARED,
    Preparations,
    is_prepared_since,
    never_prepared,
)
from strongroom.payments.records import RECOVERY, RELEASE, Act, Extras
from strongroom.payments.routing.way import Onward
from strongroom.payments.store import Change, JobChange, KeyDone, Taken
from strongroom.vault import (
    CredentialSlot,
    Forward,
    Forwarded,
    StoredCredentialFacts,
    Template,
)

#: Makes the answer to a request's key from the payment as it then is.
Finish = Callable[[Loaded, str], KeyDone]


class Attempts:
    """Sends attempts, and looks at those whose outcome is not known."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._preparations = Preparations(parts)
        self.continuations = Continuations(parts)

    async def send(
        self,
        loaded: Loaded,
        attempt: Attempt,
        act: Act,
        *,
        cvc: str | None,
        single_use: bool,
        finish: Finish | None,
        onward: Onward | None = None,
    ) -> Loaded:
        """Ask the processor, and save what it answered. `single_use`: a success makes the token lasting.

        Where `onward` begins the next attempt of the wish, that is saved in the same commit, and is not sent yet.

        The attempt is committed. Crash here: the processor was never asked, but the row cannot know: `unknown`, found
        out by `look` when the lease is over.
        """
        ready = await self._preparations.ready(loaded, attempt, act, cvc=cvc)
        if isinstance(ready, Found):
            return await self.settle(
                loaded, attempt.attempt_id, ready, act, finish=finish, onward=onward
            )
        loaded, attempt = ready.loaded, ready.attempt
        found = await self._asked(loaded, attempt, act, cvc=ready.cvc, saved_at=ready.saved_at)
        # Crash here: the processor may have acted. The same look finds it, under the same reference and key.
        if found.outcome is Outcome.APPROVED and (single_use or _begins(loaded)):
            await self._keep_token(loaded, attempt, act, found)
        return await self.settle(
            loaded, attempt.attempt_id, found, act, finish=finish, onward=onward
        )
        # Crash after this: the outcome is ours, its event is in the same commit, and the key answers its repeats.

    async def settle(
        self,
        loaded: Loaded,
        attempt_id: str,
        found: Found,
        act: Act,
        *,
        finish: Finish | None = None,
        extras: Extras | None = None,
        waits: Callable[[Loaded, Attempt], bool] | None = None,
        onward: Onward | None = None,
    ) -> Loaded:
        """Save what is known of an attempt now. Saving the same twice changes nothing the second time.

        Where `waits` says so of the payment as it is then, nothing is saved, `extras` neither.
        """
        parts = self._parts
        saw: list[Decided] = []

        def decide(known: Loaded) -> tuple[Decided, Change] | None:
            saw.clear()
            attempt = known.attempt(attempt_id)
            if attempt is None or is_prepared_since(attempt, found):
                return None
            if waits is not None and waits(known, attempt):
                return None
            now = parts.clock.now()
            told = told_in_time(attempt, found, now)
            if holds_now(attempt.operation, told):
                told = parts.scribe.holds.completed(known.payment, attempt.created_at, told)
            decided = settle(known, attempt, told, now)
            ends = True
            if onward is not None:
                decided, ends = onward.after(known, attempt, decided, now)
            saw.append(decided)
            # What is not saved whole yet is to be told again: `extras` would say that it was dealt with.
            more = Extras() if extras is None or is_beside_open(known, attempt, told) else extras
            if releases := released_for_checks(attempt, decided, now):
                more = replace(more, jobs=[*more.jobs, *releases])
            if finish is not None and ends:
                more = replace(more, done=finish(after(known, decided), attempt_id))
            if not decided.changed and more == Extras():
                return None
            return decided, parts.scribe.change(decided, replace(act, now=now), more)

        settled = await parts.changes.apply(loaded, decide, also_attempt=attempt_id)
        self._tell(saw, loaded)
        for each in saw:
            for saved in each.attempts:
                await self._parts.watch(saved)
        if isinstance(settled, Taken):
            raise Bug("settling claims no key")
        return settled

    async def require_raises(self, loaded: Loaded) -> None:
        """Refuse to raise what is held where its processor raises nothing from here. Raises CommandNotTaken."""
        payment, book = loaded.payment, self._parts.connections
        if payment.connection_id is None:
            return
        connection = await book.one(payment.merchant_id, payment.mode, payment.connection_id)
        if not isinstance(book.adapter(connection), Increments):
            raise CommandNotTaken("this processor raises no authorizations from here")

    async def look(self, loaded: Loaded, attempt: Attempt) -> Loaded:
        """Find out what became of an attempt, and save it. Safe to repeat."""
        return await self.learn(loaded, attempt, await self.find(loaded, attempt))

    async def find(self, loaded: Loaded, attempt: Attempt) -> Found:
        """Find out what became of an attempt, as its connection declares; `unknown` where that cannot be known now."""
        parts = self._parts
        act = Act(RECOVERY, Origin(), parts.clock.now())
        connection = await parts.connections.one(
            attempt.merchant_id, attempt.mode, attempt.connection_id
        )
        adapter = parts.connections.adapter(connection)
        found: Found | None = Found(Outcome.UNKNOWN, Basis.LOOKUP, reason="cannot_be_asked")
        if never_prepared(adapter, command_of(parts, loaded, attempt, with_cvc=False)):
            # What asks for money goes out after the instrument is saved: here is none, so it never did.
            return Found(Outcome.NOT_SENT, Basis.LOOKUP, reason=NOT_PREPARED)
        brought = await self.continuations.brought(attempt, connection, adapter)
        if brought is not None:
            return brought
        if connection.finding is Finding.BY_REFERENCE:
            found = await self._found_by_reference(loaded, attempt, connection, adapter, act)
        elif attempt.outcome is Outcome.PENDING and isinstance(adapter, FindsByName):
            named = adapter.find_by_name(attempt)
            if named is not None:
                found = await self._found_by(named, attempt, connection, adapter, act)
        elif connection.finding is Finding.BY_REPLAY and attempt.outcome is not Outcome.PENDING:
            # A replay would only say "pending" again: what a processor promised to tell, it tells by a notice.
            found = await self._found_by_replay(loaded, attempt, adapter, act)
        return not_there(attempt, adapter, parts.clock.now()) if found is None else found

    async def learn(self, loaded: Loaded, attempt: Attempt, found: Found) -> Loaded:
        """Save what was found out about an attempt that nobody waits for any more."""
        act = Act(RECOVERY, Origin(), self._parts.clock.now())
        if found.outcome is Outcome.APPROVED and attempt.operation.authorizes:
            await self._keep_token(loaded, attempt, act, found)
        return await self.settle(loaded, attempt.attempt_id, found, act)

    async def resolved(self, loaded: Loaded, *, canceling: bool = False) -> Loaded:
        """Look at every attempt of a payment whose outcome should be known by now, before anything else is asked.

        Where a payment is called off, a sale is not replayed: what never arrived would be made by it.
        """
        now = self._parts.clock.now()
        for attempt in loaded.attempts:
            overdue = attempt.outcome is None and attempt.lease_until <= now
            if canceling and await self._would_charge(attempt):
                continue
            if overdue or attempt.outcome in (Outcome.UNKNOWN, Outcome.PENDING):
                loaded = await self.look(loaded, attempt)
        return loaded

    async def _would_charge(self, attempt: Attempt) -> bool:
        """Tell whether to look for an attempt may take money that was not taken: the replay of a sale."""
        if attempt.operation is not Operation.SALE:
            return False
        connection = await self._parts.connections.one(
            attempt.merchant_id, attempt.mode, attempt.connection_id
        )
        return connection.finding is Finding.BY_REPLAY

    async def ask(
        self,
        connection: Connection,
        attempt: Attempt | None,
        template: Template,
        act: Act,
        *,
        credentials: CredentialSlot = "current",
    ) -> Forwarded:
        """Send a request that carries no card: a look, a probe."""
        return await self._parts.forwarder.forward(
            Forward(
                merchant=connection.merchant_id,
                mode=connection.mode,
                connection=connection.connection_id,
                template=template,
                token=None,
                cvc=None,
                actor=act.actor,
                origin=act.origin,
                payment=None if attempt is None else attempt.payment_id,
                attempt=None if attempt is None else attempt.attempt_id,
                timeout_seconds=self._parts.timeout_seconds,
                credentials=credentials,
            )
        )

    async def _asked(
        self,
        loaded: Loaded,
        attempt: Attempt,
        act: Act,
        *,
        cvc: str | None,
        basis: Basis = Basis.ANSWER,
        saved_at: datetime | None = None,
    ) -> Found:
        parts = self._parts
        command = command_of(parts, loaded, attempt, with_cvc=cvc is not None)
        begun = perf_counter()
        if saved_at is not None and is_too_late(saved_at, parts.clock.now()):
            return Found(Outcome.NOT_SENT, basis, reason=TOO_LATE)
        try:
            connection = await parts.connections.one(
                attempt.merchant_id, attempt.mode, attempt.connection_id
            )
            adapter = parts.connections.adapter(connection)
            # What names an instrument carries no card.
            with_card = attempt.operation.authorizes and attempt.instrument is None
            reply = await call(
                parts,
                loaded,
                attempt,
                adapter.template(command),
                act,
                with_card=with_card,
                cvc=cvc,
            )
        except StrongroomError as error:
            # The vault refuses before it sends, and only then: a token that is gone, a spent CVC, keys that are away.
            return Found(Outcome.NOT_SENT, basis, reason=told(error).code)
        except Exception as error:  # noqa: BLE001 - a bug here does not say whether the processor was asked
            parts.log.emit(
                "error",
                "payments.asking_failed",
                {"transaction_id": attempt.payment_id, "error_class": type(error).__name__},
            )
            return Found(Outcome.UNKNOWN, basis, reason="internal")
        parts.metrics.called(attempt.operation.value, reply.seconds, perf_counter() - begun)
        return self._read(adapter, command, reply, basis)

    def _read(self, adapter: Adapter, command: Command, reply: Forwarded, basis: Basis) -> Found:
        if reply.outcome != "answered":
            word = Outcome.NOT_SENT if reply.outcome == "not_sent" else Outcome.UNKNOWN
            return Found(word, basis, reason=reply.reason)
        try:
            found = adapter.answer(command, reply)
        except AnswerSurprising:
            surprised(self._parts, adapter.name, command.attempt)
            return Found(Outcome.UNKNOWN, basis, reason=UNREADABLE)
        return replace(found, basis=basis)

    async def _found_by_reference(
        self,
        loaded: Loaded,
        attempt: Attempt,
        connection: Connection,
        adapter: Adapter,
        act: Act,
    ) -> Found | None:
        """Ask for our reference; None: the processor knows nothing of it."""
        try:
            template = question(adapter, loaded, attempt)
        except StrongroomError as error:
            return Found(Outcome.UNKNOWN, Basis.LOOKUP, reason=told(error).code)
        return await self._found_by(template, attempt, connection, adapter, act)

    async def _found_by(
        self,
        template: Template,
        attempt: Attempt,
        connection: Connection,
        adapter: Adapter,
        act: Act,
    ) -> Found | None:
        """Ask, and read what is there."""
        try:
            reply = await self.ask(connection, attempt, template, act)
        except StrongroomError as error:
            return Found(Outcome.UNKNOWN, Basis.LOOKUP, reason=told(error).code)
        if reply.outcome != "answered":
            return Found(Outcome.UNKNOWN, Basis.LOOKUP, reason=reply.reason)
        try:
            return adapter.found(attempt, reply)
        except AnswerSurprising:
            surprised(self._parts, adapter.name, attempt)
            return Found(Outcome.UNKNOWN, Basis.LOOKUP, reason=UNREADABLE)

    async def _found_by_replay(
        self, loaded: Loaded, attempt: Attempt, adapter: Adapter, act: Act
    ) -> Found:
        """Send the same request under the same key: the processor answers with what it did the first time.

        The CVC was for one use, so a replay goes without it; what the key is bound to is the processor's to say.
        """
        age = self._parts.clock.now() - attempt.created_at
        if age.total_seconds() > adapter.replay_seconds:
            return Found(Outcome.UNKNOWN, Basis.REPLAY, reason="key_no_longer_honoured")
        found = await self._asked(loaded, attempt, act, cvc=None, basis=Basis.REPLAY)
        if found.outcome is Outcome.NOT_SENT:
            # This replay was not sent. Whether the first one was is as unknown as before: also where the adapter does
            # not take the command now, for what it took then may have been another release's or another state's.
            return Found(Outcome.UNKNOWN, Basis.REPLAY, reason=found.reason)
        return found

    async def _keep_token(self, loaded: Loaded, attempt: Attempt, act: Act, found: Found) -> None:
        """A first success makes a single-use token lasting, and the first of a series names what later ones refer to.

        Before the outcome is saved, so that a crash repeats it.
        """
        token = loaded.payment.token_id
        if token is None:
            return
        try:
            await self._parts.forwarder.keep(
                attempt.merchant_id,
                attempt.mode,
                token,
                act.actor,
                _agreed(loaded, found, self._parts.clock.now()),
            )
        except StrongroomError as error:
            self._parts.log.emit(
                "warning",
                "payments.token_not_kept",
                {"transaction_id": attempt.payment_id, "code": error.code},
            )

    def _tell(self, saw: list[Decided], loaded: Loaded) -> None:
        """Count and log what was saved, after the commit."""
        for decided in saw:
            payment = decided.payment
            for attempt in decided.attempts:
                outcome = attempt.outcome.value if attempt.outcome else "started"
                self._parts.metrics.settled(attempt.operation.value, outcome)
                self._parts.log.emit(
                    "info",
                    "payments.attempt_settled",
                    {
                        "transaction_id": payment.payment_id,
                        "merchant_id": payment.merchant_id,
                        "mode": payment.mode.value,
                        "amount_minor": attempt.amount,
                        "currency": attempt.currency,
                        "outcome": outcome,
                    },
                )
            if decided.discrepancy and not loaded.payment.discrepancy:
                self._parts.metrics.discrepancies.inc()
                self._parts.log.emit(
                    "critical",
                    "payments.discrepancy",
                    {"transaction_id": payment.payment_id, "merchant_id": payment.merchant_id},
                )


def _begins(loaded: Loaded) -> bool:
    stored = loaded.payment.stored_credential
    return stored is not None and stored.begins


def _agreed(loaded: Loaded, found: Found, now: datetime) -> StoredCredentialFacts | None:
    """Say what the vault keeps beside a card after the first payment of a series."""
    stored = loaded.payment.stored_credential
    if stored is None or not stored.begins:
        return None
    return StoredCredentialFacts(stored.initiator.value, found.scheme_transaction_id, None, now)


def released_for_checks(before: Attempt, decided: Decided, now: datetime) -> list[JobChange]:
    """Return the job that releases an approval whose checks failed, in the commit that saves the approval."""
    return [
        JobChange(RELEASE, each.attempt_id, now)
        for each in decided.attempts
        if each.attempt_id == before.attempt_id
        and is_to_be_released(each)
        and not is_to_be_released(before)
    ]
