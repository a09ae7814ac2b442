# SPDX-License-Identifier: Apache-2.0
"""The metric of honeytokens. Labels are words of the code: never a caller, a token or a merchant."""

from typing import final

from prometheus_client import CollectorRegistry, Counter


@final
class HoneyMetrics:
    """Uses of tokens that nobody uses."""

    def __init__(self, registry: CollectorRegistry) -> None:
        #: `way`: change, charge, export, forward, read, reveal or search. `outcome`: contained (the key is ended) or
        #: warned.
        self._uses = Counter(
            "strongroom_honeytoken_uses",
            "Honeytokens that somebody named. Page somebody.",
            ["mode", "way", "outcome"],
            registry=registry,
        )

    def used(self, mode: str, way: str, outcome: str) -> None:
        """Count a use."""
        self._uses.labels(mode, way, outcome).inc()
