# SPDX-License-Identifier: Apache-2.0
"""Joins payments and webhooks, per role: what the gateway offers, the public listener takes, and the worker does."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from strongroom.audit.evidence import DatabaseEvidence
from strongroom.audit.recorder import EventRecorder
from strongroom.compose.process import Process
from strongroom.db.pool import Database
from strongroom.egress import check_url
from strongroom.identity.access_tokens import names_of
from strongroom.jobs import Handler, JobQueue, Task, Worker
from strongroom.keys.keyring import Keyring
from strongroom.payments.api import Desk
from strongroom.payments.attempts import Attempts
from strongroom.payments.books import Books
from strongroom.payments.brakes.api import BrakeDesk
from strongroom.payments.brakes.guard import Brakes, GuardParts
from strongroom.payments.brakes.releasing import ReleaseParts, Releases
from strongroom.payments.brakes.service import BrakeService, Round
from strongroom.payments.brakes.store import AskSink, BrakeStore
from strongroom.payments.braking import Braking
from strongroom.payments.calls import Parts
from strongroom.payments.changes import Changes
from strongroom.payments.connections import ConnectionBook, ConnectionService
from strongroom.payments.connections_api import ConnectionDesk
from strongroom.payments.credentials import ConnectionCredentials
from strongroom.payments.customers.api import CustomerDesk
from strongroom.payments.customers.sealing import CustomerSealer
from strongroom.payments.customers.service import CustomerService
from strongroom.payments.customers.store import StoredCards
from strongroom.payments.dispute_notices import DisputeNotices
from strongroom.payments.disputes_reading import Disputes
from strongroom.payments.health.probes import Probes, ProbeSchedule
from strongroom.payments.health.reading import HealthReader
from strongroom.payments.holding import HoldChanges, HoldParts, Holds
from strongroom.payments.holds import HoldPolicy
from strongroom.payments.model import OnExpiry
from strongroom.payments.ports import Adapters
from strongroom.payments.probing import ConnectionTests
from strongroom.payments.processors.adyen import AdyenAdapter
from strongroom.payments.processors.checkout import CheckoutAdapter
from strongroom.payments.processors.simulator import SimulatorAdapter
from strongroom.payments.processors.stripe import StripeAdapter
from strongroom.payments.reading import Payments
from strongroom.payments.receipts.api import ReceiptDesk
from strongroom.payments.receipts.keys import ReceiptKeys
from strongroom.payments.receipts.making import Receipts
from strongroom.payments.records import HOLD, LOOKUP, NOTICE, RELEASE, RETRY, Scribe
from strongroom.payments.recovery import LookUps, NoticeParts, Notices
from strongroom.payments.repeats import Repeats
from strongroom.payments.resolving import Resolutions
from strongroom.payments.retries.api import RetryDesk
from strongroom.payments.retries.job import RetryJob, RetryParts
from strongroom.payments.retries.service import RetryService
from strongroom.payments.retries.store import RetryFacts
from strongroom.payments.returns import Returns
from strongroom.payments.routing.api import RoutingDesk
from strongroom.payments.routing.book import RuleBook
from strongroom.payments.routing.breakers import Breakers
from strongroom.payments.routing.router import Router
from strongroom.payments.routing.service import RoutingService
from strongroom.payments.service import LEASE_SLACK_SECONDS, PaymentService
from strongroom.payments.settlement.api import ReportDesk
from strongroom.payments.settlement.comparing import Comparing, ComparingParts
from strongroom.payments.settlement.retention import LOOK_SECONDS, Retention
from strongroom.payments.settlement.uploads import Reports
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
#: The job that compares a settlement report (`settlement.uploads` puts it). One at a time: it fills a processor.
SETTLEMENT: Final = "settlement"
#: How often incidents that are over are ended, and counts that are over removed.
BRAKES_SECONDS: Final = 5.0
#: How often the ledger is compared with the payments.
BOOKS_SECONDS: Final = 3_600.0
#: How often it is looked which connections are due for a test.
PROBES_SECONDS: Final = 60.0
#: How often the vault's outbox is looked into.
RELAY_SECONDS: Final = 1.0
#: Every processor, by the name that connections have. A new adapter is one line here.
ADAPTERS: Final[Adapters] = {
    each.name: each
    for each in (AdyenAdapter(), CheckoutAdapter(), SimulatorAdapter(), StripeAdapter())
}


def _attempts(
    process: Process, database: Database, keyring: Keyring, recorder: EventRecorder, family: str
) -> tuple[Changes, Scribe, ConnectionBook, Attempts, Breakers, Brakes]:
    """Compose what both the gateway and the worker do with payments, under the login of either."""
    site = process.site
    brakes = _brakes(process, database, keyring, recorder, f"{family}_brakes")
    changes = Changes(
        PaymentReader(database),
        # One batch at a time: what comes meanwhile goes together, and a row of many costs a third of a row alone.
        process.writer(ChangeSink(database), family, rows_max=64, in_flight_max=1),
    )
    scribe = Scribe(
        recorder,
        site.settings.recovery_delays_seconds,
        HoldPolicy(
            site.settings.hold_default_seconds,
            site.settings.hold_soon_seconds,
            OnExpiry(site.settings.hold_on_expiry),
        ),
    )
    book = ConnectionBook(database, ADAPTERS)
    breakers = Breakers(site.log, site.metrics.payments)
    attempts = Attempts(
        Parts(
            changes=changes,
            scribe=scribe,
            connections=book,
            forwarder=process.forwarder,
            breakers=breakers,
            clock=site.clock,
            log=site.log,
            metrics=site.metrics.payments,
            public_url=site.settings.public_url.rstrip("/"),
            timeout_seconds=site.settings.processor_timeout_seconds,
            watch=brakes.settled,
        )
    )
    return changes, scribe, book, attempts, breakers, brakes


def _brakes(
    process: Process, database: Database, keyring: Keyring, recorder: EventRecorder, family: str
) -> Brakes:
    """Compose what merchants hold payments back by."""
    site = process.site
    return Brakes(
        GuardParts(
            store=BrakeStore(database),
            # As payments: a tenant's take turns in the database, so a second batch would only wait there.
            writer=process.writer(AskSink(database), family, rows_max=64, in_flight_max=1),
            recorder=recorder,
            keys=keyring,
            clock=site.clock,
            log=site.log,
            metrics=site.metrics.brakes,
        )
    )


def gateway_state(
    process: Process, database: Database, keyring: Keyring, recorder: EventRecorder
) -> Mapping[str, Any]:
    """Return what the gateway's routes call."""
    site = process.site
    changes, scribe, book, attempts, breakers, brakes = _attempts(
        process, database, keyring, recorder, "payments"
    )
    rules = RuleBook(database)
    router = Router(rules, book, breakers, site.metrics.payments)
    repeats = Repeats(changes, attempts, keyring, site.clock)
    service = PaymentService(
        changes=changes,
        scribe=scribe,
        attempts=attempts,
        router=router,
        forwarder=process.forwarder,
        repeats=repeats,
        braking=Braking(brakes, changes, scribe, repeats, site.clock),
        cards=StoredCards(database),
        clock=site.clock,
        timeout_seconds=site.settings.processor_timeout_seconds,
    )
    process.on_close(service.drain)
    probes = Probes(database)
    sources = Sources(database, keyring, site.clock, VERIFIERS)
    customers = CustomerService(
        database=database,
        sealer=CustomerSealer(keyring),
        forwarder=process.forwarder,
        recorder=recorder,
        clock=site.clock,
    )
    connections = ConnectionService(
        database=database,
        book=book,
        adapters=ADAPTERS,
        vault=process.vault_connections,
        sources=sources,
        recorder=recorder,
        clock=site.clock,
    )
    return {
        "books": Books(database),
        "disputes": Disputes(database),
        "reconciliations": ReportDesk(
            Reports(
                database=database,
                connections=book,
                recorder=recorder,
                clock=site.clock,
                wake=lambda: process.wake(SETTLEMENT),
            ),
            recorder,
            site.clock,
        ),
        "brakes": BrakeDesk(
            BrakeService(
                store=BrakeStore(database),
                brakes=brakes,
                forwarder=process.forwarder,
                recorder=recorder,
                clock=site.clock,
            ),
            recorder,
            site.clock,
        ),
        "receipts": _receipts(process, database, keyring, recorder),
        "customers": CustomerDesk(customers, recorder, site.clock),
        "retries": RetryDesk(
            RetryService(
                database=database,
                changes=changes,
                scribe=scribe,
                recorder=recorder,
                clock=site.clock,
            ),
            recorder,
            site.clock,
        ),
        "payments": Desk(service, Payments(database), recorder, site.clock),
        "resolutions": Resolutions(changes, attempts, scribe, site.clock),
        "holds": HoldChanges(changes, scribe, site.clock),
        "connections": ConnectionDesk(
            connections,
            ConnectionTests(book, attempts, site.clock, probes),
            recorder,
            site.clock,
            site.settings.public_url.rstrip("/"),
            ConnectionCredentials(
                database=database,
                book=book,
                vault=process.vault_connections,
                sources=sources,
                recorder=recorder,
                clock=site.clock,
            ),
        ),
        "routing": RoutingDesk(
            RoutingService(
                database=database,
                book=rules,
                connections=book,
                recorder=recorder,
                clock=site.clock,
            ),
            router,
            recorder,
            site.clock,
        ),
        "connection_health": HealthReader(database, book, probes, site.clock, breakers.shown),
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


def _receipts(
    process: Process, database: Database, keyring: Keyring, recorder: EventRecorder
) -> ReceiptDesk:
    """Compose what gives receipts."""
    site = process.site
    receipts = Receipts(
        database=database,
        payments=Payments(database),
        evidence=DatabaseEvidence(database),
        keys=ReceiptKeys(keyring, site.clock),
        recorder=recorder,
        clock=site.clock,
        issuer=names_of(site.settings.audit_origin).issuer,
    )
    return ReceiptDesk(receipts, recorder, site.clock)


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
    changes, scribe, book, attempts, _, _ = _attempts(
        process, database, keyring, recorder, "worker_payments"
    )
    releases = Releases(
        ReleaseParts(
            changes=changes,
            attempts=attempts,
            scribe=scribe,
            clock=site.clock,
            log=site.log,
            metrics=site.metrics.brakes,
            lease=timedelta(seconds=site.settings.processor_timeout_seconds + LEASE_SLACK_SECONDS),
        )
    )
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
            disputes=DisputeNotices(
                changes, Disputes(database), scribe, site.clock, site.log, site.metrics.payments
            ),
        )
    )
    retries = RetryJob(
        RetryParts(
            changes=changes,
            attempts=attempts,
            connections=book,
            forwarder=process.forwarder,
            cards=StoredCards(database),
            facts=RetryFacts(database),
            scribe=scribe,
            clock=site.clock,
            timeout_seconds=site.settings.processor_timeout_seconds,
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
            HOLD: Handler(Holds(_hold_parts(process, changes, attempts, scribe)).run),
            LOOKUP: Handler(_look_ups(process, changes, attempts, scribe).run),
            NOTICE: Handler(notices.run),
            RETRY: Handler(retries.run),
            DELIVERY: deliverer.handler(),
            SETTLEMENT: Handler(_comparing(process, database, recorder).run, at_once_max=1),
            RELEASE: Handler(releases.run),
        },
        poll_seconds=site.settings.worker_poll_ms / 1_000,
        log=site.log,
        metrics=site.metrics.jobs,
    )
    worker.start()
    process.on_close(worker.stop)
    _compare_books(process, database)
    brake_round = Round(BrakeStore(database), recorder, site.clock)
    process.periodic([Task("brakes", BRAKES_SECONDS, brake_round.run)])
    _probe_connections(
        process, database, ConnectionTests(book, attempts, site.clock, Probes(database))
    )
    _bring_vault_events(process, database)
    reports = Retention(database, site.clock, site.settings.settlement_kept_days)
    process.periodic([Task("settlement-retention", LOOK_SECONDS, reports.run)])
    return worker


