# SPDX-License-Identifier: Apache-2.0
"""Routes of the console's listener about access: break-glass, and reviews of who can do what."""

from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import get, post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter

from strongroom.http.examples import answers
from strongroom.http.requires import principal_of, request_of
from strongroom.identity.access import examples
from strongroom.identity.access.break_glass import BreakGlass
from strongroom.identity.access.model import Breaker, By, Decision
from strongroom.identity.access.reviews import AccessReviews
from strongroom.identity.access.wire import (
    BreakGlassesOut,
    BreakGlassIn,
    BreakGlassOut,
    DecideIn,
    ExtendIn,
    ItemOut,
    ItemsOut,
    ReviewOut,
    ReviewsOut,
    glass_out,
    item_out,
    review_out,
    reviews_out,
)
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import is_id
from strongroom.kernel.invariant import Bug
from strongroom.kernel.permissions import Permission

_Request = LitestarRequest[Any, Any, State]
PAGE_MAX: Final = 100
_PROBLEMS: Final = (400, 401, 403, 404, 409, 413, 415, 422, 429, 503)
#: Whoever may break the glass sees their own; the other permission shows everybody's.
_SEES: Final = frozenset({Permission.IDENTITY_ACCESS_READ, Permission.IDENTITY_BREAK_GLASS_START})
#: Whoever broke it ends it; so does whoever may suspend people.
_ENDS: Final = frozenset(
    {Permission.IDENTITY_BREAK_GLASS_START, Permission.IDENTITY_PERSON_SUSPEND}
)


async def _by(request: _Request, state: State) -> By:
    principal, ours = principal_of(request), request_of(request)
    origin = await state.identity.origin(principal.merchant, ours.address, ours.trace_hash)
    return By(principal.merchant, principal.mode, principal.subject, origin)


async def _breaker(request: _Request, state: State) -> Breaker:
    principal = principal_of(request)
    if principal.presence is None:
        raise Bug("only a person breaks the glass")
    return Breaker(
        await _by(request, state),
        principal.presence.role,
        principal.presence.session,
        principal.permissions,
    )


def _require_cursor(prefix: str, cursor: str | None) -> None:
    if cursor is not None and not is_id(prefix, cursor):
        raise Invalid(FieldError("/cursor", "cursor_malformed", "this is not a cursor"))


@post(
    "/v1/break-glass",
    requires=Permission.IDENTITY_BREAK_GLASS_START,
    step_up=True,
    summary="Break the glass",
    description=(
        "Gives your session named permissions beside your role's, for at most an hour: the next access token carries "
        "them, so refresh yours now. It raises an alarm, and each use is reviewed. When it ends, your session ends."
    ),
    tags=["access"],
    responses=answers(
        201, BreakGlassOut, examples.BREAK_GLASS, 400, 401, 403, 409, 413, 415, 422, 429, 503
    ),
)
async def start_break_glass(
    request: _Request,
    data: Annotated[BreakGlassIn, Body(examples=[Example(value=examples.BREAK_GLASS_IN)])],
    state: State,
) -> BreakGlassOut:
    """Give extra permissions."""
    desk: BreakGlass = state.break_glass
    breaker = await _breaker(request, state)
    glass = await desk.start(breaker, data.permissions, data.minutes, data.reason)
    return glass_out(glass, desk.clock.now())


@get(
    "/v1/break-glass",
    requires=_SEES,
    summary="List break-glass",
    description="Newest first, of the session's mode. Who may not read access sees their own.",
    tags=["access"],
    responses=answers(200, BreakGlassesOut, examples.BREAK_GLASSES, 401, 403, 422, 429, 503),
)
async def list_break_glass(
    request: _Request,
    state: State,
    limit: Annotated[int, Parameter(ge=1, le=PAGE_MAX, description="Rows a page")] = 20,
    cursor: Annotated[str | None, Parameter(description="`next_cursor` of the page before")] = None,
) -> BreakGlassesOut:
    """Return a page."""
    _require_cursor("brk", cursor)
    desk: BreakGlass = state.break_glass
    others = Permission.IDENTITY_ACCESS_READ in principal_of(request).permissions
    found, more = await desk.page(await _by(request, state), cursor, limit, others=others)
    now = desk.clock.now()
    return BreakGlassesOut(
        [glass_out(each, now) for each in found],
        has_more=more,
        next_cursor=found[-1].glass_id if more else None,
    )


@post(
    "/v1/break-glass/{break_glass_id:str}/extend",
    requires=Permission.IDENTITY_BREAK_GLASS_START,
    step_up=True,
    approval="break_glass_extend",
    status_code=200,
    summary="Extend a break-glass",
    description="Once, and only with another person's approval: for at most an hour from now.",
    tags=["access"],
    responses=answers(200, BreakGlassOut, examples.EXTENDED, *_PROBLEMS),
)
async def extend_break_glass(
    request: _Request,
    data: Annotated[ExtendIn, Body(examples=[Example(value=examples.EXTEND_IN)])],
    state: State,
    break_glass_id: str,
) -> BreakGlassOut:
    """Let it last longer."""
    desk: BreakGlass = state.break_glass
    glass = await desk.extend(await _breaker(request, state), break_glass_id, data.minutes)
    return glass_out(glass, desk.clock.now())


