# SPDX-License-Identifier: Apache-2.0
"""Who a job of this package acts for: the names by which access rules know them, kept with it and asked anew."""

from typing import Final, Protocol

from strongroom.kernel.ids import SessionId
from strongroom.kernel.principal import CallerKind, Presence, Principal, Role
from strongroom.vault.containers.decision import CallerAccess
from strongroom.vault.work.model import Facts, Job

_KIND: Final = "caller_kind"
_ROLE: Final = "caller_role"


class AccessRules(Protocol):
    """Knows what every caller may do, at most two seconds late (`containers.feed.RuleFeed`)."""

    async def of(self, principal: Principal) -> CallerAccess:
        """Return what a caller may do.

        Raises:
            Unavailable: the rules are older than two seconds and cannot be read.
        """


def caller_facts(principal: Principal) -> Facts:
    """Return what a job has to keep of its caller besides `created_by`."""
    role = None if principal.presence is None else principal.presence.role.value
    return {_KIND: principal.kind.value, _ROLE: role}


def job_caller(job: Job) -> Principal:
    """Return a job's caller as access rules know it. It has no permissions: it was let in when it began the job."""
    role = job.params[_ROLE]
    return Principal(
        job.created_by,
        CallerKind(str(job.params[_KIND])),
        job.merchant_id,
        job.mode,
        frozenset(),
        None
        if role is None
        else Presence(SessionId(""), Role(str(role)), frozenset(), stepped_up=False),
    )
