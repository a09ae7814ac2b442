# SPDX-License-Identifier: Apache-2.0
"""How fast a job goes and may go."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.kernel.ids import JobId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.vault.work.model import Job, JobKind, JobState
from strongroom.vault.work.pace import BURST_SECONDS, batch, next_at, seconds_left, speed

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
JOB = Job(
    merchant_id=MerchantId("mer_1"),
    mode=Mode.TEST,
    job_id=JobId("job_1"),
    kind=JobKind.RESEAL,
    state=JobState.RUNNING,
    params={},
    cursor="",
    total=1_000,
    done=100,
    refused=0,
    rate=None,
    problem=None,
    result={},
    created_by="operator:tests",
    created_at=NOW,
    started_at=NOW,
    updated_at=NOW,
    ended_at=None,
    items_a_second=100.0,
)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ({}, 9.0),
        ({"refused": 400}, 5.0),
        ({"done": 1_000}, 0.0),
        ({"done": 1_200}, 0.0),
        ({"rate": 10}, 90.0),
        ({"rate": 1_000}, 9.0),
        ({"total": None}, None),
        ({"items_a_second": None}, None),
        ({"items_a_second": 0.0}, None),
        ({"state": JobState.PAUSED}, None),
        ({"state": JobState.DONE}, None),
    ],
)
def test_seconds_left(change: dict[str, object], left: float | None) -> None:
    assert seconds_left(replace(JOB, **change)) == left  # type: ignore[arg-type]


def test_speed_forgets_slowly() -> None:
    assert speed(None, 50, NOW, after(0.5)) == 100.0
    assert speed(100.0, 0, NOW, after(10)) == pytest.approx(36.8, abs=0.1)
    assert speed(100.0, 1_000, NOW, after(10)) == 100.0
    # A clock set back divides by nothing.
    assert speed(None, 1, NOW, after(-5)) == 1_000.0


@pytest.mark.parametrize(
    ("rate", "most", "size"),
    [(None, 500, 500), (100, 500, 20), (1, 500, 1), (1_000_000, 500, 500)],
)
def test_a_step_is_a_fifth_of_a_second_of_the_rate(rate: int | None, most: int, size: int) -> None:
    assert batch(replace(JOB, rate=rate), most) == size


@pytest.mark.parametrize(
    ("late", "size"), [(-1.0, 200), (0.0, 200), (0.05, 250), (0.25, 450), (0.4, 600), (30.0, 600)]
)
def test_a_late_step_does_what_was_due_meanwhile(late: float, size: int) -> None:
    assert batch(replace(JOB, rate=1_000, late_seconds=late), 10_000) == size


def test_steps_that_take_longer_than_they_may_keep_the_rate() -> None:
    """A busy machine: each step takes two fifths of a second. Steps of a fifth's worth would make 500 a second."""
    job, due, now, items = replace(JOB, rate=1_000), NOW, NOW, 0
    while now < after(10):
        begun = max(now, due)
        size = batch(replace(job, late_seconds=(begun - due).total_seconds()), 1_000)
        now = begun + timedelta(seconds=0.4)
        items += size
        due = next_at(job, size, due, begun, now)
    assert items == pytest.approx(10_000, rel=0.04)


def test_without_a_rate_the_next_step_is_due_now() -> None:
    assert next_at(JOB, 500, NOW, NOW, after(1)) == after(1)


@given(
    st.integers(1, 10_000),
    st.lists(st.tuples(st.integers(1, 500), st.floats(0, 3)), min_size=1, max_size=40),
)
def test_no_window_has_more_than_the_rate_and_one_burst(
    rate: int, steps: list[tuple[int, float]]
) -> None:
    """Whatever is late and however much a step does, the sum stays below rate x time + a second's worth + one step."""
    job, due, now, items = replace(JOB, rate=rate), NOW, NOW, 0
    for size, late in steps:
        begun = max(now, due) + timedelta(seconds=late)
        items += size
        now = begun
        due = next_at(job, size, due, begun, now)
        elapsed = (begun - NOW).total_seconds()
        assert items - size <= rate * (elapsed + BURST_SECONDS) + 1e-6 * rate * len(steps)
