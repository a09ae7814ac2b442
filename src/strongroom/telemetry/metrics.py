# SPDX-License-Identifier: Apache-2.0
"""Every metric there is, declared in one place, in a registry of the process's own.

Labels are bounded: route templates, words of the code, never an id, a path, an address or a merchant. The hot
route resolves its labels once and holds the children.
"""

from collections.abc import Callable
from typing import Final, final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from strongroom.telemetry.brake_metrics import BrakeMetrics
from strongroom.telemetry.connection_metrics import ConnectionMetrics
from strongroom.telemetry.honey_metrics import HoneyMetrics
from strongroom.telemetry.log import LogObserver
from strongroom.telemetry.login_metrics import LoginMetrics
from strongroom.telemetry.reveal_metrics import RevealMetrics
from strongroom.telemetry.work_metrics import (
    EgressMetrics,
    IdentityMetrics,
    InboundMetrics,
    JobMetrics,
    PaymentMetrics,
    VaultJobMetrics,
    WebhookMetrics,
)

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
LATENCY_SECONDS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
BATCH_ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
#: More than all routes of a process; whatever comes behind that shares one child.
ROUTES_MAX: Final = 300
OTHER: Final = "other"
_STATUSES: Final = range(100, 600)
_METHODS: Final = frozenset("DELETE GET HEAD OPTIONS PATCH POST PUT".split())

disable_created_metrics()  # type: ignore[no-untyped-call]  # half of all series would be times of birth


@final
class RouteMetrics:
    """The children of one (listener, method, route)."""

    __slots__ = ("_by_status", "_observe", "_resolve")

    def __init__(self, observe: Callable[[float], None], resolve: Callable[[str], Counter]) -> None:
        self._observe = observe
        self._resolve = resolve
        self._by_status: dict[int, Callable[[], None]] = {}

    def answered(self, status: int, seconds: float) -> None:
        """Count an answer and how long it took. About 1 µs."""
        count = self._by_status.get(status)
        if count is None:
            known = status in _STATUSES
            count = self._resolve(str(status) if known else OTHER).inc
            if known:
                self._by_status[status] = count
        count()
        self._observe(seconds)


@final
class HttpMetrics:
    """Requests and refusals."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._routes: dict[tuple[str, str, str], RouteMetrics] = {}
        self._requests = Counter(
            "strongroom_requests",
            "Requests answered.",
            ["listener", "route", "method", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "strongroom_request_seconds",
            "How long an answer took.",
            ["listener", "route", "method"],
            buckets=LATENCY_SECONDS,
            registry=registry,
        )
        #: `reason` is a word of the code.
        self.denied = Counter(
            "strongroom_denied",
            "Requests refused for who sent them.",
            ["listener", "reason"],
            registry=registry,
        )
        self.rate_limited = Counter(
            "strongroom_rate_limited", "Requests over a limit.", ["rate_class"], registry=registry
        )
        self.errors = Counter(
            "strongroom_errors",
            "Requests that met an error of ours.",
            ["listener"],
            registry=registry,
        )
        self.card_numbers_refused = Counter(
            "strongroom_card_numbers_refused",
            "Card numbers refused where none may be.",
            ["listener"],
            registry=registry,
        )

    def route(self, listener: str, method: str, route: str) -> RouteMetrics:
        """Return the children of a route: its template, or a word for what matched none."""
        found = self._routes.get((listener, method, route))
        if found is None:
            if method not in _METHODS:  # a caller can send any word
                method = OTHER
            if len(self._routes) >= ROUTES_MAX:
                route = OTHER
            found = self._routes.setdefault(
                (listener, method, route), self._children(listener, method, route)
            )
        return found

    def _children(self, listener: str, method: str, route: str) -> RouteMetrics:
        return RouteMetrics(
            self._seconds.labels(listener, route, method).observe,
            lambda status: self._requests.labels(listener, route, method, status),
        )


@final
class BatchMetrics:
    """The children of one group-commit writer."""

    __slots__ = ("_rows", "_seconds", "wait", "watch_queue")

    def __init__(self, rows: Histogram, seconds: Histogram, wait: Histogram, queue: Gauge) -> None:
        self._rows = rows.observe
        self._seconds = seconds.observe
        #: Observe how long a row waited for its batch, in seconds.
        self.wait = wait.observe
        #: Give the function that says how many rows wait now; asked at each scrape.
        self.watch_queue: Callable[[Callable[[], float]], None] = queue.set_function

    def batch(self, rows: int, seconds: float) -> None:
        """Count a committed batch (the form in which group commit tells it)."""
        self._rows(rows)
        self._seconds(seconds)


@final
class GroupCommitMetrics:
    """The group-commit writers, by table family."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._rows = Histogram(
            "strongroom_group_commit_rows",
            "Rows in a committed batch.",
            ["family"],
            buckets=BATCH_ROWS,
            registry=registry,
        )
        self._seconds = Histogram(
            "strongroom_group_commit_seconds",
            "How long a batch took to commit.",
            ["family"],
            buckets=LATENCY_SECONDS,
            registry=registry,
        )
        self._wait = Histogram(
            "strongroom_group_commit_wait_seconds",
            "How long a row waited for its batch.",
            ["family"],
            buckets=LATENCY_SECONDS,
            registry=registry,
        )
        self._queue = Gauge(
            "strongroom_group_commit_queue_rows", "Rows waiting.", ["family"], registry=registry
        )

    def writer(self, family: str) -> BatchMetrics:
        """Return the children of the writer of a table family."""
        return BatchMetrics(
            self._rows.labels(family),
            self._seconds.labels(family),
            self._wait.labels(family),
            self._queue.labels(family),
        )


