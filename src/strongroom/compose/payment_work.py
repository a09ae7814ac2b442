# SPDX-License-Identifier: Apache-2.0
"""Joins what the worker does with payments and webhooks: its jobs, and what it looks after now and then."""

from datetime import timedelta
from typing import Final

from strongroom.audit.recorder import EventRecorder
from strongroom.compose.payments import DELIVERY, SETTLEMENT, attempts_of
from strongroom.compose.process import Process
from strongroom.db.pool import Database
from strongroom.jobs import Handler, JobQueue, Task, Worker
from strongroom.keys.keyring import Keyring
from strongroom.payments.attempts import Attempts
from strongroom.payments.books import Books
from strongroom.payments.brakes.releasing import ReleaseParts, Releases
from strongroom.payments.brakes.service import Round
from strongroom.payments.brakes.store import BrakeStore
from strongroom.payments.changes import Changes
from strongroom.payments.customers.store import StoredCards
from strongroom.payments.dispute_notices import DisputeNotices
from strongroom.payments.disputes_reading import Disputes
from strongroom.payments.health.probes import Probes, ProbeSchedule
from strongroom.payments.holding import HoldParts, Holds
from strongroom.payments.probing import ConnectionTests
from strongroom.payments.records import HOLD, LOOKUP, NOTICE, RELEASE, RETRY, Scribe
from strongroom.payments.recovery import LookUps, NoticeParts, Notices
from strongroom.payments.retries.job import RetryJob, RetryParts
from strongroom.payments.retries.store import RetryFacts
from strongroom.payments.service import LEASE_SLACK_SECONDS
from strongroom.payments.settlement.comparing import Comparing, ComparingParts
from strongroom.payments.settlement.retention import LOOK_SECONDS, Retention
from strongroom.vault.events import EVENT_DATA
from strongroom.webhooks.deliver import Deliverer
from strongroom.webhooks.inbound import KeptNotices
from strongroom.webhooks.relay import Relay

#: How often incidents that are over are ended, and counts that are over removed.
BRAKES_SECONDS: Final = 5.0
#: How often the ledger is compared with the payments.
BOOKS_SECONDS: Final = 3_600.0
#: How often it is looked which connections are due for a test.
PROBES_SECONDS: Final = 60.0
#: How often the vault's outbox is looked into.
RELAY_SECONDS: Final = 1.0


def start_worker(
    process: Process, database: Database, keyring: Keyring, recorder: EventRecorder
) -> Worker:
    """Compose the worker's jobs, and let them run until the process closes."""
    site = process.site
    changes, scribe, book, attempts, _, brakes = attempts_of(
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
            brakes=brakes,
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
