# SPDX-License-Identifier: Apache-2.0
"""What is counted against guessing: a timeline as a table, and a machine that guesses from everywhere."""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from strongroom.identity.login.lockout import (
    ACCOUNT_TRIES_AT_ONCE_MAX,
    FAILURES_MAX,
    KNOWN_SECONDS,
    AccountTally,
    Alarm,
    NetworkTally,
    Verdict,
    admit,
    caller_of,
    given_back,
    logged_in,
    network_of,
)

NOW = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FRESH = (NetworkTally(), AccountTally(NOW))
KNOWN = replace(NetworkTally(), known_until=NOW + timedelta(days=1))


def tried(
    times: int, network: NetworkTally, account: AccountTally, now: datetime = NOW
) -> tuple[list[Verdict], NetworkTally, AccountTally, list[Alarm]]:
    """Fail so many times at one moment."""
    verdicts, alarms = [], []
    for _ in range(times):
        decided = admit(network, account, now)
        network, account = decided.network, decided.account
        verdicts.append(decided.verdict)
        alarms += [] if decided.alarm is None else [decided.alarm]
    return verdicts, network, account, alarms


def test_ten_are_looked_at_and_all_are_counted() -> None:
    verdicts, network, _, alarms = tried(100, *FRESH)
    assert verdicts == [Verdict.CHECK] * 10 + [Verdict.LOCKED] * 90
    assert network.failures == 100
    assert network.locked_until == NOW + 30 * MINUTE
    assert alarms == [Alarm.NETWORK]


@pytest.mark.parametrize(
    ("minutes", "verdict"),
    [(0, Verdict.LOCKED), (29, Verdict.LOCKED), (29.99, Verdict.LOCKED), (30, Verdict.CHECK)],
)
def test_a_lock_lasts_half_an_hour_whatever_is_tried_meanwhile(
    minutes: float, verdict: Verdict
) -> None:
    _, network, account, _ = tried(50, KNOWN, AccountTally(NOW))
    _, network, account, _ = tried(50, network, account, NOW + 10 * MINUTE)
    assert admit(network, account, NOW + minutes * MINUTE).verdict is verdict


def test_after_a_lock_it_begins_anew() -> None:
    _, network, account, _ = tried(100, KNOWN, AccountTally(NOW))
    verdicts, network, _, _ = tried(12, network, account, NOW + 31 * MINUTE)
    assert verdicts == [Verdict.CHECK] * 10 + [Verdict.LOCKED] * 2


def test_strangers_share_ten_tries_and_one_every_three_minutes() -> None:
    account = AccountTally(NOW)
    looked_at = 0
    for _ in range(1_000):  # each from a network of its own
        decided = admit(NetworkTally(), account, NOW)
        account = decided.account
        looked_at += decided.verdict is Verdict.CHECK
    assert looked_at == ACCOUNT_TRIES_AT_ONCE_MAX
    assert decided.verdict is Verdict.SLOWED
    assert decided.network == NetworkTally()  # not held against that network
    assert admit(NetworkTally(), account, NOW + 2 * MINUTE).verdict is Verdict.SLOWED
    later = admit(NetworkTally(), account, NOW + 3 * MINUTE)
    assert later.verdict is Verdict.CHECK
    assert admit(NetworkTally(), later.account, NOW + 3 * MINUTE).verdict is Verdict.SLOWED


def test_the_last_of_an_accounts_tries_raises_an_alarm() -> None:
    account, alarms = AccountTally(NOW), []
    for _ in range(20):
        decided = admit(NetworkTally(), account, NOW)
        account = decided.account
        alarms.append(decided.alarm)
    assert alarms == [None] * 9 + [Alarm.ACCOUNT] + [None] * 10


def test_a_known_network_is_not_touched_by_what_strangers_do() -> None:
    spent = AccountTally(NOW + timedelta(days=1))
    decided = admit(KNOWN, spent, NOW)
    assert decided.verdict is Verdict.CHECK
    assert decided.account == spent
    assert admit(KNOWN, spent, NOW + timedelta(days=2)).account != spent  # it is known no more


def test_a_try_that_holds_is_given_back() -> None:
    _, network, account, _ = tried(4, *FRESH)
    assert given_back(network, account, NOW) == tried(3, *FRESH)[1:3]
    _, network, account, _ = tried(10, *FRESH)
    assert given_back(network, account, NOW)[0] == NetworkTally(9)  # the tenth held: no lock
    _, network, account, _ = tried(100, *FRESH)
    assert given_back(network, account, NOW)[0].locked_until is not None


