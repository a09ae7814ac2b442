# SPDX-License-Identifier: Apache-2.0
"""Routes of the gateway's listener about reconciliations: a report in parts, and what its lines were found to be."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import Response, get, post, put
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter

from strongroom.audit import Recorder
from strongroom.http.app import as_response
from strongroom.http.examples import answers
from strongroom.http.request import Answer
from strongroom.http.requires import principal_of, request_of
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import is_id
from strongroom.kernel.permissions import Permission
from strongroom.payments.acting import by_of
from strongroom.payments.settlement import examples
from strongroom.payments.settlement.download import header, printed
from strongroom.payments.settlement.model import (
    DOWNLOAD_LINES,
    PAGE_LINES_MAX,
    PART_BYTES_MAX,
    Result,
)
from strongroom.payments.settlement.uploads import Reports, Wanted
from strongroom.payments.settlement.wire import (
    LinePage,
    ReconciliationIn,
    ReconciliationOut,
    ReconciliationPage,
    line_out,
    reconciliation_out,
)

#: Its charset is said by whoever answers.
_CSV: Final = "text/csv"
_COUNT_MAX: Final = 10**13
_Lines = Annotated[Result | None, Parameter(description="only those that were found to be this")]
_Differing = Annotated[
    bool, Parameter(description="only those on which the processor and we do not agree")
]


@dataclass(frozen=True, slots=True)
class ReportDesk:
    """What the routes call; `compose` joins it."""

    reports: Reports
    recorder: Recorder
    clock: Clock


@post(
    "/v1/reconciliations",
    requires=Permission.PAYMENTS_RECONCILIATION_CREATE,
    status_code=201,
    summary="Begin a reconciliation",
    description=(
        "Makes one for a processor's settlement report; the file follows in parts. A file that is a report of the "
        "connection already, by its digest, is not read again: the answer is that reconciliation as it is, and an "
        "upload that was cut goes on at its `offset`."
    ),
    tags=["reconciliations"],
    responses=answers(
        201,
        ReconciliationOut,
        examples.RECONCILIATION_BEGUN,
        400,
        401,
        403,
        404,
        409,
        413,
        415,
        422,
        429,
        503,
    ),
)
async def begin_reconciliation(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[ReconciliationIn, Body(examples=[Example(value=examples.RECONCILIATION_IN)])],
    state: State,
) -> ReconciliationOut:
    """Begin a reconciliation."""
    desk: ReportDesk = state.reconciliations
    return reconciliation_out(await desk.reports.begin(data, await by_of(desk, request)))


@put(
    "/v1/reconciliations/{reconciliation_id:str}/content",
    requires=Permission.PAYMENTS_RECONCILIATION_CREATE,
    exact_body=PART_BYTES_MAX,
    summary="Send a part of the report",
    description=(
        "Up to 1 MiB of the file from `offset` on, as it is. Its whole lines are read and kept; the next part begins "
        "at the `offset` of the answer, so a line that was cut is sent again. A line that cannot be read, or holds a "
        "card number, ends it: nothing of the file is kept. After a lost answer, read the reconciliation. `last` says "
        "that nothing follows: the comparison begins."
    ),
    tags=["reconciliations"],
    responses=answers(
        200, ReconciliationOut, examples.RECONCILIATION_ON, 401, 403, 404, 409, 413, 422, 429, 503
    ),
)
async def put_report(
    request: LitestarRequest[Any, Any, State],
    state: State,
    reconciliation_id: str,
    offset: Annotated[
        int, Parameter(ge=0, le=_COUNT_MAX, description="first byte of the part")
    ] = 0,
    last: Annotated[bool, Parameter(description="nothing follows")] = False,  # noqa: FBT002
) -> ReconciliationOut:
    """Take a part."""
    desk: ReportDesk = state.reconciliations
    principal = principal_of(request)
    content = request_of(request).body
    return reconciliation_out(
        await desk.reports.take(
            principal.merchant, principal.mode, reconciliation_id, offset, content, last=last
        )
    )


@get(
    "/v1/reconciliations",
    requires=Permission.PAYMENTS_RECONCILIATION_READ,
    summary="List reconciliations",
    description="Newest first.",
    tags=["reconciliations"],
    responses=answers(200, ReconciliationPage, examples.RECONCILIATIONS, 401, 403, 422, 429, 503),
)
async def list_reconciliations(
    request: LitestarRequest[Any, Any, State],
    state: State,
    limit: Annotated[int, Parameter(ge=1, le=PAGE_LINES_MAX, description="Rows a page")] = 20,
    cursor: Annotated[
        str | None, Parameter(max_length=64, description="`next_cursor` of the page before")
    ] = None,
    connection: Annotated[
        str | None, Parameter(max_length=30, description="Of this connection")
    ] = None,
) -> ReconciliationPage:
    """Return a page."""
    desk: ReportDesk = state.reconciliations
    principal = principal_of(request)
    if cursor is not None and not is_id("rcn", cursor):
        raise Invalid(FieldError("/cursor", "cursor_malformed", "a cursor comes from a page"))
    if connection is not None and not is_id("con", connection):
        raise Invalid(
            FieldError("/connection", "parameter_wrong", "a connection is con_ and 26 characters")
        )
    page, following = await desk.reports.list(
        principal.merchant, principal.mode, cursor, connection, limit
    )
    return ReconciliationPage(
        [reconciliation_out(each) for each in page], following is not None, following
    )


@get(
    "/v1/reconciliations/{reconciliation_id:str}",
    requires=Permission.PAYMENTS_RECONCILIATION_READ,
    summary="Read a reconciliation",
    description="How far it is, what its lines were found to be, and what the report comes to.",
    tags=["reconciliations"],
    responses=answers(200, ReconciliationOut, examples.RECONCILIATION, 401, 403, 404, 429, 503),
)
async def read_reconciliation(
    request: LitestarRequest[Any, Any, State], state: State, reconciliation_id: str
) -> ReconciliationOut:
    """Return a reconciliation."""
    desk: ReportDesk = state.reconciliations
    principal = principal_of(request)
    return reconciliation_out(
        await desk.reports.read(principal.merchant, principal.mode, reconciliation_id)
    )


@post(
    "/v1/reconciliations/{reconciliation_id:str}/again",
    requires=Permission.PAYMENTS_RECONCILIATION_CREATE,
    status_code=200,
    summary="Compare a report again",
    description="With what is known by now: the file is kept. What was found before goes.",
    tags=["reconciliations"],
    responses=answers(
        200, ReconciliationOut, examples.RECONCILIATION_AGAIN, 401, 403, 404, 409, 429, 503
    ),
)
async def reconcile_again(
    request: LitestarRequest[Any, Any, State], state: State, reconciliation_id: str
) -> ReconciliationOut:
    """Compare anew."""
    desk: ReportDesk = state.reconciliations
    return reconciliation_out(
        await desk.reports.again(reconciliation_id, await by_of(desk, request))
    )


@get(
    "/v1/reconciliations/{reconciliation_id:str}/lines",
    requires=Permission.PAYMENTS_RECONCILIATION_READ,
    summary="List the lines of a report",
    description="In the file's order, as far as they are compared; those of ours that no line names come last.",
    tags=["reconciliations"],
    responses=answers(200, LinePage, examples.LINES, 401, 403, 404, 422, 429, 503),
)
async def list_reconciliation_lines(
    request: LitestarRequest[Any, Any, State],
    state: State,
    reconciliation_id: str,
    limit: Annotated[int, Parameter(ge=1, le=PAGE_LINES_MAX, description="Rows a page")] = 20,
    cursor: Annotated[
        str | None, Parameter(max_length=64, description="`next_cursor` of the page before")
    ] = None,
    result: _Lines = None,
    differing: _Differing = False,  # noqa: FBT002
) -> LinePage:
    """Return a page of lines."""
    desk: ReportDesk = state.reconciliations
    principal = principal_of(request)
    behind = _place(cursor)
    page, following = await desk.reports.lines(
        principal.merchant,
        principal.mode,
        reconciliation_id,
        Wanted(result, differing),
        behind,
        limit,
    )
    return LinePage(
        [line_out(each) for each in page],
        following is not None,
        None if following is None else str(following),
    )


@get(
    "/v1/reconciliations/{reconciliation_id:str}/csv",
    requires=Permission.PAYMENTS_RECONCILIATION_READ,
    summary="Download what became of a report",
    description=(
        "Some lines behind `behind` as CSV, the first with a header. `Strongroom-Next` says where to go on; without it "
        "these were the last. Amounts are minor units. A text that a spreadsheet would run begins with an apostrophe."
    ),
    tags=["reconciliations"],
    responses=answers(
        200,
        str,
        examples.LINES_CSV,
        401,
        403,
        404,
        422,
        429,
        503,
        media_type=_CSV,
    ),
)
async def download_reconciliation(
    request: LitestarRequest[Any, Any, State],
    state: State,
    reconciliation_id: str,
    behind: Annotated[int, Parameter(ge=0, le=_COUNT_MAX, description="0: from the first")] = 0,
    result: _Lines = None,
    differing: _Differing = False,  # noqa: FBT002
) -> Response[bytes]:
    """Return some lines as CSV."""
    desk: ReportDesk = state.reconciliations
    principal = principal_of(request)
    lines, following = await desk.reports.lines(
        principal.merchant,
        principal.mode,
        reconciliation_id,
        Wanted(result, differing),
        behind,
        DOWNLOAD_LINES,
    )
    body = (header() if behind == 0 else b"") + printed(lines)
    more = [] if following is None else [("strongroom-next", str(following))]
    return as_response(Answer(200, body, _CSV, more))


def _place(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not cursor.isascii() or not cursor.isdecimal() or int(cursor) > _COUNT_MAX:
        raise Invalid(FieldError("/cursor", "cursor_malformed", "a cursor comes from a page"))
    return int(cursor)


ROUTES: Final = (
    begin_reconciliation,
    put_report,
    list_reconciliations,
    read_reconciliation,
    reconcile_again,
    list_reconciliation_lines,
    download_reconciliation,
)
