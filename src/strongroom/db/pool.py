# SPDX-License-Identifier: Apache-2.0
"""One pool per login and database. Every transaction states the merchants it may see; nothing runs outside one.

Reading and writing are different types: a function that takes `ReadOnly` cannot write.
"""

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import asyncpg

from strongroom.db.address import Address
from strongroom.db.dial import dial
from strongroom.db.errors import DatabaseAway, translated
from strongroom.db.queries import Query
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.invariant import Bug, invariant

Record: TypeAlias = asyncpg.Record
Rows: TypeAlias = Sequence[Record]

STATEMENT_TIMEOUT_SECONDS: Final = 5
LOCK_TIMEOUT_SECONDS: Final = 2
IDLE_IN_TRANSACTION_TIMEOUT_SECONDS: Final = 10
CONNECT_TIMEOUT_SECONDS: Final = 5
ACQUIRE_TIMEOUT_SECONDS: Final = 3
POOL_CONNECTIONS_MAX: Final = 8
#: So many are handed from one user to the next without the pool: it begins a task for each that comes back.
KEPT_CONNECTIONS_MAX: Final = 3
#: After so many uses one goes by way of the pool, which ends a connection that was asked very often.
USES_BETWEEN_CHECKS: Final = 1_000
#: What was not used for so long is not trusted to be there: something between us may have forgotten it.
IDLE_SECONDS_MAX: Final = 300
#: Ids of merchants, divided by commas.
_STATED: Final = re.compile(r"[A-Za-z0-9_,]*")


class ReadOnly(Protocol):
    """What may be asked of the database without changing it."""

    async def rows(self, query: Query, /, *values: object) -> Rows:
        """Return every row."""

    async def row(self, query: Query, /, *values: object) -> Record | None:
        """Return the first row, or None."""


class Transaction(ReadOnly, Protocol):
    """What may be asked inside a transaction that writes."""

    async def run(self, query: Query, /, *values: object) -> int:
        """Execute and return how many rows were touched."""

    def after_commit(self, work: Callable[[], None]) -> None:
        """Do this when the transaction has committed, and never when it has not. Must not wait or raise."""


class _Bound:
    """A connection inside a transaction."""

    __slots__ = ("_lent", "committed")

    def __init__(self, connection: "asyncpg.pool.PoolConnectionProxy") -> None:
        self._lent: asyncpg.pool.PoolConnectionProxy | None = connection
        #: What waits for the commit.
        self.committed: list[Callable[[], None]] = []

    def after_commit(self, work: Callable[[], None]) -> None:
        self.committed.append(work)

    @property
    def _connection(self) -> "asyncpg.pool.PoolConnectionProxy":
        if self._lent is None:  # its connection may be in another tenant's transaction by now
            raise Bug("a transaction that has ended is asked")
        return self._lent

    def end(self) -> None:
        """Ask nothing through this any more."""
        self._lent = None

    async def rows(self, query: Query, /, *values: object) -> Rows:
        connection = self._connection
        try:
            return await connection.fetch(query.text, *values)  # type: ignore[no-any-return]
        except Exception as error:
            raise _ours(error) from None

    async def row(self, query: Query, /, *values: object) -> Record | None:
        connection = self._connection
        try:
            return await connection.fetchrow(query.text, *values)
        except Exception as error:
            raise _ours(error) from None

    async def run(self, query: Query, /, *values: object) -> int:
        connection = self._connection
        try:
            status = await connection.execute(query.text, *values)
        except Exception as error:
            raise _ours(error) from None
        last = str(status).rpartition(" ")[2]
        return int(last) if last.isdigit() else 0


def _ours(error: Exception) -> BaseException:
    """Translate, and cut the driver's exception off: its text may hold values (`from None` above)."""
    return translated(error)


def _tls(address: Address) -> ssl.SSLContext | bool:
    """Verify the server's certificate and name, or use no TLS at all (the embedded server's own socket)."""
    if address.tls == "disable":
        return False
    return ssl.create_default_context(cafile=str(address.ca_file) if address.ca_file else None)


