# SPDX-License-Identifier: Apache-2.0
"""Faults: a draw depends on the request alone, rates are kept, demands are met once by what they are for."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.simulator.faults import (
    ANSWER,
    BEFORE,
    DEMANDS_MAX,
    NOTICE,
    RATES,
    Chosen,
    Demand,
    Fault,
    Faults,
    draw,
)
from strongroom.simulator.misshape import misshapen

#: Key's number and fault.
KNOWN = [
    (2, "error_500_before"),
    (4, "act_late"),
    (8, "error_500_after"),
    (17, "cut_before"),
    (27, "timeout_before"),
    (32, "timeout_before"),
    (33, "timeout_after"),
    (34, "error_500_before"),
    (39, "act_late"),
]


def test_a_draw_is_the_same_for_ever() -> None:
    """These stand in seeds that people noted down."""
    drawn = [
        draw(7, RATES, operation="capture", key=f"k{n}", seen=0, among=ANSWER) for n in range(40)
    ]
    assert [(n, fault) for n, fault in enumerate(drawn) if fault] == KNOWN


@given(st.integers(), st.text(max_size=40), st.integers(0, 5), st.randoms())
def test_the_order_of_other_requests_does_not_matter(
    seed: int, key: str, seen: int, shuffled: random.Random
) -> None:
    alone = Faults(seed=seed, rates=dict(RATES))
    among_others = Faults(seed=seed, rates=dict(RATES))
    others = [("capture", f"other-{n}") for n in range(5)] + [("capture", key)] * (seen + 1)
    shuffled.shuffle(others)

    def last(faults: Faults, requests: list[tuple[str, str]]) -> Chosen | None:
        found = None
        for operation, asked in requests:
            before = faults.see(operation, asked)
            chosen = faults.choose(ANSWER, operation, key=asked, reference="r", seen=before)
            found = chosen if asked == key else found
        return found

    assert last(alone, [("capture", key)] * (seen + 1)) == last(among_others, others)


def test_rates_are_kept() -> None:
    rates = {Fault.SLOW: 0.25, Fault.CUT_AFTER: 0.5}
    drawn = [
        draw(1, rates, operation="find", key=f"{n}", seen=0, among=ANSWER) for n in range(4000)
    ]
    assert abs(drawn.count(Fault.SLOW) / 4000 - 0.25) < 0.03
    assert abs(drawn.count(Fault.CUT_AFTER) / 4000 - 0.5) < 0.03
    assert set(drawn) == {*rates, None}


@pytest.mark.parametrize("fault", Fault)
def test_a_rate_of_one_is_always_and_of_the_right_side(fault: Fault) -> None:
    drawn = {
        among: draw(3, {fault: 1.0}, operation="void", key="k", seen=2, among=among)
        for among in (ANSWER, NOTICE)
    }
    right = ANSWER if fault in ANSWER else NOTICE
    assert drawn.pop(right) is fault
    assert list(drawn.values()) == [None]


def test_faults_are_divided_into_answers_and_webhooks() -> None:
    assert set(Fault) == ANSWER | NOTICE
    assert not ANSWER & NOTICE
    assert BEFORE < ANSWER
    assert {fault for fault in Fault if fault.startswith("webhook_")} == NOTICE


def test_a_demand_is_met_once_by_what_it_is_for() -> None:
    faults = Faults()
    faults.demand(
        [
            Demand(Fault.SLOW, "capture", seconds=0.1),
            Demand(Fault.CUT_AFTER, "capture", "att_2"),
            Demand(Fault.WEBHOOK_LATE),
        ]
    )

    def met(operation: str, reference: str, among: frozenset[Fault] = ANSWER) -> Chosen | None:
        return faults.choose(among, operation, key="k", reference=reference, seen=0)

    assert met("refund", "att_2") is None
    assert met("capture", "att_2") == Chosen(Fault.SLOW, 0.1), "in the order of their demand"
    assert met("capture", "att_1") is None
    assert met("capture", "att_2") == Chosen(Fault.CUT_AFTER, 0.0)
    assert met("capture", "att_2") is None
    assert met("void", "att_9", NOTICE) == Chosen(Fault.WEBHOOK_LATE, 1.0)
    assert faults.demands == ()


def test_the_nth_repeat_of_a_key_is_drawn_anew() -> None:
    faults = Faults(seed=5, rates={Fault.CUT_BEFORE: 0.5})
    drawn = []
    for _ in range(64):
        seen = faults.see("capture", "k")
        drawn.append(faults.choose(ANSWER, "capture", key="k", reference="r", seen=seen))
    assert None in drawn, "a request that is repeated gets through"
    assert any(drawn)


def test_settings_decide_how_long_a_fault_lasts_and_forgetting_ends_all() -> None:
    faults = Faults(seed=1, rates={Fault.SLOW: 1.0}, seconds={Fault.SLOW: 0.01})
    faults.demand([Demand(Fault.CUT_AFTER)])
    chosen = faults.choose(ANSWER, "void", key="k", reference="r", seen=0)
    assert chosen == Chosen(Fault.CUT_AFTER, 0.0)
    assert faults.choose(ANSWER, "void", key="k", reference="r", seen=0) == Chosen(Fault.SLOW, 0.01)
    faults.demand([Demand(Fault.CUT_AFTER)])
    faults.forget()
    assert faults.choose(ANSWER, "void", key="k", reference="r", seen=0) is None


def test_demands_are_bounded() -> None:
    faults = Faults()
    faults.demand(Demand(Fault.SLOW) for _ in range(DEMANDS_MAX + 10))
    assert len(faults.demands) == DEMANDS_MAX


@pytest.mark.parametrize("n", range(40))
def test_a_wrong_shape_is_json_that_is_not_the_answer(n: int) -> None:
    answer = {"id": "sp_1", "object": "payment", "mode": "test", "status": "captured", "amount": 5}
    body = json.dumps(answer).encode()
    shown = json.loads(misshapen(body, f"key-{n}"))
    assert misshapen(body, f"key-{n}") == misshapen(body, f"key-{n}")
    assert not isinstance(shown, dict) or shown.get("status") != "captured"
