# SPDX-License-Identifier: Apache-2.0
"""A connection's credentials while they are rotated: those in use, the next ones, those from before. Pure.

All of them are sealed as one value, so that none can be swapped for another in the database.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

import msgspec

from strongroom.kernel.clock import rfc3339
from strongroom.kernel.secret import Secret
from strongroom.vault.errors import NothingStaged, NothingToRestore, StagedMeanwhile

#: Former credentials are kept for so long at most.
KEEP_SECONDS_MAX: Final = 7 * 86_400
#: Which credentials a call goes out with.
CredentialSlot: TypeAlias = Literal["current", "next"]


class Slots(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is sealed of a connection. Prints nothing."""

    processor: str
    base_url: str
    credentials: dict[str, str]
    #: Not in use yet: they are tried, promoted or discarded.
    next: dict[str, str] | None = None
    #: When they were set (RFC 3339): names them, for whoever promotes or approves.
    staged_at: str | None = None
    former: dict[str, str] | None = None
    #: Unix time until which they can be brought back.
    former_until: int | None = None

    def __repr__(self) -> str:
        return "Slots(***)"


@dataclass(frozen=True, slots=True)
class CredentialState:
    """Which credentials there are, without any of them."""

    #: When the next ones were set; None: there are none.
    staged_at: str | None
    #: Until when those from before can be brought back; None: there are none.
    former_until: datetime | None


@dataclass(frozen=True, slots=True)
class CredentialChange:
    """What is to become of a connection's credentials."""

    act: Literal["staged", "promoted", "replaced", "restored", "discarded", "forgotten"]
    #: Of `staged` and `replaced`.
    credentials: Mapping[str, Secret[str]] = field(default_factory=dict, repr=False)
    #: Of `promoted`: which next ones are meant.
    staged_at: str | None = None
    #: Of `promoted` and `replaced`: for how long those from before can be brought back.
    keep_seconds: int = 0


def changed(slots: Slots, change: CredentialChange, now: datetime) -> Slots:
    """Return the credentials after a change.

    Raises:
        NothingStaged: there are no next ones to promote.
        StagedMeanwhile: other next ones are there than those that are meant.
        NothingToRestore: those from before are gone.
    """
    given = {name: value.expose() for name, value in change.credentials.items()}
    replace = msgspec.structs.replace
    match change.act:
        case "staged":
            return replace(slots, next=given, staged_at=rfc3339(now))
        case "promoted":
            if slots.next is None:
                raise NothingStaged
            if change.staged_at != slots.staged_at:
                raise StagedMeanwhile
            return replace(
                _current(slots, slots.next, change.keep_seconds, now), next=None, staged_at=None
            )
        case "replaced":
            return _current(slots, given, change.keep_seconds, now)
        case "restored":
            former = _former(slots, now)
            if former is None:
                raise NothingToRestore
            return replace(slots, credentials=former, former=None, former_until=None)
        case "discarded":
            return replace(slots, next=None, staged_at=None)
        case "forgotten":
            return replace(slots, former=None, former_until=None)


def state_of(slots: Slots, now: datetime) -> CredentialState:
    """Say which credentials there are."""
    until = slots.former_until
    if until is None or _former(slots, now) is None:
        return CredentialState(slots.staged_at, None)
    return CredentialState(slots.staged_at, datetime.fromtimestamp(until, now.tzinfo))


def is_over(slots: Slots, now: datetime) -> bool:
    """Tell whether there are former credentials that can no longer be brought back, and are to be dropped."""
    return slots.former is not None and _former(slots, now) is None


def _current(slots: Slots, new: dict[str, str], keep_seconds: int, now: datetime) -> Slots:
    if keep_seconds <= 0:
        return msgspec.structs.replace(slots, credentials=new, former=None, former_until=None)
    until = now + timedelta(seconds=min(keep_seconds, KEEP_SECONDS_MAX))
    return msgspec.structs.replace(
        slots, credentials=new, former=slots.credentials, former_until=int(until.timestamp())
    )


def _former(slots: Slots, now: datetime) -> dict[str, str] | None:
    until = slots.former_until
    return slots.former if until is not None and now.timestamp() < until else None