@final
class VaultMetrics:
    """Tokens and CVCs."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.tokens_created = Counter(
            "strongroom_tokens_created", "New tokens.", ["mode"], registry=registry
        )
        self.tokens_deduplicated = Counter(
            "strongroom_tokens_deduplicated",
            "Creations answered with a token that was there.",
            ["mode"],
            registry=registry,
        )
        self.tokens_deleted = Counter(
            "strongroom_tokens_deleted", "Tokens deleted.", ["mode"], registry=registry
        )
        self.cvc_sealed = Counter("strongroom_cvc_sealed", "CVCs sealed.", registry=registry)
        #: `outcome` is a word of the code: used, expired …
        self.cvc_used = Counter(
            "strongroom_cvc_used", "Attempts to use a CVC.", ["outcome"], registry=registry
        )


@final
class KeyMetrics:
    """Data keys and the stores that open them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        #: `outcome` is `ok` or an error's code.
        self.calls = Counter(
            "strongroom_key_store_calls",
            "What a key store was asked: generate, wrap, unwrap, describe.",
            ["store", "operation", "outcome"],
            registry=registry,
        )
        self.call_seconds = Histogram(
            "strongroom_key_store_seconds",
            "How long a key store took.",
            ["store"],
            buckets=LATENCY_SECONDS,
            registry=registry,
        )
        #: `domain` is the database; a root is `root:` and its purpose.
        self.age = Gauge(
            "strongroom_key_age_seconds",
            "How old the oldest version of a key is that seals now.",
            ["domain", "name"],
            registry=registry,
        )
        self.overdue = Gauge(
            "strongroom_keys_overdue",
            "Keys whose cryptoperiod is over and that still seal. Should be 0.",
            ["domain", "name"],
            registry=registry,
        )
        #: `reason` is `breaker_open`, `queue_full` or `too_slow`.
        self.refused = Counter(
            "strongroom_key_store_refused",
            "Calls that were not made, or given up, to spare a key store and its callers.",
            ["store", "reason"],
            registry=registry,
        )
        self.waiting = Gauge(
            "strongroom_key_store_waiting",
            "Calls that wait for a place.",
            ["store"],
            registry=registry,
        )
        #: `state` is `closed`, `half_open` or `open`.
        self.breaker = Gauge(
            "strongroom_key_store_breaker",
            "1 at the state that the breaker before a key store is in.",
            ["store", "state"],
            registry=registry,
        )


