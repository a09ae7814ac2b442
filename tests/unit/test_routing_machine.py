# SPDX-License-Identifier: Apache-2.0
"""A wish over three processors that act, lose answers, decline, are found out late and crash: driven against the truth.

The truth is what each processor did. Whatever is answered, found out, told late or repeated, in whatever order: of one
wish at most one attempt is ever on its way or done, and a payment is charged at most once.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from prometheus_client import CollectorRegistry

from payment_makers import CARD, NOW, found, loaded
from strongroom.crypto.ids import new_id
from strongroom.kernel.clock import SystemClock
from strongroom.kernel.ids import AttemptId, ConnectionId
from strongroom.payments.browsers import Browser
from strongroom.payments.decisions import Asking, after
from strongroom.payments.findings import settle, told_in_time
from strongroom.payments.model import Attempt, Basis, Found, Loaded, Outcome
from strongroom.payments.route import Result
from strongroom.payments.routing.breakers import Breakers
from strongroom.payments.routing.plan import Plan
from strongroom.payments.routing.way import GoingOn, Way
from strongroom.payments.wishes import start_authorization
from strongroom.telemetry.log import Log
from strongroom.telemetry.sink import MemorySink
from strongroom.telemetry.work_metrics import PaymentMetrics

ORDER = tuple(ConnectionId(new_id("con")) for _ in range(3))
PLAN = Plan("rule", ORDER, 1, "all", 3, without_cvc=True)
LEASE = timedelta(seconds=25)
#: What a processor may answer to what it did not do.
NOTHING_DONE = (
    ("not_sent", "connect_failed", None),
    ("not_sent", "too_many_requests", None),
    ("not_sent", "token_unknown", None),
    ("declined", None, "other_processor"),
    ("declined", None, "later"),
)


@dataclass
class Processors:
    """What was really done, and what came to be said of it."""

    acted: set[str] = field(default_factory=set)
    #: What a processor has said that it did not do, it does not do later.
    refused: set[str] = field(default_factory=set)

    def act(self, attempt: str) -> bool:
        """Do what was asked, where it is not too late for it; tell whether it is done."""
        if attempt not in self.refused:
            self.acted.add(attempt)
        return attempt in self.acted


class Wish(RuleBasedStateMachine):
    """One payment; requests that charge it, one at a time, and everything that may come between."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.known: Loaded = loaded()
        self.truth = Processors()
        self.wishes = 0
        self.onward: GoingOn | None = None
        #: The attempt that the live request has sent or is about to send; None: no request lives.
        self.live: Attempt | None = None
        self.seen: dict[str, Attempt] = {}

    @initialize()
    def begin(self) -> None:
        metrics = PaymentMetrics(CollectorRegistry())
        breakers = Breakers(Log(MemorySink(), clock=SystemClock()), metrics, now=lambda: 0.0)
        self.way = Way(PLAN, {}, breakers, metrics)

    def saved(self, known: Loaded) -> None:
        self.known = known
        self.seen |= {each.attempt_id: each for each in known.attempts}

    def free(self) -> bool:
        return not self.known.payment.authorized and not any(
            each.is_open for each in self.known.attempts
        )

    @precondition(lambda self: self.live is None and self.free())
    @rule(cvc=st.sampled_from([None, "cvc_sealed"]))
    def ask(self, cvc: str | None) -> None:
        """A request of its own key."""
        self.wishes += 1
        connection, route = self.way.first()
        asking = Asking(
            AttemptId(new_id("att")),
            f"wish {self.wishes}",
            connection,
            self.now,
            self.now + LEASE,
            route=route,
            browser=Browser(f"of wish {self.wishes}", "*/*"),
        )
        started = start_authorization(self.known, CARD, asking)
        self.saved(after(self.known, started))
        self.onward = GoingOn(self.way, CARD, cvc=cvc, lease=LEASE)
        self.live = self.known.attempt(asking.attempt)

    @precondition(lambda self: self.live is not None)
    @rule(case=st.sampled_from(NOTHING_DONE), twice=st.booleans())
    def answer_that_nothing_was_done(
        self,
        case: tuple[str, str | None, str | None],
        twice: bool,  # noqa: FBT001 - drawn
    ) -> None:
        outcome, reason, advice = case
        said = Found(Outcome(outcome), Basis.ANSWER, reason=reason, advice=advice)
        self.answered(said, twice=twice)

    @precondition(lambda self: self.live is not None)
    @rule()
    def approve(self) -> None:
        assert self.live is not None
        if self.truth.act(self.live.attempt_id):
            self.answered(found(Outcome.APPROVED, amount=1_000, processor_reference="ref"))

    @precondition(lambda self: self.live is not None)
    @rule(acts=st.booleans(), pending=st.booleans())
    def lose_the_answer(self, acts: bool, pending: bool) -> None:  # noqa: FBT001 - drawn
        assert self.live is not None
        if acts:
            self.truth.act(self.live.attempt_id)
        self.answered(found(Outcome.PENDING if pending else Outcome.UNKNOWN))

    @precondition(lambda self: self.live is not None)
    @rule(acts=st.booleans())
    def crash(self, acts: bool) -> None:  # noqa: FBT001 - drawn
        """The process ends before or after its processor acted; nobody waits any more."""
        assert self.live is not None
        if acts:
            self.truth.act(self.live.attempt_id)
        self.live, self.onward = None, None
        self.now += LEASE

    @rule(seconds=st.integers(1, 30))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: any(each.is_open for each in self.known.attempts))
    @rule(basis=st.sampled_from([Basis.LOOKUP, Basis.REPLAY, Basis.NOTICE]))
    def find_out(self, basis: Basis) -> None:
        """Somebody looks for what nobody waits for: the truth is told, and nothing is begun."""
        for attempt in [each for each in self.known.attempts if each.is_open]:
            waits = attempt.outcome is None and attempt.lease_until > self.now
            if waits:
                continue
            acted = attempt.attempt_id in self.truth.acted
            if not acted:
                self.truth.refused.add(attempt.attempt_id)
            said = (
                found(Outcome.APPROVED, basis, amount=1_000, processor_reference="ref")
                if acted
                else found(Outcome.DECLINED, basis, advice="other_processor")
            )
            before = len(self.seen)
            self.saved(after(self.known, settle(self.known, attempt, said, self.now)))
            assert len(self.seen) == before

    def answered(self, said: Found, *, twice: bool = False) -> None:
        """What `Attempts.settle` does, of the attempt that the request waits for."""
        assert self.live is not None
        assert self.onward is not None
        attempt = self.known.attempt(self.live.attempt_id)
        assert attempt is not None
        decided = settle(self.known, attempt, told_in_time(attempt, said, self.now), self.now)
        decided, ends = self.onward.after(self.known, attempt, decided, self.now)
        self.saved(after(self.known, decided))
        if twice:
            # The commit was in doubt and had landed: what is saved is decided over once more, and nothing changes.
            landed = self.known.attempt(self.live.attempt_id)
            assert landed is not None
            told = told_in_time(landed, said, self.now)
            again = settle(self.known, landed, told, self.now)
            again, same = self.onward.after(self.known, landed, again, self.now)
            assert not again.changed
            assert same is ends
        self.live = self.onward.following(self.known)
        assert (self.live is None) is ends
        if ends:
            self.onward = None

    @invariant()
    def at_most_one_attempt_lives_or_may(self) -> None:
        lives = [
            each
            for each in self.seen.values()
            if each.outcome not in (Outcome.DECLINED, Outcome.NOT_SENT)
        ]
        assert len(lives) <= 1, lives

    @invariant()
    def a_payment_is_charged_once(self) -> None:
        assert len(self.truth.acted) <= 1

    @invariant()
    def steps_follow_each_other_and_are_explained(self) -> None:
        by_wish: dict[str, list[Attempt]] = {}
        for each in self.seen.values():
            by_wish.setdefault(each.wish, []).append(each)
        for attempts in by_wish.values():
            steps = sorted(attempts, key=lambda each: each.step)
            assert [each.step for each in steps] == list(range(1, len(steps) + 1))
            assert len(steps) <= PLAN.attempts_max
            # The customer has the same browser, whichever processor is asked.
            assert {each.browser for each in steps} == {Browser(f"of {steps[0].wish}", "*/*")}
            assert len({each.connection_id for each in steps}) == len(steps)
            for earlier, later in pairwise(steps):
                assert earlier.basis is Basis.ANSWER
                assert earlier.route is not None
                assert earlier.route.onward == "failed_over"
                assert later.route is not None
                assert later.route.after == earlier.attempt_id
            for each in steps:
                assert each.route is not None
                listed = [entry.connection for entry in each.route.connections]
                assert listed == list(ORDER)
                chosen = [e.connection for e in each.route.connections if e.result is Result.CHOSEN]
                assert chosen == [each.connection_id]


Wish.TestCase.settings = settings(max_examples=120, stateful_step_count=30, deadline=None)
TestWish = Wish.TestCase
