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
from strongroom.kernel.errors import Denied
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Principal
from strongroom.vault.containers.model import Access, Granted
from strongroom.vault.containers.ports import ContainerRules
from strongroom.vault.reveal.burst import Bounds
from strongroom.vault.reveal.service import Reveals
from strongroom.vault.sealing import CardSealer

FORGET_SECONDS: Final = 3_600.0


class NoRules:
    """No access rules are read here: nobody is let at a card."""

    async def granted(self, principal: Principal, container: str) -> Granted | None:
        """Return that no rule matches."""
        del principal, container
        return None

    async def require(self, principal: Principal, container: str, wanted: Access) -> Granted:
        """Refuse."""
        del principal, container, wanted
        raise Denied("no access rule lets this caller do that with the tokens of this container")

    async def require_payments(
        self, merchant: MerchantId, mode: Mode, container: str, wanted: Access
    ) -> Granted:
        """Refuse."""
        del merchant, mode, container, wanted
        raise Denied("no access rule lets payments do that with the tokens of this container")


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
    )
    process.periodic([Task("past-reveals", FORGET_SECONDS, made.forget)])
    return made
