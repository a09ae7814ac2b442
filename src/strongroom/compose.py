# SPDX-License-Identifier: Apache-2.0
"""The one file that joins implementations to ports, per role. Decides nothing.

`Composer` opens what a process needs, in order, and closes it in the reverse order. Every role takes its own login.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from strongroom.audit import Origin, Recorder
from strongroom.audit import api as audit_api
from strongroom.audit.denials import DenialLog
from strongroom.audit.parts import LogParts
from strongroom.audit.reader import DatabaseAuditReader
from strongroom.audit.recorder import EventRecorder
from strongroom.audit.seal import Sealer
from strongroom.audit.sinks.file import FileSink
from strongroom.config import KeyStoreName, Settings
from strongroom.db.address import Address
from strongroom.db.group_commit import BatchObserver, GroupWriter
from strongroom.db.logins import Domain, Login
from strongroom.db.migrate import (
    IDEMPOTENCY_DAYS_KEPT,
    PARTITION_DAYS_AHEAD,
    PARTITION_MONTHS_AHEAD,
    require_current,
)
from strongroom.db.pool import Database
from strongroom.http import operations
from strongroom.http.app import build_app, build_listener
from strongroom.http.edge import Edge, Rates
from strongroom.http.limits import BULK_BODY_BYTES_MAX
from strongroom.http.openapi import openapi_document
from strongroom.http.rate_limit import Rate, RateLimiter
from strongroom.http.watch import TelemetryWatcher
from strongroom.identity import api as identity_api
from strongroom.identity.authenticate import KeyAuthenticator
from strongroom.identity.service import IdentityService
from strongroom.jobs import Periodic, Task
from strongroom.kernel.clock import Clock, SystemClock
from strongroom.kernel.secret import Secret
from strongroom.keys import KeyName, KeyStore, Purpose
from strongroom.keys.keyring import Keyring
from strongroom.keys.model import PLATFORM_MERCHANT, PLATFORM_MODE
from strongroom.keys.store import PostgresDataKeyTable
from strongroom.keys.stores.file import FileKeyStore
from strongroom.keys.stores.metered import MeteredKeyStore
from strongroom.telemetry.health import HealthRegistry
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import Metrics
from strongroom.vault import api as vault_api
from strongroom.vault.bulk import BulkMaker
from strongroom.vault.create import TokenMaker
from strongroom.vault.cvc import CvcEpochs
from strongroom.vault.ports import Vault
from strongroom.vault.sealing import CardSealer
from strongroom.vault.tokens import Tokens
from strongroom.vault.writes import TokenSink, TokenWrite, Written

VAULT_ROUTES: Final = (*vault_api.ROUTES, *audit_api.ROUTES, *operations.ROUTES)
GATEWAY_ROUTES: Final = (*identity_api.ROUTES, *audit_api.ROUTES, *operations.ROUTES)
BULK_CALLS_WAITING_MAX: Final = 32
RETENTION_SECONDS: Final = 30.0
PARTITION_SECONDS: Final = 3_600.0

Addresses = Callable[[Domain, Login], Address]


@dataclass(frozen=True, slots=True)
class Site:
    """What every role is composed from."""

    settings: Settings
    addresses: Addresses
    passphrase: Secret[str]
    log: Log
    metrics: Metrics
    clock: Clock


def vault_document() -> bytes:
    """Return the OpenAPI document of the vault's listener."""
    return openapi_document(
        VAULT_ROUTES,
        title="Strongroom vault",
        description="The card-bearing listener: card numbers go in, tokens come out.",
    )


def gateway_document() -> bytes:
    """Return the OpenAPI document of the gateway's listener."""
    return openapi_document(
        GATEWAY_ROUTES,
        title="Strongroom gateway",
        description="The listener that never sees a card number: a body that holds one is refused.",
    )


def key_file(settings: Settings) -> Path:
    """Return where the file key store keeps its roots."""
    return settings.state / "keys" / "roots.sealed"


def make_key_file(settings: Settings, passphrase: Secret[str], clock: Clock) -> bool:
    """Make the file key store once; tell whether it was made now."""
    path = key_file(settings)
    if settings.key_store is not KeyStoreName.FILE or path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    FileKeyStore.create(path, passphrase, clock.now())
    return True


async def open_key_store(settings: Settings, passphrase: Secret[str]) -> KeyStore:
    """Open the key store that the settings name. There is no fallback from one to the other."""
    if settings.key_store is KeyStoreName.FILE:
        return await asyncio.to_thread(FileKeyStore.open, key_file(settings), passphrase)
    # The client library takes longer to import than everything else of a server; nobody else needs it.
    from strongroom.keys.stores.aws_kms import AwsKmsKeyStore  # noqa: PLC0415

    aliases = {purpose: settings.aws_kms_key_prefix + purpose.value for purpose in Purpose}
    return await AwsKmsKeyStore.open(
        aliases, region=settings.aws_region or "", endpoint_url=settings.aws_endpoint
    )


