# SPDX-License-Identifier: Apache-2.0
"""The states of a payment: which may follow which, and which one the facts say. One function moves; nobody assigns.

The table is printed into docs/explain/payments.md as a diagram, and a test proves it whole.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from strongroom.kernel.invariant import invariant
from strongroom.payments.model import Attempt, Operation, Outcome, Payment, Status

TRANSITIONS: Final[Mapping[Status, frozenset[Status]]] = {
    Status.REQUIRES_PAYMENT_METHOD: frozenset(
        # A late approval of an attempt that was called declined or not sent is a fact like any other.
        {
            Status.CANCELED,
            Status.PROCESSING,
            Status.REQUIRES_CAPTURE,
            Status.REQUIRES_CONFIRMATION,
            Status.SUCCEEDED,
        }
    ),
    # To requires_payment_method where the merchant's own brakes refuse the card: no processor is asked.
    Status.REQUIRES_CONFIRMATION: frozenset(
        # Without a card any more: a decline of an attempt that was called not sent.
        {
            Status.CANCELED,
            Status.PROCESSING,
            Status.REQUIRES_CAPTURE,
            Status.REQUIRES_PAYMENT_METHOD,
            Status.SUCCEEDED,
        }
    ),
    Status.PROCESSING: frozenset(
        {
            Status.CANCELED,
            Status.REQUIRES_ACTION,
            Status.REQUIRES_CAPTURE,
            Status.REQUIRES_CONFIRMATION,
            Status.REQUIRES_PAYMENT_METHOD,
            Status.SUCCEEDED,
        }
    ),
    # Back to requires_confirmation: two people say that what was asked never reached the processor.
    Status.REQUIRES_ACTION: frozenset(
        {
            Status.CANCELED,
            Status.PROCESSING,
            Status.REQUIRES_CAPTURE,
            Status.REQUIRES_CONFIRMATION,
            Status.REQUIRES_PAYMENT_METHOD,
            Status.SUCCEEDED,
        }
    ),
    # Canceled: released, or expired at the processor. Succeeded without processing: a capture that a notice told of.
    Status.REQUIRES_CAPTURE: frozenset({Status.CANCELED, Status.PROCESSING, Status.SUCCEEDED}),
    # Back to requires_capture: a capture that failed after it was approved, or processing, where another is asked for.
    Status.SUCCEEDED: frozenset({Status.PROCESSING, Status.REQUIRES_CAPTURE, Status.CANCELED}),
    # An authorization that is reported after the payment was called off, or a capture after a release: money is real.
    Status.CANCELED: frozenset({Status.REQUIRES_CAPTURE, Status.SUCCEEDED}),
}


def status_of(payment: Payment, attempts: Sequence[Attempt]) -> Status:
    """Say where a payment stands, from how much is where and what is being asked. Touches nothing."""
    if payment.authorized > 0:
        return _of_balances(payment)
    waiting = [each for each in attempts if each.operation.authorizes and each.is_open]
    if any(each.outcome is Outcome.PENDING and each.action_url for each in waiting):
        return Status.REQUIRES_ACTION
    if waiting:
        return Status.PROCESSING
    if any(
        each.operation is Operation.VERIFY and each.outcome is Outcome.APPROVED for each in attempts
    ):
        return Status.SUCCEEDED
    if payment.cancel_reason is not None:
        return Status.CANCELED
    if payment.token_id is None:
        return Status.REQUIRES_PAYMENT_METHOD
    return Status.REQUIRES_CONFIRMATION


def _of_balances(payment: Payment) -> Status:
    if payment.capturing > 0 or payment.voiding > 0 or payment.incrementing > 0:
        return Status.PROCESSING
    if payment.capturable > 0:
        return Status.REQUIRES_CAPTURE
    return Status.SUCCEEDED if payment.captured > 0 else Status.CANCELED


def moved(payment: Payment, attempts: Sequence[Attempt]) -> Payment:
    """Return the payment in the state that its facts say. The only place where a status is given."""
    status = status_of(payment, attempts)
    invariant(
        status is payment.status or status in TRANSITIONS[payment.status],
        f"a payment does not go from {payment.status} to {status}",
    )
    return msgspec.structs.replace(payment, status=status)


def diagram() -> str:
    """Print the table as a Mermaid diagram, for the documentation."""
    lines = [
        "stateDiagram-v2",
        "    [*] --> requires_payment_method",
        "    [*] --> requires_confirmation",
    ]
    lines += [
        f"    {before.value} --> {after.value}"
        for before in Status
        for after in sorted(TRANSITIONS[before])
    ]
    return "\n".join(lines) + "\n"
