# SPDX-License-Identifier: Apache-2.0
"""Routes of the vault's listener about jobs: parse, call, print."""

from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import get, post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter

from strongroom.http.examples import answers
from strongroom.http.requires import principal_of
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import is_id
from strongroom.kernel.permissions import Permission
from strongroom.vault.asking import caller_of
from strongroom.vault.work import examples
from strongroom.vault.work.service import PAGE_ROWS_MAX, JobService
from strongroom.vault.work.wire import JobOut, JobPage, RateIn, job_out

_Request = LitestarRequest[Any, Any, State]


@get(
    "/v1/jobs",
    requires=Permission.VAULT_JOB_READ,
    summary="List jobs",
    description="Long work of the vault's own, newest first, with how far each is.",
    tags=["jobs"],
    responses=answers(200, JobPage, examples.JOBS, 401, 403, 422, 429, 503),
)
async def list_jobs(
    request: _Request,
    state: State,
    cursor: Annotated[str | None, Parameter(query="cursor", max_length=64)] = None,
    limit: Annotated[int, Parameter(query="limit", ge=1, le=PAGE_ROWS_MAX)] = 20,
) -> JobPage:
    """Return a page."""
    if cursor is not None and not is_id("job", cursor):
        raise Invalid(FieldError("/cursor", "cursor_malformed", "this is not a cursor"))
    principal, jobs = principal_of(request), state.jobs
    found, following = await jobs.list(principal.merchant, principal.mode, cursor, limit)
    return JobPage(
        [job_out(each) for each in found], has_more=following is not None, next_cursor=following
    )


@get(
    "/v1/jobs/{job_id:str}",
    requires=Permission.VAULT_JOB_READ,
    summary="Read a job",
    description="How far it is, how fast, and how long it will take at that speed.",
    tags=["jobs"],
    responses=answers(200, JobOut, examples.JOB, 401, 403, 404, 429, 503),
)
async def read_job(request: _Request, state: State, job_id: str) -> JobOut:
    """Return one."""
    principal, jobs = principal_of(request), state.jobs
    return job_out(await jobs.read(principal.merchant, principal.mode, job_id))


@post(
    "/v1/jobs/{job_id:str}/pause",
    requires=Permission.VAULT_JOB_UPDATE,
    status_code=200,
    summary="Pause a job",
    description="It stands still at once, and loses nothing that it has done. Safe to repeat.",
    tags=["jobs"],
    responses=answers(200, JobOut, examples.PAUSED, 401, 403, 404, 409, 415, 429, 503),
)
async def pause_job(request: _Request, state: State, job_id: str) -> JobOut:
    """Let one stand still."""
    jobs: JobService = state.jobs
    return job_out(await jobs.pause(await caller_of(state, request), job_id))


@post(
    "/v1/jobs/{job_id:str}/resume",
    requires=Permission.VAULT_JOB_UPDATE,
    status_code=200,
    summary="Resume a job",
    description="A paused job goes on where it was. Safe to repeat.",
    tags=["jobs"],
    responses=answers(200, JobOut, examples.RESUMED, 401, 403, 404, 409, 415, 429, 503),
)
async def resume_job(request: _Request, state: State, job_id: str) -> JobOut:
    """Let one go on."""
    jobs: JobService = state.jobs
    return job_out(await jobs.resume(await caller_of(state, request), job_id))


@post(
    "/v1/jobs/{job_id:str}/cancel",
    requires=Permission.VAULT_JOB_UPDATE,
    status_code=200,
    summary="Cancel a job",
    description="It ends where it is, for ever. What it has done stays done.",
    tags=["jobs"],
    responses=answers(200, JobOut, examples.CANCELED, 401, 403, 404, 409, 415, 429, 503),
)
async def cancel_job(request: _Request, state: State, job_id: str) -> JobOut:
    """End one."""
    jobs: JobService = state.jobs
    return job_out(await jobs.cancel(await caller_of(state, request), job_id))


@post(
    "/v1/jobs/{job_id:str}/rate",
    requires=Permission.VAULT_JOB_UPDATE,
    status_code=200,
    summary="Set a job's rate",
    description="How many items a second it does at most, from its next step on; null: as fast as it goes.",
    tags=["jobs"],
    responses=answers(200, JobOut, examples.JOB, 400, 401, 403, 404, 409, 413, 415, 422, 429, 503),
)
async def set_job_rate(
    request: _Request,
    data: Annotated[RateIn, Body(examples=[Example(value=examples.RATE_IN)])],
    state: State,
    job_id: str,
) -> JobOut:
    """Say how fast one may go."""
    jobs: JobService = state.jobs
    return job_out(await jobs.put_rate(await caller_of(state, request), job_id, data.rate))


ROUTES: Final = (list_jobs, read_job, pause_job, resume_job, cancel_job, set_job_rate)
