# SPDX-License-Identifier: Apache-2.0
"""Which request meets which fault: on demand, or drawn. Pure but for the list of demands and the counts.

A draw is a function of the seed, the request's name and how often that name was seen, and of nothing else: a run
replays whatever the order in which its requests arrive. By what a request is named is `DrawBy`.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from strongroom.crypto import sha256


class Fault(enum.StrEnum):
    """What can go wrong."""

    #: Declines an authorization that it would approve, as where its acquirer is away; all else is as ever.
    ACQUIRER_AWAY = "acquirer_away"
    #: Never acts; answers 429.
    BUSY = "busy"
    #: Never acts; holds the connection until the client leaves.
    TIMEOUT_BEFORE = "timeout_before"
    ERROR_500_BEFORE = "error_500_before"
    #: Closes the connection without acting or answering.
    CUT_BEFORE = "cut_before"
    TIMEOUT_AFTER = "timeout_after"
    ERROR_500_AFTER = "error_500_after"
    CUT_AFTER = "cut_after"
    #: Acts at once, answers late.
    SLOW = "slow"
    #: Acts late, whether or not the client still waits.
    ACT_LATE = "act_late"
    #: Acts, and answers JSON of another shape.
    WRONG_SHAPE = "wrong_shape"
    WEBHOOK_DUPLICATE = "webhook_duplicate"
    WEBHOOK_LATE = "webhook_late"
    #: Held until the payment's next webhook was tried.
    WEBHOOK_REORDER = "webhook_reorder"
    #: The first delivery does not happen; a retry does.
    WEBHOOK_LOST = "webhook_lost"


class DrawBy(enum.StrEnum):
    """What names a request in a draw."""

    #: Its Idempotency-Key, or the reference that is looked for.
    KEY = "key"
    #: What it asks for: account, operation, amounts, currency. For clients whose keys differ from run to run.
    WISH = "wish"


#: The request is not executed.
BEFORE: Final = frozenset(
    {Fault.BUSY, Fault.TIMEOUT_BEFORE, Fault.ERROR_500_BEFORE, Fault.CUT_BEFORE}
)
NOTICE: Final = frozenset(
    {
        Fault.WEBHOOK_DUPLICATE,
        Fault.WEBHOOK_LATE,
        Fault.WEBHOOK_REORDER,
        Fault.WEBHOOK_LOST,
    }
)
ANSWER: Final = frozenset(Fault) - NOTICE

#: How long each lasts, in seconds, unless told otherwise.
SECONDS: Final[Mapping[Fault, float]] = {
    Fault.TIMEOUT_BEFORE: 60.0,
    Fault.TIMEOUT_AFTER: 60.0,
    Fault.SLOW: 0.5,
    Fault.ACT_LATE: 0.5,
    Fault.WEBHOOK_LATE: 1.0,
    Fault.WEBHOOK_REORDER: 2.0,
}
#: For a seed without rates. What another processor would do is asked for by name.
RATES: Final[Mapping[Fault, float]] = dict.fromkeys(
    (each for each in Fault if each not in {Fault.ACQUIRER_AWAY, Fault.BUSY}), 0.02
)

#: Demands that wait, at most.
DEMANDS_MAX: Final = 10_000
_DRAW_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Chosen:
    """A fault, and how long it lasts."""

    fault: Fault
    seconds: float


@dataclass(frozen=True, slots=True)
class Demand:
    """A fault that the next fitting request meets. None fits every one."""

    fault: Fault
    operation: str | None = None
    reference: str | None = None
    seconds: float | None = None


def named(account: str, amount: int, currency: str, part: int | None = None) -> str:
    """Return the name of a wish: a payment's account and amount, and of what is done with it, how much."""
    return f"{account} {amount} {currency} {'' if part is None else part}"


def draw(
    seed: int,
    rates: Mapping[Fault, float],
    *,
    operation: str,
    key: str,
    seen: int,
    among: frozenset[Fault],
) -> Fault | None:
    """Return the fault of one request, or None. The same arguments give the same answer, on every machine."""
    side = "notice" if among is NOTICE else "answer"
    digest = sha256("\0".join((str(seed), side, operation, key, str(seen))).encode())
    left = int.from_bytes(digest[:_DRAW_BYTES], "big") / 2 ** (8 * _DRAW_BYTES)
    for fault in sorted(among):
        left -= rates.get(fault, 0.0)
        if left < 0:
            return fault
    return None


@dataclass(slots=True)
class Faults:
    """What goes wrong from now on."""

    seed: int | None = None
    rates: dict[Fault, float] = field(default_factory=dict)
    seconds: dict[Fault, float] = field(default_factory=dict)
    draw_by: DrawBy = DrawBy.KEY
    _demands: list[Demand] = field(default_factory=list)
    _seen: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def demands(self) -> tuple[Demand, ...]:
        """What was demanded and was not met yet."""
        return tuple(self._demands)

    def demand(self, demands: Iterable[Demand]) -> None:
        """Add demands behind those that wait; the oldest beyond the bound are forgotten."""
        self._demands = [*self._demands, *demands][-DEMANDS_MAX:]

    def forget(self) -> None:
        """Nothing goes wrong any more, and keys count from the beginning."""
        self.seed = None
        self.draw_by = DrawBy.KEY
        self.rates, self.seconds = {}, {}
        self._demands, self._seen = [], {}

    def see(self, operation: str, key: str) -> int:
        """Count a request, and return how many like it came before: what draws depend on."""
        seen = self._seen.get((operation, key), 0)
        if self.seed is not None:
            self._seen[operation, key] = seen + 1
        return seen

    def choose(
        self,
        among: frozenset[Fault],
        operation: str,
        *,
        key: str,
        reference: str,
        seen: int,
    ) -> Chosen | None:
        """Return what befalls a request's answer (`ANSWER`) or the webhook that it causes (`NOTICE`).

        Args:
            among: `ANSWER` or `NOTICE`.
            operation: authorize, capture, void, refund, increment, find, or an event's type for webhooks that
                no request causes.
            key: its name (`DrawBy`).
            reference: ours, for demands.
            seen: how many requests like it came before.
        """
        for at, demand in enumerate(self._demands):
            if (
                demand.fault in among
                and demand.operation in {None, operation}
                and demand.reference in {None, reference}
            ):
                del self._demands[at]
                return self._chosen(demand.fault, demand.seconds)
        if self.seed is None:
            return None
        fault = draw(self.seed, self.rates, operation=operation, key=key, seen=seen, among=among)
        return None if fault is None else self._chosen(fault, None)

    def _chosen(self, fault: Fault, seconds: float | None) -> Chosen:
        lasting = self.seconds.get(fault, SECONDS.get(fault, 0.0)) if seconds is None else seconds
        return Chosen(fault, lasting)
