# SPDX-License-Identifier: Apache-2.0
"""The stream of security events: one log line each (`security.event`) and one counter. Raises nothing.

Words and ids only, and each names the audit record that proves it.
"""

from typing import Final

from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import SecurityMetrics
from strongroom.telemetry.security_event import SecurityEvent

EVENT_TYPE: Final = "security.event"
#: An unknown word is loud.
_LEVELS: Final = {"low": "info", "medium": "warning", "high": "error", "critical": "critical"}


class SecurityEvents:
    """Tells the log and the metrics of one process."""

    def __init__(self, log: Log, metrics: SecurityMetrics) -> None:
        self._log = log
        self._metrics = metrics

    def tell(self, event: SecurityEvent) -> None:
        """Write the line and count it. Called after the commit of what it tells of, never before."""
        self._metrics.events.labels(event.action, event.severity).inc()
        self._log.emit(
            _LEVELS.get(event.severity, "critical"),
            EVENT_TYPE,
            {
                "action": event.action,
                "severity": event.severity,
                "user_id": event.actor,
                "merchant_id": event.merchant,
                "object_id": event.thing,
                "outcome": event.outcome,
                "audit_event_id": event.audit_event_id,
                "leaf_hash": event.leaf_hash.hex(),
            },
        )
