# SPDX-License-Identifier: Apache-2.0
"""Imports and exports over a real database and a key store in a file, which another process can open as well."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pysequoia

from database import Databases
from polling import until
from residence import AtHome
from strongroom.audit import Origin
from strongroom.audit.recorder import EventRecorder
from strongroom.crypto.ids import new_id
from strongroom.db.address import Address
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database, connect
from strongroom.http.rate_limit import Rate
from strongroom.kernel.clock import SystemClock
from strongroom.kernel.ids import AccessRuleId, KeyId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import CallerKind, Principal
from strongroom.kernel.schemes import synthetic_number
from strongroom.kernel.secret import Secret
from strongroom.keys import Purpose
from strongroom.keys.keyring import Keyring
from strongroom.keys.store import PostgresDataKeyTable
from strongroom.keys.stores.file import FileKeyStore
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import Metrics
from strongroom.telemetry.sink import MemorySink
from strongroom.vault.containers.decision import CallerAccess, TenantAccess
from strongroom.vault.containers.model import (
    EVERY,
    EVERYWHERE,
    Access,
    AccessRule,
    Container,
    GranteeKind,
    Transform,
)
from strongroom.vault.finding import Caller
from strongroom.vault.residency import Residency
from strongroom.vault.sealing import CardSealer
from strongroom.vault.search.limiter import NumberLimiter
from strongroom.vault.transfer.export import Exports
from strongroom.vault.transfer.imports import Imports
from strongroom.vault.transfer.model import Encryption, Format, Import, ImportState, ImportWish
from strongroom.vault.transfer.opening import ImportKeys
from strongroom.vault.transfer.unspool import Unspooler
from strongroom.vault.work.model import Job, JobKind
from strongroom.vault.work.ports import JobHandler
from strongroom.vault.work.runner import Runner
from strongroom.vault.work.service import JobService

ROW_KEY: Final = Secret(bytes(32))
PASSPHRASE: Final = Secret("a passphrase of these tests")
PLENTY: Final = Rate(10**9, 10**9)
NEVER: Final = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Rules:
    """Gives so much in every container, or what is said of one; remembers for whom it was asked."""

    gives: Access = Access.REVEAL
    #: More exactly, by container.
    inside: dict[str, Access] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    #: None: as much as its access shows at most.
    shows: Transform | None = None
    #: Likewise, by container.
    shows_inside: dict[str, Transform] = field(default_factory=dict)

    async def of(self, principal: Principal) -> CallerAccess:
        self.asked.append(principal.subject)
        given = {**self.inside, EVERYWHERE: self.gives}
        rules = [
            AccessRule(
                principal.merchant,
                principal.mode,
                AccessRuleId(new_id("acr")),
                container,
                1 + (container == EVERYWHERE),
                GranteeKind.ANYBODY,
                EVERY,
                access,
                self.shows_inside.get(container, self.shows or _most(access)),
                "x",
                NEVER,
            )
            for container, access in given.items()
        ]
        containers = [
            Container(principal.merchant, principal.mode, each, "", None, "x", NEVER, NEVER)
            for each in self.inside
        ]
        return TenantAccess(rules, containers).of(principal)


def _most(access: Access) -> Transform:
    return Transform.REVEAL if access is Access.REVEAL else Transform.MASK


class Later(SystemClock):
    """A minute ahead: past the first seconds after any rotation of a key."""

    def now(self) -> datetime:
        return super().now() + timedelta(minutes=1)


class Parts:
    """The parts of one vault process that move cards."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        merchant: MerchantId,
        residency: Residency | None = None,
        numbers: NumberLimiter | None = None,
    ) -> None:
        self.database = database
        self.keyring = keyring
        self.merchant = merchant
        self.rules = Rules()
        self.clock = SystemClock()
        self.lines = MemorySink()
        self.recorder = EventRecorder(database, ROW_KEY, self.clock)
        self.handlers: dict[JobKind, JobHandler] = {}
        self.jobs = JobService(database, self.recorder, self.clock, self.handlers)
        residency = residency or AtHome()
        sealer = CardSealer(keyring, residency, clock=Later())
        self.sealer = sealer
        self.keys = ImportKeys(database, keyring, residency, self.recorder, self.clock)
        self.imports = Imports(
            database=database,
            sealer=sealer,
            keys=self.keys,
            rules=self.rules,
            jobs=self.jobs,
            recorder=self.recorder,
            clock=self.clock,
            metrics=Metrics().vault,
            numbers=numbers or NumberLimiter(PLENTY),
        )
        self.exports = Exports(
            database=database,
            sealer=sealer,
            rules=self.rules,
            jobs=self.jobs,
            recorder=self.recorder,
            clock=self.clock,
        )
        self.unspooler = Unspooler(database, self.imports)
        self.handlers |= {JobKind.EXPORT: self.exports, JobKind.IMPORT: self.unspooler}

    @property
    def caller(self) -> Caller:
        who = Principal(
            KeyId(new_id("key")), CallerKind.SECRET, self.merchant, Mode.TEST, frozenset(Permission)
        )
        return Caller(who, Origin())

    @asynccontextmanager
    async def running(self, **more: Any) -> AsyncIterator[Runner]:
        runner = Runner(
            self.database,
            self.recorder,
            self.clock,
            self.handlers,
            log=Log(self.lines, clock=self.clock),
            metrics=Metrics().vault_jobs,
            **{"poll_seconds": 0.02, **more},
        )
        runner.start()
        try:
            yield runner
        finally:
            await runner.stop()
            await self.unspooler.close()

    async def feed(self, of: Import, content: bytes, size: int) -> Import:
        """Send a file on from where its import stands."""
        while True:
            at = await self.imports.read(self.merchant, Mode.TEST, of.import_id)
            if at.state is not ImportState.OPEN:
                return at
            part = content[at.received : at.received + size]
            last = at.received + len(part) == len(content)
            await self.imports.take(self.caller, of.import_id, at.received, part, last=last)

    async def settled(self, of: Import) -> Import:
        async def ended() -> Import | None:
            at = await self.imports.read(self.merchant, Mode.TEST, of.import_id)
            return None if at.ended_at is None else at

        return await until(ended, what="the import to end")

    async def exported(self, job: Job) -> Job:
        async def ended() -> Job | None:
            at = await self.jobs.read(self.merchant, Mode.TEST, job.job_id)
            return None if at.ended_at is None else at

        return await until(ended, what="the export to end")


