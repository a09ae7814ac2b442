# SPDX-License-Identifier: Apache-2.0
"""What becomes of an approval whose AVS or CVC did not match, as its attempt keeps its merchant's policy. Pure."""

from strongroom.payments.model import Attempt, Check, Outcome


def failed_checks(attempt: Attempt) -> tuple[str, ...]:
    """Return which checks of an approval say no that its merchant has a policy about: words as `avs_void`."""
    if attempt.outcome is not Outcome.APPROVED or attempt.checks_policy is None:
        return ()
    said = {"avs": attempt.avs_result, "cvc": attempt.cvc_result}
    words = attempt.checks_policy.split()
    # What stands in a row is a word, and what an adapter says a `Check`.
    return tuple(word for word in words if said.get(word.partition("_")[0]) == Check.MISMATCH)


def is_to_be_released(attempt: Attempt) -> bool:
    """Tell whether it was approved, and its merchant has that released for what a check says."""
    return any(word.endswith("_void") for word in failed_checks(attempt))
