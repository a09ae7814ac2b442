# SPDX-License-Identifier: Apache-2.0
"""Short random runs: payments under faults, gateway, worker and database killed; every checker over what is left.

The long one is `script/simulate`. A run that fails says its seed, which replays it.
"""

import time
from collections.abc import AsyncIterator, Callable
from copy import deepcopy

import pytest
import pytest_asyncio

from simulation.books import Books, found_in
from simulation.plan import Plan
from simulation.story import Outcome, simulate

PAYMENTS = 70
KILLS = 2
SEED = 3_2025
pytestmark = pytest.mark.timeout(
    600
)  # a run ends by itself; under a busy machine it takes its time


def short(seed: int) -> Plan:
    return Plan(seed=seed, payments=PAYMENTS, kills=KILLS, shoppers=24, seconds_max=240)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def outcome() -> AsyncIterator[Outcome]:
    """A run whose seed never changes."""
    yield await simulate(short(SEED))


def test_every_payment_ends_as_the_processors_journal_says(outcome: Outcome) -> None:
    """A fixed seed: money, once-only, order, acknowledged, told and canary, with two kills of each process."""
    assert outcome.is_sound, outcome.text()


def test_the_run_met_what_it_was_made_for(outcome: Outcome) -> None:
    """Otherwise its silence says nothing: kills, lost answers, each way of finding out, declines, captures, refunds."""
    figures = outcome.figures
    assert figures["payments"] == PAYMENTS
    assert sum(figures["kills"].values()) == 3 * KILLS
    bases = {text.rpartition(" ")[2] for text in figures["outcomes"]}
    assert bases >= {"answer", "lookup", "notice"}
    assert {"authorized", "captured", "refunded", "declined"} <= figures["journal"].keys()
    assert figures["answers"]["no answer"]
    assert outcome.books.memory.told
    assert outcome.books.memory.seen


async def test_a_seed_that_nobody_chose() -> None:
    """A seed from the clock: printed where it fails, so that it can be run again."""
    outcome = await simulate(short(int(time.time())))
    assert outcome.is_sound, outcome.text()


def doubled_entry(books: Books) -> None:
    books.journal = [*books.journal, next(e for e in books.journal if e.kind == "captured")]


def off_by_one(books: Books) -> None:
    next(e for e in books.payments if e["captured"])["captured"] -= 1


def unposted(books: Books) -> None:
    books.postings = books.postings[1:]


def posted_twice(books: Books) -> None:
    books.postings = [*books.postings, next(e for e in books.postings if e["debit"] == "refunds")]


def called_declined(books: Books) -> None:
    next(e for e in books.attempts if e["outcome"] == "approved")["outcome"] = "declined"


def forgotten(books: Books) -> None:
    name = next(e.payment for e in books.memory.told if e.status == 201)
    books.payments = [e for e in books.payments if e["payment_id"] != name]


def second_key(books: Books) -> None:
    wish = next(e for e in books.attempts if e["outcome"] == "approved")
    books.attempts = [*books.attempts, {**wish, "attempt_id": "att_another"}]


def overtaken(books: Books) -> None:
    books.events = books.events[::-1]


def read_backwards(books: Books) -> None:
    books.memory.seen = books.memory.seen[::-1]


def swallowed(books: Books) -> None:
    for taken in books.taken.values():
        taken.clear()


def left_open(books: Books) -> None:
    books.by_notice = ()
    next(e for e in books.attempts if e["outcome"] == "approved")["outcome"] = "unknown"


@pytest.mark.parametrize(
    ("spoil", "checker"),
    [
        (doubled_entry, "once"),
        (second_key, "once"),
        (off_by_one, "money"),
        (unposted, "money"),
        (posted_twice, "money"),
        (called_declined, "truth"),
        (left_open, "truth"),
        (forgotten, "acknowledged"),
        (overtaken, "order"),
        (read_backwards, "order"),
        (swallowed, "told"),
    ],
)
def test_sabotage_books_that_do_not_add_up_are_noticed(
    outcome: Outcome, spoil: Callable[[Books], None], checker: str
) -> None:
    """One thing changed in what the sound run left: the checker of that kind says so."""
    books = deepcopy(outcome.books)
    spoil(books)
    assert found_in(books)[checker]
