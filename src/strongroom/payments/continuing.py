# SPDX-License-Identifier: Apache-2.0
"""Goes on with what waits at a processor: hands on what a customer brought back, and calls back what nobody knows of.

What a customer brings back is anybody's word: whoever knows a payment's id may bring something. It goes to the
processor as it is, and its answer counts only where it names our attempt.
"""

from dataclasses import replace
from datetime import timedelta
from time import perf_counter
from typing import Final

from strongroom.audit import Action, Origin
from strongroom.db.pool import Database
from strongroom.kernel.errors import StrongroomError, told
from strongroom.payments.calls import UNREADABLE, Parts, surprised
from strongroom.payments.model import Attempt, Basis, Connection, Found, Loaded, Operation, Outcome
from strongroom.payments.ports import Adapter, AnswerSurprising, CallsBack, Continues
from strongroom.payments.records import RECOVERY, Act
from strongroom.payments.store import QUERIES, Change
from strongroom.vault import Forward, Forwarded, Template

#: How long after its time something is called back, at most: the processor keeps idempotency keys for longer.
CALLING_BACK_DAYS: Final = 2
_NOT_KNOWN: Final = frozenset({None, Outcome.UNKNOWN})
_HOLDS: Final = frozenset({Operation.AUTHORIZE, Operation.SALE})


class Continuations:
    """What a look does besides asking."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def brought(
        self, attempt: Attempt, connection: Connection, adapter: Adapter
    ) -> Found | None:
        """Hand on what the customer brought back; None where nothing was, or where it settles nothing."""
        if not isinstance(adapter, Continues) or attempt.outcome is not Outcome.PENDING:
            return None
        if not attempt.operation.authorizes:
            return None
        database = self._parts.changes.reader.database
        async with database.transaction([attempt.merchant_id]) as read:
            rows = await read.rows(
                QUERIES["returned_results"], attempt.merchant_id, attempt.mode, attempt.attempt_id
            )
        for row in rows:
            template = adapter.continuation(attempt, row["result"], row["digest"])
            reply = await self._asked(connection, attempt, template)
            # Crash here: it is handed on again, under the same key.
            if reply is None or reply.outcome != "answered":
                return Found(Outcome.UNKNOWN, Basis.LOOKUP, reason="not_handed_on")
            try:
                found = adapter.continued(attempt, reply)
            except AnswerSurprising:
                surprised(self._parts, adapter.name, attempt)
                found = Found(Outcome.UNKNOWN, Basis.LOOKUP, reason=UNREADABLE)
            await self._used(database, attempt, row["digest"])
            if found.outcome not in _NOT_KNOWN:
                return replace(found, basis=Basis.LOOKUP)
        return None

    async def call_back(self, loaded: Loaded, attempt: Attempt) -> bool:
        """Ask the processor to release what it may hold of an attempt that stays unknown. Safe to repeat.

        Only a notice tells what came of it, so nothing changes here but the record.
        """
        parts = self._parts
        connection = await parts.connections.one(
            attempt.merchant_id, attempt.mode, attempt.connection_id
        )
        adapter = parts.connections.adapter(connection)
        if not isinstance(adapter, CallsBack) or not self._is_due(attempt, connection, adapter):
            return False
        reply = await self._asked(connection, attempt, adapter.call_back(attempt))
        if reply is None or reply.outcome != "answered":
            return False
        try:
            taken = adapter.called_back(attempt, reply)
        except AnswerSurprising:
            surprised(parts, adapter.name, attempt)
            taken = False
        act = Act(RECOVERY, Origin(), parts.clock.now())
        record = parts.scribe.record(
            Action.PAYMENTS_ATTEMPT_RECALLED,
            loaded.payment,
            attempt.attempt_id,
            act,
            {"result": "received" if taken else "refused"},
        )
        await parts.changes.write(
            Change(merchant=attempt.merchant_id, mode=attempt.mode, now=act.now, audit=[record])
        )
        return taken

    def _is_due(self, attempt: Attempt, connection: Connection, adapter: CallsBack) -> bool:
        if attempt.operation not in _HOLDS or attempt.outcome not in _NOT_KNOWN:
            return False
        after = attempt.created_at + timedelta(seconds=adapter.call_back_after(connection.finding))
        return after <= self._parts.clock.now() < after + timedelta(days=CALLING_BACK_DAYS)

    async def _used(self, database: Database, attempt: Attempt, digest: str) -> None:
        async with database.transaction([attempt.merchant_id]) as tx:
            await tx.run(
                QUERIES["forget_returned"],
                attempt.merchant_id,
                attempt.mode,
                attempt.attempt_id,
                digest,
            )

    async def _asked(
        self, connection: Connection, attempt: Attempt, template: Template
    ) -> Forwarded | None:
        """Send a request that carries no card. None: nothing was sent."""
        parts = self._parts
        act = Act(RECOVERY, Origin(), parts.clock.now())
        begun = perf_counter()
        try:
            reply = await parts.forwarder.forward(
                Forward(
                    merchant=connection.merchant_id,
                    mode=connection.mode,
                    connection=connection.connection_id,
                    template=template,
                    token=None,
                    cvc=None,
                    actor=act.actor,
                    origin=act.origin,
                    payment=attempt.payment_id,
                    attempt=attempt.attempt_id,
                    timeout_seconds=parts.timeout_seconds,
                )
            )
        except StrongroomError as error:
            parts.log.emit(
                "warning",
                "payments.not_continued",
                {"transaction_id": attempt.payment_id, "code": told(error).code},
            )
            return None
        parts.metrics.called("continue", reply.seconds, perf_counter() - begun)
        return reply
