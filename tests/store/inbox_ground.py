# SPDX-License-Identifier: Apache-2.0
"""An inbox on a real database, with the gateway's side of it (sources) and the worker's (kept notices)."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from contracts.fakes import FakeKeyStore
from database import Databases
from strongroom.crypto.ids import new_id
from strongroom.db.group_commit import GroupWriter
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database, connect
from strongroom.kernel.clock import Clock, SteppedClock
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.ids import ConnectionId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.keys import Purpose
from strongroom.keys.keyring import Keyring
from strongroom.keys.store import PostgresDataKeyTable
from strongroom.simulator.notices import signature
from strongroom.telemetry.log import Log
from strongroom.telemetry.sink import MemorySink
from strongroom.webhooks.inbound import (
    VERIFIERS,
    KeptNotices,
    OpenedNotice,
    RawNotice,
)
from strongroom.webhooks.inbound.inbox import Inbox
from strongroom.webhooks.inbound.restated import Restated
from strongroom.webhooks.inbound.sources import OpenSources, Sources
from strongroom.webhooks.inbound.store import NoticeSink

VISA: Final = "4242424242424242"
OLD, NEW = "sim_wh_old_0123456789", "sim_wh_new_0123456789"
HEX_KEY: Final = bytes(range(32)).hex()
START: Final = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


class Observer:
    """What an inbox tells."""

    def __init__(self) -> None:
        self.counted: list[tuple[str, str]] = []
        self.lines = MemorySink()
        self.woken = 0

    def noticed(self, scheme: str, outcome: str) -> None:
        self.counted.append((scheme, outcome))

    def wake(self) -> None:
        self.woken += 1


@dataclass
class Ground:
    """One process's inbox, and the gateway's and the worker's side of it."""

    databases: Databases
    opened: Mapping[Login, Database]
    keyrings: Mapping[Login, Keyring]
    clock: SteppedClock
    sources: Sources
    inbox: Inbox
    seen: Observer

    @property
    def gateway(self) -> Database:
        return self.opened[Login.GATEWAY]

    @property
    def listener(self) -> Database:
        return self.opened[Login.WEBHOOKS]

    async def handled(self, merchant: MerchantId, mode: Mode, notice: str | None) -> OpenedNotice:
        """Open a notice as the worker does."""
        worker = self.opened[Login.WORKER], self.keyrings[Login.WORKER]
        return await KeptNotices(*worker).open(merchant, mode, str(notice))

    async def connection(
        self,
        merchant: MerchantId,
        mode: Mode = Mode.TEST,
        scheme: str = "simulator",
        secrets: Sequence[str] = (OLD,),
    ) -> ConnectionId:
        connection = ConnectionId(new_id("con"))
        prepared = await self.sources.prepare(
            merchant, mode, connection, scheme, [Secret(each) for each in secrets]
        )
        async with self.gateway.transaction([merchant]) as tx:
            await self.sources.register(tx, prepared)
        return connection

    def signed(
        self, connection: str, body: bytes | None = None, secret: str = OLD, **more: Any
    ) -> RawNotice:
        body = event(**more) if body is None else body
        header = signature((secret,), body, self.clock.now())
        return RawNotice(connection, {"sim-signature": header, "x-else": "left out"}, body)

    async def look(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Ask as the superuser, who sees every tenant's rows."""
        connection = await connect(self.databases.administrator(Domain.CORE))
        try:
            return [dict(row) for row in await connection.fetch(query, *values)]
        finally:
            await connection.close()

    async def kept(self, connection: str) -> list[dict[str, Any]]:
        """Return what is kept of a connection, each with its job."""
        return await self.look(
            "select n.*, j.kind, j.run_at, j.tries from webhooks.notice n "
            "left join jobs.job j on (j.merchant_id, j.mode, j.object_id) = (n.merchant_id, n.mode, n.notice_id) "
            "where n.connection_id = $1 order by n.notice_id",
            connection,
        )


def event(**more: Any) -> bytes:
    return json.dumps({"id": new_id("se"), "type": "payment.captured", **more}).encode()


def merchant() -> MerchantId:
    return MerchantId(new_id("mer"))


def inbox_over(database: Database, keys: Keyring, clock: Clock, seen: Observer) -> Inbox:
    return Inbox(
        OpenSources(database, keys, VERIFIERS),
        GroupWriter(NoticeSink(database)),
        keys,
        clock,
        restated=Restated(database, keys),
        observer=seen,
        log=Log(seen.lines, clock=clock),
        on_kept=seen.wake,
    )


@asynccontextmanager
async def grounded(databases: Databases, store: FakeKeyStore) -> AsyncIterator[Ground]:
    async with AsyncExitStack() as stack:
        opened, keyrings = {}, {}
        clock = SteppedClock(START)
        for login in (Login.WEBHOOKS, Login.GATEWAY, Login.WORKER):
            opened[login] = await databases.open(Domain.CORE, login)
            stack.push_async_callback(opened[login].close)
            keyrings[login] = Keyring(store, PostgresDataKeyTable(opened[login]), clock)
            stack.push_async_callback(keyrings[login].close)
            await keyrings[login].start([Purpose.WEBHOOK])
        seen = Observer()
        yield Ground(
            databases,
            opened,
            keyrings,
            clock,
            Sources(opened[Login.GATEWAY], keyrings[Login.GATEWAY], clock, VERIFIERS),
            inbox_over(opened[Login.WEBHOOKS], keyrings[Login.WEBHOOKS], clock, seen),
            seen,
        )


async def refused(ground: Ground, raw: RawNotice) -> StrongroomError:
    with pytest.raises(StrongroomError) as caught:
        await ground.inbox.receive(raw)
    return caught.value
