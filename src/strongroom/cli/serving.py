# SPDX-License-Identifier: Apache-2.0
"""Starts and stops what `serve` and `demo` run: every role in this process, in order, and in reverse order.

Order: checks, embedded server, databases, key store, apps, ports. A start that fails leaves nothing running.
"""

import asyncio
import gc
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from strongroom import __version__, compose
from strongroom.cli.hardening import can_be_dumped, forbid_dumps
from strongroom.cli.installation import Installation
from strongroom.config import StartFacts, UnsafeConfiguration, faults
from strongroom.config.load import has_static_cloud_credentials
from strongroom.config.safety import DatabaseFacts
from strongroom.db.facts import facts_of
from strongroom.db.logins import Domain, Login
from strongroom.http.server import Endpoint, Servers
from strongroom.telemetry.capture import captured, watch_loop
from strongroom.telemetry.log import Log, start_line
from strongroom.telemetry.metrics import Metrics
from strongroom.telemetry.sink import open_sink

#: Objects of a request die young; a raised threshold spares the collector's passes (measured, see performance.md).
GC_THRESHOLD: Final = 20_000
#: Which logins the roles of one process take.
ROLE_LOGINS: Final = (
    (Domain.VAULT, Login.VAULT),
    (Domain.VAULT, Login.SEALER),
    (Domain.CORE, Login.VAULT),
    (Domain.CORE, Login.CONSOLE),
    (Domain.CORE, Login.GATEWAY),
    (Domain.CORE, Login.SEALER),
    (Domain.CORE, Login.WEBHOOKS),
    (Domain.CORE, Login.WORKER),
)


@dataclass(frozen=True, slots=True)
class Served:
    """Where it answers."""

    vault: str
    gateway: str
    webhooks: str
    console: str


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
        site = compose.Site(
            settings,
            self.installation.address,
            self.installation.passphrase(),
            log,
            self.metrics,
            self.installation.clock,
        )
        composer = compose.Composer(site)
        self._stack.push_async_callback(composer.close)
        tls = self.installation.tls()
        listeners = {
            "vault": settings.vault_listen,
            "gateway": settings.gateway_listen,
            "webhooks": settings.webhooks_listen,
            "console": settings.console_listen,
        }
        edges = {
            "vault": await composer.vault(lean_lane=self._lean_lane),
            "gateway": await composer.gateway(lean_lane=self._lean_lane),
            "webhooks": await composer.webhooks(lean_lane=self._lean_lane),
            "console": await composer.console(lean_lane=self._lean_lane),
        }
        if settings.worker:
            await composer.worker()
        servers = Servers(
            [
                Endpoint(
                    name,
                    edges[name],
                    listener.host,
                    listener.port,
                    tls,
                    relay=compose.relay_of(edges[name].callers),
                )
                for name, listener in listeners.items()
            ]
        )
        self._stack.push_async_callback(servers.stop)
        await servers.start()
        gc.collect()
        gc.freeze()
        start_line(log, role="all", version=__version__, port=settings.vault_listen.port)
        self.metrics.describe_build(version=__version__, role="all")
        scheme = "http" if tls is None else "https"
        return Served(**{name: f"{scheme}://{listener}" for name, listener in listeners.items()})

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
        for domain, login in ROLE_LOGINS:
            found.append(await facts_of(self.installation.address(domain, login), domain))
        settings = self.installation.settings
        facts = StartFacts(
            databases=tuple(found),
            embedded_database=self.installation.uses_embedded,
            static_cloud_credentials=has_static_cloud_credentials(),
            dumpable=can_be_dumped(),
            default_secret=self.installation.uses_default_secret,
            sink_outside_database=settings.audit_sink is not None,
        )
        if listed := faults(settings, facts):
            raise UnsafeConfiguration(listed)
