# SPDX-License-Identifier: Apache-2.0
"""Containers and access rules of the vault's role, and of the operators' commands."""

from strongroom.compose.process import Process
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import Database
from strongroom.jobs import Task
from strongroom.keys import Purpose
from strongroom.vault.containers.feed import REFRESHED_EVERY_SECONDS, RuleFeed
from strongroom.vault.containers.service import ContainerDesk


async def rules_of(process: Process, database: Database) -> RuleFeed:
    """Return the rules of this process, read once and kept fresh from here on."""
    feed = RuleFeed(database)
    await feed.refresh()
    process.periodic([Task("vault-access-rules", REFRESHED_EVERY_SECONDS, feed.refresh)])
    return feed


async def operator_desk(process: Process) -> ContainerDesk:
    """Compose containers and rules for the operators' commands, under the vault's login."""
    database = await process.database(Domain.VAULT, Login.VAULT, connections_max=2)
    keyring = await process.keyring(database, Purpose.AUDIT)
    recorder = await process.recorder(database, keyring)
    return ContainerDesk(database, recorder, process.site.clock, RuleFeed(database))
