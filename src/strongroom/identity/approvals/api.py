# SPDX-License-Identifier: Apache-2.0
"""Routes of the console's listener about approvals. Deciding takes the right, a second factor and another person."""

from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import get, post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter

from strongroom.http.approval import ApprovalOut
from strongroom.http.examples import answers
from strongroom.http.requires import principal_of, request_of
from strongroom.identity.approvals import examples
from strongroom.identity.approvals.model import By, Verdict
from strongroom.identity.approvals.service import PAGE_MAX, ApprovalService
from strongroom.identity.approvals.wire import ApprovalsOut, DecisionIn, approval_out
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import is_id
from strongroom.kernel.permissions import Permission

_Request = LitestarRequest[Any, Any, State]
#: Whoever logs in sees what they asked for; the other permission shows everybody's.
_SEES: Final = frozenset({Permission.IDENTITY_APPROVAL_READ, Permission.IDENTITY_OWN_MANAGE})


async def _by(request: _Request, state: State) -> By:
    principal, ours = principal_of(request), request_of(request)
    origin = await state.identity.origin(principal.merchant, ours.address, ours.trace_hash)
    sees_all = Permission.IDENTITY_APPROVAL_READ in principal.permissions
    return By(principal.merchant, principal.mode, principal.subject, sees_all, origin)


@get(
    "/v1/approvals",
    requires=_SEES,
    summary="List approvals",
    description="Newest first, of the session's mode. Who may not see others' sees their own.",
    tags=["approvals"],
    responses=answers(200, ApprovalsOut, examples.APPROVALS, 401, 403, 422, 429, 503),
)
async def list_approvals(
    request: _Request,
    state: State,
    limit: Annotated[int, Parameter(ge=1, le=PAGE_MAX, description="Rows a page")] = 20,
    cursor: Annotated[str | None, Parameter(description="`next_cursor` of the page before")] = None,
) -> ApprovalsOut:
    """Return a page."""
    if cursor is not None and not is_id("apr", cursor):
        raise Invalid(FieldError("/cursor", "cursor_malformed", "this is not a cursor"))
    service: ApprovalService = state.approval_service
    found, more = await service.page(await _by(request, state), cursor, limit)
    now = service.clock.now()
    return ApprovalsOut(
        [approval_out(each, now) for each in found],
        has_more=more,
        next_cursor=found[-1].approval_id if more else None,
    )


@get(
    "/v1/approvals/{approval_id:str}",
    requires=_SEES,
    summary="Read an approval",
    description=(
        "What was asked for, by whom, and where it stands. `about` says what would be shown: tokens, purpose and note, "
        "the receiver's key."
    ),
    tags=["approvals"],
    responses=answers(200, ApprovalOut, examples.APPROVAL, 401, 403, 404, 429, 503),
)
async def read_approval(request: _Request, state: State, approval_id: str) -> ApprovalOut:
    """Return one."""
    service: ApprovalService = state.approval_service
    found = await service.one(await _by(request, state), approval_id)
    return approval_out(found, service.clock.now())


async def _decide(
    request: _Request, state: State, approval_id: str, verdict: Verdict, reason: str | None
) -> ApprovalOut:
    service: ApprovalService = state.approval_service
    after = await service.decide(await _by(request, state), approval_id, verdict, reason)
    return approval_out(after, service.clock.now())


@post(
    "/v1/approvals/{approval_id:str}/approve",
    requires=Permission.IDENTITY_APPROVAL_DECIDE,
    step_up=True,
    status_code=200,
    summary="Approve",
    description=(
        "Lets whoever asked send the very same request again, once, with `Strongroom-Approval`. Nobody approves what "
        "they asked for. Look at `action`, `route`, `object_id`, `requested_by` and `about`: you answer for it."
    ),
    tags=["approvals"],
    responses=answers(
        200, ApprovalOut, examples.APPROVED, 400, 401, 403, 404, 409, 413, 415, 422, 429, 503
    ),
)
async def approve(
    request: _Request,
    data: Annotated[DecisionIn, Body(examples=[Example(value=examples.APPROVE_IN)])],
    state: State,
    approval_id: str,
) -> ApprovalOut:
    """Say yes."""
    return await _decide(request, state, approval_id, Verdict.APPROVED, data.reason)


@post(
    "/v1/approvals/{approval_id:str}/deny",
    requires=Permission.IDENTITY_APPROVAL_DECIDE,
    step_up=True,
    status_code=200,
    summary="Deny",
    description="Ends it. To withdraw a yes, suspend whoever gave it, or let the requester withdraw.",
    tags=["approvals"],
    responses=answers(
        200, ApprovalOut, examples.DENIED, 400, 401, 403, 404, 409, 413, 415, 422, 429, 503
    ),
)
async def deny(
    request: _Request,
    data: Annotated[DecisionIn, Body(examples=[Example(value=examples.DENY_IN)])],
    state: State,
    approval_id: str,
) -> ApprovalOut:
    """Say no."""
    return await _decide(request, state, approval_id, Verdict.DENIED, data.reason)


@post(
    "/v1/approvals/{approval_id:str}/withdraw",
    requires=Permission.IDENTITY_OWN_MANAGE,
    status_code=200,
    summary="Withdraw",
    description="Takes back what you asked for, decided or not, as long as it is not used.",
    tags=["approvals"],
    responses=answers(200, ApprovalOut, examples.WITHDRAWN, 401, 403, 404, 409, 415, 429, 503),
)
async def withdraw(request: _Request, state: State, approval_id: str) -> ApprovalOut:
    """Think better."""
    service: ApprovalService = state.approval_service
    after = await service.withdraw(await _by(request, state), approval_id)
    return approval_out(after, service.clock.now())


ROUTES: Final = (list_approvals, read_approval, approve, deny, withdraw)
