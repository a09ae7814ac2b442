# SPDX-License-Identifier: Apache-2.0
"""A breaker before each connection (ADR 13, ADR 16), of this process: who does not answer is passed over for a while.

Only payments that a rule routes are kept away: what a request names, and what follows an authorization, has nowhere
else to go and is asked all the same.
"""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Final

from strongroom.kernel.breaker import Breaker, BreakerState, Ticket
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.ids import ConnectionId
from strongroom.payments.model import Attempt
from strongroom.payments.routing.failover import RESTING
from strongroom.telemetry.log import Log
from strongroom.telemetry.work_metrics import PaymentMetrics
from strongroom.vault import Forwarded

#: Connections that a process remembers; one that is forgotten begins anew, as after a restart.
REMEMBERED_MAX: Final = 10_000
_SERVER_ERRORS: Final = 500
#: Credentials that are not taken, and "too many": another payment would hear the same.
_TURNED_AWAY: Final = frozenset({401, 403, 429})


class ConnectionResting(StrongroomError):
    """The connection did not answer of late, and another payment is trying it at this moment. Nothing was sent."""

    code = RESTING


class Breakers:
    """The breakers of one process."""

    def __init__(
        self, log: Log, metrics: PaymentMetrics, *, now: Callable[[], float] = monotonic
    ) -> None:
        self._log = log
        self._metrics = metrics
        self._now = now
        self._breakers: OrderedDict[ConnectionId, Breaker] = OrderedDict()
        self._counts = dict.fromkeys(BreakerState, 0)

    def rests(self, connection: ConnectionId) -> bool:
        """Tell whether a connection is to be passed over now."""
        breaker = self._breakers.get(connection)
        return breaker is not None and not breaker.admits(self._now())

    def seconds_left(self, connection: ConnectionId) -> float:
        """Return when a connection may be tried again."""
        breaker = self._breakers.get(connection)
        return 0.0 if breaker is None else breaker.seconds_left(self._now())

    def admit(self, attempt: Attempt) -> Ticket | None:
        """Return a ticket for a call; None: it is made all the same, and what comes of it says nothing.

        Raises:
            ConnectionResting: a rule chose the connection, and it is not its turn.
        """
        breaker = self._breakers.get(attempt.connection_id)
        if breaker is None:
            breaker = self._made(attempt.connection_id)
        before = breaker.state
        ticket = breaker.admit(self._now())
        self._moved(before, breaker.state)
        routed = attempt.route is not None and attempt.route.by == "rule"
        if ticket is None and routed and attempt.operation.authorizes:
            raise ConnectionResting
        return ticket

    def told(self, attempt: Attempt, ticket: Ticket | None, reply: Forwarded | None) -> None:
        """Take note of what came of a call; without a reply the vault sent nothing, or the call was given up."""
        breaker = self._breakers.get(attempt.connection_id)
        if ticket is None or breaker is None:
            return
        before = breaker.state
        if reply is None:
            breaker.given_up(ticket)
        elif answers(reply):
            breaker.succeeded(ticket)
        else:
            breaker.failed(ticket, self._now())
        self._moved(before, breaker.state)
        if breaker.state is BreakerState.OPEN is not before:
            self._opened(attempt, ticket)

    def _opened(self, attempt: Attempt, ticket: Ticket) -> None:
        if ticket.is_probe:
            return  # it rests on
        self._metrics.connection_opened()
        self._log.emit(
            "error",
            "payments.connection_resting",
            {
                "merchant_id": attempt.merchant_id,
                "mode": attempt.mode.value,
                "object_id": attempt.connection_id,
            },
        )

    def shown(self, connection: ConnectionId) -> str | None:
        """Say how a connection's breaker stands in this process; None: nothing went through it here lately."""
        breaker = self._breakers.get(connection)
        return None if breaker is None else breaker.state.value

    def _made(self, connection: ConnectionId) -> Breaker:
        while len(self._breakers) >= REMEMBERED_MAX:
            _, gone = self._breakers.popitem(last=False)
            self._counts[gone.state] -= 1
        made = self._breakers[connection] = Breaker()
        self._counts[made.state] += 1
        self._tell()
        return made

    def _moved(self, before: BreakerState, after: BreakerState) -> None:
        if before is not after:
            self._counts[before] -= 1
            self._counts[after] += 1
            self._tell()

    def _tell(self) -> None:
        self._metrics.connections_by_breaker(
            {state.value: count for state, count in self._counts.items()}
        )


def answers(reply: Forwarded) -> bool:
    """Tell whether a processor answers, whatever it says: a refusal or a decline is an answer."""
    return (
        reply.outcome == "answered"
        and reply.status < _SERVER_ERRORS
        and reply.status not in _TURNED_AWAY
    )
