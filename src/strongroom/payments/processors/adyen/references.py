# SPDX-License-Identifier: Apache-2.0
"""What Adyen calls an attempt of ours: in requests, notices and reports."""

from strongroom.kernel.ids import is_id
from strongroom.payments.model import Attempt, Operation


def reference_of(attempt: Attempt) -> str:
    """Return what Adyen calls an attempt: its id and its operation, in the one member of ours that is signed.

    Nothing else that the HMAC covers tells an authorization from a sale. Adyen sets a hyphen between several references
    of one transaction.
    """
    return f"{attempt.attempt_id}-{attempt.operation.value}"


def referred(reference: str) -> tuple[str, Operation | None]:
    """Return whose reference it is, and the operation that it was given to; None where it is not ours."""
    attempt, _, word = reference.rpartition("-")
    if not is_id("att", attempt) or word not in set(Operation):
        return reference, None
    return attempt, Operation(word)
