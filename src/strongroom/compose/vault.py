# SPDX-License-Identifier: Apache-2.0
"""Joins the vault's role: what it opens once, what it offers to payments, and what its routes call."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from strongroom.audit.recorder import EventRecorder
from strongroom.audit.sinks.region import pinned_region
from strongroom.compose import payments as payment_parts
from strongroom.compose.containers import rules_of
from strongroom.compose.erasure import erasures_of
from strongroom.compose.forwarding import forward_desk
from strongroom.compose.honey import honey_watch
from strongroom.compose.key_periods import watch_periods
from strongroom.compose.key_schedule import on_schedule, vault_schedule
from strongroom.compose.process import Process
from strongroom.compose.retokenize import retokenizations_of
from strongroom.compose.reveal import reveals_of
from strongroom.compose.site import partitions_of
from strongroom.compose.transfer import transfer_of
from strongroom.compose.vault_work import VaultWork, rotation_state
from strongroom.crypto import Algorithm
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database
from strongroom.identity.regions import MerchantRegions
from strongroom.jobs import Task
from strongroom.keys import Purpose
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
from strongroom.vault.details import FIELDS as DETAIL_FIELDS
from strongroom.vault.details import DetailSealer
from strongroom.vault.diagnosis import Diagnosis
from strongroom.vault.finding import TokenFinder
from strongroom.vault.forward import VaultForwarder
from strongroom.vault.honey.service import Honeytokens
from strongroom.vault.honey.watch import HoneyWatch
from strongroom.vault.ports import Vault
from strongroom.vault.residency import (
    Residency,
    require_places,
    require_region,
    require_same,
)
from strongroom.vault.sealing import NUMBER_FIELD, CardSealer
from strongroom.vault.search.limiter import NumberLimiter
from strongroom.vault.search.service import TokenSearch
from strongroom.vault.tokens import Tokens
from strongroom.vault.uses import UseRows
from strongroom.vault.writes import TokenSink

BULK_CALLS_WAITING_MAX: Final = 32
RETENTION_SECONDS: Final = 30.0
PARTITION_SECONDS: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class VaultParts:
    """What the vault's role opens once, and everything of it stands on."""

    process: Process
    database: Database
    #: The core database, where callers are known.
    core: Database
    keyring: Keyring
    recorder: EventRecorder
    residency: Residency
    sealer: CardSealer
    epochs: CvcEpochs
    rules: RuleFeed
    sink: TokenSink
    maker: TokenMaker
    work: VaultWork
    #: How often anybody is told whether a number is stored, by whichever way.
    numbers: NumberLimiter
    #: What the vault keeps in the core database: approvals, and which keys are ended.
    core_keyring: Keyring
    core_recorder: EventRecorder
    watch: HoneyWatch


async def vault_parts(process: Process) -> VaultParts:
    """Open the vault's role.

    Raises:
        RegionWrong: database, audit sink or key store are another region's.
    """
    site = process.site
    batches = site.settings.group_commit_batches
    database = await process.database(Domain.VAULT, Login.VAULT, connections_max=batches + 6)
    core = await process.database(Domain.CORE, Login.VAULT, connections_max=4)
    keyring = await process.keyring(database, Purpose.CARD, Purpose.AUDIT, Purpose.CREDENTIAL)
    recorder = await process.recorder(database, keyring)
    await _require_region(process, database)
    await put_canary(database, keyring, site.clock)
    residency = Residency(MerchantRegions(core), site.settings.vault_region)
    diagnosis = Diagnosis(
        database, keyring, recorder, site.clock, site.log, (NUMBER_FIELD, *DETAIL_FIELDS)
    )
    sealer = CardSealer(
        keyring, residency, Algorithm(site.settings.card_algorithm), site.clock, diagnosis
    )
    epochs = CvcEpochs(
        database, await process.key_store(), recorder, site.clock, site.metrics.vault
    )
    rules = await rules_of(process, database)
    sink = TokenSink(database)
    writer = process.writer(
        sink, "tokens", rows_max=site.settings.group_commit_rows, in_flight_max=batches
    )
    maker = TokenMaker(
        rules=rules,
        sealer=sealer,
        epochs=epochs,
        recorder=recorder,
        writer=writer,
        clock=site.clock,
    )
    core_keyring = await process.keyring(core, Purpose.IDENTITY, Purpose.AUDIT)
    core_recorder = await process.recorder(core, core_keyring)
    return VaultParts(
        process,
        database,
        core,
        keyring,
        recorder,
        residency,
        sealer,
        epochs,
        rules,
        sink,
        maker,
        VaultWork(process, database, recorder),
        NumberLimiter(),
        core_keyring,
        core_recorder,
        await honey_watch(process, database, recorder, (core, core_keyring, core_recorder)),
    )


