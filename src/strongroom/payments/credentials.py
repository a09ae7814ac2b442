# SPDX-License-Identifier: Apache-2.0
"""A connection's credentials while they are rotated: the next ones set and tried, promoted, and a way back for a while.

The credentials themselves are the vault's alone. Order: the vault first, with its record, then the record here. A crash
between leaves a change that the vault's log tells and the core's does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from strongroom.audit import Action, Recorder
from strongroom.db.pool import Database
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import is_id
from strongroom.payments.connections import By, ConnectionBook
from strongroom.payments.model import Connection
from strongroom.payments.store import QUERIES
from strongroom.vault import Connections as VaultConnections
from strongroom.vault import ConnectionUnknown, CredentialChange, CredentialState
from strongroom.webhooks import NoticeSources


@dataclass(frozen=True, slots=True)
class KeptCredentials:
    """Which credentials and secrets a connection has, without any of them."""

    connection: Connection
    credentials: CredentialState
    #: Until when each secret of its notices holds; None: until it is rotated.
    secrets_until: Sequence[datetime | None]


class ConnectionCredentials:
    """Changes which credentials connections have."""

    def __init__(
        self,
        *,
        database: Database,
        book: ConnectionBook,
        vault: VaultConnections,
        sources: NoticeSources,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self._database = database
        self._book = book
        self._vault = vault
        self._sources = sources
        self._recorder = recorder
        self._clock = clock

    async def kept(self, connection_id: str, by: By) -> KeptCredentials:
        """Say which credentials a connection has.

        Raises:
            ConnectionUnknown: not there for this tenant and mode.
            CannotReadCredentials: its row in the vault was altered.
        """
        connection = await self._known(connection_id, by)
        state = await self._vault.credentials(by.merchant, by.mode, connection.connection_id)
        return await self._with_secrets(connection, state)

    async def change(self, connection_id: str, change: CredentialChange, by: By) -> KeptCredentials:
        """Change which credentials a connection has.

        Raises:
            ConnectionUnknown, ConnectionDisabled, Invalid: see each.
            NothingStaged, StagedMeanwhile, NothingToRestore: see each; nothing was changed.
        """
        connection = await self._known(connection_id, by)
        state = await self._vault.change(
            by.merchant,
            by.mode,
            connection.connection_id,
            change,
            actor=by.actor,
            origin=by.origin,
        )
        now = self._clock.now()
        record = self._recorder.make(
            Action.PAYMENTS_CONNECTION_CHANGED,
            actor=by.actor,
            merchant=by.merchant,
            mode=by.mode,
            thing=connection.connection_id,
            origin=by.origin,
            now=now,
            details={"processor": connection.processor, "result": change.act},
        )
        async with self._database.transaction([by.merchant]) as tx:
            await tx.row(
                QUERIES["touch_connection"], by.merchant, by.mode, connection.connection_id, now
            )
            await self._recorder.insert(tx, record)
        self._book.forget(by.merchant, by.mode)
        return await self._with_secrets(connection, state)

    async def _with_secrets(
        self, connection: Connection, state: CredentialState
    ) -> KeptCredentials:
        until = await self._sources.secrets_until(
            connection.merchant_id, connection.mode, connection.connection_id
        )
        return KeptCredentials(connection, state, until)

    async def _known(self, connection_id: str, by: By) -> Connection:
        if not is_id("con", connection_id):
            raise ConnectionUnknown
        return await self._book.one(by.merchant, by.mode, connection_id)