async def connect(address: Address) -> asyncpg.Connection:
    """Open one connection for work that is not a request's: migrations, logins.

    Raises:
        DatabaseAway: nobody answers there, or the login is refused.
    """
    try:
        return await dial(
            address,
            host=address.host,
            port=address.port,
            database=address.database,
            user=str(address.user),  # the driver takes no subclass of str
            ssl=_tls(address),
            timeout=CONNECT_TIMEOUT_SECONDS,
            server_settings={"application_name": "strongroom", "timezone": "UTC"},
        )
    except Exception as error:
        raise translated(error) from None


@asynccontextmanager
async def connected(address: Address) -> AsyncIterator[asyncpg.Connection]:
    """Open one connection as `connect` does, and close it when the context ends.

    Raises:
        DatabaseAway: nobody answers there, or the login is refused; what the driver says inside is translated.
    """
    connection = await connect(address)
    try:
        yield connection
    except Exception as error:
        raise translated(error) from None
    finally:
        await connection.close()


@asynccontextmanager
async def transaction_on(
    connection: "asyncpg.pool.PoolConnectionProxy", merchants: Sequence[MerchantId]
) -> AsyncIterator[Transaction]:
    """Open a transaction on a connection that its user keeps (a session's lock), for these merchants' rows."""
    stated = ",".join(merchants)
    invariant(_STATED.fullmatch(stated) is not None, "merchants are stated by their ids")
    bound = _Bound(connection)
    try:
        # Both in one round trip, as text without parameters: ids need no quoting.
        await connection.execute(f"begin; set local strongroom.merchants = '{stated}'")
        try:
            yield bound
        except BaseException:
            await connection.execute("rollback")
            raise
        await connection.execute("commit")
    except Exception as error:
        ours = _ours(error)
        if ours is error:
            raise
        raise ours from None
    finally:
        bound.end()
    for work in bound.committed:
        work()


async def _returned(pool: asyncpg.Pool, connection: "asyncpg.pool.PoolConnectionProxy") -> None:
    """Give a connection back. One that broke is dropped by the pool, which then says so: that is no news here.

    The pool shields this from the cancellation of who waits for it.
    """
    with contextlib.suppress(Exception):
        await pool.release(connection, timeout=ACQUIRE_TIMEOUT_SECONDS)


def _is_ready(connection: "asyncpg.pool.PoolConnectionProxy") -> bool:
    """Tell whether the next user can begin at once: it is open, and in no transaction."""
    try:
        return not connection.is_closed() and not connection.is_in_transaction()
    except asyncpg.InterfaceError:
        return False  # it broke meanwhile, and the pool took it back by itself


async def _leave_clean(connection: asyncpg.Connection) -> None:
    """Make a connection ready for its next user.

    What we set is transaction-local, so ending a transaction is all there is to reset; the driver's own four
    statements would cost every use a round trip.
    """
    if connection.is_in_transaction():
        await connection.execute("rollback")


class _Kept(NamedTuple):
    """A connection that waits for its next user."""

    pool: asyncpg.Pool
    connection: "asyncpg.pool.PoolConnectionProxy"
    since: float


class _Lent:
    """One use of a connection. No generator: this is entered and left several times for each request."""

    __slots__ = ("_connection", "_database", "_pool")

    def __init__(self, database: "Database") -> None:
        self._database = database

    async def __aenter__(self) -> "asyncpg.pool.PoolConnectionProxy":
        self._pool, self._connection = await self._database.take()
        return self._connection

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # After an error the pool looks what became of it: a statement that was cut off is waited for.
        if error is not None or not self._database.keeps(self._pool, self._connection):
            await _returned(self._pool, self._connection)