@final
class AuditMetrics:
    """The audit trees."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.sealed_records = Gauge(
            "strongroom_audit_sealed_records", "Leaves of the tree.", ["tree"], registry=registry
        )
        self.unsealed_lag_seconds = Gauge(
            "strongroom_audit_unsealed_lag_seconds",
            "Age of the oldest record that is not in the tree; 0 if none.",
            ["tree"],
            registry=registry,
        )
        self.sink_failures = Counter(
            "strongroom_audit_sink_failures",
            "Checkpoints that a sink did not take.",
            ["tree", "sink"],
            registry=registry,
        )


@final
class SecurityMetrics:
    """What somebody who watches over security counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        #: Both labels are words of the code: an audit action and its severity.
        self.events = Counter(
            "strongroom_security_events",
            "Security events, by the action of the audit record.",
            ["action", "severity"],
            registry=registry,
        )
        self.reviews_overdue = Gauge(
            "strongroom_access_reviews_overdue",
            "Tenants whose access has not been reviewed for 180 days. Should be 0.",
            registry=registry,
        )
        self.accounts_disabled = Counter(
            "strongroom_unused_people_suspended",
            "People who were suspended because they had not logged in for 90 days.",
            registry=registry,
        )


@final
class LogMetrics(LogObserver):
    """Counts what the log had to do."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._scrubbed = Counter(
            "strongroom_log_scrubbed",
            "Card numbers and credentials taken out of log lines. Should be 0.",
            registry=registry,
        )
        self._dropped = Counter(
            "strongroom_log_fields_dropped",
            "Fields that were not on the log's allow-list.",
            registry=registry,
        )
        self._failed = Counter(
            "strongroom_log_redaction_failed",
            "Lines withheld because they could not be made safe. Should be 0.",
            registry=registry,
        )
        self._lost = Counter(
            "strongroom_log_lines_lost", "Lines that could not be written.", registry=registry
        )

    def scrubbed(self) -> None:
        """Count a line from which something was taken out."""
        self._scrubbed.inc()

    def dropped(self, fields: int) -> None:
        """Count fields that were not on the allow-list."""
        self._dropped.inc(fields)

    def redaction_failed(self) -> None:
        """Count a withheld line."""
        self._failed.inc()

    def lost(self, lines: int) -> None:
        """Count lines that could not be written."""
        self._lost.inc(lines)


@final
class Metrics:
    """The metrics of one process, by part. Callers on a hot path keep what `labels(…)` returns."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.http = HttpMetrics(registry)
        self.group_commit = GroupCommitMetrics(registry)
        self.vault = VaultMetrics(registry)
        self.reveals = RevealMetrics(registry)
        self.honey = HoneyMetrics(registry)
        self.keys = KeyMetrics(registry)
        self.audit = AuditMetrics(registry)
        self.identity = IdentityMetrics(registry)
        self.jobs = JobMetrics(registry)
        self.vault_jobs = VaultJobMetrics(registry)
        self.webhooks = WebhookMetrics(registry)
        self.inbound = InboundMetrics(registry)
        self.payments = PaymentMetrics(registry)
        self.brakes = BrakeMetrics(registry)
        self.connections = ConnectionMetrics(registry)
        self.egress = EgressMetrics(registry)
        self.logins = LoginMetrics(registry)
        self.security = SecurityMetrics(registry)
        self.log = LogMetrics(registry)
        #: 1 passed, 0 failed.
        self.health = Gauge(
            "strongroom_health", "The last result of a health check.", ["check"], registry=registry
        )
        #: By file name: `server`, `gateway`, `worker`, `authorities` (the one that ends first).
        self.certificate_ends = Gauge(
            "strongroom_internal_certificate_ends_seconds",
            "When a certificate of the vault's internal port ends, in seconds since 1970.",
            ["certificate"],
            registry=registry,
        )
        self._build = Gauge(
            "strongroom_build_info", "Always 1.", ["version", "role"], registry=registry
        )

    def describe_build(self, *, version: str, role: str) -> None:
        """Say which version and role this process is."""
        self._build.labels(version, role).set(1)

    def exposition(self) -> bytes:
        """Return everything in Prometheus' text format (`CONTENT_TYPE`)."""
        return generate_latest(self.registry)
