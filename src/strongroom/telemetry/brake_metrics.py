# SPDX-License-Identifier: Apache-2.0
"""The metrics of brakes. Labels are words of the code: never a rule's name, an address, a card or a merchant."""

from typing import final

from prometheus_client import CollectorRegistry, Counter, Gauge


@final
class BrakeMetrics:
    """What brakes did to payments, and card testing that was noticed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        #: `action`: authenticate, observe, refuse, throttle, or pass where nothing held. Payments that nobody brakes
        #: are not here.
        self._decided = Counter(
            "strongroom_brake_decisions",
            "Payments that brakes looked at, by what became of them.",
            ["mode", "action"],
            registry=registry,
        )
        #: `subject`: address, bin, card or key; list where somebody is blocked.
        self._tripped = Counter(
            "strongroom_brakes_tripped",
            "Brakes that held, several of one payment among them.",
            ["subject", "action"],
            registry=registry,
        )
        self._testing = Counter(
            "strongroom_card_testing_noticed",
            "Times that somebody began to try cards. Look at once.",
            ["mode", "subject"],
            registry=registry,
        )
        #: Every worker says the same.
        self.lasting = Gauge(
            "strongroom_card_testing_lasting",
            "Incidents of card testing that are over and not ended yet; 0 unless the worker's round stands still.",
            registry=registry,
        )
        #: `what`: void, refund. Somebody looks: what a policy releases was not released.
        self._not_released = Counter(
            "strongroom_checks_not_released",
            "Approvals that a policy about AVS or CVC releases, and a processor did not.",
            ["what"],
            registry=registry,
        )

    def decided(self, mode: str, action: str) -> None:
        """Count a payment that brakes looked at."""
        self._decided.labels(mode, action).inc()

    def tripped(self, subject: str, action: str) -> None:
        """Count a brake that held."""
        self._tripped.labels(subject, action).inc()

    def testing(self, mode: str, subject: str) -> None:
        """Count card testing that was noticed."""
        self._testing.labels(mode, subject).inc()

    def not_released(self, what: str) -> None:
        """Count a release that failed."""
        self._not_released.labels(what).inc()
