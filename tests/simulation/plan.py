# SPDX-License-Identifier: Apache-2.0
"""What a run is: how many payments, what goes wrong how often, and when what is killed. A function of its seed.

The same seed gives the same customers, carts, patience and blows in the same places. It does not give the same
microseconds: what two processes do between two blows is the machine's affair, which is why seeds are many.
"""

import random
from dataclasses import dataclass
from typing import Final

from strongroom.simulator.faults import Fault

#: Of each request to the processor; the rest is answered as it should be.
RATES: Final = {
    Fault.ACQUIRER_AWAY: 0.02,
    Fault.BUSY: 0.02,
    Fault.TIMEOUT_BEFORE: 0.015,
    Fault.ERROR_500_BEFORE: 0.015,
    Fault.CUT_BEFORE: 0.015,
    Fault.TIMEOUT_AFTER: 0.015,
    Fault.ERROR_500_AFTER: 0.015,
    Fault.CUT_AFTER: 0.015,
    Fault.SLOW: 0.03,
    Fault.ACT_LATE: 0.01,
    Fault.WRONG_SHAPE: 0.015,
    Fault.WEBHOOK_DUPLICATE: 0.05,
    Fault.WEBHOOK_LATE: 0.05,
    Fault.WEBHOOK_REORDER: 0.05,
    Fault.WEBHOOK_LOST: 0.05,
}
#: Shorter than the adapter's visibility of three seconds, behind which "nothing found" means "not sent". To act late
#: and to be seen late leave a simulator that shares its cores two seconds and more until it has its turn.
SECONDS: Final = {
    Fault.TIMEOUT_BEFORE: 5.0,
    Fault.TIMEOUT_AFTER: 5.0,
    Fault.SLOW: 0.3,
    Fault.ACT_LATE: 1.2,
    Fault.WEBHOOK_LATE: 1.0,
    Fault.WEBHOOK_REORDER: 1.0,
}
VISIBILITY_SECONDS: Final = 0.5
VICTIMS: Final = ("gateway", "worker", "database")
#: The first and the last part of a run, in which nothing is killed: it begins whole, and its blows all meet payments.
_CALM_START: Final = 0.05
_CALM_END: Final = 0.95


@dataclass(frozen=True, slots=True)
class Blow:
    """A kill: once so many payments were begun, and a moment later."""

    payments: int
    victim: str
    #: As a machine without power (SIGKILL), or as an operator who is in a hurry (SIGTERM, SIGQUIT).
    hard: bool
    after_seconds: float
    away_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run."""

    seed: int
    payments: int
    #: Of each victim.
    kills: int
    shoppers: int = 48
    seconds_max: float = 540.0

    def blows(self) -> list[Blow]:
        """Say what is killed when, in order."""
        chance = random.Random(f"{self.seed} blows")
        found = [
            Blow(
                payments=int(self.payments * chance.uniform(_CALM_START, _CALM_END)),
                victim=victim,
                hard=number == 0 or chance.random() < 0.75,
                after_seconds=chance.uniform(0.0, 0.3),
                away_seconds=chance.uniform(0.0, 0.7),
            )
            for victim in VICTIMS
            for number in range(self.kills)
        ]
        return sorted(found, key=lambda blow: blow.payments)
