# SPDX-License-Identifier: Apache-2.0
"""The simulator's cards, its state machine as a table, and the sums that hold after any row of operations."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.kernel.published import STRIPE
from strongroom.kernel.schemes import synthetic_number
from strongroom.simulator import books
from strongroom.simulator.books import FOLLOWING, Payment, Ruling, Status, Totals
from strongroom.simulator.cards import (
    ADVICE,
    CAPTURES_FAIL,
    CHALLENGED,
    DECLINED,
    Card,
    approved_amount,
    read_card,
)
from strongroom.simulator.errors import Refusal
from strongroom.simulator.faults import BEFORE, Fault

NOW = datetime(2026, 11, 20, tzinfo=UTC)
GOOD = "4242424242424242"


def card(number: str = GOOD, year: int = 2030) -> Card:
    return read_card(number, exp_month=11, exp_year=year, now=NOW)


def payment(number: str = GOOD, amount: int = 1000, *, sale: bool = False) -> Payment:
    return books.begin(
        payment_id="sp_1",
        account="acct_shop",
        reference="att_1",
        amount=amount,
        currency="AED",
        capture=sale,
        card=card(number),
        return_url=None,
        now=NOW,
    )


# --- cards --------------------------------------------------------------------------------------------

#: Number, amount, sale; status, authorized, captured, decline code, advice.
BEGINNINGS = [
    (GOOD, 1000, False, "authorized", 1000, 0, None, None),
    (GOOD, 1000, True, "captured", 1000, 1000, None, None),
    (synthetic_number(7), 1000, False, "authorized", 1000, 0, None, None),
    ("4000000000000002", 1000, False, "declined", 0, 0, "generic_decline", "later"),
    ("4000000000009995", 1000, True, "declined", 0, 0, "insufficient_funds", "later"),
    ("4000000000009987", 1000, False, "declined", 0, 0, "lost_card", "never"),
    ("4000000000009979", 1000, False, "declined", 0, 0, "stolen_card", "never"),
    ("4000000000000069", 1000, False, "declined", 0, 0, "expired_card", "new_card"),
    ("4000000000000127", 1000, False, "declined", 0, 0, "incorrect_cvc", "new_card"),
    ("4000000000000119", 1000, False, "declined", 0, 0, "processing_error", "later"),
    ("4000000000006975", 1000, False, "declined", 0, 0, "card_velocity_exceeded", "later"),
    ("4000000000000341", 1000, False, "authorized", 1000, 0, None, None),
    ("4000000000000341", 1000, True, "declined", 0, 0, "generic_decline", "later"),
    ("4000002760003184", 1000, False, "requires_action", 0, 0, None, None),
    (GOOD, 1077, False, "authorized", 538, 0, None, None),
    (GOOD, 77, True, "captured", 38, 38, None, None),
    (GOOD, 1088, False, "pending", 0, 0, None, None),
    ("4000000000000002", 1088, False, "declined", 0, 0, "generic_decline", "later"),
]


@pytest.mark.parametrize("row", BEGINNINGS, ids=[f"{r[0][-4:]}-{r[1]}-{r[2]}" for r in BEGINNINGS])
def test_what_a_card_and_an_amount_begin(
    row: tuple[str, int, bool, str, int, int, str | None, str | None],
) -> None:
    number, amount, sale, status, authorized, captured, code, advice = row
    made = payment(number, amount, sale=sale)
    assert (made.status, made.totals, made.decline_code, made.advice) == (
        status,
        Totals(authorized, captured),
        code,
        advice,
    )


def test_every_number_of_the_tables_is_published_and_every_decline_has_advice() -> None:
    numbers = DECLINED.keys() | CHALLENGED.keys() | CAPTURES_FAIL
    assert numbers <= STRIPE
    assert {*DECLINED.values(), *CHALLENGED.values()} - {None} <= ADVICE.keys()


def test_a_card_whose_expiry_has_passed_is_declined() -> None:
    assert card(year=2025).declined == "expired_card"
    assert card(year=2026).declined is None, "the month of its expiry is its last"


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("4242424242424241", "card_number_wrong"),
        ("424242424242", "card_number_wrong"),
        ("٤242424242424242", "card_number_wrong"),
        ("", "card_number_wrong"),
        ("x" * 16, "card_number_wrong"),
        ("4539578763621486", "card_number_not_test"),
    ],
)
def test_no_card_and_no_test_card_is_refused_without_its_number(number: str, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        card(number)
    assert (refused.value.status, refused.value.code) == (422, code)
    assert refused.value.param == "card.number"
    assert not number or number not in str(refused.value)


def test_a_card_that_was_read_holds_no_number() -> None:
    assert GOOD not in repr(card())
    assert (card().brand, card().last4) == ("visa", "4242")


# --- challenge, pending, expiry -----------------------------------------------------------------------

#: Number, amount, approved; status and decline code.
CHALLENGES = [
    ("4000002760003184", 1000, True, "authorized", None),
    ("4000002760003184", 1000, False, "declined", "authentication_failed"),
    ("4000008260003178", 1000, True, "declined", "insufficient_funds"),
    ("4000008400001629", 1000, True, "declined", "generic_decline"),
    ("4000008260003178", 1000, False, "declined", "authentication_failed"),
    ("4000000000003220", 1088, True, "pending", None),
]


@pytest.mark.parametrize("row", CHALLENGES)
def test_what_a_challenge_comes_to(row: tuple[str, int, bool, str, str | None]) -> None:
    number, amount, approved, status, code = row
    settled = books.complete_challenge(payment(number, amount), approved=approved)
    assert (settled.status, settled.decline_code) == (status, code)
    with pytest.raises(Refusal, match="not requires_action"):
        books.complete_challenge(settled, approved=True)


@pytest.mark.parametrize("sale", [False, True])
def test_what_is_pending_is_decided_once(*, sale: bool) -> None:
    waiting = payment(amount=188, sale=sale)
    approved = books.decide_pending(waiting, approved=True)
    assert approved.status == ("captured" if sale else "authorized")
    assert books.decide_pending(waiting, approved=False).decline_code == "generic_decline"
    with pytest.raises(Refusal, match="not pending"):
        books.decide_pending(approved, approved=True)


def test_expiry_releases_what_is_left_and_keeps_what_was_captured() -> None:
    part = books.capture(payment(), 300, final=False).payment
    ruling = books.expire(part)
    assert (ruling.amount, ruling.payment.status) == (700, "captured")
    assert ruling.payment.totals == Totals(1000, 300, 700)
    assert books.expire(payment()).payment.status == "expired"
    assert books.expire(payment("4000002760003184")).payment.totals == Totals()
    with pytest.raises(Refusal):
        books.expire(ruling.payment)


# --- operations ---------------------------------------------------------------------------------------


def run(made: Payment, *steps: tuple[str, int]) -> list[Ruling]:
    rulings = []
    for name, amount in steps:
        match name:
            case "capture":
                ruling = books.capture(made, amount, final=False)
            case "final":
                ruling = books.capture(made, amount, final=True)
            case "void":
                ruling = books.void(made)
            case "refund":
                ruling = books.refund(made, amount)
            case _:
                ruling = books.increment(made, amount)
        made = ruling.payment
        rulings.append(ruling)
    return rulings


#: Steps; the last one's decline code, moved amount, released amount, then status and sums.
OPERATIONS = [
    ([("capture", 1000)], None, 1000, 0, "captured", (1000, 1000, 0, 0)),
    ([("capture", 1001)], "amount_exceeds_left", 1001, 0, "authorized", (1000, 0, 0, 0)),
    ([("capture", 400)], None, 400, 0, "authorized", (1000, 400, 0, 0)),
    ([("capture", 400), ("capture", 600)], None, 600, 0, "captured", (1000, 1000, 0, 0)),
    (
        [("capture", 400), ("capture", 601)],
        "amount_exceeds_left",
        601,
        0,
        "authorized",
        (1000, 400, 0, 0),
    ),
    ([("final", 400)], None, 400, 600, "captured", (1000, 400, 600, 0)),
    ([("final", 1000)], None, 1000, 0, "captured", (1000, 1000, 0, 0)),
    (
        [("final", 400), ("capture", 1)],
        "amount_exceeds_left",
        1,
        0,
        "captured",
        (1000, 400, 600, 0),
    ),
    ([("void", 0)], None, 1000, 0, "voided", (1000, 0, 1000, 0)),
    ([("void", 0), ("void", 0)], "nothing_left", 0, 0, "voided", (1000, 0, 1000, 0)),
    ([("capture", 400), ("void", 0)], None, 600, 0, "captured", (1000, 400, 600, 0)),
    ([("refund", 1)], "amount_exceeds_left", 1, 0, "authorized", (1000, 0, 0, 0)),
    (
        [("capture", 400), ("refund", 400)],
        None,
        400,
        0,
        "authorized",
        (1000, 400, 0, 400),
    ),
    (
        [("capture", 1000), ("refund", 400), ("refund", 601)],
        "amount_exceeds_left",
        601,
        0,
        "captured",
        (1000, 1000, 0, 400),
    ),
    ([("increment", 500)], None, 500, 0, "authorized", (1500, 0, 0, 0)),
    (
        [("increment", 500), ("capture", 1500)],
        None,
        1500,
        0,
        "captured",
        (1500, 1500, 0, 0),
    ),
    ([("void", 0), ("increment", 1)], "not_authorized", 1, 0, "voided", (1000, 0, 1000, 0)),
    (
        [("increment", books.AMOUNT_MAX)],
        "amount_too_large",
        books.AMOUNT_MAX,
        0,
        "authorized",
        (1000, 0, 0, 0),
    ),
]


@pytest.mark.parametrize("row", OPERATIONS, ids=[str(row[0]) for row in OPERATIONS])
def test_what_an_operation_comes_to(
    row: tuple[list[tuple[str, int]], str | None, int, int, str, tuple[int, int, int, int]],
) -> None:
    steps, code, moved, released, status, totals = row
    last = run(payment(), *steps)[-1]
    assert (last.decline_code, last.amount, last.released) == (code, moved, released)
    assert (last.payment.status, last.payment.totals) == (status, Totals(*totals))


def test_a_card_whose_captures_fail_can_be_voided() -> None:
    made = payment("4000000000000341")
    assert books.capture(made, 1, final=True).decline_code == "capture_declined"
    assert books.void(made).payment.status == "voided"


def test_a_capture_that_fails_afterwards_is_left_again() -> None:
    captured = books.capture(payment(), 400, final=True).payment
    undone = books.undo_capture(captured, 400)
    assert (undone.status, undone.totals) == ("authorized", Totals(1000, 0, 600))
    refunded = books.refund(captured, 1).payment
    with pytest.raises(Refusal):
        books.undo_capture(refunded, 400)
    assert books.undo_refund(refunded, 1) == captured


def test_the_table_of_statuses_is_whole_and_each_can_be_reached() -> None:
    assert set(FOLLOWING) == {None, *Status}
    reached, waiting = set[Status](), [None, *()]
    while waiting:
        for after in FOLLOWING[waiting.pop()] - reached:
            reached.add(after)
            waiting.append(after)  # type: ignore[arg-type]
    assert reached == set(Status)


_STEP = st.tuples(
    st.sampled_from(["capture", "final", "void", "refund", "increment"]), st.integers(1, 700)
)


@given(st.integers(1, 1500), st.booleans(), st.lists(_STEP, max_size=12))
def test_whatever_is_asked_for_the_sums_hold(
    amount: int,
    sale: bool,  # noqa: FBT001 - drawn
    steps: list[tuple[str, int]],
) -> None:
    before = payment(amount=amount, sale=sale)
    assert before.totals.authorized in {0, approved_amount(amount)}
    for ruling in run(before, *steps):
        after = ruling.payment
        now, then = after.totals, before.totals
        assert 0 <= now.refunded <= now.captured <= now.authorized - now.voided
        assert after.status in FOLLOWING[before.status] | {before.status}
        if ruling.decline_code is not None:
            assert after is before, "what is refused moves nothing"
        else:
            moved = (
                now.authorized - then.authorized
                + now.captured - then.captured
                + now.voided - then.voided
                + now.refunded - then.refunded
            )  # fmt: skip
            assert moved == ruling.amount + ruling.released
        before = after


def test_the_page_lists_what_the_tables_say() -> None:
    page = (Path(__file__).parents[2] / "docs/howto/test-against-the-simulator.md").read_text()
    rows = [line.split("|")[1:-1] for line in page.splitlines() if re.match(r"\| [0-9]{15,}", line)]
    said = {
        number: (what.strip(), code.strip(" `"), advice.strip(" `"))
        for numbers, what, code, advice in rows
        for number in re.findall(r"[0-9]{15,}", numbers)
    }
    for number, code in DECLINED.items():
        assert said[number][0].startswith("declined")
        assert said[number][1:] == (code, ADVICE[code])
    for number, after in CHALLENGED.items():
        assert said[number][0].startswith("challenge, then")
        assert said[number][1:] == (after or "", ADVICE[after] if after else "")
    assert said.keys() >= CAPTURES_FAIL
    approved = said.keys() - DECLINED.keys() - CHALLENGED.keys() - CAPTURES_FAIL
    assert {said[number] for number in approved} == {("approved", "", "")}


@pytest.mark.parametrize("fault", Fault)
def test_the_page_lists_every_fault(fault: Fault) -> None:
    page = (Path(__file__).parents[2] / "docs/howto/test-against-the-simulator.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith(f"| `{fault}` |"))
    assert ("| no |" in row) is (fault in BEFORE)
