# SPDX-License-Identifier: Apache-2.0
"""What decisions about payments are made of. Pure: takes what was loaded and `now`, returns what is to be saved.

Balances are kept by one rule: an attempt contributes to them what its outcome says, so a change of outcome takes the
old contribution away and adds the new one. Asking reserves; a report of the processor's is always recorded.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from strongroom.kernel.events import EventType
from strongroom.kernel.ids import AttemptId, ConnectionId, TokenId
from strongroom.payments.browsers import Browser
from strongroom.payments.model import (
    Attempt,
    Dispute,
    Loaded,
    Operation,
    Outcome,
    Payment,
    Refund,
    Status,
    ThreeDs,
)
from strongroom.payments.postings import Posting
from strongroom.payments.route import Route
from strongroom.payments.states import moved

_replace: Final = msgspec.structs.replace
#: Why an approved sale counts as an authorization only.
CAPTURE_FAILED: Final = "capture_failed"
_CONFIRMABLE: Final = frozenset({Status.REQUIRES_CONFIRMATION, Status.REQUIRES_PAYMENT_METHOD})


@dataclass(frozen=True, slots=True)
class Card:
    """What may be known of the card outside the vault."""

    token: TokenId
    brand: str
    bin: str
    last4: str
    #: What a later payment with it refers to.
    initial_transaction_id: str | None = None


@dataclass(frozen=True, slots=True)
class Asking:
    """The attempt to be: who asks for it, through which connection, and until when its answer is waited for."""

    attempt: AttemptId
    wish: str
    connection: ConnectionId
    now: datetime
    lease_until: datetime
    step: int = 1
    route: Route | None = None
    three_ds: ThreeDs = ThreeDs.AUTOMATIC
    checks_policy: str | None = None
    browser: Browser | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """What is to be saved. Nothing where `changed` is false."""

    payment: Payment
    attempts: tuple[Attempt, ...] = ()
    refunds: tuple[Refund, ...] = ()
    happened: tuple[EventType, ...] = ()
    #: A sum was broken by what a processor reported: alert.
    discrepancy: bool = False
    changed: bool = True
    #: What the ledger keeps of it.
    postings: tuple[Posting, ...] = ()
    disputes: tuple[Dispute, ...] = ()


def contribution(attempt: Attempt) -> dict[str, int]:
    """Say what an attempt adds to the balances, from its outcome."""
    operation, amount = attempt.operation, attempt.amount
    if attempt.is_open:
        if operation is Operation.CAPTURE:
            return {"capturing": amount, "voiding": attempt.releases}
        if operation is Operation.VOID:
            return {"voiding": amount}
        if operation is Operation.INCREMENT:
            return {"incrementing": amount}
        return {"refunding": amount} if operation is Operation.REFUND else {}
    if attempt.outcome is not Outcome.APPROVED or operation is Operation.VERIFY:
        return {}
    settled = amount if attempt.settled_amount is None else attempt.settled_amount
    if operation is Operation.CAPTURE:
        return {"captured": settled, "voided": attempt.releases}
    if operation is Operation.SALE:
        return {"authorized": settled, "captured": settled}
    if operation is Operation.INCREMENT:
        return {"authorized": settled, "incremented": settled}
    word = {Operation.AUTHORIZE: "authorized", Operation.VOID: "voided"}.get(operation, "refunded")
    return {word: settled}


def after(before: Loaded, decided: Decided) -> Loaded:
    """Return what would be loaded once a decision is saved."""
    attempts: dict[str, Attempt] = {each.attempt_id: each for each in before.attempts}
    attempts |= {each.attempt_id: each for each in decided.attempts}
    refunds: dict[str, Refund] = {each.refund_id: each for each in before.refunds}
    refunds |= {each.refund_id: each for each in decided.refunds}
    disputes: dict[str, Dispute] = {each.dispute_id: each for each in before.disputes}
    disputes |= {each.dispute_id: each for each in decided.disputes}
    return Loaded(
        decided.payment,
        tuple(attempts.values()),
        tuple(refunds.values()),
        tuple(disputes.values()),
    )


def decided_over(
    loaded: Loaded,
    payment: Payment,
    attempt: Attempt | None,
    *,
    now: datetime,
    happened: tuple[EventType, ...] = (),
) -> Decided:
    """Count the version, reserve for a new attempt, and move to the state that the facts now say."""
    before = None if attempt is None else loaded.attempt(attempt.attempt_id)
    attempts = [
        each for each in loaded.attempts if attempt is None or each.attempt_id != attempt.attempt_id
    ]
    if attempt is not None:
        attempts.append(attempt)
        if before is None:
            payment = added(payment, contribution(attempt), 1)
    # A wish may have been read before what was saved meanwhile, and two machines' clocks differ: time does not go back.
    at = max(now, loaded.payment.updated_at)
    changed = _replace(payment, version=loaded.payment.version + 1, updated_at=at)
    return Decided(moved(changed, attempts), () if attempt is None else (attempt,), (), happened)


def added(payment: Payment, amounts: dict[str, int], sign: int) -> Payment:
    """Add a contribution to the balances, or take it away (`sign` -1)."""
    return _replace(
        payment,
        **{name: getattr(payment, name) + sign * amount for name, amount in amounts.items()},
    )