@post(
    "/v1/break-glass/{break_glass_id:str}/end",
    requires=_ENDS,
    status_code=204,
    summary="End a break-glass",
    description="Ends the session that has it, everywhere within two seconds.",
    tags=["access"],
    responses=answers(204, None, None, 401, 403, 404, 409, 415, 429, 503),
)
async def end_break_glass(request: _Request, state: State, break_glass_id: str) -> None:
    """End it."""
    others = Permission.IDENTITY_PERSON_SUSPEND in principal_of(request).permissions
    await state.break_glass.end(await _by(request, state), break_glass_id, others=others)


@get(
    "/v1/access-reviews",
    requires=Permission.IDENTITY_ACCESS_READ,
    summary="List access reviews",
    description="Newest first, and when the next is due: 180 days after the last was closed.",
    tags=["access"],
    responses=answers(200, ReviewsOut, examples.REVIEWS, 401, 403, 429, 503),
)
async def list_reviews(request: _Request, state: State) -> ReviewsOut:
    """Return the tenant's reviews."""
    desk: AccessReviews = state.access_reviews
    merchant = principal_of(request).merchant
    due = await desk.due(merchant)
    return reviews_out(list(await desk.all(merchant)), due[0] if due else None, desk.clock.now())


@post(
    "/v1/access-reviews",
    requires=Permission.IDENTITY_ACCESS_REVIEW,
    step_up=True,
    summary="Start an access review",
    description=(
        "Lists who and what has access at this moment: people, keys, services, and each break-glass since the last "
        "review. It is closed when every item is decided. One at a time."
    ),
    tags=["access"],
    responses=answers(201, ReviewOut, examples.REVIEW, 401, 403, 409, 415, 429, 503),
)
async def start_review(request: _Request, state: State) -> ReviewOut:
    """Begin."""
    return review_out(await state.access_reviews.start(await _by(request, state)))


@get(
    "/v1/access-reviews/{review_id:str}",
    requires=Permission.IDENTITY_ACCESS_READ,
    summary="Read an access review",
    description="How far it is.",
    tags=["access"],
    responses=answers(200, ReviewOut, examples.REVIEW, 401, 403, 404, 429, 503),
)
async def read_review(request: _Request, state: State, review_id: str) -> ReviewOut:
    """Return one."""
    return review_out(await state.access_reviews.one(principal_of(request).merchant, review_id))


@get(
    "/v1/access-reviews/{review_id:str}/items",
    requires=Permission.IDENTITY_ACCESS_READ,
    summary="List a review's items",
    description="Who and what had access when the review began, what each may do, when it was used last.",
    tags=["access"],
    responses=answers(200, ItemsOut, examples.ITEMS, 401, 403, 404, 422, 429, 503),
)
async def list_items(
    request: _Request,
    state: State,
    review_id: str,
    limit: Annotated[int, Parameter(ge=1, le=PAGE_MAX, description="Rows a page")] = 100,
    cursor: Annotated[str | None, Parameter(description="`next_cursor` of the page before")] = None,
) -> ItemsOut:
    """Return a page."""
    if cursor is not None:
        _require_cursor(cursor[:3], cursor)
    desk: AccessReviews = state.access_reviews
    merchant = principal_of(request).merchant
    found, more = await desk.items(merchant, review_id, after=cursor or "", limit=limit)
    return ItemsOut(
        [item_out(each) for each in found],
        has_more=more,
        next_cursor=found[-1].subject.subject if more else None,
    )


@post(
    "/v1/access-reviews/{review_id:str}/items/{subject_id:str}",
    requires=Permission.IDENTITY_ACCESS_REVIEW,
    step_up=True,
    status_code=200,
    summary="Decide an item",
    description=(
        "`keep`, `change` or `remove`, once; nobody decides on themselves. It is a record: suspend, change or revoke "
        "by the route that does it. The last decision closes the review."
    ),
    tags=["access"],
    responses=answers(200, ItemOut, examples.DECIDED, *_PROBLEMS),
)
async def decide_item(
    request: _Request,
    data: Annotated[DecideIn, Body(examples=[Example(value=examples.DECIDE_IN)])],
    state: State,
    review_id: str,
    subject_id: str,
) -> ItemOut:
    """Keep a reviewer's word."""
    decision = Decision(data.decision)
    item = await state.access_reviews.decide(
        await _by(request, state), review_id, subject_id, decision
    )
    return item_out(item)


ROUTES: Final = (
    start_break_glass,
    list_break_glass,
    extend_break_glass,
    end_break_glass,
    list_reviews,
    start_review,
    read_review,
    list_items,
    decide_item,
)
