# SPDX-License-Identifier: Apache-2.0
"""A circuit breaker: what does not answer is left alone for a while, then asked by one caller before all others.

A pure state machine: it is told the time, waits for nothing, and its user decides what counts as a failure. Who is
admitted gets a ticket and gives it back with what came of it; a ticket from before the breaker last changed says
nothing any more, and one that is given back without a result (its task was cancelled) frees the place of the probe.
"""

import enum
from dataclasses import dataclass
from typing import Final

from strongroom.kernel.invariant import invariant

FAILURES_TO_OPEN: Final = 5
WAIT_SECONDS: Final = 1.0
WAIT_SECONDS_MAX: Final = 30.0


class BreakerState(enum.StrEnum):
    """Whether calls get through."""

    CLOSED = "closed"
    #: One caller probes; nobody else gets through until it is back.
    HALF_OPEN = "half_open"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to make one call. Of one breaker, and of one stretch between two of its changes."""

    turn: int
    is_probe: bool


class Breaker:
    """Opens after failures in a row; closes when a probe succeeds; waits longer after each probe that fails.

    Times are seconds of a clock that only goes forward.
    """

    def __init__(
        self,
        *,
        failures_to_open: int = FAILURES_TO_OPEN,
        wait_seconds: float = WAIT_SECONDS,
        wait_seconds_max: float = WAIT_SECONDS_MAX,
    ) -> None:
        invariant(failures_to_open > 0, "a breaker opens after a failure, not before")
        invariant(0 < wait_seconds <= wait_seconds_max, "a breaker waits")
        self._failures_to_open = failures_to_open
        self._shortest_wait = wait_seconds
        self._longest_wait = wait_seconds_max
        self._turn = 0
        self._failures = 0
        self._wait = wait_seconds
        self._open_until: float | None = None
        self._probing = False

    @property
    def state(self) -> BreakerState:
        """Whether calls get through."""
        if self._open_until is None:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if self._probing else BreakerState.OPEN

    def admits(self, now: float) -> bool:
        """Tell whether `admit` would give a ticket."""
        return self._open_until is None or (not self._probing and now >= self._open_until)

    def admit(self, now: float) -> Ticket | None:
        """Return a ticket for one call, or None: the call is not made."""
        if not self.admits(now):
            return None
        if self._open_until is None:
            return Ticket(self._turn, is_probe=False)
        self._probing = True
        return Ticket(self._turn, is_probe=True)

    def succeeded(self, ticket: Ticket) -> None:
        """Take note that who was called answered, whatever the answer was."""
        if ticket.turn != self._turn:
            return
        self._failures = 0
        if ticket.is_probe:
            self._turn += 1
            self._open_until, self._probing, self._wait = None, False, self._shortest_wait

    def failed(self, ticket: Ticket, now: float) -> None:
        """Take note that there was no answer."""
        if ticket.turn != self._turn:
            return
        self._failures += 1
        if ticket.is_probe:
            self._wait = min(self._wait * 2, self._longest_wait)
        elif self._failures < self._failures_to_open:
            return
        self._turn += 1
        self._open_until, self._probing = now + self._wait, False

    def given_up(self, ticket: Ticket) -> None:
        """Take note that the call ended without a result; the next one may probe."""
        if ticket.turn == self._turn and ticket.is_probe:
            self._probing = False

    def seconds_left(self, now: float) -> float:
        """Return when the next call may be made; 0 if now, or as soon as the probe is back."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - now)
