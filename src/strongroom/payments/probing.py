# SPDX-License-Identifier: Apache-2.0
"""Tests a connection: is the processor reached, is it the right account and mode, what is missing. Moves nothing.

What a test with the credentials in use found is kept: it says how the connection is.
"""

from typing import Final, NamedTuple

from strongroom.audit import Origin
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import StrongroomError
from strongroom.payments.attempts import Attempts
from strongroom.payments.connections import By, ConnectionBook
from strongroom.payments.connections_wire import ConnectionTestOut, tested_out
from strongroom.payments.health.probes import Key, Probes
from strongroom.payments.model import Connection
from strongroom.payments.ports import Account, AnswerSurprising
from strongroom.payments.records import Act
from strongroom.vault import CredentialSlot, NothingStaged

#: Who tests on a schedule.
_SYSTEM: Final = "system:probe"


class Tried(NamedTuple):
    """What came of a test."""

    shown: ConnectionTestOut
    #: A word that says why the processor did not let us in; None: it did.
    reason: str | None


class ConnectionTests:
    """Asks processors about accounts."""

    def __init__(
        self, book: ConnectionBook, attempts: Attempts, clock: Clock, probes: Probes
    ) -> None:
        self._book = book
        self._attempts = attempts
        self._clock = clock
        self._probes = probes

    async def test(
        self, connection_id: str, by: By, credentials: CredentialSlot = "current"
    ) -> ConnectionTestOut:
        """Ask the processor for the account behind a connection, with its credentials or the next ones.

        Raises:
            ConnectionUnknown: not there for this tenant and mode.
            NothingStaged: there are no next credentials.
        """
        connection = await self._book.one(by.merchant, by.mode, connection_id)
        try:
            tried = await self._tried(connection, by, credentials)
        except NothingStaged:
            raise
        except StrongroomError as error:
            return tested_out(connection, None, error.code, 0.0)
        if credentials == "current":
            await self._note(connection, tried)
        return tried.shown

    async def probe(self, key: Key) -> tuple[Connection, str | None]:
        """Test a connection because its time has come; return why its processor did not let us in.

        Raises:
            StrongroomError: it ended meanwhile, or what we need ourselves is away. Nothing is kept.
        """
        connection = await self._book.one(key.merchant, key.mode, key.connection)
        by = By(key.merchant, key.mode, _SYSTEM, Origin())
        tried = await self._tried(connection, by, "current")
        await self._note(connection, tried)
        return connection, tried.reason

    async def _note(self, connection: Connection, tried: Tried) -> None:
        key = Key(connection.merchant_id, connection.mode, connection.connection_id)
        await self._probes.note(key, tried.reason, self._clock.now())

    async def _tried(self, connection: Connection, by: By, credentials: CredentialSlot) -> Tried:
        adapter = self._book.adapter(connection)
        act = Act(by.actor, by.origin, self._clock.now())
        reply = await self._attempts.ask(
            connection, None, adapter.probe(), act, credentials=credentials
        )
        if reply.outcome != "answered":
            return Tried(tested_out(connection, None, reply.reason, reply.seconds), reply.reason)
        if reply.status in (401, 403):
            said = tested_out(connection, None, "it refuses the credentials", reply.seconds)
            return Tried(said, "credentials_refused")
        try:
            account = adapter.account(connection, reply)
        except AnswerSurprising:
            sentence = f"it answers {reply.status} in a shape it does not publish"
            said = tested_out(connection, None, sentence, reply.seconds)
            return Tried(said, "answer_surprising")
        return Tried(
            tested_out(connection, account, "", reply.seconds), _other(connection, account)
        )


def _other(connection: Connection, account: Account) -> str | None:
    """Say whether another account answered. What else is missing there keeps nobody from logging in."""
    same = (account.account, account.mode) == (connection.account, connection.mode.value)
    return None if same else "account_differs"