class Composer:
    """Opens and closes the parts of a process."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.health = HealthRegistry()
        self._stack = AsyncExitStack()
        self._store: KeyStore | None = None

    async def close(self) -> None:
        """Close everything in the reverse order."""
        await self._stack.aclose()

    async def database(self, domain: Domain, login: Login, connections_max: int = 8) -> Database:
        """Open a login's pool, and refuse a schema that is not this release's."""
        database = Database(self.site.addresses(domain, login), connections_max=connections_max)
        await database.open()
        self._stack.push_async_callback(database.close)
        await require_current(database, domain)
        return database

    async def key_store(self) -> KeyStore:
        """Open the key store, once a process."""
        if self._store is None:
            opened = await open_key_store(self.site.settings, self.site.passphrase)
            self._store = MeteredKeyStore(opened, self.site.metrics.keys)
            self._stack.push_async_callback(self._store.close)
        return self._store

    async def keyring(self, database: Database, *purposes: Purpose) -> Keyring:
        """Open a database's data keys for the roots that a role is granted."""
        table = PostgresDataKeyTable(database)
        keyring = Keyring(await self.key_store(), table, self.site.clock)
        await keyring.start(purposes)
        self._stack.push_async_callback(keyring.close)
        return keyring

    async def recorder(self, database: Database, keyring: Keyring) -> EventRecorder:
        """Make the recorder of a database."""
        return EventRecorder(
            database, await platform_secret(keyring, KeyName.AUDIT_ROW_MAC), self.site.clock
        )

    async def sealer(self, domain: Domain) -> Sealer:
        """Make the sealer of a database's audit tree, under its own login, and let it run."""
        sealer = (await self.audit_log(domain)).sealer()
        stop = asyncio.Event()
        task = asyncio.get_running_loop().create_task(sealer.run(stop), name=f"sealer-{domain}")

        async def end() -> None:
            stop.set()
            await asyncio.gather(task, return_exceptions=True)

        self._stack.push_async_callback(end)
        return sealer

    async def audit_log(self, domain: Domain) -> LogParts:
        """Open a database's audit log: the sealer's login, the tree's keys, its sinks."""
        settings = self.site.settings
        database = await self.database(domain, Login.SEALER, connections_max=3)
        return LogParts(
            database=database,
            keys=await self.keyring(database, Purpose.AUDIT),
            sinks=[FileSink(settings.sink_folder / domain.value)],
            clock=self.site.clock,
            tree=domain.value,
            origin=f"{settings.audit_origin}/{domain.value}",
            log=self.site.log,
            metrics=self.site.metrics.audit,
        )

    def periodic(self, tasks: Sequence[Task]) -> None:
        """Start a role's periodic work."""
        work = Periodic(tasks, self.site.log)
        work.start()
        self._stack.push_async_callback(work.stop)

    def writer(
        self, sink: TokenSink, family: str, **bounds: int
    ) -> GroupWriter[TokenWrite, Written]:
        """Make a group-commit writer that is drained before its database closes."""
        metrics = self.site.metrics.group_commit.writer(family)
        writer = GroupWriter(sink, observer=BatchObserver(metrics.batch, metrics.wait), **bounds)
        metrics.watch_queue(lambda: writer.waiting)
        self._stack.push_async_callback(writer.drain)
        return writer

    async def vault(self, *, lean_lane: bool = True) -> Edge:
        """Compose the vault role: the card-bearing listener's app, its sealer and its jobs."""
        site = self.site
        batches = site.settings.group_commit_batches
        database = await self.database(Domain.VAULT, Login.VAULT, connections_max=batches + 6)
        core = await self.database(Domain.CORE, Login.VAULT, connections_max=4)
        keyring = await self.keyring(database, Purpose.CARD, Purpose.AUDIT)
        recorder = await self.recorder(database, keyring)
        epochs = CvcEpochs(
            database, await self.key_store(), recorder, site.clock, site.metrics.vault
        )
        sink = TokenSink(database)
        maker = TokenMaker(
            sealer=CardSealer(keyring),
            epochs=epochs,
            recorder=recorder,
            writer=self.writer(
                sink,
                "tokens",
                rows_max=site.settings.group_commit_rows,
                in_flight_max=batches,
            ),
            clock=site.clock,
        )
        bulk_writer = self.writer(
            sink, "tokens_bulk", rows_max=1, queue_rows_max=BULK_CALLS_WAITING_MAX
        )
        tokens = Tokens(
            database=database,
            epochs=epochs,
            recorder=recorder,
            clock=site.clock,
            metrics=site.metrics.vault,
        )
        vault = Vault(
            maker, BulkMaker(maker, bulk_writer), tokens, recorder, site.clock, site.metrics.vault
        )
        self.health.add_readiness("vault_database", _answers(database))
        self.health.add_readiness("key_store", _store_answers(await self.key_store()))
        await self.sealer(Domain.VAULT)
        self.periodic(
            [
                Task("cvc-epochs", RETENTION_SECONDS, epochs.destroy_past),
                Task("expired-tokens", RETENTION_SECONDS, tokens.delete_expired),
                Task("vault-partitions", PARTITION_SECONDS, _partitions(database)),
            ]
        )
        return await self._listener(
            "vault",
            VAULT_ROUTES,
            {"vault": vault, "audit": await self._reader(database, keyring, recorder, "vault")},
            vault_document,
            core,
            recorder,
            carries_cards=True,
            lean_lane=lean_lane,
        )

    async def gateway(self) -> Edge:
        """Compose the gateway role: merchants, keys, the core's audit log. No access to the card root."""
        site = self.site
        database = await self.database(Domain.CORE, Login.GATEWAY)
        keyring = await self.keyring(database, Purpose.IDENTITY, Purpose.AUDIT)
        recorder = await self.recorder(database, keyring)
        hash_key = await platform_secret(keyring, KeyName.API_KEY_HASH)
        identity = IdentityService(database, hash_key, recorder, site.clock)
        self.health.add_readiness("core_database", _answers(database))
        await self.sealer(Domain.CORE)
        self.periodic([Task("core-partitions", PARTITION_SECONDS, _partitions(database))])
        return await self._listener(
            "gateway",
            GATEWAY_ROUTES,
            {
                "identity": identity,
                "audit": await self._reader(database, keyring, recorder, "core"),
            },
            gateway_document,
            database,
            recorder,
            carries_cards=False,
            lean_lane=False,
        )

    async def operator_identity(self) -> IdentityService:
        """Compose identity for the operators' commands, under the console's login."""
        database = await self.database(Domain.CORE, Login.CONSOLE, connections_max=2)
        keyring = await self.keyring(database, Purpose.IDENTITY, Purpose.AUDIT)
        recorder = await self.recorder(database, keyring)
        hash_key = await platform_secret(keyring, KeyName.API_KEY_HASH)
        return IdentityService(database, hash_key, recorder, self.site.clock)

    async def _reader(
        self, database: Database, keyring: Keyring, recorder: Recorder, tree: str
    ) -> DatabaseAuditReader:
        return DatabaseAuditReader(
            database,
            keyring,
            recorder,
            self.site.clock,
            origin=f"{self.site.settings.audit_origin}/{tree}",
        )

    async def _listener(
        self,
        name: str,
        routes: Sequence[Any],
        state: Mapping[str, Any],
        document: Callable[[], bytes],
        identity_database: Database,
        recorder: EventRecorder,
        *,
        carries_cards: bool,
        lean_lane: bool,
    ) -> Edge:
        site = self.site
        keyring = await self.keyring(identity_database, Purpose.IDENTITY)
        authenticator = KeyAuthenticator(
            identity_database, await platform_secret(keyring, KeyName.API_KEY_HASH), site.clock
        )
        denials = DenialLog(recorder.database, recorder, site.clock)
        self.periodic([Task(f"{name}-denials", 1.0, denials.flush)])
        self._stack.push_async_callback(denials.flush, final=True)  # what is being counted, too
        app = build_app(
            routes,
            {
                **state,
                "health": self.health,
                "metrics": site.metrics,
                "operators": operations.Operators(site.settings.operations_from),
                "openapi": document,
            },
        )
        return build_listener(
            app,
            listener=name,
            authenticator=authenticator,
            rates=_rates(site.settings),
            watcher=TelemetryWatcher(site.log, site.metrics, denials),
            carries_cards=carries_cards,
            body_bytes_max={"/v1/tokens/bulk": BULK_BODY_BYTES_MAX},
            lean_lane=lean_lane,
        )


