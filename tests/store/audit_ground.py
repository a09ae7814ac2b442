# SPDX-License-Identifier: Apache-2.0
"""Ground for tests of the audit log on a real database: a fresh `vault`, keys in memory, sinks in a folder."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from contracts.fakes import FakeKeyStore, MemoryDataKeyTable
from database import Databases, Server, fresh_databases
from strongroom.audit import Action, NewRecord, Origin
from strongroom.audit.merkle import Frontier
from strongroom.audit.ports import Sink
from strongroom.audit.recorder import EventRecorder
from strongroom.audit.seal import Sealer
from strongroom.audit.signing import TreeKeys
from strongroom.audit.sinks.file import FileSink
from strongroom.crypto.digest import sha256
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database, connect
from strongroom.kernel.clock import Clock, SteppedClock
from strongroom.kernel.ids import MerchantId, encode_id
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.keys import (
    DataKey,
    DataKeys,
    DataKeyUnknown,
    KeyName,
    KeyStoreRefused,
    Purpose,
    Within,
)
from strongroom.keys.keyring import Keyring
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import AuditMetrics, Metrics
from strongroom.telemetry.sink import MemorySink

ORIGIN = "strongroom.example/vault"
START = datetime.now(UTC).replace(microsecond=0)  # ids are made with the machine's own time
MERCHANT = MerchantId(encode_id("mer", 1_700_000_000_000, bytes(10)))
OTHER = MerchantId(encode_id("mer", 1_700_000_000_001, bytes(10)))
DEADLINE_SECONDS = 20.0
ACTOR = encode_id("key", 1_700_000_000_000, bytes(10))


class SpokenKeys:
    """Data keys that follow from their names, so that several processes of a test have the same."""

    def cached(self, merchant: str, mode: str, name: KeyName) -> DataKey | None:
        return DataKey(1, Secret(sha256(f"{merchant} {mode} {name}".encode())))

    async def current(self, merchant: str, mode: str, name: KeyName) -> DataKey:
        found = self.cached(merchant, mode, name)
        assert found is not None
        return found

    async def version(self, merchant: str, mode: str, name: KeyName, version: int) -> DataKey:
        if version != 1:
            raise DataKeyUnknown
        return await self.current(merchant, mode, name)

    def cached_older(self, merchant: str, mode: str, name: KeyName) -> list[DataKey]:  # noqa: ARG002
        return []

    async def older(self, merchant: str, mode: str, name: KeyName) -> list[DataKey]:
        return self.cached_older(merchant, mode, name)

    async def rotate(
        self,
        merchant: str,
        mode: str,
        name: KeyName,
        within: Within | None = None,  # noqa: ARG002
    ) -> DataKey:
        raise KeyStoreRefused(f"{merchant} {mode} {name} stays what it is")

    async def destroy(
        self,
        merchant: str,
        mode: str,
        name: KeyName,
        version: int,
        within: Within | None = None,  # noqa: ARG002
    ) -> None:
        raise KeyStoreRefused(f"{merchant} {mode} {name} {version} stays what it is")


@dataclass
class Ground:
    """One tree's surroundings. `folder` is the sink's."""

    databases: Databases
    app: Database
    keyring: DataKeys
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

    async def begun(self, record: NewRecord) -> AsyncExitStack:
        """Write a record in a transaction of its own that stays open until the stack is closed."""
        async with AsyncExitStack() as stack:
            tx = await stack.enter_async_context(self.app.transaction([record.merchant]))
            await self.recorder.insert(tx, record)
            return stack.pop_all()
        raise AssertionError

    async def as_superuser(self, *statements: str) -> None:
        """What only somebody can do who has taken over the database."""
        await self.databases.run(
            Domain.VAULT, "set session_replication_role = replica", *statements
        )

    async def alter(self, event_id: str, change: str) -> None:
        """Alter a record's row, as the superuser."""
        await self.as_superuser(f"update audit.event set {change} where event_id = '{event_id}'")

    async def value(self, sql: str, *values: object) -> Any:
        """Ask the database, as the superuser."""
        connection = await connect(self.databases.administrator(Domain.VAULT))
        try:
            return await connection.fetchval(sql, *values)
        finally:
            await connection.close()

    async def tree_root(self) -> bytes:
        """The root over the records in the tree's order, by another way than the sealer's."""
        leaves = dict(await self._pairs("select event_id, leaf_hash from audit.event"))
        return Frontier().appended(leaves[each] for each in await self.tree_ids()).root()

    async def _pairs(self, sql: str) -> list[tuple[Any, Any]]:
        connection = await connect(self.databases.administrator(Domain.VAULT))
        try:
            return [(row[0], row[1]) for row in await connection.fetch(sql)]
        finally:
            await connection.close()

    async def tree_ids(self) -> list[str]:
        """Whose leaves the tree holds, in its order."""
        rows = await self._pairs("select n, event_ids from audit.tile where level = 0 order by n")
        return [event_id for _, event_ids in rows for event_id in event_ids]

    async def close(self) -> None:
        """Let every sealer go."""
        for sealer in self._sealers:
            await sealer.close()

    async def reopened(self) -> None:
        """Connect anew, as after everything was started again."""
        self.app = await self.databases.open(Domain.VAULT, Login.VAULT, connections_max=8)
        self.recorder.database = self.app


async def made_ground(
    databases: Databases, folder: Path, clock: Clock, keyring: DataKeys
) -> Ground:
    app = await databases.open(Domain.VAULT, Login.VAULT, connections_max=8)
    row_key = Secret((await keyring.current("", "", KeyName.AUDIT_ROW_MAC)).secret.expose())
    return Ground(
        databases, app, keyring, EventRecorder(app, row_key, clock), clock, folder / "sink"
    )


@asynccontextmanager
async def grounded(
    server: Server, folder: Path, clock: Clock | None = None, keys: DataKeys | None = None
) -> AsyncIterator[Ground]:
    """Lend a ground of its own for one test."""
    clock = clock or SteppedClock(START)
    keyring = Keyring(FakeKeyStore(), MemoryDataKeyTable(), clock)
    await keyring.start([Purpose.AUDIT])
    async with fresh_databases(server, [Domain.VAULT]) as databases:
        ground = await made_ground(databases, folder, clock, keys or keyring)
        try:
            yield ground
        finally:
            await ground.close()
            await keyring.close()
