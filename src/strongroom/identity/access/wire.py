# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of break-glass and access reviews."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from strongroom.identity.access.model import (
    BREAK_GLASS_MINUTES_MAX,
    BREAK_GLASS_PERMISSIONS_MAX,
    BREAK_GLASS_REASON_MIN,
    Due,
    Glass,
    Item,
    Review,
)
from strongroom.identity.texts import REASON_CHARACTERS_MAX
from strongroom.kernel.clock import rfc3339
from strongroom.kernel.permissions import Permission

_Minutes = Annotated[int, Meta(ge=1, le=BREAK_GLASS_MINUTES_MAX)]


class BreakGlassIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which permissions, for how long, and why."""

    permissions: Annotated[
        list[Permission], Meta(min_length=1, max_length=BREAK_GLASS_PERMISSIONS_MAX)
    ]
    minutes: _Minutes
    reason: Annotated[
        str, Meta(min_length=BREAK_GLASS_REASON_MIN, max_length=REASON_CHARACTERS_MAX)
    ]


class ExtendIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how much longer, from now."""

    minutes: _Minutes


class BreakGlassOut(msgspec.Struct, frozen=True):
    """Extra permissions of one session."""

    id: str
    object: str
    #: active or ended
    state: str
    mode: str
    person: str
    permissions: list[str]
    reason: str
    started_at: str
    expires_at: str
    extended_at: str | None
    ended_at: str | None
    ended_by: str | None


class BreakGlassesOut(msgspec.Struct, frozen=True):
    """A page, newest first."""

    data: list[BreakGlassOut]
    has_more: bool
    next_cursor: str | None


class ReviewOut(msgspec.Struct, frozen=True):
    """A review of who can do what."""

    id: str
    object: str
    #: open or closed
    state: str
    started_by: str
    started_at: str
    closed_at: str | None
    items: int
    undecided: int


class ReviewsOut(msgspec.Struct, frozen=True):
    """The tenant's reviews, newest first, and when the next is due."""

    data: list[ReviewOut]
    has_more: bool
    next_cursor: str | None
    due_at: str | None
    overdue: bool


class DecideIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the reviewer says."""

    decision: Literal["keep", "change", "remove"]


class ItemOut(msgspec.Struct, frozen=True):
    """Somebody or something that had access when the review began."""

    object: str
    subject: str
    kind: str
    person: str | None
    email: str | None
    description: str
    permissions: list[str]
    made_at: str
    last_used_at: str | None
    #: not for 90 days
    unused: bool
    decision: str | None
    decided_by: str | None
    decided_at: str | None


class ItemsOut(msgspec.Struct, frozen=True):
    """A page of a review's items, by subject."""

    data: list[ItemOut]
    has_more: bool
    next_cursor: str | None


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)


def glass_out(glass: Glass, now: datetime) -> BreakGlassOut:
    """Print extra permissions as they stand now."""
    active = glass.ended_at is None and now < glass.expires_at
    return BreakGlassOut(
        id=glass.glass_id,
        object="break_glass",
        state="active" if active else "ended",
        mode=glass.mode,
        person=glass.person,
        permissions=sorted(glass.permissions),
        reason=glass.reason,
        started_at=rfc3339(glass.started_at),
        expires_at=rfc3339(glass.expires_at),
        extended_at=_moment(glass.extended_at),
        ended_at=_moment(glass.ended_at),
        ended_by=glass.ended_by,
    )


def review_out(review: Review) -> ReviewOut:
    """Print a review."""
    return ReviewOut(
        id=review.review_id,
        object="access_review",
        state="open" if review.closed_at is None else "closed",
        started_by=review.started_by,
        started_at=rfc3339(review.started_at),
        closed_at=_moment(review.closed_at),
        items=review.items,
        undecided=review.undecided,
    )


def reviews_out(reviews: list[Review], due: Due | None, now: datetime) -> ReviewsOut:
    """Print a tenant's reviews."""
    return ReviewsOut(
        [review_out(each) for each in reviews],
        has_more=False,
        next_cursor=None,
        due_at=None if due is None else rfc3339(due.due_at),
        overdue=due is not None and due.overdue(now),
    )


def item_out(item: Item) -> ItemOut:
    """Print an item."""
    about = item.subject
    return ItemOut(
        object="access_item",
        subject=about.subject,
        kind=about.kind,
        person=about.person,
        email=item.email,
        description=about.description,
        permissions=sorted(about.permissions),
        made_at=rfc3339(about.made_at),
        last_used_at=_moment(about.last_used_at),
        unused=item.unused,
        decision=item.decision,
        decided_by=item.decided_by,
        decided_at=_moment(item.decided_at),
    )
