# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of routing. Unknown fields are refused; of a card's number there is at most its beginning."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from strongroom.kernel.clock import rfc3339
from strongroom.kernel.mode import Mode
from strongroom.payments.routing.rules import (
    UNKNOWN,
    ConnectionText,
    Country,
    Funding,
    Rule,
    Rules,
    StoredCredential,
)
from strongroom.payments.routing.service import BinRange, RulesVersion
from strongroom.payments.wire import NO_NUL, AmountOrNone, Currency, Metadata, RouteOut

RANGES_A_REQUEST_MAX: Final = 200
VERSION_MAX: Final = 2_147_483_646
Version = Annotated[int, Meta(ge=1, le=VERSION_MAX)]
FirstSix = Annotated[str, Meta(pattern=r"^[0-9]{6}$(?!\n)", description="six digits")]


class RulesIn(Rules, frozen=True, forbid_unknown_fields=True):
    """The next version of the rules. An empty list: as without rules."""

    note: Annotated[str, Meta(min_length=1, max_length=200, pattern=NO_NUL)] | None = None
    #: Whether it holds at once.
    activate: bool = True
    #: The version that the change was made from (0: none held); another one holds by now: 409.
    replaces: Annotated[int, Meta(ge=0, le=VERSION_MAX)] | None = None


class ActivateIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A version that is to hold, newer or older than the one that does."""

    version: Version


class RulesOut(msgspec.Struct, frozen=True):
    """A version of the rules."""

    object: str
    mode: str
    version: int
    #: Since when it holds; null: it does not.
    active_since: str | None
    activated_by: str | None
    note: str | None
    made_by: str
    made_at: str
    rules: list[Rule]


class RulesPage(msgspec.Struct, frozen=True):
    """Versions, newest first."""

    data: list[RulesOut]
    has_more: bool
    next_cursor: str | None


class RoutingTestIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A payment as it might be. What is left out is not known of it."""

    amount: AmountOrNone
    currency: Currency
    brand: Annotated[str, Meta(pattern=r"^[a-z_]{1,40}$(?!\n)")] | None = None
    bin: FirstSix | None = None
    #: In the place of what the ranges say.
    country: Country = UNKNOWN
    funding: Funding = "unknown"
    stored_credential: StoredCredential = "none"
    metadata: Metadata | None = None
    connection: ConnectionText | None = None
    #: Whose split is asked for; without it a new payment's.
    payment: Annotated[str, Meta(pattern=r"^pay_[0-7][0-9A-HJKMNP-TV-Z]{25}$(?!\n)")] | None = None
    #: A version that need not hold.
    version: Version | None = None


class RoutingTestOut(msgspec.Struct, frozen=True):
    """What would be chosen. Nothing was charged, and nothing is kept."""

    object: str
    #: Whose split it is.
    payment: str
    #: null: no connection could be used now.
    connection: str | None
    #: How many connections one request would try at most.
    attempts_max: int
    country: str
    funding: str
    route: RouteOut


class RangeIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Cards whose numbers begin with six digits from `first` to `last`."""

    first: FirstSix
    last: FirstSix
    country: Country = UNKNOWN
    funding: Funding = "unknown"


class RangesIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ranges to be added; one that begins where another did takes its place."""

    ranges: Annotated[list[RangeIn], Meta(max_length=RANGES_A_REQUEST_MAX)]
    #: Whether all that were there are removed.
    replace: bool = False


class RangesOut(msgspec.Struct, frozen=True):
    """Ranges, in their order."""

    data: list[RangeIn]
    has_more: bool
    next_cursor: str | None


def rules_out(version: RulesVersion, mode: Mode) -> RulesOut:
    """Print a version."""
    since = version.active_since
    return RulesOut(
        object="routing_rules",
        mode=mode,
        version=version.version,
        active_since=None if since is None else rfc3339(since),
        activated_by=version.activated_by,
        note=version.note,
        made_by=version.made_by,
        made_at=rfc3339(version.made_at),
        rules=list(version.rules.rules),
    )


def range_of(given: RangeIn) -> BinRange:
    """Read a range."""
    return BinRange(int(given.first), int(given.last), given.country, given.funding)


def range_out(kept: BinRange) -> RangeIn:
    """Print a range."""
    return msgspec.convert(
        {
            "first": f"{kept.first:06}",
            "last": f"{kept.last:06}",
            "country": kept.country,
            "funding": kept.funding,
        },
        RangeIn,
    )
