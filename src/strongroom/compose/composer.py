# SPDX-License-Identifier: Apache-2.0
"""The roles of a process: what each opens, in order, under which login, and with which routes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from strongroom.audit import Recorder
from strongroom.audit.denials import DenialLog
from strongroom.audit.reader import DatabaseAuditReader
from strongroom.audit.recorder import EventRecorder
from strongroom.compose import access as access_parts
from strongroom.compose import payments as payment_parts
from strongroom.compose import sessions as session_parts
from strongroom.compose.console import console_state
from strongroom.compose.core_keys import core_keys_of, reseal_in, watch_keys
from strongroom.compose.documents import (
    CONSOLE_ROUTES,
    GATEWAY_ROUTES,
    VAULT_ROUTES,
    WEBHOOKS_ROUTES,
    console_document,
    gateway_document,
    vault_document,
    webhooks_document,
    worker_document,
)
from strongroom.compose.edges import callers_of, gate_of, reached_from
from strongroom.compose.key_periods import watch_periods
from strongroom.compose.key_schedule import core_schedule, on_schedule
from strongroom.compose.operators import Operators
from strongroom.compose.payment_work import start_worker
from strongroom.compose.process import present
from strongroom.compose.site import (
    answers_of,
    partitions_of,
    platform_secret,
    rates_of,
    store_answers,
    unlimited,
)
from strongroom.compose.vault import forwarding_for_payments, vault_parts, vault_state
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database
from strongroom.http import Authenticator, operations
from strongroom.http.app import build_app, build_listener
from strongroom.http.edge import Edge, Rates
from strongroom.http.limits import BULK_BODY_BYTES_MAX, FORWARD_BODY_BYTES_MAX
from strongroom.http.watch import TelemetryWatcher
from strongroom.identity.columns import COLUMNS as IDENTITY_COLUMNS
from strongroom.identity.service import IdentityService
from strongroom.jobs import Task
from strongroom.keys import KeyName, Purpose
from strongroom.keys.keyring import Keyring
from strongroom.keys.store import PostgresDataKeyTable
from strongroom.payments.customers.columns import COLUMNS as CUSTOMER_COLUMNS
from strongroom.vault.internal import api as internal_api
from strongroom.vault.internal.api import InternalPort
from strongroom.vault.outbox.service import VaultOutbox
from strongroom.webhooks.columns import GATEWAY_COLUMNS, WORKER_COLUMNS

BULK_CALLS_WAITING_MAX: Final = 32
RETENTION_SECONDS: Final = 30.0
PARTITION_SECONDS: Final = 3_600.0


class Composer(Operators):
    """Composes roles. The vault comes first where one process has them all: payments call it."""

    async def vault(self, *, lean_lane: bool = True) -> Edge:
        """Compose the vault role: the card-bearing listener's app, its sealer and its jobs."""
        parts = await vault_parts(self)
        self._forwarder, self._vault_connections = forwarding_for_payments(parts)
        self._outbox = VaultOutbox(parts.database)
        self._vault_recorder = parts.recorder
        await self._core_role(parts.core)
        self.ready("vault_database", answers_of(parts.database))
        await self.sealer(Domain.VAULT)
        state = await vault_state(parts)
        await parts.work.start()
        return await self._listener(
            "vault",
            VAULT_ROUTES,
            {
                **state,
                "approvals": await access_parts.gate_of(
                    self, parts.core, parts.core_keyring, parts.core_recorder
                ),
                "audit": await self._reader(parts.database, parts.keyring, parts.recorder, "vault"),
            },
            vault_document,
            parts.core,
            parts.recorder,
            carries_cards=True,
            lean_lane=lean_lane,
        )

    async def vault_port(self) -> Edge:
        """Compose the vault's internal port, for gateway and worker in other processes. Compose the vault first."""
        return await self._listener(
            "vault_internal",
            (*internal_api.ROUTES, *operations.ROUTES),
            {
                "port": InternalPort(
                    self.forwarder, self.vault_connections, self.vault_outbox, self.site.clock
                )
            },
            vault_document,
            None,
            present(self._vault_recorder),
            carries_cards=False,
            lean_lane=True,
            # Whoever is let in here speaks for every merchant at once.
            rates=unlimited(),
        )

    async def gateway(self, *, lean_lane: bool = True) -> Edge:
        """Compose the gateway role: merchants, keys, payments, endpoints. No access to the card root."""
        site = self.site
        database = await self.database(Domain.CORE, Login.GATEWAY, connections_max=12)
        keyring = await self.keyring(database, Purpose.IDENTITY, Purpose.AUDIT, Purpose.WEBHOOK)
        recorder = await self.recorder(database, keyring)
        hash_key = await platform_secret(keyring, KeyName.API_KEY_HASH)
        identity = IdentityService(database, hash_key, recorder, site.clock)
        await self._core_role(database)
        await self.sealer(Domain.CORE)
        self.periodic([Task("core-partitions", PARTITION_SECONDS, partitions_of(database))])
        columns = (*GATEWAY_COLUMNS, *CUSTOMER_COLUMNS)
        reseal_in(self, "gateway", database, keyring, recorder, columns)
        # The console, which watches the others of this database, has no such root.
        table = PostgresDataKeyTable(database, site.clock)
        watch_periods(self, Domain.CORE, table, (Purpose.WEBHOOK,))
        state = payment_parts.gateway_state(self, database, keyring, recorder)
        return await self._listener(
            "gateway",
            GATEWAY_ROUTES,
            {
                "identity": identity,
                "approvals": await access_parts.gate_of(self, database, keyring, recorder),
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
        await self._core_role(database)
        watch_keys(self, "webhooks", keyring)
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

    async def console(self, *, lean_lane: bool = True) -> Edge:
        """Compose the console role: people, their sessions and their access. No access to the card root."""
        database = await self.database(Domain.CORE, Login.CONSOLE, connections_max=6)
        keyring = await self.keyring(database, Purpose.IDENTITY, Purpose.AUDIT)
        recorder = await self.recorder(database, keyring)
        hash_key = await platform_secret(keyring, KeyName.API_KEY_HASH)
        await self._core_role(database)
        denials = self._denials("console", recorder)
        reseal_in(self, "console", database, keyring, recorder, IDENTITY_COLUMNS)
        table, purposes = PostgresDataKeyTable(database, self.site.clock), (Purpose.IDENTITY,)
        watch_periods(self, Domain.CORE, table, (*purposes, Purpose.AUDIT))
        core_keys = core_keys_of(self, database, keyring, IDENTITY_COLUMNS)
        on_schedule(self, "console", core_schedule(self, table, purposes, core_keys, recorder))
        return await self._listener(
            "console",
            CONSOLE_ROUTES,
            {
                "identity": IdentityService(database, hash_key, recorder, self.site.clock),
                "audit": await self._reader(database, keyring, recorder, "core"),
                **await console_state(self, database, keyring, recorder, denials),
            },
            console_document,
            database,
            recorder,
            carries_cards=False,
            lean_lane=lean_lane,
            denials=denials,
        )

    async def worker(self) -> None:
        """Compose the worker role: look-ups, notices and deliveries, under its own login."""
        database = await self.database(Domain.CORE, Login.WORKER, connections_max=10)
        keyring = await self.keyring(database, Purpose.WEBHOOK, Purpose.AUDIT)
        recorder = await self.recorder(database, keyring)
        await self._core_role(database)
        reseal_in(self, "worker", database, keyring, recorder, WORKER_COLUMNS)
        self._worker = start_worker(self, database, keyring, recorder)
        self._worker_recorder = recorder

    async def operations(self) -> Edge:
        """Compose what a worker of its own says of itself: health and metrics. Compose the worker first."""
        return await self._listener(
            "worker",
            operations.ROUTES,
            {},
            worker_document,
            None,
            present(self._worker_recorder),
            carries_cards=False,
            lean_lane=True,
        )

    async def _core_role(self, database: Database) -> None:
        """Say what every role stands on: the core database and the key store."""
        self.ready("core_database", answers_of(database))
        self.ready("key_store", store_answers(await self.key_store()))

    async def authenticator(self, listener: str, database: Database) -> Authenticator:
        """Return what checks the credentials of a listener: API keys and access tokens."""
        if self._trust is None:
            self._trust = await session_parts.trust_of(self, database)
        return await session_parts.authenticator_of(self, listener, database, self._trust)

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

    def _denials(self, name: str, recorder: EventRecorder) -> DenialLog:
        """Compose what a listener's refusals of strangers are recorded by."""
        denials = DenialLog(recorder.database, recorder, self.site.clock)
        self.periodic([Task(f"{name}-denials", 1.0, denials.flush)])
        self.on_close(denials.flush, final=True)  # what is being counted, too
        return denials

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
        denials: DenialLog | None = None,
        rates: Rates | None = None,
    ) -> Edge:
        site = self.site
        authenticator = None
        if identity_database is not None:
            authenticator = await self.authenticator(name, identity_database)
        denials = denials or self._denials(name, recorder)
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
            rates=rates or rates_of(site.settings),
            watcher=TelemetryWatcher(site.log, site.metrics, denials),
            carries_cards=carries_cards,
            body_bytes_max={
                "/v1/tokens/bulk": BULK_BODY_BYTES_MAX,
                "/v1/forward": FORWARD_BODY_BYTES_MAX,
            },
            lean_lane=lean_lane,
            callers=callers_of(site, name, denials),
            gate=await gate_of(self, identity_database, name),
            reached_from=reached_from(site.settings, name),
        )
