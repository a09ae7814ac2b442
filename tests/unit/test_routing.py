# SPDX-License-Identifier: Apache-2.0
"""Which connection is chosen and when a wish goes on to the next one: tables, and properties of every decision."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_makers import CARD, NOW, found, loaded
from strongroom.crypto.ids import new_id
from strongroom.kernel.errors import Invalid
from strongroom.kernel.events import EventType
from strongroom.kernel.ids import AttemptId, ConnectionId
from strongroom.payments.decisions import Asking, Decided, after
from strongroom.payments.declines import Advice
from strongroom.payments.errors import PaymentUnresolved
from strongroom.payments.findings import settle
from strongroom.payments.model import Attempt, Basis, Loaded, Outcome, Status
from strongroom.payments.route import Result, Route
from strongroom.payments.routing.failover import cvc_is_left, fail_over, noted, stays, tried
from strongroom.payments.routing.plan import Facts, Plan, Tried, choose, fits, in_order, planned
from strongroom.payments.routing.rules import ActiveRules, Rule, Rules, When, require_sound
from strongroom.payments.wishes import start_authorization

A, B, C = sorted(ConnectionId(new_id("con")) for _ in range(3))
PLAN = Plan("rule", (A, B, C), 4, "all", 3)
FACTS = Facts(
    "pay_1", 1_000, "AED", "visa", "424242", "AE", "debit", "customer", {"channel": "web"}
)
reasons = st.sampled_from(
    ["connect_failed", "too_many_requests", "cvc_used", "token_unknown", "internal", None]
)
advices = st.sampled_from([*[each.value for each in Advice], None])
outcomes = st.sampled_from([*Outcome, None])


def rule(*connections: Any, **more: Any) -> Rule:
    listed = [each if isinstance(each, dict) else {"connection": each} for each in connections]
    return msgspec.convert({"name": "all", "connections": listed, **more}, Rule)


def when(**more: Any) -> When:
    return msgspec.convert(more, When)


@pytest.mark.parametrize(
    ("given_when", "fitting"),
    [
        ({}, True),
        ({"currency": ["USD", "AED"]}, True),
        ({"currency": ["USD"]}, False),
        ({"currency": ["AED"], "amount": {"min": 1_000, "max": 1_000}}, True),
        ({"currency": ["AED"], "amount": {"min": 1_001}}, False),
        ({"currency": ["AED"], "amount": {"max": 999}}, False),
        ({"brand": ["mastercard", "visa"]}, True),
        ({"brand": ["mastercard"]}, False),
        ({"bin": ["55", "4242"]}, True),
        ({"bin": ["4243"]}, False),
        ({"country": ["AE"]}, True),
        ({"country": ["unknown"]}, False),
        ({"funding": ["debit", "prepaid"]}, True),
        ({"funding": ["credit"]}, False),
        ({"stored_credential": ["customer"]}, True),
        ({"stored_credential": ["none"]}, False),
        ({"metadata": {"channel": ["app", "web"]}}, True),
        ({"metadata": {"channel": ["app"]}}, False),
        ({"metadata": {"channel": ["web"], "shop": ["1"]}}, False),
        ({"brand": ["visa"], "country": ["GB"]}, False),
    ],
)
def test_a_rule_fits_what_it_says(given_when: Mapping[str, Any], *, fitting: bool) -> None:
    assert fits(when(**given_when), FACTS) is fitting


def test_what_is_not_known_of_a_card_fits_only_where_that_is_asked_for() -> None:
    unknown = Facts("pay_1", 1_000, "AED")
    assert not fits(when(bin=["4"]), unknown)
    assert not fits(when(brand=["visa"]), unknown)
    assert not fits(when(country=["AE"]), unknown)
    assert fits(when(country=["unknown"], funding=["unknown"]), unknown)


def test_the_first_rule_that_fits_is_followed_and_none_is_as_without() -> None:
    rules = (rule(A, when={"brand": ["amex"]}), rule(B, name="second"), rule(C, name="third"))
    active = ActiveRules(7, rules)
    plan = planned(active, FACTS, wanted=None, newest=A)
    assert (plan.by, plan.order, plan.version, plan.rule) == ("rule", (B,), 7, "second")
    plan = planned(ActiveRules(7, rules[:1]), FACTS, wanted=None, newest=A)
    assert (plan.by, plan.order, plan.version, plan.attempts_max) == ("default", (A,), 7, 1)
    plan = planned(active, FACTS, wanted=C, newest=A)
    assert (plan.by, plan.order, plan.attempts_max) == ("request", (C,), 1)
    assert planned(None, FACTS, wanted=None, newest=None).order == ()


@given(st.text(max_size=40), st.lists(st.integers(1, 1_000), min_size=1, max_size=3))
def test_a_payment_always_begins_at_the_same_connection(payment: str, weights: list[int]) -> None:
    listed = [
        {"connection": each, "weight": weight}
        for each, weight in zip((A, B, C), weights, strict=False)
    ]
    split = rule(*listed, *([C] if len(weights) < 3 else []))
    order = in_order(split, payment)
    assert order == in_order(split, payment)
    assert Counter(order) == Counter(each.connection for each in split.connections)
    assert order[0] in {each["connection"] for each in listed}


def test_a_split_is_as_its_weights_say() -> None:
    split = rule({"connection": A, "weight": 3}, {"connection": B, "weight": 1}, C)
    begun = Counter(in_order(split, f"pay_{n}")[0] for n in range(8_000))
    assert set(begun) == {A, B}
    assert abs(begun[A] / 8_000 - 0.75) < 0.03


unusables = st.dictionaries(
    st.sampled_from([A, B, C]),
    st.sampled_from(["connection_disabled", "connection_resting", "connection_unknown"]),
)
before = st.lists(st.sampled_from([A, B, C]), unique=True)


@given(st.permutations([A, B, C]), unusables, before)
def test_every_connection_of_a_list_is_explained_once(
    order: list[ConnectionId], unusable: dict[ConnectionId, str], gone: list[ConnectionId]
) -> None:
    plan = Plan("rule", tuple(order), 1, "all")
    chosen, route = choose(plan, unusable, [Tried(each, "declined:x") for each in gone])
    assert [each.connection for each in route.connections] == order
    assert (route.by, route.version, route.rule) == ("rule", 1, "all")
    results = {each.connection: each.result for each in route.connections}
    assert [each for each, result in results.items() if result is Result.CHOSEN] == (
        [] if chosen is None else [chosen]
    )
    for each in route.connections:
        if each.result in (Result.PASSED_OVER, Result.TRIED):
            assert each.reason
    assert chosen not in unusable
    assert chosen not in gone
    free = [each for each in order if each not in unusable and each not in gone]
    assert chosen == (free[0] if free else None)


# --- going on ------------------------------------------------------------------------------------------------


def asked(step: int = 1, connection: ConnectionId = A, known: Loaded | None = None) -> Loaded:
    """A payment whose attempt of this step is on its way."""
    known = loaded() if known is None else known
    _, route = choose(PLAN, {})
    asking = Asking(
        AttemptId(new_id("att")),
        "a wish",
        connection,
        NOW,
        NOW + timedelta(seconds=25),
        step,
        route,
    )
    return after(known, start_authorization(known, CARD, asking))


def settled_by(known: Loaded, outcome: Outcome, **more: Any) -> tuple[Attempt, Decided, Attempt]:
    attempt = known.attempts[-1]
    decided = settle(known, attempt, found(outcome, **more), NOW)
    return attempt, decided, decided.attempts[0]


def following(before: Attempt, connection: ConnectionId = B) -> Asking:
    return Asking(
        AttemptId(new_id("att")),
        before.wish,
        connection,
        NOW,
        NOW + timedelta(seconds=25),
        before.step + 1,
        Route(by="rule", after=before.attempt_id),
    )


@given(outcomes, reasons, advices, st.sampled_from(list(Basis)), st.booleans(), st.integers(1, 4))
def test_a_wish_goes_on_only_where_nothing_can_have_moved(
    outcome: Outcome | None,
    reason: str | None,
    advice: str | None,
    basis: Basis,
    with_cvc: bool,  # noqa: FBT001 - drawn
    step: int,
) -> None:
    attempt = asked().attempts[-1]
    attempt = msgspec.structs.replace(attempt, step=step)
    settled = msgspec.structs.replace(
        attempt, outcome=outcome, reason=reason, advice=advice, basis=basis
    )
    word = stays(PLAN, attempt, settled, with_cvc=with_cvc, now=NOW)
    if outcome not in (Outcome.NOT_SENT, Outcome.DECLINED):
        assert word == ("not_asked" if outcome is None else outcome.value)
    if word is None:
        assert outcome is Outcome.NOT_SENT or (
            outcome is Outcome.DECLINED and advice == Advice.OTHER_PROCESSOR
        )
        assert basis is Basis.ANSWER, "what is found out later goes on nowhere"
        assert step < PLAN.attempts_max
        assert not with_cvc or cvc_is_left(settled)
    over = stays(PLAN, attempt, settled, with_cvc=with_cvc, now=attempt.lease_until)
    assert over is not None, "its lease is over: somebody may be looking for it"


@pytest.mark.parametrize(
    ("outcome", "reason", "advice", "word"),
    [
        (Outcome.NOT_SENT, "connect_failed", None, None),
        (Outcome.NOT_SENT, "too_many_requests", None, None),
        (Outcome.NOT_SENT, "connection_resting", None, None),
        (Outcome.NOT_SENT, "command_not_taken", None, None),
        (Outcome.NOT_SENT, "card_not_for_processor", None, None),
        (Outcome.NOT_SENT, "token_unknown", None, "not_for_another"),
        (Outcome.NOT_SENT, "cvc_used", None, "not_for_another"),
        (Outcome.NOT_SENT, "card_unreadable", None, "not_for_another"),
        (Outcome.NOT_SENT, "database_away", None, "not_for_another"),
        (Outcome.NOT_SENT, "key_store_unavailable", None, "not_for_another"),
        (Outcome.NOT_SENT, "too_late_to_send", None, "not_for_another"),
        (Outcome.NOT_SENT, "internal", None, "not_for_another"),
        (Outcome.DECLINED, None, "other_processor", None),
        (Outcome.DECLINED, None, "later", "advice_later"),
        (Outcome.DECLINED, None, "never", "advice_never"),
        (Outcome.DECLINED, None, "new_card", "advice_new_card"),
        (Outcome.DECLINED, None, "authenticate", "advice_authenticate"),
        (Outcome.DECLINED, None, None, "advice_missing"),
    ],
)
def test_why_a_wish_stays(
    outcome: Outcome, reason: str | None, advice: str | None, word: str | None
) -> None:
    attempt, _, settled = settled_by(asked(), outcome, reason=reason, advice=advice)
    assert stays(PLAN, attempt, settled, with_cvc=False, now=NOW) == word


def test_a_spent_cvc_ends_a_wish_unless_the_rule_says_otherwise() -> None:
    attempt, _, settled = settled_by(asked(), Outcome.DECLINED, advice="other_processor")
    assert stays(PLAN, attempt, settled, with_cvc=True, now=NOW) == "cvc_spent"
    without = Plan("rule", (A, B), 1, "all", 3, without_cvc=True)
    assert stays(without, attempt, settled, with_cvc=True, now=NOW) is None
    attempt, _, settled = settled_by(asked(), Outcome.NOT_SENT, reason="connect_failed")
    assert stays(PLAN, attempt, settled, with_cvc=True, now=NOW) is None
    prepared = msgspec.structs.replace(settled, instrument="pm_1")
    assert not cvc_is_left(prepared), "the preparation took it"


@given(st.sampled_from([(Outcome.NOT_SENT, "connect_failed", None), (Outcome.DECLINED, None, "x")]))
def test_going_on_is_one_change_with_one_attempt_that_lives(
    case: tuple[Outcome, str | None, str | None],
) -> None:
    outcome, reason, code = case
    known = asked()
    attempt, decided, settled = settled_by(known, outcome, reason=reason, decline_code=code)
    both = fail_over(known, decided, CARD, following(attempt))
    assert both.payment.version == known.payment.version + 1
    assert both.payment.status is Status.PROCESSING
    assert (both.payment.connection_id, both.payment.decline_code) == (B, None)
    assert both.payment.token_id == CARD.token
    assert EventType.PAYMENT_DECLINED not in both.happened
    first, second = both.attempts
    assert (first.outcome, second.outcome) == (outcome, None)
    assert (first.step, second.step, second.wish) == (1, 2, first.wish)
    assert first.attempt_id != second.attempt_id
    assert sum(each.is_open for each in after(known, both).attempts) == 1
    with pytest.raises(PaymentUnresolved):
        fail_over(after(known, both), decided, CARD, following(settled, C))


def test_what_an_attempt_came_to_is_kept_on_it() -> None:
    attempt, decided, settled = settled_by(
        asked(), Outcome.DECLINED, advice="other_processor", decline_code="acquirer_error"
    )
    assert tried(settled) == Tried(A, "declined:acquirer_error")
    (kept,) = noted(decided, attempt.attempt_id, "failed_over").attempts
    assert kept.route is not None
    assert kept.route.onward == "failed_over"


def test_a_late_approval_beside_a_later_step_is_a_discrepancy_and_money_follows_the_hold() -> None:
    known = asked()
    attempt, decided, _ = settled_by(known, Outcome.DECLINED, advice="other_processor")
    known = after(known, fail_over(known, decided, CARD, following(attempt)))
    second = known.attempts[-1]
    known = after(known, settle(known, second, found(Outcome.DECLINED, advice="later"), NOW))
    first = known.attempt(attempt.attempt_id)
    assert first is not None
    late = settle(known, first, found(Outcome.APPROVED, Basis.NOTICE, amount=1_000), NOW)
    assert (late.payment.authorized, late.payment.connection_id) == (1_000, A)
    known = after(known, late)
    again = known.attempt(second.attempt_id)
    assert again is not None
    doubled = settle(known, again, found(Outcome.APPROVED, Basis.NOTICE, amount=1_000), NOW)
    assert doubled.discrepancy
    assert doubled.payment.authorized == 1_000


def test_rules_are_read_back_as_they_were_written() -> None:
    rules = Rules([rule({"connection": A, "weight": 2}, B, when={"country": ["AE"]})])
    assert msgspec.json.decode(msgspec.json.encode(rules), type=Rules) == rules
    require_sound(rules, {A: "active", B: "disabled"})
    with pytest.raises(Invalid):
        require_sound(rules, {A: "active"})