async def _require_region(process: Process, database: Database) -> None:
    """Refuse what was made for another region."""
    settings = process.site.settings
    region = settings.vault_region
    await require_region(database, region, process.site.clock)
    pinned = await asyncio.to_thread(pinned_region, settings.sink_folder, region)
    require_same(region, pinned, "the audit sink")
    store = await process.key_store()
    require_places(region, settings.vault_locations, await store.describe())


def forwarding_for_payments(parts: VaultParts) -> tuple[VaultForwarder, VaultConnections]:
    """Compose what the vault offers to payments in this process."""
    process, clock = parts.process, parts.process.site.clock
    destinations = Destinations(each.destination for each in payment_parts.ADAPTERS.values())
    connections = VaultConnections(
        database=parts.database,
        keyring=parts.keyring,
        destinations=destinations,
        policy=process.policy,
        recorder=parts.recorder,
        clock=clock,
    )
    process.on_close(connections.close)
    forwarder = VaultForwarder(
        database=parts.database,
        # One batch at a time: what comes meanwhile goes together, as payments' own changes do.
        uses=process.writer(UseRows(parts.database), "card_uses", rows_max=64, in_flight_max=1),
        sealer=parts.sealer,
        details=DetailSealer(parts.sealer),
        epochs=parts.epochs,
        connections=connections,
        destinations=destinations,
        egress=process.egress(),
        recorder=parts.recorder,
        clock=clock,
        rules=parts.rules,
        watch=parts.watch,
    )
    process.call_on_close(forwarder.close)
    return forwarder, connections


def _tokens_of(parts: VaultParts) -> Vault:
    """Compose what the routes of tokens call, and start what looks after them."""
    process, site = parts.process, parts.process.site
    database, rules = parts.database, parts.rules
    bulk_writer = process.writer(
        parts.sink, "tokens_bulk", rows_max=1, queue_rows_max=BULK_CALLS_WAITING_MAX
    )
    finder = TokenFinder(parts.recorder, site.clock, DetailSealer(parts.sealer), parts.watch)
    tokens = Tokens(
        database=database,
        epochs=parts.epochs,
        recorder=parts.recorder,
        clock=site.clock,
        metrics=site.metrics.vault,
        rules=rules,
        finder=finder,
    )
    process.periodic(
        [
            Task("cvc-epochs", RETENTION_SECONDS, parts.epochs.destroy_past),
            Task("expired-tokens", RETENTION_SECONDS, tokens.delete_expired),
            Task("vault-partitions", PARTITION_SECONDS, partitions_of(database)),
        ]
    )
    return Vault(
        parts.maker,
        BulkMaker(parts.maker, bulk_writer),
        tokens,
        parts.recorder,
        site.clock,
        site.metrics.vault,
        rules,
        TokenChanger(database, rules, finder),
        TokenSearch(database, rules, finder, parts.keyring, parts.numbers),
    )


async def vault_state(parts: VaultParts) -> Mapping[str, Any]:
    """Compose what the vault's routes call, and add its jobs to `parts.work`, which starts after this."""
    process, database, keyring = parts.process, parts.database, parts.keyring
    recorder, rules, work = parts.recorder, parts.rules, parts.work
    clock = process.site.clock
    table, purposes = PostgresDataKeyTable(database, clock), (Purpose.CARD, Purpose.CREDENTIAL)
    watch_periods(process, Domain.VAULT, table, (*purposes, Purpose.AUDIT))
    rotation = await rotation_state(process, database, keyring, recorder, work)
    on_schedule(process, "vault", vault_schedule(process, table, purposes, rotation["rotation"]))
    return {
        "vault": _tokens_of(parts),
        "jobs": work.jobs,
        "reveals": reveals_of(process, database, parts.sealer, rules, recorder, parts.watch),
        "forwarding": forward_desk(
            process,
            database=database,
            keyring=keyring,
            sealer=parts.sealer,
            recorder=recorder,
            epochs=parts.epochs,
            maker=parts.maker,
            rules=rules,
            watch=parts.watch,
        ),
        "honeytokens": Honeytokens(
            database=database,
            sealer=parts.sealer,
            recorder=recorder,
            clock=clock,
            watch=parts.watch,
        ),
        "transfer": transfer_of(
            process,
            database,
            keyring,
            parts.sealer,
            parts.residency,
            recorder,
            rules,
            work,
            parts.numbers,
            parts.watch,
        ),
        "containers": ContainerDesk(database, recorder, clock, rules),
        **rotation,
        "erasures": erasures_of(
            process, database, keyring, recorder, rules, work, rotation["rotation"]
        ),
        "retokenizations": retokenizations_of(
            process, database, keyring, parts.residency, recorder, work, rules
        ),
    }
