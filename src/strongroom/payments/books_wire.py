# SPDX-License-Identifier: Apache-2.0
"""What the routes of the ledger answer. Amounts are whole minor units of their currency."""

from typing import Literal

import msgspec

from strongroom.kernel.clock import rfc3339
from strongroom.payments.books import Balance, Difference
from strongroom.payments.postings import Account, Posting


class BalanceOut(msgspec.Struct, frozen=True):
    """What an account comes to in one currency; `balance` is debits less credits."""

    account: Account
    currency: str
    debits: int
    credits: int
    balance: int


class TrialBalanceOut(msgspec.Struct, frozen=True):
    """Every account. `balanced`: in each currency the balances add up to nothing."""

    object: Literal["trial_balance"]
    balanced: bool
    data: list[BalanceOut]


class PostingOut(msgspec.Struct, frozen=True):
    """An amount that moved from one account (credit) to another (debit), and why."""

    object: Literal["posting"]
    payment: str
    cause: str
    debit: Account
    credit: Account
    amount: int
    currency: str
    connection: str
    made_at: str


class PostingPage(msgspec.Struct, frozen=True):
    """A page of postings, oldest first."""

    data: list[PostingOut]
    has_more: bool
    next_cursor: str | None


class Figures(msgspec.Struct, frozen=True):
    """What a payment says, and what the ledger says."""

    payment: int
    ledger: int


class DifferenceOut(msgspec.Struct, frozen=True):
    """A payment that differs from the ledger."""

    payment: str
    held: Figures
    captured: Figures
    refunded: Figures
    disputed: Figures


class DifferencesOut(msgspec.Struct, frozen=True):
    """The payments that differ; at most a hundred are shown."""

    object: Literal["ledger_check"]
    agrees: bool
    data: list[DifferenceOut]


def trial_balance_out(balances: list[Balance]) -> TrialBalanceOut:
    """Print a trial balance."""
    sums: dict[str, int] = {}
    for each in balances:
        sums[each.currency] = sums.get(each.currency, 0) + each.debits - each.credits
    return TrialBalanceOut(
        "trial_balance",
        not any(sums.values()),
        [BalanceOut(*each, balance=each.debits - each.credits) for each in balances],
    )


def posting_out(posting: Posting) -> PostingOut:
    """Print a posting."""
    return PostingOut(
        "posting",
        posting.payment_id,
        posting.cause,
        posting.debit,
        posting.credit,
        posting.amount,
        posting.currency,
        posting.connection_id,
        rfc3339(posting.made_at),
    )


def difference_out(difference: Difference) -> DifferenceOut:
    """Print a difference."""
    return DifferenceOut(
        difference.payment_id,
        Figures(*difference.held),
        Figures(*difference.captured),
        Figures(*difference.refunded),
        Figures(*difference.disputed),
    )
