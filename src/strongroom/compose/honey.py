# SPDX-License-Identifier: Apache-2.0
"""Joins what watches over honeytokens, and what ends the keys that name one."""

from typing import Final

from strongroom.audit import Recorder
from strongroom.compose.process import Process
from strongroom.compose.site import platform_secret
from strongroom.db.pool import Database
from strongroom.identity.service import IdentityService
from strongroom.jobs import Task
from strongroom.keys import KeyName
from strongroom.keys.keyring import Keyring
from strongroom.vault.honey.watch import HoneyWatch

WATCH_SECONDS: Final = 1.0


async def honey_watch(
    process: Process,
    database: Database,
    recorder: Recorder,
    core: tuple[Database, Keyring, Recorder],
) -> HoneyWatch:
    """Return what every way to a token is told of, knowing all there are, with what keeps it so."""
    site = process.site
    ender = None
    if site.settings.honeytoken_ends_keys:
        core_database, keyring, core_recorder = core
        hash_key = await platform_secret(keyring, KeyName.API_KEY_HASH)
        ender = IdentityService(core_database, hash_key, core_recorder, site.clock)
    watch = HoneyWatch(
        database=database,
        recorder=recorder,
        clock=site.clock,
        metrics=site.metrics.honey,
        ender=ender,
    )
    await watch.refresh()
    process.on_close(watch.close)
    process.periodic(
        [
            Task("honeytokens", WATCH_SECONDS, watch.refresh),
            Task("honeytokens-contained", WATCH_SECONDS, watch.contain),
        ]
    )
    return watch
