# SPDX-License-Identifier: Apache-2.0
"""Joins payments and webhooks, per role: what the gateway offers, the public listener takes, and the worker does."""

from collections.abc import Mapping
from typing import Any, Final

from strongroom.audit.recorder import EventRecorder
from strongroom.compose.process import Process
from strongroom.db.pool import Database
from strongroom.egress import check_url
from strongroom.jobs import Handler, JobQueue, Task, Worker
from strongroom.keys.keyring import Keyring
from strongroom.payments.api import Desk
from strongroom.payments.attempts import Attempts
from strongroom.payments.books import Books
from strongroom.payments.calls import Parts
from strongroom.payments.changes import Changes
from strongroom.payments.connections import ConnectionBook, ConnectionService
from strongroom.payments.connections_api import ConnectionDesk
from strongroom.payments.ports import Adapters
from strongroom.payments.probing import ConnectionTests
from strongroom.payments.processors.adyen import AdyenAdapter
from strongroom.payments.processors.checkout import CheckoutAdapter
from strongroom.payments.processors.simulator import SimulatorAdapter
from strongroom.payments.processors.stripe import StripeAdapter
from strongroom.payments.reading import Payments
from strongroom.payments.records import LOOKUP, NOTICE, Scribe
from strongroom.payments.recovery import LookUps, NoticeParts, Notices
from strongroom.payments.repeats import Repeats
from strongroom.payments.returns import Returns
from strongroom.payments.service import PaymentService
from strongroom.payments.store import ChangeSink, PaymentReader
from strongroom.vault.events import EVENT_DATA
from strongroom.webhooks.deliver import Deliverer
from strongroom.webhooks.endpoints import Endpoints
from strongroom.webhooks.events import Events
from strongroom.webhooks.inbound import VERIFIERS, KeptNotices
from strongroom.webhooks.inbound.inbox import Inbox
from strongroom.webhooks.inbound.restated import Restated
from strongroom.webhooks.inbound.sources import OpenSources, Sources
from strongroom.webhooks.inbound.store import NoticeSink
from strongroom.webhooks.ports import Webhooks
from strongroom.webhooks.relay import Relay

#: The job that delivers an event (`webhooks.publish` puts it).
DELIVERY: Final = "delivery"
#: How often the ledger is compared with the payments.
BOOKS_SECONDS: Final = 3_600.0
#: How often the vault's outbox is looked into.
RELAY_SECONDS: Final = 1.0
#: Every processor, by the name that connections have. A new adapter is one line here.
ADAPTERS: Final[Adapters] = {
    each.name: each
    for each in (AdyenAdapter(), CheckoutAdapter(), SimulatorAdapter(), StripeAdapter())
}


def _attempts(
    process: Process, database: Database, recorder: EventRecorder, family: str
) -> tuple[Changes, Scribe, ConnectionBook, Attempts]:
    """Compose what both the gateway and the worker do with payments, under the login of either."""
    site = process.site
    changes = Changes(
        PaymentReader(database),
        # One batch at a time: what comes meanwhile goes together, and a row of many costs a third of a row alone.
        process.writer(ChangeSink(database), family, rows_max=64, in_flight_max=1),
    )
    scribe = Scribe(recorder, site.settings.recovery_delays_seconds)
    book = ConnectionBook(database, ADAPTERS)
    attempts = Attempts(
        Parts(
            changes=changes,
            scribe=scribe,
            connections=book,
            forwarder=process.forwarder,
            clock=site.clock,
            log=site.log,
            metrics=site.metrics.payments,
            public_url=site.settings.public_url.rstrip("/"),
            timeout_seconds=site.settings.processor_timeout_seconds,
        )
    )
    return changes, scribe, book, attempts


