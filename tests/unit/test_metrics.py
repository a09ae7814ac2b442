# SPDX-License-Identifier: Apache-2.0
"""The metrics: what is counted shows, labels stay bounded, and each process has its own registry."""

import re
import timeit

from prometheus_client.parser import text_string_to_metric_families

from strongroom.kernel.clock import SystemClock
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import CONTENT_TYPE, OTHER, ROUTES_MAX, Metrics
from strongroom.telemetry.sink import MemorySink


def samples(metrics: Metrics) -> dict[str, float]:
    """Return `name{labels}` → value, as a scrape would read it."""
    return {
        sample.name
        + (
            "{" + ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items())) + "}"
            if sample.labels
            else ""
        ): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
    }


def test_an_answer_is_counted_and_timed() -> None:
    metrics = Metrics()
    route = metrics.http.route("vault", "POST", "/v1/tokens")
    route.answered(201, 0.003)
    route.answered(201, 0.004)
    route.answered(422, 0.2)
    found = samples(metrics)
    labels = "listener=vault,method=POST,route=/v1/tokens"
    assert found[f"strongroom_requests_total{{{labels},status=201}}"] == 2
    assert found[f"strongroom_requests_total{{{labels},status=422}}"] == 1
    assert found[f"strongroom_request_seconds_count{{{labels}}}"] == 3
    assert found[f"strongroom_request_seconds_bucket{{le=0.005,{labels}}}"] == 2


def test_a_route_is_resolved_once() -> None:
    metrics = Metrics()
    assert metrics.http.route("vault", "GET", "/x") is metrics.http.route("vault", "GET", "/x")


def test_labels_stay_bounded_whatever_is_sent() -> None:
    metrics = Metrics()
    for number in range(2 * ROUTES_MAX):
        metrics.http.route("vault", f"BREW{number}", "/v1/tokens").answered(200, 0.1)
        metrics.http.route("vault", "GET", f"/{number}").answered(600 + number, 0.1)
    metrics.http.route("vault", "GET", "/late").answered(-1, 0.1)
    counted = [name for name in samples(metrics) if name.startswith("strongroom_requests_total")]
    assert len(counted) <= ROUTES_MAX + 2
    assert any(f"method={OTHER}" in name for name in counted)
    assert any(f"route={OTHER}" in name for name in counted)
    assert all(f"status={OTHER}" in name or "status=200" in name for name in counted)


def test_group_commit() -> None:
    metrics = Metrics()
    writer = metrics.group_commit.writer("tokens")
    waiting = [3.0]
    writer.watch_queue(lambda: waiting[0])
    writer.batch(16, 0.002)
    writer.wait(0.001)
    found = samples(metrics)
    assert found["strongroom_group_commit_rows_sum{family=tokens}"] == 16
    assert found["strongroom_group_commit_seconds_count{family=tokens}"] == 1
    assert found["strongroom_group_commit_wait_seconds_count{family=tokens}"] == 1
    assert found["strongroom_group_commit_queue_rows{family=tokens}"] == 3
    waiting[0] = 0
    assert samples(metrics)["strongroom_group_commit_queue_rows{family=tokens}"] == 0


def test_the_other_parts() -> None:
    metrics = Metrics()
    metrics.vault.tokens_created.labels("test").inc()
    metrics.vault.tokens_deduplicated.labels("test").inc(2)
    metrics.vault.cvc_sealed.inc()
    metrics.vault.cvc_used.labels("used").inc()
    metrics.keys.calls.labels("file", "unwrap", "ok").inc()
    metrics.keys.call_seconds.labels("file").observe(0.001)
    metrics.audit.sealed_records.labels("vault").set(7)
    metrics.audit.unsealed_lag_seconds.labels("vault").set(0.5)
    metrics.http.denied.labels("vault", "expired").inc()
    metrics.http.rate_limited.labels("public").inc()
    metrics.describe_build(version="0.1.0", role="vault")
    found = samples(metrics)
    assert {
        "strongroom_tokens_created_total{mode=test}": 1,
        "strongroom_tokens_deduplicated_total{mode=test}": 2,
        "strongroom_cvc_sealed_total": 1,
        "strongroom_cvc_used_total{outcome=used}": 1,
        "strongroom_key_store_calls_total{operation=unwrap,outcome=ok,store=file}": 1,
        "strongroom_key_store_seconds_count{store=file}": 1,
        "strongroom_audit_sealed_records{tree=vault}": 7,
        "strongroom_audit_unsealed_lag_seconds{tree=vault}": 0.5,
        "strongroom_denied_total{listener=vault,reason=expired}": 1,
        "strongroom_rate_limited_total{rate_class=public}": 1,
        "strongroom_build_info{role=vault,version=0.1.0}": 1,
    }.items() <= found.items()


def test_the_log_is_counted() -> None:
    metrics = Metrics()
    log = Log(MemorySink(), clock=SystemClock(), observer=metrics.log)
    log.logger().info("x.y", reason="4242424242424242", body=1, path=2)
    metrics.log.redaction_failed()
    metrics.log.lost(3)
    found = samples(metrics)
    assert found["strongroom_log_scrubbed_total"] == 1
    assert found["strongroom_log_fields_dropped_total"] == 2
    assert found["strongroom_log_redaction_failed_total"] == 1
    assert found["strongroom_log_lines_lost_total"] == 3


def test_every_metric_has_our_prefix_help_and_a_unit_or_a_count() -> None:
    metrics = Metrics()
    for family in metrics.registry.collect():
        assert re.fullmatch(r"strongroom_[a-z_]+", family.name)
        assert family.documentation.endswith(".")


def test_two_processes_do_not_share_a_registry() -> None:
    first, second = Metrics(), Metrics()
    first.vault.cvc_sealed.inc()
    assert samples(second)["strongroom_cvc_sealed_total"] == 0
    assert "_created" not in first.exposition().decode().replace("tokens_created", "")


def test_the_content_type_is_prometheus_text() -> None:
    assert CONTENT_TYPE.startswith("text/plain; version=")


def test_counting_an_answer_costs_little() -> None:
    """The bound is far above the 1 µs it takes."""
    route = Metrics().http.route("vault", "POST", "/v1/tokens")
    assert min(timeit.repeat(lambda: route.answered(201, 0.003), number=1_000, repeat=20)) < 0.02
