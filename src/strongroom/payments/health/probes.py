# SPDX-License-Identifier: Apache-2.0
"""Keeps what tests of connections found, and tests on a schedule those that were not tested for a while.

A test moves no money and carries no card. That a connection fails alerts; nothing is switched off by it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from strongroom.db.pool import Database
from strongroom.db.queries import load_queries
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.ids import ConnectionId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.payments.model import Connection
from strongroom.telemetry.log import Log

QUERIES: Final = load_queries("strongroom.payments.health")
#: Tested in one round, one after another: a round ends long before the next.
ROUND_MAX: Final = 50
_OTHER: Final = "other"


class Key(NamedTuple):
    """Which connection is meant."""

    merchant: MerchantId
    mode: Mode
    connection: ConnectionId


@dataclass(frozen=True, slots=True)
class Probe:
    """What the last test of a connection found."""

    probed_at: datetime
    #: A word that says why not; None: it passed.
    reason: str | None
    #: Since when it fails in a row, and how often.
    failing_since: datetime | None
    failures: int


class Probes:
    """What tests found, of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, key: Key) -> Probe | None:
        """Return what the last test of a connection found; None: it was never tested."""
        async with self._database.transaction([key.merchant]) as read:
            row = await read.row(QUERIES["probe_of_connection"], *key)
        if row is None:
            return None
        return Probe(row["probed_at"], row["reason"], row["failing_since"], row["failures"])

    async def note(self, key: Key, reason: str | None, now: datetime) -> int:
        """Keep what a test found; return how often it has failed in a row."""
        async with self._database.transaction([key.merchant]) as tx:
            row = await tx.row(QUERIES["put_probe"], *key, now, reason)
        return 0 if row is None else int(row["failures"])

    async def due(self, before: datetime, limit: int) -> Sequence[Key]:
        """Return active connections of every tenant that were not tested since then."""
        async with self._database.transaction() as read:
            await read.row(QUERIES["be_prober"])
            rows = await read.rows(QUERIES["due_probes"], before, limit)
        return [
            Key(
                MerchantId(row["merchant_id"]),
                Mode(row["mode"]),
                ConnectionId(row["connection_id"]),
            )
            for row in rows
        ]

    async def failing(self) -> Mapping[tuple[str, str], int]:
        """Count active connections that failed their last test, by processor and reason."""
        async with self._database.transaction() as read:
            await read.row(QUERIES["be_prober"])
            rows = await read.rows(QUERIES["failing_probes"])
        return {(row["processor"], row["reason"]): row["count"] for row in rows}


class ProbeSchedule:
    """Tests connections on a schedule. Every worker may; one that another has just tested is not due."""

    def __init__(
        self,
        probes: Probes,
        test: Callable[[Key], Awaitable[tuple[Connection, str | None]]],
        clock: Clock,
        log: Log,
        show: Callable[[Mapping[tuple[str, str], int]], None],
        every_seconds: int,
    ) -> None:
        self._probes = probes
        #: Tests one, keeps what it found, and returns why it failed.
        self._test = test
        self._clock = clock
        self._log = log
        self._show = show
        self._every = timedelta(seconds=every_seconds)

    async def run(self) -> None:
        """Test what is due, and tell of each that fails."""
        for key in await self._probes.due(self._clock.now() - self._every, ROUND_MAX):
            try:
                connection, reason = await self._test(key)
            except (
                StrongroomError
            ):  # it ended meanwhile, or we are away ourselves: the next round sees
                continue
            if reason is not None:
                self._log.emit(
                    "critical",
                    "payments.connection_failing",
                    {
                        "merchant_id": key.merchant,
                        "mode": key.mode.value,
                        "object_id": key.connection,
                        "processor": connection.processor,
                        "reason": reason,
                    },
                )
        self._show(await self._probes.failing())
