# SPDX-License-Identifier: Apache-2.0
"""Joins what shows cards."""

from datetime import timedelta
from typing import Final

from strongroom.audit import Recorder
from strongroom.compose.process import Process
from strongroom.config import Settings
from strongroom.db.pool import Database
from strongroom.http.rate_limit import Rate, RateLimiter
from strongroom.jobs import Task
from strongroom.vault.containers.ports import ContainerRules
from strongroom.vault.reveal.burst import Bounds
from strongroom.vault.reveal.service import Reveals
from strongroom.vault.sealing import CardSealer
from strongroom.vault.watching import Watch

FORGET_SECONDS: Final = 3_600.0


def bounds_of(settings: Settings) -> Bounds:
    """Return how much is too much."""
    return Bounds(
        settings.reveal_burst_count,
        timedelta(seconds=settings.reveal_burst_seconds),
        timedelta(seconds=settings.reveal_stop_seconds),
    )


def reveals_of(
    process: Process,
    database: Database,
    sealer: CardSealer,
    rules: ContainerRules,
    recorder: Recorder,
    watch: Watch,
) -> Reveals:
    """Compose `state.reveals` of the vault's listener, and the job that forgets notes."""
    site = process.site
    settings = site.settings
    made = Reveals(
        database=database,
        sealer=sealer,
        rules=rules,
        recorder=recorder,
        clock=site.clock,
        metrics=site.metrics.reveals,
        bounds=bounds_of(settings),
        rate=RateLimiter(
            Rate(settings.reveals_per_minute / 60, max(1.0, settings.reveals_per_minute / 2))
        ),
        watch=watch,
    )
    process.periodic([Task("past-reveals", FORGET_SECONDS, made.forget)])
    return made
