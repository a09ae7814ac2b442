# SPDX-License-Identifier: Apache-2.0
"""What a processor is asked about an attempt, and what it means that it finds nothing. Pure."""

from datetime import datetime, timedelta

from strongroom.payments.model import Attempt, Basis, Found, Loaded, Outcome
from strongroom.payments.ports import Adapter, FindsAtPayment
from strongroom.vault import Template


def question(adapter: Adapter, loaded: Loaded, attempt: Attempt) -> Template:
    """Return what a processor is asked about an attempt: for our reference, or at the payment that it belongs to."""
    authorization = loaded.authorization
    if (
        isinstance(adapter, FindsAtPayment)
        and not attempt.operation.authorizes
        and authorization is not None
        and authorization.processor_reference is not None
    ):
        return adapter.find_at(authorization.processor_reference)
    return adapter.find(attempt)


def not_there(attempt: Attempt, adapter: Adapter, now: datetime) -> Found:
    """Nothing carries our reference: not sent, once it would have become visible; until then still unknown."""
    if attempt.outcome is Outcome.PENDING:
        return Found(Outcome.UNKNOWN, Basis.LOOKUP, reason="not_found_any_more")
    if attempt.lease_until + timedelta(seconds=adapter.visibility_seconds) > now:
        return Found(Outcome.UNKNOWN, Basis.LOOKUP, reason="not_visible_yet")
    return Found(Outcome.NOT_SENT, Basis.LOOKUP, reason="not_found")
