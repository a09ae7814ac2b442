# SPDX-License-Identifier: Apache-2.0
"""What is done where nobody can find out what became of an attempt: it is left to people, and two of them say. Pure."""

from datetime import datetime
from typing import Final

import msgspec

from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.events import EventType
from strongroom.payments.decisions import Decided, decided_over
from strongroom.payments.errors import AttemptUnknown, PaymentNotReady
from strongroom.payments.findings import settle
from strongroom.payments.model import Attempt, Basis, Found, Loaded, Outcome

_replace: Final = msgspec.structs.replace
#: Why an attempt is not looked for by the schedule any more. Looks before other operations and notices still count.
LEFT_TO_PEOPLE: Final = "left_to_people"


def leave(loaded: Loaded, attempt: Attempt, now: datetime) -> Decided:
    """Leave an attempt to people: its reservation stands, and nothing else is sent."""
    if attempt.outcome is None or not attempt.is_open or attempt.reason == LEFT_TO_PEOPLE:
        return Decided(loaded.payment, changed=False)
    left = _replace(attempt, reason=LEFT_TO_PEOPLE)
    return decided_over(
        loaded, loaded.payment, left, now=now, happened=(EventType.PAYMENT_UNRESOLVED,)
    )


def resolve(
    loaded: Loaded, attempt: Attempt | None, found: Found, *, by: str, evidence: str, now: datetime
) -> Decided:
    """Settle an attempt as two people say. Only what was left to them.

    Raises:
        AttemptUnknown: the payment has no such attempt.
        PaymentNotReady: its outcome is known by now, or is still looked for.
        Invalid: an authorization without the processor's name of it, with which nothing more could be asked for.
    """
    if attempt is None or attempt.payment_id != loaded.payment.payment_id:
        raise AttemptUnknown
    if not attempt.is_open or attempt.reason != LEFT_TO_PEOPLE:
        raise PaymentNotReady("its outcome is known, or is still looked for")
    named = found.processor_reference or attempt.processor_reference
    if attempt.operation.authorizes and found.outcome is Outcome.APPROVED and named is None:
        raise Invalid(
            FieldError(
                "/processor_reference", "field_missing", "the processor's name of it is needed"
            )
        )
    said = _replace(attempt, evidence=evidence, resolved_by=by)
    return settle(loaded, said, found, now)


def said_by_people(word: str, processor_reference: str | None) -> Found:
    """Return what people say of an attempt."""
    return Found(
        Outcome(word),
        Basis.PERSON,
        processor_reference=processor_reference,
        decline_code="generic_decline" if word == Outcome.DECLINED else None,
        reason="said_by_people",
    )
