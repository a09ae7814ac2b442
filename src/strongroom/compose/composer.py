# SPDX-License-Identifier: Apache-2.0
"""The roles of a process: what each opens, in order, under which login, and with which routes."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from strongroom.audit import Recorder
from strongroom.audit.denials import DenialLog
from strongroom.audit.reader import DatabaseAuditReader
from strongroom.audit.recorder import EventRecorder
from strongroom.audit.sinks.region import pinned_region
from strongroom.compose import access as access_parts
from strongroom.compose import containers as container_parts
from strongroom.compose import payments as payment_parts
from strongroom.compose import sessions as session_parts
from strongroom.compose.console import console_state, people_of
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
from strongroom.compose.erasure import erasures_of
from strongroom.compose.forwarding import forward_desk, operator_destinations
from strongroom.compose.key_periods import watch_periods
from strongroom.compose.operator_keys import OperatorKeys, operator_keys_of
from strongroom.compose.process import Process, present
from strongroom.compose.reveal import reveals_of
from strongroom.compose.sign_on import providers_of
from strongroom.compose.site import (
    answers_of,
    partitions_of,
    platform_secret,
    rates_of,
    store_answers,
    unlimited,
)
from strongroom.compose.transfer import transfer_of
from strongroom.compose.vault_work import VaultWork, rotation_state
from strongroom.crypto import Algorithm
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database
from strongroom.http import Authenticator, operations
from strongroom.http.app import build_app, build_listener
from strongroom.http.edge import Edge, Rates
from strongroom.http.limits import BULK_BODY_BYTES_MAX, FORWARD_BODY_BYTES_MAX
from strongroom.http.watch import TelemetryWatcher
from strongroom.identity.access.reviews import AccessReviews
from strongroom.identity.approvals.gate import ApprovalGate
from strongroom.identity.networks.service import NetworksService
from strongroom.identity.people.service import PeopleService
from strongroom.identity.regions import MerchantRegions
from strongroom.identity.service import IdentityService
from strongroom.identity.services.ports import ServiceBook
from strongroom.identity.signing_ports import SigningKeyBook
from strongroom.identity.sso.providers import Providers
from strongroom.jobs import Task
from strongroom.keys import KeyName, Purpose
from strongroom.keys.keyring import Keyring
from strongroom.keys.store import PostgresDataKeyTable
from strongroom.vault.bulk import BulkMaker
from strongroom.vault.canary import put_canary
from strongroom.vault.changes import TokenChanger
from strongroom.vault.connections import VaultConnections
from strongroom.vault.containers.feed import RuleFeed
from strongroom.vault.containers.service import ContainerDesk
from strongroom.vault.create import TokenMaker
from strongroom.vault.cvc import CvcEpochs
from strongroom.vault.destinations import Destinations
from strongroom.vault.details import DetailSealer
from strongroom.vault.finding import TokenFinder
from strongroom.vault.forward import VaultForwarder
from strongroom.vault.forwarding.operating import DestinationOperator
from strongroom.vault.internal import api as internal_api
from strongroom.vault.internal.api import InternalPort
from strongroom.vault.ports import Vault
from strongroom.vault.residency import Residency, require_places, require_region, require_same
from strongroom.vault.sealing import CardSealer
from strongroom.vault.search.service import TokenSearch
from strongroom.vault.tokens import Tokens
from strongroom.vault.writes import TokenSink

BULK_CALLS_WAITING_MAX: Final = 32
RETENTION_SECONDS: Final = 30.0
PARTITION_SECONDS: Final = 3_600.0


class Composer(Process):
    """Composes roles. The vault comes first where one process has them all: payments call it."""

    async def vault(self, *, lean_lane: bool = True) -> Edge:
        """Compose the vault role: the card-bearing listener's app, its sealer and its jobs."""
        site = self.site
        batches = site.settings.group_commit_batches
        database = await self.database(Domain.VAULT, Login.VAULT, connections_max=batches + 6)
        core = await self.database(Domain.CORE, Login.VAULT, connections_max=4)
        keyring = await self.keyring(database, Purpose.CARD, Purpose.AUDIT, Purpose.CREDENTIAL)
        recorder = await self.recorder(database, keyring)
        region = site.settings.vault_region
        await require_region(database, region, site.clock)
        pinned = await asyncio.to_thread(pinned_region, site.settings.sink_folder, region)
        require_same(region, pinned, "the audit sink")
        store = await self.key_store()
        require_places(region, site.settings.vault_locations, await store.describe())
        await put_canary(database, keyring, site.clock)
        sealer = CardSealer(
            keyring,
            Residency(MerchantRegions(core), region),
            Algorithm(site.settings.card_algorithm),
            site.clock,
        )
        epochs = CvcEpochs(
            database, await self.key_store(), recorder, site.clock, site.metrics.vault
        )
        sink = TokenSink(database)
        rules = await container_parts.rules_of(self, database)
        maker = TokenMaker(
            rules=rules,
            sealer=sealer,
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
        finder = TokenFinder(recorder, site.clock, DetailSealer(sealer))
        tokens = Tokens(
            database=database,
            epochs=epochs,
            recorder=recorder,
            clock=site.clock,
            metrics=site.metrics.vault,
            rules=rules,
            finder=finder,
        )
        vault = Vault(
            maker,
            BulkMaker(maker, bulk_writer),
            tokens,
            recorder,
            site.clock,
            site.metrics.vault,
            rules,
            TokenChanger(database, rules, finder),
            TokenSearch(database, rules, finder, keyring),
        )
        work = VaultWork(self, database, recorder)
        self._open_forwarding(database, keyring, sealer, epochs, recorder, rules)
        transfer = transfer_of(self, database, keyring, sealer, recorder, rules, work)
        self._vault_recorder = recorder
        await self._core_role(core)
        self.ready("vault_database", answers_of(database))
        await self.sealer(Domain.VAULT)
        self.periodic(
            [
                Task("cvc-epochs", RETENTION_SECONDS, epochs.destroy_past),
                Task("expired-tokens", RETENTION_SECONDS, tokens.delete_expired),
                Task("vault-partitions", PARTITION_SECONDS, partitions_of(database)),
            ]
        )
        watch_periods(
            self,
            Domain.VAULT,
            PostgresDataKeyTable(database, site.clock),
            (Purpose.CARD, Purpose.CREDENTIAL),
        )
        rotation = await rotation_state(self, database, keyring, recorder, work)
        erasures = erasures_of(self, database, keyring, recorder, rules, work, rotation["rotation"])
        await work.start()
        return await self._listener(
            "vault",
            VAULT_ROUTES,
            {
                "vault": vault,
                "jobs": work.jobs,
                "reveals": reveals_of(self, database, sealer, rules, recorder),
                "forwarding": forward_desk(
                    self,
                    database=database,
                    keyring=keyring,
                    sealer=sealer,
                    recorder=recorder,
                    epochs=epochs,
                    maker=maker,
                    rules=rules,
                ),
                "transfer": transfer,
                "containers": ContainerDesk(database, recorder, site.clock, rules),
                **rotation,
                "erasures": erasures,
                "approvals": await self._vault_approvals(core),
                "audit": await self._reader(database, keyring, recorder, "vault"),
            },
            vault_document,
            core,
            recorder,
            carries_cards=True,
            lean_lane=lean_lane,
        )

    async def _vault_approvals(self, core: Database) -> ApprovalGate:
        """Compose four eyes for the vault's routes: asked for, used and recorded in the core database."""
        keyring = await self.keyring(core, Purpose.IDENTITY, Purpose.AUDIT)
        recorder = await self.recorder(core, keyring)
        return await access_parts.gate_of(self, core, keyring, recorder)

    def _open_forwarding(
        self,
        database: Database,
        keyring: Keyring,
        sealer: CardSealer,
        epochs: CvcEpochs,
        recorder: EventRecorder,
        rules: RuleFeed,
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
            sealer=sealer,
            details=DetailSealer(sealer),
            epochs=epochs,
            connections=connections,
            destinations=destinations,
            egress=self.egress(),
            recorder=recorder,
            clock=site.clock,
            rules=rules,
        )
        self._stack.callback(forwarder.close)
        self._forwarder = forwarder
        self._vault_connections = connections

    async def vault_port(self) -> Edge:
        """Compose the vault's internal port, for gateway and worker in other processes. Compose the vault first."""
        return await self._listener(
            "vault_internal",
            (*internal_api.ROUTES, *operations.ROUTES),
            {"port": InternalPort(self.forwarder, self.vault_connections, self.site.clock)},
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
        watch_periods(
            self,
            Domain.CORE,
            PostgresDataKeyTable(database, self.site.clock),
            (Purpose.IDENTITY, Purpose.AUDIT),
        )
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
        self._worker = payment_parts.start_worker(self, database, keyring, recorder)
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

    async def operator_identity(self) -> IdentityService:
        """Compose identity for the operators' commands, under the console's login."""
        database = await self.database(Domain.CORE, Login.CONSOLE, connections_max=2)
        keyring = await self.keyring(database, Purpose.IDENTITY, Purpose.AUDIT)
        recorder = await self.recorder(database, keyring)
        hash_key = await platform_secret(keyring, KeyName.API_KEY_HASH)
        return IdentityService(database, hash_key, recorder, self.site.clock)

    async def operator_recorder(self) -> tuple[Database, Recorder]:
        """Compose what an operator's change outside the database is recorded by, under the console's login."""
        database = await self.database(Domain.CORE, Login.CONSOLE, connections_max=2)
        keyring = await self.keyring(database, Purpose.AUDIT)
        return database, await self.recorder(database, keyring)

    async def operator_machines(self) -> tuple[SigningKeyBook, ServiceBook]:
        """Compose signing keys and services for the operators' commands, under the console's login."""
        return await session_parts.operator_parts(self)

    async def operator_keys(self) -> OperatorKeys:
        """Compose encryption keys for the operators' commands, under the vault's and the console's logins."""
        return await operator_keys_of(self)

    async def operator_networks(self) -> NetworksService:
        """Compose allow-lists for the operators' commands, under the console's login."""
        database = await self.database(Domain.CORE, Login.CONSOLE, connections_max=2)
        keyring = await self.keyring(database, Purpose.AUDIT)
        return NetworksService(database, await self.recorder(database, keyring), self.site.clock)

    async def operator_containers(self) -> ContainerDesk:
        """Compose containers and access rules for the operators' commands, under the vault's login."""
        return await container_parts.operator_desk(self)

    async def operator_destinations(self) -> DestinationOperator:
        """Compose destinations for the operators' commands, under the vault's login."""
        return await operator_destinations(self)

    async def operator_access(self) -> AccessReviews:
        """Compose reviews of access for the operators' commands, under the console's login."""
        database = await self.database(Domain.CORE, Login.CONSOLE, connections_max=2)
        keyring = await self.keyring(database, Purpose.IDENTITY, Purpose.AUDIT)
        return access_parts.reviews_of(self, database, await self.recorder(database, keyring))

    async def operator_people(self) -> PeopleService:
        """Compose people for the operators' commands, under the console's login."""
        database = await self.database(Domain.CORE, Login.CONSOLE, connections_max=2)
        keyring = await self.keyring(database, Purpose.IDENTITY, Purpose.AUDIT)
        recorder = await self.recorder(database, keyring)
        return (await people_of(self, database, keyring, recorder)).desk.people

    async def operator_providers(self) -> Providers:
        """Compose identity providers for the operators' commands, under the console's login."""
        database = await self.database(Domain.CORE, Login.CONSOLE, connections_max=2)
        keyring = await self.keyring(database, Purpose.IDENTITY, Purpose.AUDIT)
        recorder = await self.recorder(database, keyring)
        sessions = await session_parts.session_parts(self, database, recorder)
        return providers_of(self, database, keyring, recorder, sessions.service)

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
