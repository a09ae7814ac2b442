# SPDX-License-Identifier: Apache-2.0
"""Tests a connection: is the processor reached, is it the right account and mode, what is missing. Moves nothing."""

from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import StrongroomError
from strongroom.payments.attempts import Attempts
from strongroom.payments.connections import By, ConnectionBook
from strongroom.payments.connections_wire import ConnectionTestOut, tested_out
from strongroom.payments.ports import AnswerSurprising
from strongroom.payments.records import Act


class ConnectionTests:
    """Asks processors about accounts."""

    def __init__(self, book: ConnectionBook, attempts: Attempts, clock: Clock) -> None:
        self._book = book
        self._attempts = attempts
        self._clock = clock

    async def test(self, connection_id: str, by: By) -> ConnectionTestOut:
        """Ask the processor for the account behind a connection.

        Raises:
            ConnectionUnknown: not there for this tenant and mode.
        """
        connection = await self._book.one(by.merchant, by.mode, connection_id)
        adapter = self._book.adapter(connection)
        act = Act(by.actor, by.origin, self._clock.now())
        try:
            reply = await self._attempts.ask(connection, None, adapter.probe(), act)
        except StrongroomError as error:
            return tested_out(connection, None, error.code, 0.0)
        if reply.outcome != "answered":
            return tested_out(connection, None, reply.reason, reply.seconds)
        if reply.status in (401, 403):
            return tested_out(connection, None, "it refuses the credentials", reply.seconds)
        try:
            account = adapter.account(connection, reply)
        except AnswerSurprising:
            return tested_out(
                connection,
                None,
                f"it answers {reply.status} in a shape it does not publish",
                reply.seconds,
            )
        return tested_out(connection, account, "", reply.seconds)
