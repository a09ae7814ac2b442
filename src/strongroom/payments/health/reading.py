# SPDX-License-Identifier: Apache-2.0
"""How a connection is: counts of outcomes in the last hour and day, when it last answered and failed, its last test."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from strongroom.db.pool import Database, Record
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import ConnectionId, encode_id, is_id
from strongroom.payments.connections import By, ConnectionBook
from strongroom.payments.health.probes import QUERIES, Key, Probe, Probes
from strongroom.payments.model import Connection
from strongroom.vault import ConnectionUnknown

HOUR_SECONDS: Final = 3_600
DAY_SECONDS: Final = 86_400
#: A tenant's newest attempts that are looked at; where there are more in a day, the window is shorter, and says so.
ROWS_MAX: Final = 50_000
#: It answered: yes or no.
_ANSWERED: Final = frozenset({"approved", "declined"})
_FAILED: Final = frozenset({"not_sent", "unknown"})
#: An outcome that is known, but not by the answer to the request: that one was lost.
_FOUND_OUT: Final = frozenset({"lookup", "replay"})
_NO_ENTROPY: Final = bytes(10)

#: Says how the breaker before a connection stands in this process, in a word; None: nothing went through it lately.
BreakerShown = Callable[[ConnectionId], str | None]


@dataclass(frozen=True, slots=True)
class Window:
    """What became of the attempts that were begun in a window."""

    seconds: int
    attempts: int
    approved: int
    declined: int
    not_sent: int
    pending: int
    #: Not known by now, or asked and not answered yet.
    unknown: int
    #: Known by now, though the answer was lost: found by a look or a replay.
    found_out: int


@dataclass(frozen=True, slots=True)
class Health:
    """How a connection is."""

    connection: Connection
    #: When it last said yes or no, to an attempt or a test.
    answered_at: datetime | None
    #: When an attempt last was not sent or got no answer, or a test failed.
    failed_at: datetime | None
    windows: Sequence[Window]
    #: From when on attempts were looked at, where that is not a whole day.
    looked_from: datetime | None
    probe: Probe | None
    breaker: str | None


class HealthReader:
    """Reads how connections are."""

    def __init__(
        self,
        database: Database,
        book: ConnectionBook,
        probes: Probes,
        clock: Clock,
        breaker: BreakerShown,
    ) -> None:
        self._database = database
        self._book = book
        self._probes = probes
        self._clock = clock
        self._breaker = breaker

    async def of(self, connection_id: str, by: By) -> Health:
        """Say how a connection is.

        Raises:
            ConnectionUnknown: not there for this tenant and mode.
        """
        if not is_id("con", connection_id):
            raise ConnectionUnknown
        connection = await self._book.one(by.merchant, by.mode, connection_id)
        key = Key(by.merchant, by.mode, connection.connection_id)
        now = self._clock.now()
        day_ago = now - timedelta(seconds=DAY_SECONDS)
        async with self._database.transaction([by.merchant]) as read:
            rows = await read.rows(
                QUERIES["count_outcomes"],
                *key,
                encode_id("att", int(day_ago.timestamp() * 1_000), _NO_ENTROPY),
                ROWS_MAX,
                now - timedelta(seconds=HOUR_SECONDS),
            )
        own = [row for row in rows if row["own"]]
        cut = sum(row["day"] for row in rows) >= ROWS_MAX
        probe = await self._probes.of(key)
        return Health(
            connection,
            _last(own, _ANSWERED, probe, passed=True),
            _last(own, _FAILED, probe, passed=False),
            [_window(own, HOUR_SECONDS, "hour"), _window(own, DAY_SECONDS, "day")],
            min(row["first_at"] for row in rows) if cut else None,
            probe,
            self._breaker(connection.connection_id),
        )


def _last(
    rows: Sequence[Record], outcomes: frozenset[str], probe: Probe | None, *, passed: bool
) -> datetime | None:
    moments: list[datetime] = [row["last_at"] for row in rows if row["outcome"] in outcomes]
    if probe is not None and (probe.reason is None) == passed:
        moments.append(probe.probed_at)
    return max(moments, default=None)


def _window(rows: Sequence[Record], seconds: int, column: str) -> Window:
    def count(*outcomes: str | None) -> int:
        return sum(row[column] for row in rows if row["outcome"] in outcomes)

    return Window(
        seconds=seconds,
        attempts=sum(row[column] for row in rows),
        approved=count("approved"),
        declined=count("declined"),
        not_sent=count("not_sent"),
        pending=count("pending"),
        unknown=count("unknown", None),
        found_out=sum(row[column] for row in rows if row["basis"] in _FOUND_OUT),
    )