@dataclass
class Ground:
    """What several processes share."""

    databases: Databases
    folder: Path
    parts: Parts

    @property
    def merchant(self) -> MerchantId:
        return self.parts.merchant

    async def look(self, sql: str, *values: object) -> list[Any]:
        connection = await connect(self.databases.administrator(Domain.VAULT))
        try:
            return list(await connection.fetch(sql, *values))
        finally:
            await connection.close()

    async def records(self, thing: str) -> list[dict[str, Any]]:
        rows = await self.look(
            "select payload from audit.event where merchant_id = $1 order by xid, payload",
            self.merchant,
        )
        found = [json.loads(bytes(row["payload"])) for row in rows]
        return [each for each in found if each["object"] == thing]

    async def tokens(self) -> int:
        ((count,),) = await self.look(
            "select count(*) from vault.token where merchant_id = $1", self.merchant
        )
        return int(count)

    def told(self, **more: str) -> str:
        """What another process needs to know, in one line."""
        address = self.databases.address(Domain.VAULT, Login.VAULT)
        assert address.password is not None
        return json.dumps(
            {
                "address": {
                    "host": str(address.host),
                    "port": address.port,
                    "database": address.database,
                    "user": str(address.user),
                    "password": address.password.expose(),
                },
                "folder": str(self.folder),
                "merchant": self.merchant,
                **more,
            }
        )


@asynccontextmanager
async def parts_of(database: Database, folder: Path, merchant: MerchantId) -> AsyncIterator[Parts]:
    """Open the key store, made where it is not there, and lend the parts."""
    path = folder / "keys"
    clock = SystemClock()
    store = (
        FileKeyStore.open(path, PASSPHRASE)
        if path.exists()
        else FileKeyStore.create(path, PASSPHRASE, clock.now())
    )
    keyring = Keyring(store, PostgresDataKeyTable(database), clock)
    await keyring.start([Purpose.CARD])
    try:
        yield Parts(database, keyring, merchant)
    finally:
        await keyring.close()


@asynccontextmanager
async def as_told(line: str) -> AsyncIterator[tuple[Parts, dict[str, Any]]]:
    """Lend the parts in another process."""
    told = json.loads(line)
    address = told["address"]
    password = Secret(str(address.pop("password")))
    database = Database(Address(**address, password=password, tls="disable"), connections_max=6)
    async with parts_of(database, Path(told["folder"]), MerchantId(told["merchant"])) as parts:
        yield parts, told


def csv_file(first: int, count: int) -> bytes:
    """A file of synthetic cards."""
    rows = [f"{synthetic_number(n)},12,2034\n" for n in range(first, first + count)]
    return ("number,exp_month,exp_year\n" + "".join(rows)).encode()


CSV: Final = ImportWish(Format.CSV)


@asynccontextmanager
async def ground_of(databases: Databases, folder: Path) -> AsyncIterator[Ground]:
    database = await databases.open(Domain.VAULT, Login.VAULT, connections_max=8)
    await databases.run(Domain.VAULT, "truncate vault.job, keys.data_key")
    async with parts_of(database, folder, MerchantId(new_id("mer"))) as parts:
        yield Ground(databases, folder, parts)


async def filled(ground: Ground, cards: int, *, first: int = 1, wish: ImportWish = CSV) -> None:
    """Make tokens."""
    of = await ground.parts.imports.begin(ground.parts.caller, wish)
    await ground.parts.feed(of, csv_file(first, cards), 1_000_000)


async def pgp_file(ground: Ground, content: bytes) -> tuple[Import, bytes]:
    """Send a file that is encrypted as a whole; a job may begin to read it."""
    key = await ground.parts.keys.make(ground.parts.caller)
    recipient = pysequoia.Cert.from_bytes(key.certificate.encode())
    sealed = bytes(pysequoia.encrypt(content, recipients=[recipient], armor=False))
    wish = ImportWish(Format.CSV, Encryption.PGP)
    of = await ground.parts.imports.begin(ground.parts.caller, wish)
    return await ground.parts.feed(of, sealed, 100_000), sealed
