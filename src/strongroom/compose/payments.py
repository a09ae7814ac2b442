# SPDX-License-Identifier: Apache-2.0
"""Joins payments and webhooks, per role: what the gateway offers and the public listener takes."""

from collections.abc import Mapping
from typing import Any, Final

from strongroom.audit.evidence import DatabaseEvidence
from strongroom.audit.recorder import EventRecorder
from strongroom.compose.process import Process
from strongroom.db.pool import Database
from strongroom.egress import check_url
from strongroom.identity.access_tokens import names_of
from strongroom.keys.keyring import Keyring
from strongroom.payments.api import Desk
from strongroom.payments.attempts import Attempts
from strongroom.payments.books import Books
from strongroom.payments.brakes.api import BrakeDesk
from strongroom.payments.brakes.guard import Brakes, GuardParts
from strongroom.payments.brakes.service import BrakeService
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
from strongroom.payments.disputes_reading import Disputes
from strongroom.payments.health.probes import Probes
from strongroom.payments.health.reading import HealthReader
from strongroom.payments.holding import HoldChanges
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
from strongroom.payments.records import NOTICE, Scribe
from strongroom.payments.repeats import Repeats
from strongroom.payments.resolving import Resolutions
from strongroom.payments.retries.api import RetryDesk
from strongroom.payments.retries.service import RetryService
from strongroom.payments.returns import Returns
from strongroom.payments.routing.api import RoutingDesk
from strongroom.payments.routing.book import RuleBook
from strongroom.payments.routing.breakers import Breakers
from strongroom.payments.routing.router import Router
from strongroom.payments.routing.service import RoutingService
from strongroom.payments.service import PaymentService
from strongroom.payments.settlement.api import ReportDesk
from strongroom.payments.settlement.uploads import Reports
from strongroom.payments.store import ChangeSink, PaymentReader
from strongroom.webhooks.endpoints import Endpoints
from strongroom.webhooks.events import Events
from strongroom.webhooks.inbound import VERIFIERS
from strongroom.webhooks.inbound.inbox import Inbox
from strongroom.webhooks.inbound.restated import Restated
from strongroom.webhooks.inbound.sources import OpenSources, Sources
from strongroom.webhooks.inbound.store import GATHER_SECONDS, NoticeSink
from strongroom.webhooks.ports import Webhooks

#: The job that delivers an event (`webhooks.publish` puts it).
DELIVERY: Final = "delivery"
#: The job that compares a settlement report (`settlement.uploads` puts it). One at a time: it fills a processor.
SETTLEMENT: Final = "settlement"
#: Every processor, by the name that connections have. A new adapter is one line here.
ADAPTERS: Final[Adapters] = {
    each.name: each
    for each in (AdyenAdapter(), CheckoutAdapter(), SimulatorAdapter(), StripeAdapter())
}


def attempts_of(
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
    changes, scribe, book, attempts, breakers, brakes = attempts_of(
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
        process.writer(NoticeSink(database), "notices", gather_seconds=GATHER_SECONDS),
        keyring,
        site.clock,
        restated=Restated(database, keyring),
        observer=site.metrics.inbound,
        log=site.log,
        on_kept=lambda: process.wake(NOTICE),
    )
    return {"inbox": inbox, "returns": Returns(database, site.clock)}
