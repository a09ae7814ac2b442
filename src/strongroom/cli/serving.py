# SPDX-License-Identifier: Apache-2.0
"""Starts and stops what `serve` and `demo` run: the roles of this process, in order, and in reverse order.

Order: checks, embedded server, databases, key store, apps, ports. A start that fails leaves nothing running.
"""

import asyncio
import gc
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from strongroom import __version__, compose
from strongroom.cli.certificates import INTERNAL, WATCH_SECONDS, CertificateWatch
from strongroom.cli.hardening import can_be_dumped, forbid_dumps
from strongroom.cli.installation import Installation
from strongroom.config import StartFacts, UnsafeConfiguration, faults
from strongroom.config.internal import internal_files
from strongroom.config.load import has_static_cloud_credentials
from strongroom.config.roles import ALL_ROLES, ServedRole, asks_port, name_of, offers_port
from strongroom.config.safety import DatabaseFacts
from strongroom.db.facts import facts_of
from strongroom.db.logins import logins_of
from strongroom.http.mutual import require_mutual
from strongroom.http.server import AuthorityMissing, Endpoint, Servers, Tls
from strongroom.jobs import Task
from strongroom.telemetry.capture import captured, watch_loop
from strongroom.telemetry.log import Log, start_line
from strongroom.telemetry.metrics import Metrics
from strongroom.telemetry.sink import open_sink

#: Objects of a request die young; a raised threshold spares the collector's passes (measured, see performance.md).
GC_THRESHOLD: Final = 20_000
#: Which listener each role has; a worker's only where no other role of its process has one.
LISTENERS: Final = (
    ServedRole.VAULT,
    ServedRole.GATEWAY,
    ServedRole.WEBHOOKS,
    ServedRole.CONSOLE,
)


@dataclass(frozen=True, slots=True)
class Served:
    """Where it answers: a URL a listener."""

    urls: Mapping[str, str]

    @property
    def vault(self) -> str:
        """Where cards go in, if this process has that role."""
        return self.urls["vault"]

    @property
    def gateway(self) -> str:
        """Where payments are made, likewise."""
        return self.urls["gateway"]

    @property
    def webhooks(self) -> str:
        """Where processors tell, likewise."""
        return self.urls["webhooks"]

    @property
    def console(self) -> str:
        """Where people log in, likewise."""
        return self.urls["console"]


class Serving:
    """A running Strongroom."""

    def __init__(self, installation: Installation, *, lean_lane: bool = True) -> None:
        self.installation = installation
        self.metrics = Metrics()
        self._lean_lane = lean_lane
        self._stack = AsyncExitStack()
        self.log: Log | None = None

    async def start(self) -> Served:
        """Start everything.

        Raises:
            UnsafeConfiguration: production, with every fault.
            StrongroomError: whatever else kept it from starting; nothing is left running.
        """
        try:
            return await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> Served:
        settings = self.installation.settings
        forbid_dumps()
        gc.set_threshold(GC_THRESHOLD, 20, 100)
        log = self._open_log()
        await asyncio.to_thread(self.installation.attach)
        self._stack.callback(self.installation.detach)
        if settings.production:
            await self._require_safe()
        here = self.installation
        site = compose.Site(
            settings,
            here.address,
            here.passphrase(),
            log,
            self.metrics,
            here.clock,
            here.roles,
            here.role_keys(),
        )
        composer = compose.Composer(site)
        self._stack.push_async_callback(composer.close)
        endpoints = await self._composed(composer)
        servers = Servers(endpoints)
        self._stack.push_async_callback(servers.stop)
        await servers.start()
        await self._guard_port(endpoints)
        watch = CertificateWatch(settings, here.roles, servers, self.metrics, log)
        composer.periodic([Task("certificates", WATCH_SECONDS, watch.look)])
        gc.collect()
        gc.freeze()
        role = name_of(here.roles)
        start_line(log, role=role, version=__version__, port=endpoints[0].port)
        self.metrics.describe_build(version=__version__, role=role)
        return Served({each.name: each.url for each in endpoints})

    async def _composed(self, composer: compose.Composer) -> list[Endpoint]:
        """Compose the roles of this process. The vault comes first: others call it."""
        here = self.installation
        settings, roles, lean = here.settings, here.roles, self._lean_lane
        compose_role = {
            ServedRole.VAULT: composer.vault,
            ServedRole.GATEWAY: composer.gateway,
            ServedRole.WEBHOOKS: composer.webhooks,
            ServedRole.CONSOLE: composer.console,
        }
        places = {
            ServedRole.VAULT: settings.vault_listen,
            ServedRole.GATEWAY: settings.gateway_listen,
            ServedRole.WEBHOOKS: settings.webhooks_listen,
            ServedRole.CONSOLE: settings.console_listen,
        }
        tls = here.tls()
        endpoints = []
        if asks_port(roles):
            await composer.remote_vault()
        for role in LISTENERS:
            if role in roles:
                edge = await compose_role[role](lean_lane=lean)
                place = places[role]
                endpoints.append(
                    Endpoint(role, edge, place.host, place.port, tls, relay=edge.relay)
                )
                if role is ServedRole.VAULT and offers_port(roles):
                    endpoints.append(await self._port(composer))
        # A process without a named role leaves the jobs to another one where it is told to.
        if ServedRole.WORKER in roles and (settings.worker or roles != ALL_ROLES):
            await composer.worker()
            if not endpoints:
                place = settings.worker_listen
                edge = await composer.operations()
                endpoints.append(Endpoint(ServedRole.WORKER, edge, place.host, place.port, tls))
        return endpoints

    async def _port(self, composer: compose.Composer) -> Endpoint:
        """Compose the vault's internal port. Without its authority it is not opened."""
        settings = self.installation.settings
        files = internal_files(settings, ServedRole.VAULT)
        for file in files.watched:
            if not file.is_file():
                raise AuthorityMissing(
                    f"{file} is not there: run `strongroom pki init`, or set STRONGROOM_INTERNAL_*"
                )
        tls = Tls(files.certificate, files.key, files.authorities, files.revoked)
        place = settings.vault_internal_listen
        return Endpoint(INTERNAL, await composer.vault_port(), place.host, place.port, tls)

    async def _guard_port(self, endpoints: list[Endpoint]) -> None:
        """Knock at the internal port as a stranger, and refuse to go on if it opens."""
        for endpoint in endpoints:
            if endpoint.name == INTERNAL:
                await require_mutual(endpoint.host, endpoint.port, self.installation.clock.now())

    async def stop(self) -> None:
        """Stop in the reverse order: ports, requests under way, writers, jobs, databases, embedded server."""
        await self._stack.aclose()

    def _open_log(self) -> Log:
        path = self.installation.settings.log_file
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        log = Log(open_sink(path), clock=self.installation.clock, observer=self.metrics.log)
        self._stack.callback(log.close)
        self._stack.enter_context(captured(log))
        watch_loop(asyncio.get_running_loop(), log)
        self.log = log
        return log

    async def _require_safe(self) -> None:
        found: list[DatabaseFacts] = []
        for domain, login in logins_of(self.installation.roles):
            found.append(await facts_of(self.installation.address(domain, login), domain))
        settings = self.installation.settings
        facts = StartFacts(
            databases=tuple(found),
            embedded_database=self.installation.uses_embedded,
            static_cloud_credentials=has_static_cloud_credentials(
                google_file=settings.gcp_credentials
            ),
            dumpable=can_be_dumped(),
            default_secret=self.installation.uses_default_secret,
            sink_outside_database=settings.audit_sink is not None,
        )
        if listed := faults(settings, facts):
            raise UnsafeConfiguration(listed)