def gateway_state(
    process: Process, database: Database, keyring: Keyring, recorder: EventRecorder
) -> Mapping[str, Any]:
    """Return what the gateway's routes call."""
    site = process.site
    changes, scribe, book, attempts = _attempts(process, database, recorder, "payments")
    service = PaymentService(
        changes=changes,
        scribe=scribe,
        attempts=attempts,
        connections=book,
        forwarder=process.forwarder,
        repeats=Repeats(changes, attempts, keyring, site.clock),
        clock=site.clock,
        timeout_seconds=site.settings.processor_timeout_seconds,
    )
    process.on_close(service.drain)
    connections = ConnectionService(
        database=database,
        book=book,
        adapters=ADAPTERS,
        vault=process.vault_connections,
        sources=Sources(database, keyring, site.clock, VERIFIERS),
        recorder=recorder,
        clock=site.clock,
    )
    return {
        "books": Books(database),
        "payments": Desk(service, Payments(database), recorder, site.clock),
        "connections": ConnectionDesk(
            connections,
            ConnectionTests(book, attempts, site.clock),
            recorder,
            site.clock,
            site.settings.public_url.rstrip("/"),
        ),
        "webhooks": Webhooks(
            Endpoints(
                database=database,
                keys=keyring,
                recorder=recorder,
                clock=site.clock,
                check_url=lambda url: check_url(url, process.policy, port=None),
                wake=lambda: process.wake(DELIVERY),
            ),
            Events(
                database=database,
                recorder=recorder,
                clock=site.clock,
                wake=lambda: process.wake(DELIVERY),
            ),
            recorder,
            site.clock,
        ),
    }


def webhooks_state(process: Process, database: Database, keyring: Keyring) -> Mapping[str, Any]:
    """Return what the public listener's routes call."""
    site = process.site
    inbox = Inbox(
        OpenSources(database, keyring, VERIFIERS),
        process.writer(NoticeSink(database), "notices"),
        keyring,
        site.clock,
        restated=Restated(database, keyring),
        observer=site.metrics.inbound,
        on_kept=lambda: process.wake(NOTICE),
    )
    return {"inbox": inbox, "returns": Returns(database, site.clock)}


def start_worker(
    process: Process, database: Database, keyring: Keyring, recorder: EventRecorder
) -> Worker:
    """Compose the worker's jobs, and let them run until the process closes."""
    site = process.site
    changes, scribe, book, attempts = _attempts(process, database, recorder, "worker_payments")
    notices = Notices(
        NoticeParts(
            open=KeptNotices(database, keyring).open,
            changes=changes,
            attempts=attempts,
            connections=book,
            scribe=scribe,
            clock=site.clock,
            log=site.log,
            metrics=site.metrics.payments,
        )
    )
    deliverer = Deliverer(
        database=database,
        keys=keyring,
        recorder=recorder,
        send=process.egress().send,
        clock=site.clock,
        delays_seconds=site.settings.delivery_delays_seconds,
        log=site.log,
        metrics=site.metrics.webhooks,
    )
    process.on_close(deliverer.close)
    worker = Worker(
        JobQueue(database, site.clock),
        {
            LOOKUP: Handler(LookUps(changes, attempts, scribe, site.clock).run),
            NOTICE: Handler(notices.run),
            DELIVERY: deliverer.handler(),
        },
        poll_seconds=site.settings.worker_poll_ms / 1_000,
        log=site.log,
        metrics=site.metrics.jobs,
    )
    worker.start()
    process.on_close(worker.stop)
    _compare_books(process, database)
    _bring_vault_events(process, database)
    return worker


def _bring_vault_events(process: Process, database: Database) -> None:
    """Let what happens in the vault become events, whichever process the vault is in."""
    site = process.site
    relay = Relay(
        source=process.vault_outbox,
        database=database,
        clock=site.clock,
        shapes=EVENT_DATA,
        log=site.log,
        wake=lambda: process.wake(DELIVERY),
    )
    process.periodic([Task("vault-events", RELAY_SECONDS, relay.run)])


def _compare_books(process: Process, database: Database) -> None:
    """Let every payment be compared with the ledger now and then. Every worker says the same."""
    site, books = process.site, Books(database)

    async def compare() -> None:
        differing = await books.count_differences()
        site.metrics.payments.differences.set(differing)
        if differing:
            site.log.emit("critical", "payments.ledger_differs", {"total": differing})

    process.periodic([Task("ledger-check", BOOKS_SECONDS, compare)])
