# SPDX-License-Identifier: Apache-2.0
"""What stands around a listener: whom it believes about callers, and who asks the allow-lists."""

from typing import Final

from strongroom.audit.denials import DenialLog
from strongroom.compose.process import Process
from strongroom.compose.site import Site
from strongroom.config import Settings
from strongroom.db.pool import Database
from strongroom.http.callers import Callers
from strongroom.http.relay import Relay
from strongroom.http.relayed import RelayedPeers
from strongroom.identity.networks.gate import REFRESHED_EVERY_SECONDS, NetworkGate
from strongroom.jobs import Task
from strongroom.kernel.addresses import Networks
from strongroom.telemetry.trace import new_request_id, trace_hash

CONSOLE: Final = "console"
#: What is reached from outside. The vault's internal port and the worker's own are called directly, and believe nobody.
BEHIND_PROXIES: Final = frozenset({"vault", "gateway", "webhooks", CONSOLE})


def callers_of(site: Site, listener: str, denials: DenialLog) -> Callers | None:
    """Return who finds out the callers of one listener; None where no proxy stands before it."""
    settings = site.settings
    if not settings.trusted_proxies or listener not in BEHIND_PROXIES:
        return None
    proxies = Networks.parse(settings.trusted_proxies)
    relay = None
    if settings.proxy_protocol:

        def refused(reason: str, address: str) -> None:
            site.metrics.http.denied.labels(listener, reason).inc()
            denials.note(address, reason, trace_hash(new_request_id()), listener)

        relay = Relay(RelayedPeers(), proxies, on_refused=refused)
    return Callers(proxies, settings.forwarded_header, settings.client_certificate_header, relay)


def reached_from(settings: Settings, listener: str) -> Networks | None:
    """Return the only networks that reach a listener at all; None for all."""
    if listener != CONSOLE or not settings.console_from:
        return None
    return Networks.parse(settings.console_from)


async def gate_of(process: Process, database: Database | None, listener: str) -> NetworkGate | None:
    """Return the allow-lists of a listener that knows its callers, read once and kept fresh from here on."""
    if database is None:
        return None
    gate = NetworkGate(database)
    await gate.refresh()
    process.periodic([Task(f"{listener}-networks", REFRESHED_EVERY_SECONDS, gate.refresh)])
    return gate
