# SPDX-License-Identifier: Apache-2.0
"""The state machine of the simulator's disputes. Pure. What is taken is never given back by a refund besides.

An inquiry takes nothing. A dispute that is reversed may be opened again; one that is won or lost is over.
"""

import enum
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from strongroom.simulator.books import (
    Operation,
    OperationKind,
    OperationStatus,
    Payment,
    not_possible,
)

#: How long evidence is taken.
EVIDENCE_DAYS: Final = 14


class Stage(enum.StrEnum):
    """Where a dispute stands."""

    INQUIRY = "inquiry"
    LOST = "lost"
    OPENED = "opened"
    REVERSED = "reversed"
    WON = "won"


#: Which stage may follow which; None stands before the first.
FOLLOWING: Final[Mapping[Stage | None, frozenset[Stage]]] = {
    None: frozenset({Stage.INQUIRY, Stage.OPENED}),
    Stage.INQUIRY: frozenset({Stage.OPENED, Stage.WON}),
    Stage.OPENED: frozenset({Stage.LOST, Stage.REVERSED, Stage.WON}),
    Stage.REVERSED: frozenset({Stage.LOST, Stage.OPENED, Stage.WON}),
    Stage.LOST: frozenset(),
    Stage.WON: frozenset(),
}
#: While it stands there, the amount is taken.
TAKEN: Final = frozenset({Stage.LOST, Stage.OPENED})
_ANSWERABLE: Final = frozenset({Stage.INQUIRY, Stage.OPENED})


def begin(
    payment: Payment, amount: int | None, stage: Stage, operation_id: str, now: datetime
) -> Operation:
    """Return a new dispute, of all that is left of what was captured or of a part.

    Raises:
        Refusal: so much is not left.
    """
    disputed = payment.returnable if amount is None else amount
    if not 0 < disputed <= payment.returnable:
        raise not_possible("nothing of this payment can be disputed")
    return Operation(
        operation_id=operation_id,
        kind=OperationKind.DISPUTE,
        payment_id=payment.payment_id,
        account=payment.account,
        reference=payment.reference,
        amount=disputed,
        currency=payment.currency,
        status=OperationStatus.PENDING,
        totals=payment.totals,
        created=now,
        stage=stage,
        step=1,
        evidence_due_by=now + timedelta(days=EVIDENCE_DAYS),
    )


def move(dispute: Operation, stage: Stage) -> Operation:
    """Return the dispute at its next stage.

    Raises:
        Refusal: it does not go there from where it stands.
    """
    if stage not in FOLLOWING[Stage(dispute.stage or Stage.OPENED)]:
        raise not_possible(f"a dispute does not go from {dispute.stage} to {stage}")
    over = stage in (Stage.LOST, Stage.WON)
    return replace(
        dispute,
        stage=stage,
        step=dispute.step + 1,
        status=OperationStatus.SUCCEEDED if over else OperationStatus.PENDING,
        evidence_due_by=dispute.evidence_due_by if stage in _ANSWERABLE else None,
    )


def taken(dispute: Operation | None) -> int:
    """Return what a dispute has taken by now."""
    return 0 if dispute is None or dispute.stage not in TAKEN else dispute.amount