class Database:
    """A pool of one login's connections to one database."""

    def __init__(self, address: Address, *, connections_max: int = POOL_CONNECTIONS_MAX) -> None:
        self.address = address
        self._connections_max = connections_max
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()
        self._kept: list[_Kept] = []
        self._waiting = 0
        self._uses = 0

    async def open(self) -> None:
        """Connect once, so that a wrong address or password shows at start.

        Raises:
            DatabaseAway: nobody answers there, or the login is refused.
        """
        async with self._opening:
            if self._pool is not None:
                return
            try:
                self._pool = await asyncpg.create_pool(
                    connect=partial(dial, self.address),
                    host=self.address.host,
                    port=self.address.port,
                    database=self.address.database,
                    user=str(self.address.user),  # the driver takes no subclass of str
                    ssl=_tls(self.address),
                    min_size=1,
                    max_size=self._connections_max,
                    max_inactive_connection_lifetime=300,
                    timeout=CONNECT_TIMEOUT_SECONDS,
                    statement_cache_size=200,
                    reset=_leave_clean,
                    server_settings={
                        "application_name": "strongroom",
                        "statement_timeout": f"{STATEMENT_TIMEOUT_SECONDS}s",
                        "lock_timeout": f"{LOCK_TIMEOUT_SECONDS}s",
                        "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_TIMEOUT_SECONDS}s",
                        "timezone": "UTC",
                        "jit": "off",
                    },
                )
            except Exception as error:
                raise _ours(error) from None

    async def close(self) -> None:
        """Return every connection; waits for transactions that are under way."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            kept, self._kept = self._kept, []
            try:
                for each in kept:
                    await _returned(each.pool, each.connection)
                await asyncio.wait_for(pool.close(), timeout=STATEMENT_TIMEOUT_SECONDS)
            except TimeoutError:
                pool.terminate()
            except BaseException:  # who waits for this was cut off
                pool.terminate()
                raise

    def connection(self) -> AbstractAsyncContextManager["asyncpg.pool.PoolConnectionProxy"]:
        """Lend a bare connection to this package's own parts (group commit, locks, migrations)."""
        return _Lent(self)

    async def take(self) -> "tuple[asyncpg.Pool, asyncpg.pool.PoolConnectionProxy]":
        """Return a connection for one user, and the pool that it goes back to. It is asked for by `connection`."""
        while self._kept:
            kept = self._kept.pop()
            if asyncio.get_running_loop().time() - kept.since > IDLE_SECONDS_MAX:
                with contextlib.suppress(asyncpg.InterfaceError):  # the pool has dropped it already
                    kept.connection.terminate()
            elif kept.pool is self._pool and _is_ready(kept.connection):
                return kept.pool, kept.connection
            await _returned(kept.pool, kept.connection)
        if self._pool is None:
            await self.open()
        pool = self._pool
        if pool is None:
            raise DatabaseAway
        self._waiting += 1
        try:
            # Not the pool's own time limit and not a shield of ours: each would be one more task for every statement.
            async with asyncio.timeout(ACQUIRE_TIMEOUT_SECONDS):
                return pool, await pool.acquire()
        except Exception as error:
            raise _ours(error) from None
        finally:
            self._waiting -= 1

    def keeps(self, pool: asyncpg.Pool, connection: "asyncpg.pool.PoolConnectionProxy") -> bool:
        """Keep a connection for its next user, and tell whether that was done: not where somebody waits at the pool."""
        self._uses += 1
        if (
            self._waiting
            or pool is not self._pool
            or len(self._kept) >= KEPT_CONNECTIONS_MAX
            or self._uses % USES_BETWEEN_CHECKS == 0
            or not _is_ready(connection)
        ):
            return False
        self._kept.append(_Kept(pool, connection, asyncio.get_running_loop().time()))
        return True

    @asynccontextmanager
    async def transaction(self, merchants: Sequence[MerchantId] = ()) -> AsyncIterator[Transaction]:
        """Open a transaction that sees the rows of these merchants only (forced row-level security)."""
        async with (
            self.connection() as connection,
            transaction_on(connection, merchants) as transaction,
        ):
            yield transaction

    async def value(self, sql: str) -> Any:
        """Ask one question of the server itself (settings, facts about the login)."""
        async with self.connection() as connection:
            try:
                return await connection.fetchval(sql)
            except Exception as error:
                raise _ours(error) from None
