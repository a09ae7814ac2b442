# SPDX-License-Identifier: Apache-2.0
"""Connections that their processors do not let in, as their last tests found. Labels are words of ours."""

from collections.abc import Mapping
from typing import final

from prometheus_client import CollectorRegistry, Gauge


@final
class ConnectionMetrics:
    """How many connections fail. Shown by each worker that tests on a schedule; every one says the same."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._failing = Gauge(
            "strongroom_connections_failing",
            "Active connections that failed their last test, by processor and reason. Should be 0.",
            ["processor", "reason"],
            registry=registry,
        )

    def show(self, failing: Mapping[tuple[str, str], int]) -> None:
        """Show how many fail now."""
        self._failing.clear()
        for (processor, reason), count in failing.items():
            self._failing.labels(processor, reason).set(count)
