# SPDX-License-Identifier: Apache-2.0
"""What a process opens once and its roles share; closed in the reverse order, whatever happened."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from strongroom.audit import PLATFORM
from strongroom.audit.parts import LogParts
from strongroom.audit.recorder import EventRecorder
from strongroom.audit.seal import Sealer
from strongroom.audit.sinks.file import FileSink
from strongroom.compose.key_records import key_witness
from strongroom.compose.key_stores import open_key_store
from strongroom.compose.site import Site, platform_secret
from strongroom.config.internal import internal_files
from strongroom.config.roles import CALLERS, ServedRole
from strongroom.db.group_commit import BatchObserver, GroupWriter, Sink
from strongroom.db.logins import Domain, Login
from strongroom.db.migrate import require_current
from strongroom.db.pool import Database
from strongroom.egress import EgressPolicy
from strongroom.egress.client import Egress
from strongroom.identity.revocation import Trust
from strongroom.jobs import Periodic, Task, Worker
from strongroom.kernel.invariant import Bug
from strongroom.keys import KeyName, KeyStore, Purpose, roots_of
from strongroom.keys.keyring import Keyring
from strongroom.keys.store import PostgresDataKeyTable
from strongroom.keys.stores.guarded import GuardedKeyStore
from strongroom.keys.stores.metered import MeteredKeyStore
from strongroom.telemetry.health import Check, HealthRegistry
from strongroom.telemetry.security import SecurityEvents
from strongroom.vault import Connections, Forwarder, Outbox

Row = TypeVar("Row")
Result = TypeVar("Result")
Part = TypeVar("Part")


class Process:
    """What is open in this process."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.health = HealthRegistry()
        #: The one stream of security events; every recorder of this process tells it.
        self.security_events = SecurityEvents(site.log, site.metrics.security)
        self.policy = EgressPolicy(
            frozenset(site.settings.egress_loopback),
            site.settings.egress_ca,
            site.settings.production,
        )
        self._ready: set[str] = set()
        self._stack = AsyncExitStack()
        self._tables: dict[Keyring, PostgresDataKeyTable] = {}
        self._store: KeyStore | None = None
        self._opened_store: KeyStore | None = None
        self._egress: Egress | None = None
        self._forwarder: Forwarder | None = None
        self._vault_connections: Connections | None = None
        self._outbox: Outbox | None = None
        self._worker: Worker | None = None
        self._trust: Trust | None = None
        self._worker_recorder: EventRecorder | None = None
        self._vault_recorder: EventRecorder | None = None

    async def close(self) -> None:
        """Close everything in the reverse order."""
        await self._stack.aclose()

    def ready(self, name: str, check: Check) -> None:
        """Add a readiness check, once a process: roles that share one share what it stands on."""
        if name not in self._ready:
            self._ready.add(name)
            self.health.add_readiness(name, check)

    def on_close(self, work: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        """Await this when everything is closed, before what was opened earlier."""
        self._stack.push_async_callback(work, *arguments, **named)

    def call_on_close(self, work: Callable[[], None]) -> None:
        """Call this when everything is closed, likewise; it must not wait."""
        self._stack.callback(work)

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
            site = self.site
            opened = await open_key_store(
                site.settings,
                site.passphrase,
                purposes=roots_of(site.roles),
                role_keys=site.role_keys,
            )
            self._opened_store = opened
            metrics = self.site.metrics.keys
            self._store = GuardedKeyStore(MeteredKeyStore(opened, metrics), metrics)
            self.on_close(self._store.close)
        return self._store

    async def opened_key_store(self) -> KeyStore:
        """Return the key store itself, for what only its kind can do."""
        await self.key_store()
        return present(self._opened_store)

    async def keyring(self, database: Database, *purposes: Purpose) -> Keyring:
        """Open a database's data keys for the roots that a role is granted."""
        table = PostgresDataKeyTable(database, self.site.clock)
        keyring = Keyring(await self.key_store(), table, self.site.clock)
        await keyring.start(purposes)
        self.on_close(keyring.close)
        self._tables[keyring] = table
        return keyring

    def egress(self) -> Egress:
        """Return the one client of this process that calls addresses which come from data."""
        if self._egress is None:
            self._egress = Egress(self.policy, self.site.metrics.egress.observe)
            self.on_close(self._egress.close)
        return self._egress

    async def recorder(self, database: Database, keyring: Keyring) -> EventRecorder:
        """Make the recorder of a database; from here on it also records the keys that are made there."""
        recorder = EventRecorder(
            database,
            await platform_secret(keyring, KeyName.AUDIT_ROW_MAC),
            self.site.clock,
            self.security_events,
        )
        table = self._tables.get(keyring)
        if table is not None:
            table.witness = key_witness(recorder, self.site.clock)
            table.witness_sees = (PLATFORM,)
        return recorder

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
            stream=self.security_events,
        )

    async def remote_vault(self) -> None:
        """Ask the vault of another process, over its internal port, for whatever this one's roles ask.

        Raises:
            CertificateMissing, InternalUrlRefused: see each.
        """
        # Its library takes longer to import than the rest; a process with a vault of its own needs none of it.
        from strongroom.egress.internal import InternalClient  # noqa: PLC0415
        from strongroom.vault.internal.remote import RemoteVault  # noqa: PLC0415

        site = self.site
        caller = next(role for role in ServedRole if role in site.roles & CALLERS)
        files = internal_files(site.settings, caller)
        client = InternalClient(site.settings.vault_internal_url, files)
        self.on_close(client.close)
        remote = RemoteVault(client, site.clock)
        self._forwarder = self._vault_connections = self._outbox = remote
        self.ready("vault", remote.alive)

    def periodic(self, tasks: Sequence[Task]) -> None:
        """Start a role's periodic work."""
        work = Periodic(tasks, self.site.log)
        work.start()
        self.on_close(work.stop)

    def writer(
        self, sink: Sink[Row, Result], family: str, *, gather_seconds: float = 0, **bounds: int
    ) -> GroupWriter[Row, Result]:
        """Make a group-commit writer that is drained before its database closes."""
        metrics = self.site.metrics.group_commit.writer(family)
        observer = BatchObserver(metrics.batch, metrics.wait)
        writer = GroupWriter(sink, observer=observer, gather_seconds=gather_seconds, **bounds)
        metrics.watch_queue(lambda: writer.waiting)
        self.on_close(writer.drain)
        return writer

    @property
    def forwarder(self) -> Forwarder:
        """What the vault of this process offers to payments. Compose the vault first."""
        return present(self._forwarder)

    @property
    def vault_connections(self) -> Connections:
        """Where the vault of this process keeps credentials. Compose the vault first."""
        return present(self._vault_connections)

    @property
    def vault_outbox(self) -> Outbox:
        """What merchants are to be told of the vault. Compose the vault first."""
        return present(self._outbox)

    def wake(self, kind: str) -> None:
        """Tell the worker of this process, if it has one, that a job was put; another's finds it by looking."""
        if self._worker is not None:
            self._worker.wake(kind)


def present(part: Part | None) -> Part:
    """Return a part that an earlier role of this process has composed."""
    if part is None:
        raise Bug("what is called is composed before what calls it")
    return part
