# SPDX-License-Identifier: Apache-2.0
"""Advisory locks that a session holds: who has one is elected, for as long as that connection lives.

Work under the lock runs on the same connection, so that whoever lost the lock can no longer commit.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from typing import Final, final

import asyncpg

from strongroom.db.errors import DatabaseAway, translated
from strongroom.db.pool import Database, Transaction, transaction_on
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.invariant import invariant

_TRY: Final = "select pg_try_advisory_lock($1)"
_UNLOCK: Final = "select pg_advisory_unlock($1)"
_RELEASE_SECONDS_MAX: Final = 2


@final
class SessionLock:
    """One advisory lock of one database. Belongs to one task at a time."""

    def __init__(self, database: Database, key: int) -> None:
        self._database = database
        self._key = key
        self._stack: AsyncExitStack | None = None
        self._connection: asyncpg.pool.PoolConnectionProxy | None = None

    @property
    def held(self) -> bool:
        """Whether the lock was taken and its connection is not known to be broken."""
        if self._connection is None:
            return False
        try:
            return not self._connection.is_closed()
        except asyncpg.InterfaceError:  # it broke, and the pool has taken it away already
            return False

    async def acquire(self) -> bool:
        """Take the lock if nobody has it, without waiting; tell whether it is ours.

        Raises:
            DatabaseAway: the database does not answer.
        """
        if self.held:
            return True
        await self.release()
        async with AsyncExitStack() as stack:
            connection = await stack.enter_async_context(self._database.connection())
            try:
                taken = await connection.fetchval(_TRY, self._key)
            except BaseException as error:
                # Whether it was taken is not known. It goes with its connection.
                with suppress(asyncpg.InterfaceError):
                    connection.terminate()
                if isinstance(error, Exception):
                    raise translated(error) from None
                raise
            if not taken:
                return False
            self._connection = connection
            self._stack = stack.pop_all()
        return True

    async def release(self) -> None:
        """Give the lock back; where that cannot be said any more, drop the connection, which unlocks it."""
        stack, connection = self._stack, self._connection
        self._stack = self._connection = None
        if stack is None or connection is None:
            return
        unlocked = False
        try:
            async with asyncio.timeout(_RELEASE_SECONDS_MAX):
                unlocked = bool(await connection.fetchval(_UNLOCK, self._key))
        except Exception:  # noqa: S110 - whatever it was: see below
            pass
        finally:
            if not unlocked:
                with suppress(asyncpg.InterfaceError):  # the pool has dropped it already
                    connection.terminate()
            await stack.aclose()

    def transaction(
        self, merchants: Sequence[MerchantId] = ()
    ) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction on the connection that holds the lock.

        Raises:
            DatabaseAway: the connection is gone, and with it the lock.
        """
        if not self.held:
            raise DatabaseAway
        connection = self._connection
        invariant(connection is not None, "who holds the lock has a connection")
        return transaction_on(connection, merchants)
