# SPDX-License-Identifier: Apache-2.0
"""The metrics of shown cards. Labels are words of the code: never a caller, a token or a merchant."""

from typing import final

from prometheus_client import CollectorRegistry, Counter


@final
class RevealMetrics:
    """Reveals, and bursts of them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        #: `method`: clear, or encrypted to the caller's key.
        self._reveals = Counter(
            "strongroom_reveals", "Cards shown.", ["mode", "method"], registry=registry
        )
        #: `outcome`: stopped (the caller reveals nothing for a time), warned (alarm only).
        self._bursts = Counter(
            "strongroom_reveal_bursts",
            "Callers who revealed too much at once. Page somebody.",
            ["mode", "outcome"],
            registry=registry,
        )

    def revealed(self, mode: str, method: str) -> None:
        """Count a card that was shown."""
        self._reveals.labels(mode, method).inc()

    def burst(self, mode: str, outcome: str) -> None:
        """Count a burst."""
        self._bursts.labels(mode, outcome).inc()
