# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of retries."""

from typing import Annotated

import msgspec
from msgspec import Meta

from strongroom.kernel.clock import rfc3339
from strongroom.payments.retries.model import DELAY_HOURS_MAX, RETRIES_MAX, Policy

Hours = Annotated[int, Meta(ge=1, le=DELAY_HOURS_MAX)]


class RetryPolicyIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether, and when, what you begin is tried again after a soft decline."""

    enabled: bool
    #: Hours from one decline to the next try; as many tries as there are. Within 30 days in all.
    delays_hours: Annotated[list[Hours], Meta(min_length=1, max_length=RETRIES_MAX)]


class RetryPolicyOut(msgspec.Struct, frozen=True):
    """What holds now."""

    object: str
    enabled: bool
    delays_hours: list[int]
    updated_at: str | None


def policy_out(policy: Policy) -> RetryPolicyOut:
    """Print a policy."""
    changed = policy.updated_at
    return RetryPolicyOut(
        "retry_policy",
        policy.enabled,
        list(policy.delays_hours),
        None if changed is None else rfc3339(changed),
    )