async def platform_secret(keyring: Keyring, name: KeyName) -> Secret[bytes]:
    """Return a key of the installation itself."""
    return (await keyring.current(PLATFORM_MERCHANT, PLATFORM_MODE, name)).secret


def _rates(settings: Settings) -> Rates:
    return Rates(
        public=RateLimiter(
            Rate(settings.rate_public_per_second, settings.rate_public_per_second * 2)
        ),
        secret=RateLimiter(
            Rate(settings.rate_secret_per_second, settings.rate_secret_per_second * 2)
        ),
        stranger=RateLimiter(
            Rate(settings.rate_stranger_per_second, settings.rate_stranger_per_second * 2)
        ),
    )


def _answers(database: Database) -> Callable[[], Any]:
    async def check() -> None:
        await database.value("select 1")

    return check


def _store_answers(store: KeyStore) -> Callable[[], Any]:
    async def check() -> None:
        await store.describe()

    return check


def _partitions(database: Database) -> Callable[[], Any]:
    async def keep() -> None:
        await database.value(
            f"select idempotency.keep_partitions({PARTITION_DAYS_AHEAD}, {IDEMPOTENCY_DAYS_KEPT})"
        )
        await database.value(f"select audit.keep_partitions({PARTITION_MONTHS_AHEAD})")

    return keep


def system_clock() -> Clock:
    """Return the clock that everything but tests runs on."""
    return SystemClock()


__all__ = ["Composer", "Origin", "Site"]