def _look_ups(process: Process, changes: Changes, attempts: Attempts, scribe: Scribe) -> LookUps:
    site = process.site
    people = site.settings.recovery_people_seconds
    return LookUps(changes, attempts, scribe, site.clock, site.log, people_seconds=people)


def _hold_parts(
    process: Process, changes: Changes, attempts: Attempts, scribe: Scribe
) -> HoldParts:
    site = process.site
    lease = timedelta(seconds=site.settings.processor_timeout_seconds + LEASE_SLACK_SECONDS)
    return HoldParts(changes, attempts, scribe, site.clock, lease)


def _comparing(process: Process, database: Database, recorder: EventRecorder) -> Comparing:
    """Compose what compares settlement reports."""
    site = process.site
    return Comparing(
        ComparingParts(
            database=database,
            recorder=recorder,
            clock=site.clock,
            log=site.log,
            metrics=site.metrics.payments,
            wake=lambda: process.wake(DELIVERY),
        )
    )


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


def _probe_connections(process: Process, database: Database, tests: ConnectionTests) -> None:
    """Let connections be tested on a schedule, where the settings want it."""
    site = process.site
    every = site.settings.connection_probe_seconds
    if not every:
        return
    schedule = ProbeSchedule(
        Probes(database),
        tests.probe,
        site.clock,
        site.log,
        site.metrics.connections.show,
        every,
    )
    process.periodic([Task("connection-probes", min(every, PROBES_SECONDS), schedule.run)])


def _compare_books(process: Process, database: Database) -> None:
    """Let every payment be compared with the ledger now and then. Every worker says the same."""
    site, books = process.site, Books(database)

    async def compare() -> None:
        differing = await books.count_differences()
        site.metrics.payments.differences.set(differing)
        if differing:
            site.log.emit("critical", "payments.ledger_differs", {"total": differing})

    process.periodic([Task("ledger-check", BOOKS_SECONDS, compare)])
