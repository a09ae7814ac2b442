# SPDX-License-Identifier: Apache-2.0
"""A merchant's accounts at processors. Credentials go to the vault, verification secrets to webhooks; here is neither.

Order: the vault first, then core with the webhook source in one transaction. A crash between leaves sealed credentials
that nothing names.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

from strongroom.audit import Action, Origin, Recorder
from strongroom.crypto.ids import new_id
from strongroom.db.errors import ConstraintBroken
from strongroom.db.pool import Database, Record, Transaction
from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import ConnectionId, MerchantId, is_id
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.payments.connections_wire import ConnectionIn, RotateIn
from strongroom.payments.errors import ConnectionRefused, NoConnection
from strongroom.payments.model import Connection, Finding
from strongroom.payments.ports import Adapter, Adapters, does_prepare, is_per_account
from strongroom.payments.store import QUERIES
from strongroom.vault import Connections as VaultConnections
from strongroom.vault import ConnectionUnknown
from strongroom.webhooks import NoticeSources

#: A connection that was changed elsewhere is seen here after this long.
REMEMBERED_SECONDS: Final = 1.0
_Scope = tuple[MerchantId, Mode]


@dataclass(frozen=True, slots=True)
class By:
    """Who changes a connection, and whence."""

    merchant: MerchantId
    mode: Mode
    actor: str
    origin: Origin


class ConnectionBook:
    """Reads connections, a second at a time."""

    def __init__(self, database: Database, adapters: Adapters) -> None:
        self._database = database
        self._adapters = adapters
        self._known: dict[_Scope, tuple[float, Sequence[Connection]]] = {}
        self._flights: dict[_Scope, asyncio.Task[Sequence[Connection]]] = {}

    async def all(self, merchant: MerchantId, mode: Mode) -> Sequence[Connection]:
        """Return a tenant's connections, newest first. Who asks while they are being read waits for that reading."""
        scope = (merchant, mode)
        known = self._known.get(scope)
        if known is not None and monotonic() - known[0] < REMEMBERED_SECONDS:
            return known[1]
        flight = self._flights.get(scope)
        if flight is None:
            flight = asyncio.get_running_loop().create_task(self._read(scope))
            self._flights[scope] = flight
        return await asyncio.shield(flight)

    async def _read(self, scope: _Scope) -> Sequence[Connection]:
        # What is remembered is as old as the question, not as its answer.
        since, this = monotonic(), asyncio.current_task()
        try:
            async with self._database.transaction([scope[0]]) as read:
                rows = await read.rows(QUERIES["connections"], *scope)
            found = [_connection(row) for row in rows]
            if self._flights.get(scope) is this:  # else it was changed here meanwhile
                if len(self._known) > 10_000:  # noqa: PLR2004 - a bound of memory, not of tenants
                    self._known.clear()
                self._known[scope] = (since, found)
            return found
        finally:
            if self._flights.get(scope) is this:
                del self._flights[scope]

    def forget(self, merchant: MerchantId, mode: Mode) -> None:
        """Read a tenant's connections anew the next time."""
        self._known.pop((merchant, mode), None)
        self._flights.pop((merchant, mode), None)

    async def one(self, merchant: MerchantId, mode: Mode, connection: str) -> Connection:
        """Return a connection, active or not.

        Raises:
            ConnectionUnknown: not there for this tenant and mode.
        """
        for each in await self.all(merchant, mode):
            if each.connection_id == connection:
                return each
        raise ConnectionUnknown

    async def chosen(self, merchant: MerchantId, mode: Mode, wanted: str | None) -> Connection:
        """Return the connection to charge through: the one that is named, else the newest that is active.

        Raises:
            NoConnection: none is active, or not the one that is named.
        """
        for each in await self.all(merchant, mode):
            if each.status == "active" and wanted in (None, each.connection_id):
                return each
        raise NoConnection

    def adapter(self, connection: Connection) -> Adapter:
        """Return the adapter of a connection's processor, for its account."""
        adapter = self._adapters[connection.processor]
        return adapter.bound(connection) if is_per_account(adapter) else adapter


