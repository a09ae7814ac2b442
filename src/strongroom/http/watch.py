# SPDX-License-Identifier: Apache-2.0
"""What the edge saw, told to the log, the metrics and the audit log. Raises nothing that a request would meet."""

from collections.abc import Mapping
from typing import Protocol

from strongroom.http.gate import AddressNotAllowed
from strongroom.http.rate_limit import TooMany
from strongroom.http.request import Request
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.principal import Principal
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import Metrics


class Denials(Protocol):
    """Who records denials."""

    def note(
        self,
        address: str,
        reason: str,
        request_hash: str,
        listener: str,
        caller: Principal | None = None,
    ) -> None:
        """Take a denial; recorded soon, and counted when there are many."""


class TelemetryWatcher:
    """Tells the log, the metrics and the audit log what the edge saw. Implements `http.edge.Watcher`."""

    def __init__(self, log: Log, metrics: Metrics, denials: Denials) -> None:
        self._log = log
        self._metrics = metrics
        self._denials = denials

    def answered(
        self, request: Request, status: int, seconds: float, facts: Mapping[str, object]
    ) -> None:
        """Count an answer and write its line."""
        if facts.get("reason") == "card_number_refused":
            self._metrics.http.card_numbers_refused.labels(request.listener).inc()
        self._metrics.http.route(request.listener, request.method, request.route).answered(
            status, seconds
        )
        self._log.access_line(
            request_id=request.request_id,
            trace_hash=request.trace_hash,
            listener=request.listener,
            method=request.method,
            route=request.route,
            status=status,
            seconds=seconds,
            principal=request.principal,
            facts=facts,
        )

    def denied(self, request: Request, reason: str) -> None:
        """Count a denial, and record it."""
        self._metrics.http.denied.labels(request.listener, reason).inc()
        if reason == TooMany.code:
            kind = "stranger" if request.principal is None else request.principal.kind.value
            self._metrics.http.rate_limited.labels(kind).inc()
        # A credential that is used from elsewhere is what its tenant wants to hear of.
        caller = request.principal if reason == AddressNotAllowed.code else None
        self._denials.note(request.address, reason, request.trace_hash, request.listener, caller)

    def failed(self, request: Request, error: BaseException) -> None:
        """Log an error that no caller can mend, by its class and where it came from; ours say more, and no value."""
        self._metrics.http.errors.labels(request.listener).inc()
        more = {"reason": error.detail} if isinstance(error, StrongroomError) else {}
        self._log.logger().error(
            "http.failed",
            exc_info=error,
            request_id=request.request_id,
            route=request.route,
            **more,
        )
