# SPDX-License-Identifier: Apache-2.0
"""Composes destinations and forwards for the vault's listener."""

from typing import Final

from strongroom.audit.recorder import EventRecorder
from strongroom.compose.process import Process
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database
from strongroom.jobs import Task
from strongroom.keys import Purpose
from strongroom.keys.keyring import Keyring
from strongroom.vault.containers.ports import ContainerRules
from strongroom.vault.create import TokenMaker
from strongroom.vault.cvc import CvcEpochs
from strongroom.vault.details import DetailSealer
from strongroom.vault.forwarding import store
from strongroom.vault.forwarding.beside import TokenDetails
from strongroom.vault.forwarding.book import DestinationBook
from strongroom.vault.forwarding.desk import ForwardDesk
from strongroom.vault.forwarding.operating import DestinationOperator
from strongroom.vault.forwarding.service import Forwarding
from strongroom.vault.sealing import CardSealer
from strongroom.vault.watching import Watch

FORGET_SECONDS: Final = 1.0
RETENTION_SECONDS: Final = 3_600.0


def forward_desk(
    process: Process,
    *,
    database: Database,
    keyring: Keyring,
    sealer: CardSealer,
    recorder: EventRecorder,
    epochs: CvcEpochs,
    maker: TokenMaker,
    rules: ContainerRules,
    watch: Watch,
) -> ForwardDesk:
    """Return what the routes of forwards call (`state.forwarding`), with what keeps it in order."""
    book = _book(process, database, keyring, recorder)
    process.on_close(book.close)

    async def forget_past() -> int:
        return await store.forget_past(database)

    process.periodic(
        [
            Task("destinations", FORGET_SECONDS, book.forget),
            Task("past-forwards", RETENTION_SECONDS, forget_past),
        ]
    )
    forwarding = Forwarding(
        database=database,
        book=book,
        sealer=sealer,
        epochs=epochs,
        rules=rules,
        egress=process.egress(),
        maker=maker,
        recorder=recorder,
        beside=TokenDetails(database, DetailSealer(sealer)),
        watch=watch,
    )
    return ForwardDesk(book, forwarding)


async def operator_destinations(process: Process) -> DestinationOperator:
    """Compose destinations for the operators' commands, under the vault's login."""
    database = await process.database(Domain.VAULT, Login.VAULT, connections_max=2)
    keyring = await process.keyring(database, Purpose.AUDIT, Purpose.CREDENTIAL)
    recorder = await process.recorder(database, keyring)
    return DestinationOperator(_book(process, database, keyring, recorder))


def _book(
    process: Process, database: Database, keyring: Keyring, recorder: EventRecorder
) -> DestinationBook:
    return DestinationBook(
        database=database,
        keyring=keyring,
        policy=process.policy,
        recorder=recorder,
        clock=process.site.clock,
    )
