# SPDX-License-Identifier: Apache-2.0
"""Puts a card into an instrument of the processor's before money is asked for, where its adapter `Prepares`.

A preparation moves no money. Whatever comes of it but a saved instrument, the attempt is declined or not sent, never
unknown; the call that moves money goes out only after the instrument is saved, so its absence says that none went.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import perf_counter
from typing import Final

import msgspec

from strongroom.kernel.errors import StrongroomError, told
from strongroom.payments.calls import (
    SENDING_SECONDS_MAX,
    TOO_LATE,
    UNREADABLE,
    Parts,
    call,
    command_of,
    is_too_late,
    surprised,
)
from strongroom.payments.decisions import Decided, decided_over
from strongroom.payments.errors import CommandNotTaken
from strongroom.payments.model import Attempt, Basis, Found, Loaded, Outcome
from strongroom.payments.ports import (
    Adapter,
    AnswerSurprising,
    Command,
    Prepares,
    does_prepare,
)
from strongroom.payments.records import Act, Extras
from strongroom.payments.store import Change, Taken
from strongroom.vault import Forwarded

#: Why an attempt was not sent: nobody saved an instrument for it.
NOT_PREPARED: Final = "not_prepared"
_REFUSALS: Final = frozenset({Outcome.DECLINED, Outcome.NOT_SENT})


@dataclass(frozen=True, slots=True)
class Ready:
    """An attempt that may be sent now."""

    loaded: Loaded
    attempt: Attempt
    #: What the call that moves money carries; None where the preparation had it.
    cvc: str | None
    #: When it was saved as it now is: it goes out soon after that, or not at all.
    saved_at: datetime


class Preparations:
    """Makes attempts ready to be sent."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def ready(
        self, loaded: Loaded, attempt: Attempt, act: Act, *, cvc: str | None
    ) -> Ready | Found:
        """Prepare what has to be, and save the instrument's name; or say why nothing is sent.

        To prepare an attempt:
         1. Ask the adapter whether it needs that.
         2. Send the card, once.
         3. Save the instrument, and a new lease: only over an attempt that is still nobody else's finding.
        """
        parts = self._parts
        as_it_is = Ready(loaded, attempt, cvc, attempt.created_at)
        begun = perf_counter()
        try:
            connection = await parts.connections.one(
                attempt.merchant_id, attempt.mode, attempt.connection_id
            )
            adapter = parts.connections.adapter(connection)
            processor = adapter.name
            if not does_prepare(adapter):
                return as_it_is
            command = command_of(parts, loaded, attempt, with_cvc=cvc is not None)
            template = adapter.prepare(command)  # (1)
            if template is None:
                return as_it_is
            if is_too_late(attempt.created_at, parts.clock.now()):
                return _not_sent(TOO_LATE)
            with_card = attempt.operation.authorizes
            reply = await call(
                parts, loaded, attempt, template, act, with_card=with_card, cvc=cvc
            )  # (2)
            # Crash here: the processor may know an instrument that nothing of ours names. `look` says not sent.
            parts.metrics.called("prepare", reply.seconds, perf_counter() - begun)
            name = self._named(adapter, processor, command, reply)
            return (
                name if isinstance(name, Found) else await self._saved(loaded, attempt, name, act)
            )
        except StrongroomError as error:
            # Refused by the adapter or the vault, or not saved: no money was asked for, and none will be.
            return _not_sent(told(error).code)
        except Exception as error:  # noqa: BLE001 - a bug here has asked for no money either
            parts.log.emit(
                "error",
                "payments.preparing_failed",
                {"transaction_id": attempt.payment_id, "error_class": type(error).__name__},
            )
            return _not_sent("internal")

    def _named(
        self, adapter: Prepares, processor: str, command: Command, reply: Forwarded
    ) -> str | Found:
        if reply.outcome != "answered":
            return _not_sent(reply.reason)
        try:
            name = adapter.prepared(command, reply)
        except AnswerSurprising:
            surprised(self._parts, processor, command.attempt)
            return _not_sent(UNREADABLE)
        if isinstance(name, Found) and name.outcome not in _REFUSALS:
            return _not_sent(name.reason or UNREADABLE)
        return name

    async def _saved(self, loaded: Loaded, attempt: Attempt, name: str, act: Act) -> Ready | Found:
        """Save the instrument: (3)."""
        parts = self._parts
        lease = timedelta(seconds=parts.timeout_seconds + SENDING_SECONDS_MAX)
        moments: list[datetime] = []

        def decide(known: Loaded) -> tuple[Decided, Change] | None:
            current = known.attempt(attempt.attempt_id)
            if current is None or current.outcome is not None:
                return None  # somebody found it not prepared
            now = parts.clock.now()
            moments.append(now)
            kept = msgspec.structs.replace(
                current, instrument=name, lease_until=max(current.lease_until, now + lease)
            )
            decided = decided_over(known, known.payment, kept, now=now)
            return decided, parts.scribe.change(decided, replace(act, now=now), Extras())

        saved = await parts.changes.apply(loaded, decide, also_attempt=attempt.attempt_id)
        # Crash here: the attempt names its instrument, and nothing was asked for. A replay sends what is left to send.
        kept = None if isinstance(saved, Taken) else saved.attempt(attempt.attempt_id)
        if isinstance(saved, Taken) or kept is None or kept.outcome is not None:
            return _not_sent(TOO_LATE)
        return Ready(saved, kept, None, moments[-1])


def never_prepared(adapter: Adapter, command: Command) -> bool:
    """Tell whether an attempt has no instrument although its adapter wants one: it asked for no money."""
    if command.attempt.instrument is not None or not does_prepare(adapter):
        return False
    try:
        return adapter.prepare(command) is not None
    except CommandNotTaken:
        return True


def is_prepared_since(attempt: Attempt, found: Found) -> bool:
    """Tell whether an attempt that was found not to be prepared is prepared by now: it may be on its way."""
    return found.reason == NOT_PREPARED and attempt.instrument is not None


def _not_sent(reason: str) -> Found:
    return Found(Outcome.NOT_SENT, Basis.ANSWER, reason=reason)
