# SPDX-License-Identifier: Apache-2.0
"""Why a payment is `processing`, and what two people say of an attempt that was left to them."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from strongroom.kernel.clock import rfc3339
from strongroom.payments.leaving import LEFT_TO_PEOPLE
from strongroom.payments.model import Attempt, Outcome


class ProcessingOut(msgspec.Struct, frozen=True):
    """What is waited for. `reason`: asked, outcome_unknown, told_later or left_to_people."""

    reason: str
    attempt: str
    operation: str
    since: str
    #: When the schedule looked last, and will look again.
    looked_at: str | None
    next_look_at: str | None


class ResolveIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of an attempt, as two people found out at the processor."""

    outcome: Literal["approved", "declined", "not_sent"]
    evidence: Annotated[
        str,
        Meta(
            min_length=10,
            max_length=1_000,
            pattern=r"^[^\u0000]*$",
            description="how you know: whom you asked, when, what they answered. No card number",
        ),
    ]
    processor_reference: (
        Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[!-~]+$(?!\n)")] | None
    ) = None


def processing_out(attempt: Attempt, next_look: datetime | None) -> ProcessingOut:
    """Say what is waited for."""
    reason = {Outcome.UNKNOWN: "outcome_unknown", Outcome.PENDING: "told_later"}.get(
        attempt.outcome or Outcome.APPROVED, "asked"
    )
    looked = attempt.looked_at
    return ProcessingOut(
        LEFT_TO_PEOPLE if attempt.reason == LEFT_TO_PEOPLE else reason,
        attempt.attempt_id,
        attempt.operation,
        rfc3339(attempt.created_at),
        None if looked is None else rfc3339(looked),
        None if next_look is None else rfc3339(next_look),
    )
