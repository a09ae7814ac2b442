# SPDX-License-Identifier: Apache-2.0
"""Opens what a process needs, in order, and closes it in the reverse order. Every role takes its own login."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, TypeVar

from strongroom.audit import Recorder
from strongroom.audit.denials import DenialLog
from strongroom.audit.parts import LogParts
from strongroom.audit.reader import DatabaseAuditReader
from strongroom.audit.recorder import EventRecorder
from strongroom.audit.seal import Sealer
from strongroom.audit.sinks.file import FileSink
from strongroom.compose import payments as payment_parts
from strongroom.compose.documents import (
    GATEWAY_ROUTES,
    VAULT_ROUTES,
    WEBHOOKS_ROUTES,
    gateway_document,
    vault_document,
    webhooks_document,
)
from strongroom.compose.site import (
    Site,
    answers_of,
    open_key_store,
    partitions_of,
    platform_secret,
    rates_of,
    store_answers,
)
from strongroom.db.group_commit import BatchObserver, GroupWriter, Sink
from strongroom.db.logins import Domain, Login
from strongroom.db.migrate import require_current
from strongroom.db.pool import Database
from strongroom.egress import EgressPolicy
from strongroom.egress.client import Egress
from strongroom.http import operations
from strongroom.http.app import build_app, build_listener
from strongroom.http.edge import Edge
from strongroom.http.limits import BULK_BODY_BYTES_MAX
from strongroom.http.watch import TelemetryWatcher
from strongroom.identity.authenticate import KeyAuthenticator
from strongroom.identity.service import IdentityService
from strongroom.jobs import Periodic, Task, Worker
from strongroom.keys import KeyName, KeyStore, Purpose
from strongroom.keys.keyring import Keyring
from strongroom.keys.store import PostgresDataKeyTable
from strongroom.keys.stores.metered import MeteredKeyStore
from strongroom.telemetry.health import HealthRegistry
from strongroom.vault import Connections, Forwarder
from strongroom.vault.bulk import BulkMaker
from strongroom.vault.connections import VaultConnections
from strongroom.vault.create import TokenMaker
from strongroom.vault.cvc import CvcEpochs
from strongroom.vault.destinations import Destinations
from strongroom.vault.forward import VaultForwarder
from strongroom.vault.ports import Vault
from strongroom.vault.sealing import CardSealer
from strongroom.vault.tokens import Tokens
from strongroom.vault.writes import TokenSink

BULK_CALLS_WAITING_MAX: Final = 32
RETENTION_SECONDS: Final = 30.0
PARTITION_SECONDS: Final = 3_600.0

Row = TypeVar("Row")
Result = TypeVar("Result")


class Composer:
    """Opens and closes the parts of a process."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.health = HealthRegistry()
        self.policy = EgressPolicy(
            frozenset(site.settings.egress_loopback),
            site.settings.egress_ca,
            site.settings.production,
        )
        self._stack = AsyncExitStack()
        self._store: KeyStore | None = None
        self._egress: Egress | None = None
        self._forwarder: Forwarder | None = None
        self._vault_connections: Connections | None = None
        self._worker: Worker | None = None

    async def close(self) -> None:
        """Close everything in the reverse order."""
        await self._stack.aclose()

    def on_close(self, work: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        """Await this when everything is closed, before what was opened earlier."""
        self._stack.push_async_callback(work, *arguments, **named)

    async def database(self, domain: Domain, login: Login, connections_max: int = 8) -> Database:
        """Open a login's pool, and refuse a schema that is not this release's."""
        database = Database(self.site.addresses(domain, login), connections_max=connections_max)
        await database.open()
        self.on_close(database.close)
        await require_current(database, domain)
        return database

    async def key_store(self) -> KeyStore:
        """Open the key store, once a process."""
        if self._store is None:
            opened = await open_key_store(self.site.settings, self.site.passphrase)
            self._store = MeteredKeyStore(opened, self.site.metrics.keys)
            self.on_close(self._store.close)
        return self._store

    async def keyring(self, database: Database, *purposes: Purpose) -> Keyring:
        """Open a database's data keys for the roots that a role is granted."""
        table = PostgresDataKeyTable(database)
        keyring = Keyring(await self.key_store(), table, self.site.clock)
        await keyring.start(purposes)
        self.on_close(keyring.close)
        return keyring

    def egress(self) -> Egress:
        """Return the one client of this process that calls addresses which come from data."""
        if self._egress is None:
            self._egress = Egress(self.policy, self.site.metrics.egress.observe)
            self.on_close(self._egress.close)
        return self._egress

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

        self.on_close(end)
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
        self.on_close(work.stop)

    def writer(
        self, sink: Sink[Row, Result], family: str, **bounds: int
    ) -> GroupWriter[Row, Result]:
        """Make a group-commit writer that is drained before its database closes."""
        metrics = self.site.metrics.group_commit.writer(family)
        writer = GroupWriter(sink, observer=BatchObserver(metrics.batch, metrics.wait), **bounds)
        metrics.watch_queue(lambda: writer.waiting)
        self.on_close(writer.drain)
        return writer

    async def vault(self, *, lean_lane: bool = True) -> Edge:
        """Compose the vault role: the card-bearing listener's app, its sealer and its jobs."""
        site = self.site
        batches = site.settings.group_commit_batches
        database = await self.database(Domain.VAULT, Login.VAULT, connections_max=batches + 6)
        core = await self.database(Domain.CORE, Login.VAULT, connections_max=4)
        keyring = await self.keyring(database, Purpose.CARD, Purpose.AUDIT, Purpose.CREDENTIAL)
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
        self._open_forwarding(database, keyring, epochs, recorder)
        self.health.add_readiness("vault_database", answers_of(database))
        self.health.add_readiness("key_store", store_answers(await self.key_store()))
        await self.sealer(Domain.VAULT)
        self.periodic(
            [
                Task("cvc-epochs", RETENTION_SECONDS, epochs.destroy_past),
                Task("expired-tokens", RETENTION_SECONDS, tokens.delete_expired),
                Task("vault-partitions", PARTITION_SECONDS, partitions_of(database)),
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

    def _open_forwarding(
        self, database: Database, keyring: Keyring, epochs: CvcEpochs, recorder: EventRecorder
    ) -> None:
        """Compose what the vault offers to payments in this process."""
        site = self.site
        destinations = Destinations(each.destination for each in payment_parts.ADAPTERS.values())
        connections = VaultConnections(
            database=database,
            keyring=keyring,
            destinations=destinations,
            policy=self.policy,
            recorder=recorder,
            clock=site.clock,
        )
        self.on_close(connections.close)
        forwarder = VaultForwarder(
            database=database,
            sealer=CardSealer(keyring),
            epochs=epochs,
            connections=connections,
            destinations=destinations,
            egress=self.egress(),
            recorder=recorder,
            clock=site.clock,
        )
        self._stack.callback(forwarder.close)
        self._forwarder = forwarder
        self._vault_connections = connections

    @property
    def forwarder(self) -> Forwarder:
        """What the vault of this process offers to payments. Compose the vault first."""
        return payment_parts.present(self._forwarder)

    @property
    def vault_connections(self) -> Connections:
        """Where the vault of this process keeps credentials. Compose the vault first."""
        return payment_parts.present(self._vault_connections)

    async def gateway(self, *, lean_lane: bool = True) -> Edge:
        """Compose the gateway role: merchants, keys, payments, endpoints. No access to the card root."""
        site = self.site
        database = await self.database(Domain.CORE, Login.GATEWAY, connections_max=12)
        keyring = await self.keyring(database, Purpose.IDENTITY, Purpose.AUDIT, Purpose.WEBHOOK)
        recorder = await self.recorder(database, keyring)
        hash_key = await platform_secret(keyring, KeyName.API_KEY_HASH)
        identity = IdentityService(database, hash_key, recorder, site.clock)
        self.health.add_readiness("core_database", answers_of(database))
        await self.sealer(Domain.CORE)
        self.periodic([Task("core-partitions", PARTITION_SECONDS, partitions_of(database))])
        state = payment_parts.gateway_state(self, database, keyring, recorder)
        return await self._listener(
            "gateway",
            GATEWAY_ROUTES,
            {
                "identity": identity,
                "audit": await self._reader(database, keyring, recorder, "core"),
                **state,
            },
            gateway_document,
            database,
            recorder,
            carries_cards=False,
            lean_lane=lean_lane,
        )

    async def webhooks(self, *, lean_lane: bool = True) -> Edge:
        """Compose the webhooks role: the public listener of processors and returning customers."""
        database = await self.database(Domain.CORE, Login.WEBHOOKS, connections_max=6)
        keyring = await self.keyring(database, Purpose.WEBHOOK, Purpose.AUDIT)
        recorder = await self.recorder(database, keyring)
        return await self._listener(
            "webhooks",
            WEBHOOKS_ROUTES,
            payment_parts.webhooks_state(self, database, keyring),
            webhooks_document,
            None,
            recorder,
            carries_cards=False,
            lean_lane=lean_lane,
        )

    async def worker(self) -> None:
        """Compose the worker role: look-ups, notices and deliveries, under its own login."""
        database = await self.database(Domain.CORE, Login.WORKER, connections_max=10)
        keyring = await self.keyring(database, Purpose.WEBHOOK, Purpose.AUDIT)
        recorder = await self.recorder(database, keyring)
        self._worker = payment_parts.start_worker(self, database, keyring, recorder)

    def wake(self, kind: str) -> None:
        """Tell the worker of this process, if it has one, that a job was put; another's finds it by looking."""
        if self._worker is not None:
            self._worker.wake(kind)

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
        identity_database: Database | None,
        recorder: EventRecorder,
        *,
        carries_cards: bool,
        lean_lane: bool,
    ) -> Edge:
        site = self.site
        authenticator = None
        if identity_database is not None:
            keyring = await self.keyring(identity_database, Purpose.IDENTITY)
            authenticator = KeyAuthenticator(
                identity_database, await platform_secret(keyring, KeyName.API_KEY_HASH), site.clock
            )
        denials = DenialLog(recorder.database, recorder, site.clock)
        self.periodic([Task(f"{name}-denials", 1.0, denials.flush)])
        self.on_close(denials.flush, final=True)  # what is being counted, too
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
            rates=rates_of(site.settings),
            watcher=TelemetryWatcher(site.log, site.metrics, denials),
            carries_cards=carries_cards,
            body_bytes_max={"/v1/tokens/bulk": BULK_BODY_BYTES_MAX},
            lean_lane=lean_lane,
        )
