# SPDX-License-Identifier: Apache-2.0
"""Composes destinations and forwards for the vault's listener."""

from typing import Final

from strongroom.audit.recorder import EventRecorder
from strongroom.compose.process import Process
from strongroom.db.pool import Database
from strongroom.jobs import Task
from strongroom.keys.keyring import Keyring
from strongroom.vault.containers.ports import ContainerRules
from strongroom.vault.create import TokenMaker
from strongroom.vault.cvc import CvcEpochs
from strongroom.vault.forwarding import store
from strongroom.vault.forwarding.book import DestinationBook
from strongroom.vault.forwarding.desk import ForwardDesk
from strongroom.vault.forwarding.service import Forwarding
from strongroom.vault.sealing import CardSealer

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
) -> ForwardDesk:
    """Return what the routes of forwards call (`state.forwarding`), with what keeps it in order."""
    book = DestinationBook(
        database=database,
        keyring=keyring,
        policy=process.policy,
        recorder=recorder,
        clock=process.site.clock,
    )
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
    )
    return ForwardDesk(book, forwarding)
