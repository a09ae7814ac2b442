# SPDX-License-Identifier: Apache-2.0
"""A piece of work that was claimed, and what its handler may say of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode

AT_ONCE_MAX: Final = 32
LEASE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job that this process has until `lease_until`. `tries` counts the claims of it, this one included."""

    merchant: MerchantId
    mode: Mode
    kind: str
    object_id: str
    tries: int
    #: How often in a row its handler failed before this claim.
    failures: int
    #: Since when it was to be done.
    due_at: datetime
    lease_until: datetime


@dataclass(frozen=True, slots=True)
class Done:
    """There is nothing left to do: the job is removed, unless somebody asked for another look meanwhile."""


@dataclass(frozen=True, slots=True)
class Again:
    """Look again at that time."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Kept:
    """The handler has removed or put off its own job, in the transaction of what it did."""


JobResult: TypeAlias = Done | Again | Kept


@dataclass(frozen=True, slots=True)
class Handler:
    """What does the jobs of one kind, and how many at once.

    A handler must tolerate being run twice for one job, also at the same time: a lease may end under it, or its process
    die between what it did and the removal of its job. It is cancelled when the lease ends.
    """

    run: Callable[[Claimed], Awaitable[JobResult]]
    at_once_max: int = AT_ONCE_MAX
    lease_seconds: float = LEASE_SECONDS
