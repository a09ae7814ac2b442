# SPDX-License-Identifier: Apache-2.0
"""The metrics of work in the background and of calls to others: jobs, webhooks, payments, egress.

Labels are words of the code: a job's kind, an operation, an outcome. Never a merchant, an endpoint or an address.
"""

from collections.abc import Mapping
from typing import Final, final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

#: From what an answer of our own takes to what a processor may take.
CALL_SECONDS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip


@final
class JobMetrics:
    """Work that waits in tables, by kind."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._claimed = Counter(
            "strongroom_jobs_claimed", "Jobs that a worker took.", ["kind"], registry=registry
        )
        #: `outcome`: done, again, kept, failed (an error; tried again), lost (a lease ended under its handler).
        self._ended = Counter(
            "strongroom_jobs_ended",
            "Jobs that a worker has dealt with, for now or for good.",
            ["kind", "outcome"],
            registry=registry,
        )
        self._seconds = Histogram(
            "strongroom_job_seconds",
            "How long a job's handler took.",
            ["kind"],
            buckets=CALL_SECONDS,
            registry=registry,
        )
        self._waiting = Gauge(
            "strongroom_jobs_waiting",
            "Jobs that are due and nobody has taken; at most 10,000 are counted.",
            ["kind"],
            registry=registry,
        )
        self._oldest = Gauge(
            "strongroom_jobs_oldest_seconds",
            "For how long the oldest of them has been due; 0 if none.",
            ["kind"],
            registry=registry,
        )

    def claimed(self, kind: str, jobs: int) -> None:
        """Count jobs that were taken."""
        self._claimed.labels(kind).inc(jobs)

    def ended(self, kind: str, outcome: str, seconds: float) -> None:
        """Count a job that a handler is through with."""
        self._ended.labels(kind, outcome).inc()
        self._seconds.labels(kind).observe(seconds)

    def lag(self, kind: str, waiting: int, oldest_seconds: float) -> None:
        """Say how much waits, and since when."""
        self._waiting.labels(kind).set(waiting)
        self._oldest.labels(kind).set(oldest_seconds)


@final
class VaultJobMetrics:
    """The vault's own long work, by kind: re-seals, imports, exports."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._open = Gauge(
            "strongroom_vault_jobs",
            "The vault's jobs that have not ended.",
            ["kind", "state"],
            registry=registry,
        )
        #: `outcome`: done, refused.
        self._items = Counter(
            "strongroom_vault_job_items",
            "Items that the vault's jobs are through with.",
            ["kind", "outcome"],
            registry=registry,
        )
        self._left = Gauge(
            "strongroom_vault_job_seconds_left",
            "How long the longest running job of a kind will take at its present speed; 0 if none runs.",
            ["kind"],
            registry=registry,
        )
        self.lost = Counter(
            "strongroom_vault_job_claims_lost",
            "Steps that were undone because their job was paused, canceled or another runner's by then.",
            registry=registry,
        )
        self._known: set[tuple[str, str]] = set()

    def stepped(self, kind: str, done: int, refused: int) -> None:
        """Count what a step did."""
        self._items.labels(kind, "done").inc(done)
        self._items.labels(kind, "refused").inc(refused)

    def load(self, jobs: Mapping[tuple[str, str], int], seconds_left: Mapping[str, float]) -> None:
        """Say how much there is to do; what was said of a kind and state that has none any more becomes 0."""
        self._known |= jobs.keys()
        for kind, state in self._known:
            self._open.labels(kind, state).set(jobs.get((kind, state), 0))
            self._left.labels(kind).set(seconds_left.get(kind, 0.0))


@final
class WebhookMetrics:
    """What merchants are told."""

    def __init__(self, registry: CollectorRegistry) -> None:
        #: `outcome` is the reason word of the delivery log: delivered, timeout, gone …
        self._tries = Counter(
            "strongroom_webhook_tries",
            "Tries to deliver an event to an endpoint.",
            ["outcome"],
            registry=registry,
        )
        self._seconds = Histogram(
            "strongroom_webhook_try_seconds",
            "How long an endpoint took.",
            buckets=CALL_SECONDS,
            registry=registry,
        )
        self._given_up = Counter(
            "strongroom_webhooks_given_up",
            "Deliveries that failed for good.",
            registry=registry,
        )
        self._delay = Histogram(
            "strongroom_webhook_delay_seconds",
            "From the event to its delivery.",
            buckets=(*CALL_SECONDS, 300.0, 3_600.0, 86_400.0),
            registry=registry,
        )

    def tried(self, outcome: str, seconds: float) -> None:
        """Count a try, and how long the endpoint took."""
        self._tries.labels(outcome).inc()
        self._seconds.observe(seconds)

    def delivered(self, delay_seconds: float) -> None:
        """Count an event that reached its endpoint so long after it was written."""
        self._delay.observe(delay_seconds)

    def given_up(self) -> None:
        """Count a delivery that failed for good."""
        self._given_up.inc()


@final
class InboundMetrics:
    """What processors tell us."""

    def __init__(self, registry: CollectorRegistry) -> None:
        #: `outcome`: kept, duplicate, or the word of why it was refused.
        self._notices = Counter(
            "strongroom_notices_received",
            "Notices that came for a known connection.",
            ["scheme", "outcome"],
            registry=registry,
        )

    def noticed(self, scheme: str, outcome: str) -> None:
        """Count a notice that was kept, was there already, or was refused."""
        self._notices.labels(scheme, outcome).inc()


