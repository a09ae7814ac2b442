# SPDX-License-Identifier: Apache-2.0
"""Routes of the vault's listener about retokenization: parse, call, print."""

from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import get, post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter

from strongroom.http.approval import Approval
from strongroom.http.examples import answers
from strongroom.http.requires import principal_of
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import is_id
from strongroom.kernel.permissions import Permission
from strongroom.vault.asking import caller_of
from strongroom.vault.retokenize import examples
from strongroom.vault.retokenize.model import Wish
from strongroom.vault.retokenize.service import PAGE_ROWS_MAX, Retokenizations
from strongroom.vault.retokenize.wire import MappingPage, RetokenizeIn, mapped_out
from strongroom.vault.work.wire import JobOut, job_out

_Request = LitestarRequest[Any, Any, State]


@post(
    "/v1/retokenizations",
    requires=Permission.VAULT_RETOKENIZATION_CREATE,
    step_up=True,
    approval=Approval("retokenize"),
    status_code=201,
    summary="Give tokens other ids",
    description=(
        "For tokens that leaked. Begins a job that gives the tokens named, a container's or all of them new ids; the "
        "old ones are dead at once, or stand for the new ones for `alias_days`: they are read, charged, forwarded and "
        "revealed as those. Single-use tokens are left. Takes a second person."
    ),
    tags=["retokenizations"],
    responses=answers(201, JobOut, examples.JOB, 400, 401, 403, 409, 413, 415, 422, 429, 503),
)
async def create_retokenization(
    request: _Request,
    data: Annotated[RetokenizeIn, Body(examples=[Example(value=examples.RETOKENIZE_IN)])],
    state: State,
) -> JobOut:
    """Begin one."""
    caller = await caller_of(state, request)
    retokenizations: Retokenizations = state.retokenizations
    job = await retokenizations.begin(
        *caller.scope,
        Wish(data.tokens, data.container, data.alias_days),
        actor=caller.principal.subject,
        origin=caller.origin,
        principal=caller.principal,
    )
    return job_out(job)


@get(
    "/v1/retokenizations/{job_id:str}/mapping",
    requires=Permission.VAULT_JOB_READ,
    summary="Read what old ids became",
    description="In the order of the old ids, with the time from which each is dead.",
    tags=["retokenizations"],
    responses=answers(200, MappingPage, examples.MAPPING, 401, 403, 404, 422, 429, 503),
)
async def read_mapping(
    request: _Request,
    state: State,
    job_id: str,
    cursor: Annotated[str | None, Parameter(query="cursor", max_length=64)] = None,
    limit: Annotated[int, Parameter(query="limit", ge=1, le=PAGE_ROWS_MAX)] = 100,
) -> MappingPage:
    """Return a page."""
    if cursor is not None and not is_id("tok", cursor):
        raise Invalid(FieldError("/cursor", "cursor_malformed", "this is not a cursor"))
    principal = principal_of(request)
    retokenizations: Retokenizations = state.retokenizations
    page, following = await retokenizations.mapping(
        principal.merchant, principal.mode, job_id, cursor or "", limit
    )
    return MappingPage([mapped_out(each) for each in page], following is not None, following)


ROUTES: Final = (create_retokenization, read_mapping)
