# SPDX-License-Identifier: Apache-2.0
"""When what was declined is tried again, and when not. Pure: takes what is known and `now`, says what is to be done.

Only what the merchant began, only after a decline whose advice is `later`, only where the merchant wants it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from strongroom.kernel.invariant import invariant
from strongroom.payments.model import RETRY_CANCELED, Attempt, Outcome, Payment, Status
from strongroom.payments.soft import is_soft_decline

#: What a wish of ours is called; the number makes each one of its own, however often the job runs.
WISH: Final = "retry "
RETRIES_MAX: Final = 10
DELAY_HOURS_MAX: Final = 720
#: The tries of a payment end within this of its first decline: schemes count by thirty days.
SPAN_HOURS_MAX: Final = 720
_WAITING: Final = frozenset({Status.REQUIRES_CONFIRMATION, Status.REQUIRES_PAYMENT_METHOD})


class Limit(NamedTuple):
    """How often a scheme lets one card be asked within a time, refused or not."""

    window: timedelta
    most: int


#: Visa: 15 in 30 days (20 since May 2025, as some acquirers say: the stricter is kept). Mastercard: 10 in 24 hours, 35
#: in 30 days. Published by acquirers (support.checkout.com, "When can I retry a declined transaction").
LIMITS: Final[Mapping[str, Sequence[Limit]]] = {
    "mastercard": (Limit(timedelta(hours=24), 10), Limit(timedelta(days=30), 35)),
    "visa": (Limit(timedelta(days=30), 15),),
}
#: Of schemes that publish none to us: the stricter of both.
OTHERWISE: Final = (Limit(timedelta(hours=24), 10), Limit(timedelta(days=30), 15))
#: So far back a card's tries are looked at.
LOOKED_BACK: Final = timedelta(days=30)
invariant(
    all(each.window <= LOOKED_BACK for limits in (*LIMITS.values(), OTHERWISE) for each in limits),
    "what is counted is looked at",
)


@dataclass(frozen=True, slots=True)
class Policy:
    """What a merchant wants: hours from one decline to the next try, as many tries as there are."""

    enabled: bool
    delays_hours: Sequence[int]
    updated_at: datetime | None = None


#: Where a merchant said nothing.
OFF: Final = Policy(enabled=False, delays_hours=(24, 72, 120))


@dataclass(frozen=True, slots=True)
class Known:
    """What a decision is made from."""

    payment: Payment
    #: The newest attempt that began the payment, or tried to.
    last: Attempt | None
    #: How many of its attempts were tries of ours.
    tries: int
    policy: Policy
    #: When the card was asked with within thirty days, by whichever payment.
    asked_at: Sequence[datetime]


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is nothing to be tried."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """It is to be tried then; the merchant is told."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Hold:
    """It is scheduled, and not due."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Try:
    """It is due."""

    number: int


@dataclass(frozen=True, slots=True)
class End:
    """It was scheduled, and is not tried any more."""

    reason: str


Verdict = Nothing | Schedule | Hold | Try | End


def judge(known: Known, now: datetime) -> Verdict:
    """Say what becomes of a payment that was declined."""
    payment, last = known.payment, known.last
    if payment.retry_at == RETRY_CANCELED:
        return Nothing()
    scheduled = payment.retry_at
    reason = None
    if last is None or not _is_soft(payment, last):
        reason = "not_soft"
    elif not known.policy.enabled:
        reason = "policy_off"
    elif known.tries >= len(known.policy.delays_hours):
        reason = "exhausted"
    if reason is not None or last is None:
        return Nothing() if scheduled is None else End(reason or "not_soft")
    if scheduled is None:
        delay = timedelta(hours=known.policy.delays_hours[known.tries])
        return Schedule(max(now, (last.settled_at or now) + delay))
    if now < scheduled:
        return Hold(scheduled)
    if is_beyond(payment.brand, known.asked_at, now):
        return End("scheme_limit")
    return Try(known.tries + 1)


def is_beyond(brand: str | None, asked_at: Sequence[datetime], now: datetime) -> bool:
    """Tell whether a card was asked with as often as its scheme allows, so that one more would be too many."""
    limits = LIMITS.get(brand or "", OTHERWISE)
    return any(
        sum(1 for each in asked_at if each > now - limit.window) >= limit.most for limit in limits
    )


def _is_soft(payment: Payment, last: Attempt) -> bool:
    """Tell whether the last try was declined so that later may be better; what was not sent asked nobody."""
    stored = payment.stored_credential
    if stored is None or not stored.by_merchant or last.token_id is None:
        return False
    if payment.status not in _WAITING or payment.authorized or payment.discrepancy:
        return False
    if last.outcome is Outcome.NOT_SENT:
        return last.wish.startswith(WISH)
    return is_soft_decline(last)