def test_a_login_begins_anew_there_and_leaves_strangers_what_they_spent() -> None:
    _, network, account, _ = tried(9, *FRESH)
    kept, spent = logged_in(network, account, NOW)
    assert kept == NetworkTally(0, None, NOW + timedelta(seconds=KNOWN_SECONDS))
    assert spent == AccountTally(account.spent_until - 3 * MINUTE)
    assert logged_in(network, account, NOW, counted=False)[1] == account
    assert logged_in(KNOWN, account, NOW)[1] == account


def test_the_second_step_of_a_failed_first_is_not_counted_again() -> None:
    _, network, account, _ = tried(3, *FRESH)
    decided = admit(network, account, NOW, counted=False)
    assert (decided.network, decided.account) == (network, account)
    assert decided.alarm is None


@pytest.mark.parametrize(
    ("address", "network", "caller"),
    [
        ("198.51.100.7", "198.51.100.0/24", "198.51.100.7/32"),
        ("198.51.100.250", "198.51.100.0/24", "198.51.100.250/32"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48", "2001:db8:1:2::/64"),
        ("2001:db8:1:ffff::1", "2001:db8:1::/48", "2001:db8:1:ffff::/64"),
        ("::ffff:198.51.100.7", "198.51.100.0/24", "198.51.100.7/32"),
        ("fe80::1%eth0", "fe80::/48", "fe80::/64"),
        ("local", "elsewhere", "elsewhere"),
        ("", "elsewhere", "elsewhere"),
    ],
)
def test_what_counts_together(address: str, network: str, caller: str) -> None:
    assert network_of(address) == network
    assert caller_of(address) == caller


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 600)), max_size=200))
def test_no_half_hour_gives_strangers_more_than_twice_ten(guesses: list[tuple[int, int]]) -> None:
    """Ten at once and ten as they come back: what PCI DSS 8.3.4 lets two locks give, however many networks guess."""
    networks: dict[int, NetworkTally] = defaultdict(NetworkTally)
    account, now, looked_at = AccountTally(NOW), NOW, []
    for network, seconds in guesses:
        now += timedelta(seconds=seconds)
        decided = admit(networks[network], account, now)
        networks[network], account = decided.network, decided.account
        if decided.verdict is Verdict.CHECK:
            looked_at.append(now)
    for end in looked_at:
        within = [each for each in looked_at if end - 30 * MINUTE < each <= end]
        assert len(within) <= 2 * FAILURES_MAX


class Guessing(RuleBasedStateMachine):
    """Strangers guess from four networks, the person logs in from one of their own; time goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.networks: dict[int, NetworkTally] = defaultdict(NetworkTally)
        self.networks[0] = KNOWN
        self.account = AccountTally(NOW)
        self.looked_at: dict[int, list[datetime]] = defaultdict(list)
        self.locked: dict[int, datetime] = {}

    @rule(network=st.integers(1, 4), times=st.integers(1, 15))
    def strangers_guess(self, network: int, times: int) -> None:
        for _ in range(times):
            decided = admit(self.networks[network], self.account, self.now)
            self.networks[network], self.account = decided.network, decided.account
            if decided.verdict is Verdict.CHECK:
                self.looked_at[network].append(self.now)
                assert self.locked.get(network, self.now) <= self.now, "a lock was not kept"
            if decided.alarm is Alarm.NETWORK:
                self.locked[network] = self.now + 30 * MINUTE

    @rule()
    def the_person_logs_in(self) -> None:
        before = self.account
        decided = admit(self.networks[0], self.account, self.now)
        assert decided.verdict is Verdict.CHECK, "strangers have locked the person out"
        kept = logged_in(decided.network, decided.account, self.now)
        self.networks[0], self.account = kept
        assert self.account == before, "a login gave strangers tries"

    @rule(failures=st.integers(1, 9))
    def the_person_mistypes_and_then_logs_in(self, failures: int) -> None:
        _, network, account, alarms = tried(failures, self.networks[0], self.account, self.now)
        assert not alarms
        self.networks[0], self.account = network, account
        self.the_person_logs_in()

    @rule(seconds=st.integers(1, 4_000))
    def time_goes_on(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def an_administrator_unlocks(self) -> None:
        for each, tally in self.networks.items():
            self.networks[each] = replace(tally, failures=0, locked_until=None)
        self.account = AccountTally(self.now)
        self.locked.clear()
        self.looked_at.clear()

    @invariant()
    def no_network_has_more_than_ten_in_half_an_hour(self) -> None:
        for times in self.looked_at.values():
            recent = [each for each in times if self.now - each < 30 * MINUTE]
            assert len(recent) <= 2 * FAILURES_MAX
            at_once = max((recent.count(each) for each in recent), default=0)
            assert at_once <= FAILURES_MAX


TestGuessing: Any = Guessing.TestCase
TestGuessing.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
