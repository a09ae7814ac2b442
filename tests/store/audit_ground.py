# SPDX-License-Identifier: Apache-2.0
"""Ground for tests of the audit log on a real database: a fresh `vault`, keys in memory, sinks in a folder."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from contracts.fakes import FakeKeyStore, MemoryDataKeyTable
from database import Databases, Server, fresh_databases
from strongroom.audit import Action, NewRecord, Origin
from strongroom.audit.ports import Sink
from strongroom.audit.recorder import EventRecorder
from strongroom.audit.seal import Sealer
from strongroom.audit.signing import TreeKeys
from strongroom.audit.sinks.file import FileSink
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database, connect
from strongroom.kernel.clock import Clock, SteppedClock
from strongroom.kernel.ids import MerchantId, encode_id
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.keys import KeyName, Purpose
from strongroom.keys.keyring import Keyring
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import AuditMetrics, Metrics
from strongroom.telemetry.sink import MemorySink

ORIGIN = "strongroom.example/vault"
START = datetime.now(UTC).replace(microsecond=0)  # ids are made with the machine's own time
MERCHANT = MerchantId(encode_id("mer", 1_700_000_000_000, bytes(10)))
OTHER = MerchantId(encode_id("mer", 1_700_000_000_001, bytes(10)))
ACTOR = encode_id("key", 1_700_000_000_000, bytes(10))


@dataclass
class Ground:
    """One tree's surroundings. `folder` is the sink's."""

    databases: Databases
    app: Database
    keyring: Keyring
    recorder: EventRecorder
    clock: Clock
    folder: Path
    lines: MemorySink = field(default_factory=MemorySink)
    metrics: Metrics = field(default_factory=Metrics)
    _sealers: list[Sealer] = field(default_factory=list)

    @property
    def stepped(self) -> SteppedClock:
        assert isinstance(self.clock, SteppedClock)
        return self.clock

    @property
    def keys(self) -> TreeKeys:
        return TreeKeys(self.keyring, ORIGIN)

    def log(self) -> Log:
        return Log(self.lines, clock=self.clock)

    def events(self, event_type: str) -> list[dict[str, Any]]:
        """The log lines of one kind."""
        found = [msgspec.json.decode(line) for line in self.lines.lines]
        return [line for line in found if line["event_type"] == event_type]

    def metric(self, name: str, **labels: str) -> float | None:
        value = self.metrics.registry.get_sample_value(name, {"tree": "vault", **labels})
        return None if value is None else float(value)

    async def sealer(
        self,
        *,
        sinks: Sequence[Sink] | None = None,
        origin: str = ORIGIN,
        metrics: AuditMetrics | None = None,
    ) -> Sealer:
        database = await self.databases.open(Domain.VAULT, Login.SEALER, connections_max=3)
        sealer = Sealer(
            database,
            self.keyring,
            sinks=[FileSink(self.folder)] if sinks is None else sinks,
            clock=self.clock,
            tree="vault",
            origin=origin,
            log=self.log(),
            metrics=metrics or self.metrics.audit,
        )
        self._sealers.append(sealer)
        return sealer

    def made(self, merchant: MerchantId | None = MERCHANT, **facts: str | int) -> NewRecord:
        return self.recorder.make(
            Action.VAULT_TOKEN_CREATED,
            actor=ACTOR,
            merchant=merchant,
            mode=Mode.TEST if merchant else None,
            thing=None,
            origin=Origin(),
            now=self.clock.now(),
            details=facts,
        )

    async def record(self, count: int = 1, merchant: MerchantId = MERCHANT) -> list[NewRecord]:
        """Commit some records, one transaction each."""
        records = []
        for _ in range(count):
            record = self.made(merchant)
            async with self.app.transaction([merchant]) as tx:
                await self.recorder.insert(tx, record)
            records.append(record)
        return records

    async def many(self, count: int, merchant: MerchantId = MERCHANT) -> list[NewRecord]:
        """Commit many records at once."""
        records = [self.made(merchant) for _ in range(count)]
        async with self.app.connection() as connection, connection.transaction():
            await connection.execute(
                "select set_config('strongroom.merchants', $1, true)", merchant
            )
            await connection.executemany(
                "insert into audit.event (event_id, merchant_id, mode, payload, leaf_hash, row_mac)"
                " values ($1, $2, $3, $4, $5, $6)",
                [
                    (r.event_id, r.merchant, r.mode, r.payload, r.leaf_hash, r.row_mac)
                    for r in records
                ],
            )
        return records

    async def as_superuser(self, *statements: str) -> None:
        """What only somebody can do who has taken over the database."""
        await self.databases.run(
            Domain.VAULT, "set session_replication_role = replica", *statements
        )

    async def value(self, sql: str) -> Any:
        connection = await connect(self.databases.administrator(Domain.VAULT))
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    async def tree_ids(self) -> list[str]:
        """Whose leaves the tree holds, in its order."""
        connection = await connect(self.databases.administrator(Domain.VAULT))
        try:
            rows = await connection.fetch(
                "select event_ids from audit.tile where level = 0 order by n"
            )
        finally:
            await connection.close()
        return [event_id for row in rows for event_id in row["event_ids"]]

    async def close(self) -> None:
        for sealer in self._sealers:
            await sealer.close()
        await self.keyring.close()


async def made_ground(databases: Databases, folder: Path, clock: Clock | None = None) -> Ground:
    clock = clock or SteppedClock(START)
    app = await databases.open(Domain.VAULT, Login.VAULT, connections_max=8)
    keyring = Keyring(FakeKeyStore(), MemoryDataKeyTable(), clock)
    await keyring.start([Purpose.AUDIT])
    row_key = Secret((await keyring.current("", "", KeyName.AUDIT_ROW_MAC)).secret.expose())
    return Ground(
        databases, app, keyring, EventRecorder(app, row_key, clock), clock, folder / "sink"
    )


@asynccontextmanager
async def grounded(
    server: Server, folder: Path, clock: Clock | None = None
) -> AsyncIterator[Ground]:
    """Lend a ground of its own for one test."""
    async with fresh_databases(server) as databases:
        ground = await made_ground(databases, folder, clock)
        try:
            yield ground
        finally:
            await ground.close()
