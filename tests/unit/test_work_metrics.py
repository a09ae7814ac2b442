# SPDX-License-Identifier: Apache-2.0
"""What is counted of background work and of calls to others shows, under words of the code."""

from strongroom.telemetry.metrics import Metrics


def test_what_is_told_shows() -> None:
    metrics = Metrics()
    metrics.jobs.claimed("delivery", 9)
    metrics.jobs.ended("delivery", "kept", 0.02)
    metrics.jobs.lag("delivery", 4, 1.5)
    metrics.webhooks.tried("delivered", 0.04)
    metrics.webhooks.tried("timeout", 15.0)
    metrics.webhooks.delivered(0.05)
    metrics.webhooks.given_up()
    metrics.payments.settled("capture", "approved")
    metrics.payments.called("capture", 0.1, 0.107)
    metrics.payments.noticed("agrees")
    metrics.payments.discrepancies.inc()
    metrics.egress.observe("answered", 0.1)

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"strongroom_{name}", labels)

    assert value("jobs_claimed_total", kind="delivery") == 9
    assert value("jobs_ended_total", kind="delivery", outcome="kept") == 1
    assert value("job_seconds_count", kind="delivery") == 1
    assert value("jobs_waiting", kind="delivery") == 4
    assert value("jobs_oldest_seconds", kind="delivery") == 1.5
    assert value("webhook_tries_total", outcome="delivered") == 1
    assert value("webhook_tries_total", outcome="timeout") == 1
    assert value("webhook_try_seconds_count") == 2
    assert value("webhook_delay_seconds_count") == 1
    assert value("webhooks_given_up_total") == 1
    assert value("payment_attempts_total", operation="capture", outcome="approved") == 1
    assert value("processor_seconds_sum", operation="capture") == 0.1
    assert value("payment_notices_total", result="agrees") == 1
    assert value("payment_discrepancies_total") == 1
    assert value("egress_calls_total", outcome="answered") == 1
    assert value("egress_seconds_count") == 1


def test_overhead_is_what_the_processor_did_not_take_and_never_negative() -> None:
    metrics = Metrics()
    metrics.payments.called("sale", 0.1, 0.15)
    metrics.payments.called("sale", 0.2, 0.1)
    name = "strongroom_payment_call_overhead_seconds_sum"
    found = metrics.registry.get_sample_value(name, {"operation": "sale"})
    assert found is not None
    assert abs(found - 0.05) < 1e-9
