# SPDX-License-Identifier: Apache-2.0
"""Rotation for tests: a merchant with cards, two processes over one database, and a clock that is moved."""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from prometheus_client import CollectorRegistry

from contracts.fakes import FakeKeyStore
from database import Databases
from polling import until
from residence import AtHome
from store.work_ground import ROW_KEY
from strongroom.audit import Origin
from strongroom.audit.recorder import EventRecorder
from strongroom.crypto import Algorithm
from strongroom.crypto.ids import new_id
from strongroom.db.group_commit import GroupWriter
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database, connect
from strongroom.kernel.clock import SteppedClock
from strongroom.kernel.ids import KeyId, MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import CallerKind, Principal
from strongroom.keys import Purpose
from strongroom.keys.keyring import Keyring
from strongroom.keys.store import PostgresDataKeyTable
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import Metrics, VaultMetrics
from strongroom.telemetry.sink import MemorySink
from strongroom.vault.containers.feed import RuleFeed
from strongroom.vault.create import TokenMaker
from strongroom.vault.cvc import CvcEpochs
from strongroom.vault.details import DetailSealer
from strongroom.vault.finding import Caller, TokenFinder
from strongroom.vault.rotation.columns import COLUMNS
from strongroom.vault.rotation.reseal import ResealHandler
from strongroom.vault.rotation.service import By, KeyRotation
from strongroom.vault.sealing import CardSealer
from strongroom.vault.tokens import Tokens
from strongroom.vault.wire import CardIn, TokenIn
from strongroom.vault.wishes import Asked
from strongroom.vault.work.model import Job, JobKind, JobState
from strongroom.vault.work.runner import Runner
from strongroom.vault.work.service import JobService
from strongroom.vault.writes import TokenSink, TokenWrite, Written

START: Final = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


