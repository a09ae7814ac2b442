# SPDX-License-Identifier: Apache-2.0
"""What is counted against guessing, as pure decisions (PCI DSS 8.3.4; ASVS 6.3.1, 6.3.5).

A try is counted before what it shows is looked at, and given back when it holds: so of any number at once no more than
ten are looked at. Three rules:

1. One network (IPv4 /24, IPv6 /48) has ten tries at an account. The tenth locks it for 30 minutes, for this account.
2. From networks where the person never logged in, all together, an account gives ten tries and then one every three
   minutes. That is ten in half an hour, what rule 8.3.4 lets a locked account give, however many networks guess.
3. A network where the person did log in, in the last 90 days, spends nothing of that: a stranger can lock out their
   own network and other strangers', never the person at their usual place (D4). Passkeys are not counted at all.

An administrator may lift all of it. Nothing here reads a clock or a row.
"""

import enum
import ipaddress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from strongroom.kernel.invariant import invariant

FAILURES_MAX: Final = 10
LOCK_SECONDS: Final = 1_800
ACCOUNT_TRIES_AT_ONCE_MAX: Final = 10
ACCOUNT_TRY_EVERY_SECONDS: Final = 180
KNOWN_SECONDS: Final = 90 * 86_400
#: Failures are forgotten when a network has been quiet for so long.
FORGET_SECONDS: Final = 86_400

invariant(FAILURES_MAX <= 10, "PCI DSS 8.3.4: not more than 10 attempts")  # noqa: PLR2004 - the rule's number
invariant(LOCK_SECONDS >= 1_800, "PCI DSS 8.3.4: at least 30 minutes")  # noqa: PLR2004 - likewise
invariant(
    ACCOUNT_TRY_EVERY_SECONDS * FAILURES_MAX >= LOCK_SECONDS,
    "strangers together get no more tries than one network that is locked again and again",
)
invariant(FORGET_SECONDS > LOCK_SECONDS, "nothing is forgotten while it locks")

_TRY: Final = timedelta(seconds=ACCOUNT_TRY_EVERY_SECONDS)


class Verdict(enum.StrEnum):
    """What becomes of a try."""

    CHECK = "check"
    #: This network is locked.
    LOCKED = "locked"
    #: Strangers have used up the account's tries for now.
    SLOWED = "slowed"


class Alarm(enum.StrEnum):
    """What a try has brought about that somebody should look at."""

    NETWORK = "network"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class NetworkTally:
    """One network's tries at one account."""

    failures: int = 0
    locked_until: datetime | None = None
    known_until: datetime | None = None

    def is_known(self, now: datetime) -> bool:
        """Tell whether the person has logged in from there of late."""
        return self.known_until is not None and self.known_until > now


@dataclass(frozen=True, slots=True)
class AccountTally:
    """All strangers' tries at one account: until when what was spent is not yet earned again."""

    spent_until: datetime


@dataclass(frozen=True, slots=True)
class Admission:
    """What a try leads to: whether it is looked at, and what is kept."""

    verdict: Verdict
    network: NetworkTally
    account: AccountTally
    alarm: Alarm | None = None


def admit(
    network: NetworkTally, account: AccountTally, now: datetime, *, counted: bool = True
) -> Admission:
    """Decide about a try before it is looked at.

    Args:
        counted: False for the second step of a login whose first failed and was counted: one try, not two. It is not
            looked at, but nobody shall see that from how long it takes.
    """
    weight = int(counted)
    if network.locked_until is not None and network.locked_until <= now:
        network = replace(network, failures=0, locked_until=None)
    if network.locked_until is not None:
        counting = replace(network, failures=network.failures + weight)
        return Admission(Verdict.LOCKED, counting, account)
    alarm = None
    if not network.is_known(now):
        spent = max(account.spent_until, now) + _TRY * weight
        last = now + _TRY * ACCOUNT_TRIES_AT_ONCE_MAX
        if spent > last:
            return Admission(Verdict.SLOWED, network, account)
        account = AccountTally(spent)
        if spent > last - _TRY and counted:
            alarm = Alarm.ACCOUNT
    failures = network.failures + weight
    network = replace(network, failures=failures)
    if failures >= FAILURES_MAX:
        network = replace(network, locked_until=now + timedelta(seconds=LOCK_SECONDS))
        alarm = Alarm.NETWORK
    return Admission(Verdict.CHECK, network, account, alarm)


def given_back(
    network: NetworkTally, account: AccountTally, now: datetime
) -> tuple[NetworkTally, AccountTally]:
    """Return what is kept when a try that was looked at holds: it was none of the wrong ones."""
    failures = max(0, network.failures - 1)
    lifted = failures < FAILURES_MAX
    network = replace(
        network, failures=failures, locked_until=None if lifted else network.locked_until
    )
    return network, _earned(network, account, now)


def logged_in(
    network: NetworkTally, account: AccountTally, now: datetime, *, counted: bool = True
) -> tuple[NetworkTally, AccountTally]:
    """Return what is kept when somebody has shown all factors: their network is known, and begins anew.

    What strangers have spent stays spent, or each login would give them ten tries more.
    """
    if counted:
        account = _earned(network, account, now)
    known = NetworkTally(0, None, now + timedelta(seconds=KNOWN_SECONDS))
    return known, account


def _earned(network: NetworkTally, account: AccountTally, now: datetime) -> AccountTally:
    """Give a stranger's try back to the account; a known network has taken none."""
    if network.is_known(now):
        return account
    return AccountTally(max(now, account.spent_until - _TRY))


def network_of(address: str) -> str:
    """Return the network that counts together: an IPv4 /24 or an IPv6 /48; what is no address counts as itself."""
    return _prefix(address, 24, 48)


def caller_of(address: str) -> str:
    """Return what is slowed down together: an IPv4 address, or an IPv6 /64, which one machine has whole."""
    return _prefix(address, 32, 64)


def _prefix(address: str, bits_4: int, bits_6: int) -> str:
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "elsewhere"
    if isinstance(known, ipaddress.IPv6Address) and known.ipv4_mapped is not None:
        known = known.ipv4_mapped
    bits = bits_4 if known.version == 4 else bits_6  # noqa: PLR2004 - IP's own numbers
    return str(ipaddress.ip_network((known, bits), strict=False))
