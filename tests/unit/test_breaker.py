# SPDX-License-Identifier: Apache-2.0
"""The circuit breaker: what it lets through when, against a table and against a model of random histories."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.kernel.breaker import Breaker, BreakerState, Ticket

OPEN, CLOSED, HALF_OPEN = BreakerState.OPEN, BreakerState.CLOSED, BreakerState.HALF_OPEN
FAILURES: Final = 3


def made() -> Breaker:
    return Breaker(failures_to_open=FAILURES, wait_seconds=1.0, wait_seconds_max=8.0)


def taken(breaker: Breaker, now: float) -> Ticket:
    ticket = breaker.admit(now)
    assert ticket is not None
    return ticket


def opened(breaker: Breaker, now: float = 0.0) -> None:
    for _ in range(FAILURES):
        breaker.failed(taken(breaker, now), now)
    assert breaker.state is OPEN


def test_it_opens_after_failures_in_a_row_only() -> None:
    breaker = made()
    for _ in range(10):
        for _ in range(FAILURES - 1):
            breaker.failed(taken(breaker, 0.0), 0.0)
        breaker.succeeded(taken(breaker, 0.0))
    assert breaker.state is CLOSED
    opened(breaker)
    assert breaker.admit(0.5) is None
    assert breaker.seconds_left(0.25) == 0.75


def test_one_probes_and_its_success_closes() -> None:
    breaker = made()
    opened(breaker)
    probe = taken(breaker, 1.0)
    assert (probe.is_probe, breaker.state) == (True, HALF_OPEN)
    assert breaker.admit(1.0) is None
    assert breaker.admit(100.0) is None
    breaker.succeeded(probe)
    assert breaker.state is CLOSED
    assert not taken(breaker, 1.0).is_probe


def test_each_probe_that_fails_doubles_the_wait_up_to_a_bound() -> None:
    breaker, now, waits = made(), 0.0, []
    opened(breaker)
    for _ in range(6):
        waits.append(breaker.seconds_left(now))
        now += waits[-1]
        assert breaker.admit(now - 0.01) is None
        breaker.failed(taken(breaker, now), now)
    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    now += 8.0
    breaker.succeeded(taken(breaker, now))
    opened(breaker, now)
    assert breaker.seconds_left(now) == 1.0, "who answered again begins anew"


def test_a_probe_that_is_given_up_frees_its_place() -> None:
    breaker = made()
    opened(breaker)
    breaker.given_up(taken(breaker, 1.0))
    assert breaker.state is OPEN
    assert taken(breaker, 1.0).is_probe


@pytest.mark.parametrize("late", ["succeeded", "failed", "given_up"])
def test_a_call_from_before_says_nothing_any_more(late: str) -> None:
    breaker = made()
    slow = taken(breaker, 0.0)
    opened(breaker)
    probe = taken(breaker, 1.0)
    match late:
        case "succeeded":
            breaker.succeeded(slow)
        case "failed":
            breaker.failed(slow, 1.0)
        case _:
            breaker.given_up(slow)
    assert breaker.state is HALF_OPEN
    assert breaker.admit(1.0) is None, "the probe is still under way"
    breaker.succeeded(probe)
    assert breaker.state is CLOSED


def test_an_answer_from_before_does_not_make_failures_in_a_row_forgotten() -> None:
    breaker = made()
    slow = taken(breaker, 0.0)
    opened(breaker)
    breaker.succeeded(taken(breaker, 1.0))
    for _ in range(FAILURES - 1):
        breaker.failed(taken(breaker, 1.0), 1.0)
    breaker.succeeded(slow)
    breaker.failed(taken(breaker, 1.0), 1.0)
    assert breaker.state is OPEN


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["call", "succeed", "fail", "give up", "wait"]),
            st.integers(0, 5),
        ),
        max_size=80,
    )
)
def test_it_never_sticks_and_never_lets_two_probe(steps: list[tuple[str, int]]) -> None:
    breaker, now = made(), 0.0
    out: list[Ticket] = []
    for step, number in steps:
        if step == "call":
            before = breaker.state
            ticket = breaker.admit(now)
            if ticket is not None:
                out.append(ticket)
                assert ticket.is_probe == (before is OPEN)
            else:
                assert before is not CLOSED
        elif step == "wait":
            now += number
        elif out:
            ticket = out.pop(number % len(out))
            if step == "succeed":
                breaker.succeeded(ticket)
            elif step == "fail":
                breaker.failed(ticket, now)
            else:
                breaker.given_up(ticket)
        live = [each for each in out if each.is_probe and each.turn == breaker._turn]
        assert len(live) == (breaker.state is HALF_OPEN)
        assert breaker.seconds_left(now) <= 8.0
    for ticket in out:
        breaker.given_up(ticket)
    assert breaker.admit(now + 8.0) is not None, "whatever happened, somebody asks again"