def number(index: int) -> str:
    """Return a card number of the synthetic range, another one for each index."""
    body = f"0{index:014d}"
    doubled = (int(digit) * (2 if place % 2 == 0 else 1) for place, digit in enumerate(body))
    return body + str(-sum(each // 10 + each % 10 for each in doubled) % 10)


@dataclass
class Process:
    """One vault process: its own cache of keys, its own writer and jobs."""

    database: Database
    keyring: Keyring
    sealer: CardSealer
    maker: TokenMaker
    tokens: Tokens
    jobs: JobService
    handler: ResealHandler
    rotation: KeyRotation
    writer: GroupWriter[TokenWrite, Written]
    metrics: Metrics
    lines: MemorySink
    recorder: EventRecorder
    clock: SteppedClock

    def runner(self, **more: Any) -> Runner:
        return Runner(
            self.database,
            self.recorder,
            self.clock,
            {JobKind.RESEAL: self.handler},
            log=Log(self.lines, clock=self.clock),
            metrics=self.metrics.vault_jobs,
            **{"poll_seconds": 0.02, **more},
        )


@dataclass
class Ground:
    """A merchant, and processes that serve it."""

    databases: Databases
    store: FakeKeyStore
    clock: SteppedClock = field(default_factory=lambda: SteppedClock(START))
    merchant: MerchantId = field(default_factory=lambda: MerchantId(new_id("mer")))
    mode: Mode = Mode.TEST
    keys_made: int = 0

    @property
    def by(self) -> By:
        return By(self.merchant, self.mode, "operator:tests", Origin())

    @property
    def principal(self) -> Principal:
        return Principal(
            KeyId(new_id("key")), CallerKind.SECRET, self.merchant, self.mode, frozenset()
        )

    async def opened_database(self) -> Database:
        return await self.databases.open(Domain.VAULT, Login.VAULT, connections_max=8)

    async def process(
        self,
        algorithm: Algorithm = Algorithm.A256CBC_HS512,
        page_rows: int = 50,
    ) -> Process:
        database = await self.opened_database()
        table = PostgresDataKeyTable(database, self.clock)
        keyring = Keyring(self.store, table, self.clock)
        await keyring.start([Purpose.CARD, Purpose.AUDIT, Purpose.CREDENTIAL])
        await keyring.look()
        recorder = EventRecorder(database, ROW_KEY, self.clock)
        epochs = CvcEpochs(
            database, self.store, recorder, self.clock, VaultMetrics(CollectorRegistry())
        )
        sealer = CardSealer(keyring, AtHome(), algorithm, self.clock)
        rules = RuleFeed(database)
        writer = GroupWriter(TokenSink(database))
        handler = ResealHandler(keyring, recorder, self.clock, COLUMNS, page_rows=page_rows)
        jobs = JobService(database, recorder, self.clock, {JobKind.RESEAL: handler})
        return Process(
            database,
            keyring,
            sealer,
            TokenMaker(
                sealer=sealer,
                epochs=epochs,
                recorder=recorder,
                writer=writer,
                clock=self.clock,
                rules=rules,
            ),
            Tokens(
                database=database,
                epochs=epochs,
                recorder=recorder,
                clock=self.clock,
                metrics=VaultMetrics(CollectorRegistry()),
                rules=rules,
                finder=TokenFinder(recorder, self.clock, DetailSealer(sealer)),
            ),
            jobs,
            handler,
            KeyRotation(
                database=database,
                keyring=keyring,
                table=table,
                recorder=recorder,
                clock=self.clock,
                jobs=jobs,
                columns=COLUMNS,
                algorithm=algorithm,
            ),
            writer,
            Metrics(),
            MemorySink(),
            recorder,
            self.clock,
        )

    async def token(
        self, process: Process, card: int, *, deduplicate: bool = False, key: str | None = None
    ) -> Written:
        """Make a token of a card as a merchant's server does."""
        self.keys_made += 1
        wish = TokenIn(card=CardIn(number(card), 12, 2034), deduplicate=deduplicate)
        asked = Asked(
            self.principal,
            Origin(),
            key or f"test-{self.keys_made}",
            self.clock.now(),
            new_id("req"),
        )
        return await process.maker.create(wish, asked)

    async def fill(self, process: Process, first: int, count: int, **more: Any) -> list[str]:
        """Make tokens of so many cards; return their ids."""
        made = await asyncio.gather(
            *(self.token(process, card, **more) for card in range(first, first + count))
        )
        return [str(json.loads(each.answer)["id"]) for each in made]

    async def delete(self, process: Process, token: str) -> None:
        await process.tokens.delete(Caller(self.principal, Origin()), token)

    async def opened(self, process: Process, token: str) -> str:
        """Open a token's number, as forwarding does."""
        rows = await self.look(
            "select sealed_number, key_version from vault.token where merchant_id = $1 and token_id = $2",
            self.merchant,
            token,
        )
        ((sealed, version),) = rows
        pan = await process.sealer.open_number(
            bytes(sealed),
            mode=self.mode,
            merchant=self.merchant,
            token=TokenId(token),
            key_version=version,
        )
        return pan.digits_for_forwarding()

    async def look(self, sql: str, *values: object) -> list[Any]:
        connection = await connect(self.databases.administrator(Domain.VAULT))
        try:
            return list(await connection.fetch(sql, *values))
        finally:
            await connection.close()

    async def versions(self) -> dict[int, int]:
        """How many numbers are sealed under each version."""
        rows = await self.look(
            "select key_version, count(*) from vault.token where merchant_id = $1 group by 1",
            self.merchant,
        )
        return {row[0]: row[1] for row in rows}

    async def done(self, process: Process, job: str | None, **more: Any) -> Job:
        """Run a job to its end; time passes as it waits."""
        assert job is not None
        runner = process.runner(**more)
        runner.start()
        try:

            async def ended() -> bool:
                self.clock.step(timedelta(milliseconds=200))
                found = await process.jobs.read(self.merchant, self.mode, job)
                return found.state in (JobState.DONE, JobState.FAILED)

            await until(ended)
        finally:
            await runner.stop()
        return await process.jobs.read(self.merchant, self.mode, job)
