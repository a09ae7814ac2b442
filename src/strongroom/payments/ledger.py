# SPDX-License-Identifier: Apache-2.0
"""Which postings an attempt makes, from what it came to before and after. Pure. A posting is written and never changed.

Two accounts keep what is held on cards, and four keep money: what a processor owes us against what was sold, given back
and taken back. A posting moves an amount from one account (credit) to another (debit), so the books balance whatever
happens; a fact that is taken back is posted the other way round.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

from strongroom.payments.decisions import CAPTURE_FAILED, contribution
from strongroom.payments.model import Attempt, Dispute, Operation, Outcome, Payment
from strongroom.payments.postings import Account, Posting


class Move(NamedTuple):
    """From which account to which."""

    word: str
    debit: Account
    credit: Account


AUTHORIZE: Final = Move("authorize", Account.HOLDS, Account.AUTHORIZATIONS)
RELEASE: Final = Move("release", Account.AUTHORIZATIONS, Account.HOLDS)
CAPTURE: Final = Move("capture", Account.RECEIVABLE, Account.SALES)
REFUND: Final = Move("refund", Account.REFUNDS, Account.RECEIVABLE)
DISPUTE: Final = Move("dispute", Account.DISPUTES, Account.RECEIVABLE)
_MOVES: Final = (AUTHORIZE, RELEASE, CAPTURE, REFUND)


def postings(
    payment: Payment, changed: Payment, attempt: Attempt, known: Attempt, now: datetime
) -> tuple[Posting, ...]:
    """Return what is posted when an attempt, and its payment with it, comes to be known as they now are.

    What a processor released of itself (an expired authorization) is in the payment alone, and posted as a release.
    """
    before, after = _moved(attempt), _moved(known)
    voided = contribution(known).get("voided", 0) - contribution(attempt).get("voided", 0)
    of_itself = changed.voided - payment.voided - voided
    found = []
    for move in _MOVES:
        amount = after.get(move, 0) - before.get(move, 0)
        if move is RELEASE:
            amount += of_itself
        if amount:
            debit, credit = (move.debit, move.credit) if amount > 0 else (move.credit, move.debit)
            found.append(
                Posting(
                    merchant_id=changed.merchant_id,
                    mode=changed.mode,
                    payment_id=changed.payment_id,
                    cause=f"{known.attempt_id}:{changed.version}:{move.word}",
                    debit=debit,
                    credit=credit,
                    amount=abs(amount),
                    currency=changed.currency,
                    connection_id=known.connection_id,
                    made_at=now,
                )
            )
    return tuple(found)


def dispute_postings(
    payment: Payment, changed: Payment, dispute: Dispute, now: datetime
) -> tuple[Posting, ...]:
    """Return what is posted when a dispute takes money, or gives it back."""
    amount = changed.disputed - payment.disputed
    if not amount:
        return ()
    taken = amount > 0
    return (
        Posting(
            merchant_id=changed.merchant_id,
            mode=changed.mode,
            payment_id=changed.payment_id,
            cause=f"{dispute.dispute_id}:{changed.version}:{DISPUTE.word}",
            debit=DISPUTE.debit if taken else DISPUTE.credit,
            credit=DISPUTE.credit if taken else DISPUTE.debit,
            amount=abs(amount),
            currency=changed.currency,
            connection_id=dispute.connection_id,
            made_at=now,
        ),
    )


def _moved(attempt: Attempt) -> Mapping[Move, int]:
    """Say what an attempt has moved in all, from its outcome."""
    if attempt.outcome is not Outcome.APPROVED:
        return {}
    settled = attempt.amount if attempt.settled_amount is None else attempt.settled_amount
    match attempt.operation:
        case Operation.AUTHORIZE | Operation.INCREMENT:
            return {AUTHORIZE: settled}
        case Operation.SALE if attempt.reason == CAPTURE_FAILED:
            return {AUTHORIZE: settled}
        case Operation.SALE:
            return {AUTHORIZE: settled, RELEASE: settled, CAPTURE: settled}
        case Operation.CAPTURE:
            return {RELEASE: settled + attempt.releases, CAPTURE: settled}
        case Operation.VOID:
            return {RELEASE: settled}
        case Operation.REFUND:
            return {REFUND: settled}
        case Operation.VERIFY:  # nothing moves
            return {}