class ConnectionService:
    """Makes, rotates and ends connections; each act commits with its audit record."""

    def __init__(
        self,
        *,
        database: Database,
        book: ConnectionBook,
        adapters: Adapters,
        vault: VaultConnections,
        sources: NoticeSources,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self.book = book
        self._database = database
        self._adapters = adapters
        self._vault = vault
        self._sources = sources
        self._recorder = recorder
        self._clock = clock

    async def create(self, wish: ConnectionIn, by: By) -> Connection:
        """Connect an account.

        Raises:
            Invalid, ConnectionRefused: see each. A connection without a verification secret cannot be made.
        """
        adapter = self._adapters.get(wish.processor)
        if adapter is None:
            raise Invalid(
                FieldError("/processor", "processor_unknown", "this processor is not known here")
            )
        if wish.processor == "simulator" and by.mode is Mode.LIVE:
            raise ConnectionRefused(
                "the simulator moves no money: it is connected in test mode only"
            )
        if has_cardlike(wish.name) or has_cardlike(wish.account):
            raise Invalid(FieldError("/name", "card_number_refused", "a name holds no card number"))
        finding = Finding(wish.finding) if wish.finding else surest(adapter)
        if finding not in adapter.findings:
            raise Invalid(
                FieldError("/finding", "finding_unknown", "this processor cannot be asked so")
            )
        connection = ConnectionId(new_id("con"))
        now = self._clock.now()
        source = await self._sources.prepare(
            by.merchant,
            by.mode,
            connection,
            wish.webhook_scheme or adapter.verification_scheme,
            [Secret(wish.webhook_secret)],
        )
        await self._vault.register(
            by.merchant,
            by.mode,
            connection,
            wish.processor,
            wish.base_url,
            _secrets(wish.credentials),
            actor=by.actor,
            origin=by.origin,
        )
        # Crash here: the vault holds credentials that no connection names. Nothing uses them.
        try:
            async with self._database.transaction([by.merchant]) as tx:
                await tx.run(
                    QUERIES["insert_connection"],
                    by.merchant,
                    by.mode,
                    connection,
                    wish.name,
                    wish.processor,
                    wish.account,
                    finding.value,
                    now,
                )
                await self._sources.register(tx, source)
                await self._record(
                    tx, by, Action.PAYMENTS_CONNECTION_CREATED, connection, wish.processor
                )
        except ConstraintBroken:
            raise ConnectionRefused from None
        self.book.forget(by.merchant, by.mode)
        return Connection(
            by.merchant,
            by.mode,
            connection,
            wish.name,
            wish.processor,
            wish.account,
            finding,
            "active",
            now,
            now,
        )

    async def rotate(self, connection_id: str, wish: RotateIn, by: By) -> Connection:
        """Take new credentials at once, and a new webhook secret beside the old one for a while.

        Credentials from before can be brought back for as long (`payments.credentials`).

        Raises:
            ConnectionUnknown, Invalid: see each.
        """
        connection = ConnectionId(_require_form(connection_id))
        if wish.credentials is None and wish.webhook_secret is None:
            raise Invalid(FieldError("/credentials", "field_missing", "nothing is to be rotated"))
        found = await self.book.one(by.merchant, by.mode, connection)
        if wish.credentials is not None:
            await self._vault.rotate(
                by.merchant,
                by.mode,
                connection,
                _secrets(wish.credentials),
                actor=by.actor,
                origin=by.origin,
                keep_seconds=wish.overlap_seconds,
            )
        source = None
        if wish.webhook_secret is not None:
            source = await self._sources.prepare_rotation(
                by.merchant,
                by.mode,
                connection,
                Secret(wish.webhook_secret),
                wish.overlap_seconds,
            )
        async with self._database.transaction([by.merchant]) as tx:
            row = await tx.row(
                QUERIES["touch_connection"], by.merchant, by.mode, connection, self._clock.now()
            )
            if row is None:
                raise ConnectionUnknown
            if source is not None:
                await self._sources.rotate(tx, source)
            await self._record(
                tx, by, Action.PAYMENTS_CONNECTION_ROTATED, connection, found.processor
            )
        self.book.forget(by.merchant, by.mode)
        return await self.book.one(by.merchant, by.mode, connection)

    async def disable(self, connection_id: str, by: By) -> None:
        """Choose a connection for no new payment; what was begun through it is finished, and its notices still count.

        Raises:
            ConnectionUnknown: not there for this tenant and mode.
        """
        connection = ConnectionId(_require_form(connection_id))
        found = await self.book.one(by.merchant, by.mode, connection)
        async with self._database.transaction([by.merchant]) as tx:
            await tx.row(
                QUERIES["disable_connection"], by.merchant, by.mode, connection, self._clock.now()
            )
            await self._record(
                tx, by, Action.PAYMENTS_CONNECTION_DISABLED, connection, found.processor
            )
        self.book.forget(by.merchant, by.mode)

    async def _record(
        self, tx: Transaction, by: By, action: Action, connection: str, processor: str
    ) -> None:
        record = self._recorder.make(
            action,
            actor=by.actor,
            merchant=by.merchant,
            mode=by.mode,
            thing=connection,
            origin=by.origin,
            now=self._clock.now(),
            details={"processor": processor},
        )
        await self._recorder.insert(tx, record)


def surest(adapter: Adapter) -> Finding:
    """Return the surest way in which an outcome is found at a processor: what a connection has that names none.

    A replay may be the first arrival of what it repeats. It comes before waiting only where the card is prepared first:
    then what is repeated carries none.
    """
    ways = [Finding.BY_REFERENCE, Finding.BY_NOTICE, Finding.BY_REPLAY]
    if does_prepare(adapter):
        ways = [Finding.BY_REFERENCE, Finding.BY_REPLAY, Finding.BY_NOTICE]
    return next(each for each in ways if each in adapter.findings)


def _secrets(credentials: Mapping[str, str]) -> Mapping[str, Secret[str]]:
    return {name: Secret(value) for name, value in credentials.items()}


def _require_form(connection: str) -> str:
    if not is_id("con", connection):
        raise ConnectionUnknown
    return connection


def _connection(row: Record) -> Connection:
    return Connection(
        MerchantId(row["merchant_id"]),
        Mode(row["mode"]),
        ConnectionId(row["connection_id"]),
        row["name"],
        row["processor"],
        row["account"],
        Finding(row["finding"]),
        row["status"],
        row["created_at"],
        row["updated_at"],
    )