@final
class PaymentMetrics:
    """Processors asked, what came of it, and what it cost here."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._attempts = Counter(
            "strongroom_payment_attempts",
            "States that attempts came into: started, or an outcome.",
            ["operation", "outcome"],
            registry=registry,
        )
        self._overhead = Histogram(
            "strongroom_payment_call_overhead_seconds",
            "What a call to a processor took here, the processor's own time taken out.",
            ["operation"],
            buckets=CALL_SECONDS,
            registry=registry,
        )
        self._processor = Histogram(
            "strongroom_processor_seconds",
            "How long processors took to answer.",
            ["operation"],
            buckets=CALL_SECONDS,
            registry=registry,
        )
        self._notices = Counter(
            "strongroom_payment_notices",
            "Notices of processors that were dealt with.",
            ["result"],
            registry=registry,
        )
        #: Somebody must look: a processor reported what does not add up.
        self.discrepancies = Counter(
            "strongroom_payment_discrepancies",
            "Reports of processors that break a payment's sums. Should be 0.",
            registry=registry,
        )
        #: Likewise: our books are not what our payments say.
        self.differences = Gauge(
            "strongroom_ledger_differences",
            "Payments whose balances are not what was posted for them, up to 100. Should be 0.",
            registry=registry,
        )

        self._breakers = Gauge(
            "strongroom_connection_breakers",
            "Connections to processors that this process has called, by the state of the breaker before each.",
            ["state"],
            registry=registry,
        )
        self._opened = Counter(
            "strongroom_connection_breaker_opened",
            "Times that a connection stopped answering and is passed over for a while.",
            registry=registry,
        )
        #: `result`: chosen, failed_over, or the word of why a wish did not go on elsewhere.
        self._routed = Counter(
            "strongroom_payments_routed",
            "What rules of merchants decided: a connection chosen, a failover, or why there was none.",
            ["result"],
            registry=registry,
        )
        self._lines = Counter(
            "strongroom_reconciliation_lines",
            "Lines of settlement reports, and attempts that none names, by what they were found to be.",
            ["result"],
            registry=registry,
        )
        #: `outcome`: agreed, differed (somebody must look), failed.
        self._reconciliations = Counter(
            "strongroom_reconciliations",
            "Settlement reports that were compared to their end, or could not be.",
            ["outcome"],
            registry=registry,
        )

    def connections_by_breaker(self, counts: Mapping[str, int]) -> None:
        """Say how many connections there are with each state of a breaker."""
        for state, count in counts.items():
            self._breakers.labels(state).set(count)

    def connection_opened(self) -> None:
        """Count a connection that stopped answering."""
        self._opened.inc()

    def routed(self, result: str) -> None:
        """Count what a rule decided."""
        self._routed.labels(result).inc()

    def reconciled(self, lines: Mapping[str, int]) -> None:
        """Count lines of a report; one that is found to be something else later is counted as that, too."""
        for result, count in lines.items():
            if count > 0:
                self._lines.labels(result).inc(count)

    def reconciliations(self, outcome: str) -> None:
        """Count a report."""
        self._reconciliations.labels(outcome).inc()

    def settled(self, operation: str, outcome: str) -> None:
        """Count an attempt that came into a state."""
        self._attempts.labels(operation, outcome).inc()

    def called(self, operation: str, processor_seconds: float, whole_seconds: float) -> None:
        """Time a call: what the processor took, and the rest."""
        self._processor.labels(operation).observe(processor_seconds)
        self._overhead.labels(operation).observe(max(0.0, whole_seconds - processor_seconds))

    def noticed(self, result: str) -> None:
        """Count a notice that was dealt with."""
        self._notices.labels(result).inc()


@final
class EgressMetrics:
    """HTTP to addresses that come from data. `observe` is what `egress.client.Egress` takes as its observer."""

    def __init__(self, registry: CollectorRegistry) -> None:
        #: `outcome`: answered, not_sent, unknown.
        self._calls = Counter(
            "strongroom_egress_calls", "Requests that were sent.", ["outcome"], registry=registry
        )
        self._seconds = Histogram(
            "strongroom_egress_seconds",
            "How long they took.",
            buckets=CALL_SECONDS,
            registry=registry,
        )

    def observe(self, outcome: str, seconds: float) -> None:
        """Count a request and time it."""
        self._calls.labels(outcome).inc()
        self._seconds.observe(seconds)


@final
class IdentityMetrics:
    """Sessions, and what each process knows of revocations."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.refresh_reused = Counter(
            "strongroom_refresh_reused",
            "Refresh tokens that came a second time: somebody has a copy. Should be 0.",
            registry=registry,
        )
        #: `reason` is a word of the code: logout, idle, refresh_reused …
        self.sessions_ended = Counter(
            "strongroom_sessions_ended", "Sessions that ended.", ["reason"], registry=registry
        )
        self.revocations_age = Gauge(
            "strongroom_revocations_age_seconds",
            "How old the last reading of revocations was when the next began; above 2 no access token is believed.",
            registry=registry,
        )
