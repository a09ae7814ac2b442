# SPDX-License-Identifier: Apache-2.0
"""Routes of the gateway's listener about disputes: they are told by processors, and read here."""

from datetime import datetime
from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import get
from litestar.datastructures import State
from litestar.params import Parameter

from strongroom.http.examples import answers
from strongroom.http.requires import principal_of
from strongroom.kernel.clock import in_utc
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import is_id
from strongroom.kernel.permissions import Permission
from strongroom.payments import examples
from strongroom.payments.disputes_reading import PAGE_ROWS_MAX, Disputes, Sought
from strongroom.payments.disputes_wire import DisputeOut, DisputePage, dispute_out
from strongroom.payments.model import DisputeStatus


@get(
    "/v1/disputes",
    requires=Permission.PAYMENTS_DISPUTE_READ,
    summary="List disputes",
    description="Newest first; every filter narrows. Of an open one, `due_before` finds what evidence is wanted for.",
    tags=["disputes"],
    responses=answers(200, DisputePage, examples.DISPUTES, 401, 403, 422, 429, 503),
)
async def list_disputes(
    request: LitestarRequest[Any, Any, State],
    state: State,
    limit: Annotated[int, Parameter(ge=1, le=PAGE_ROWS_MAX, description="Rows a page")] = 20,
    cursor: Annotated[str | None, Parameter(description="`next_cursor` of the page before")] = None,
    status: Annotated[DisputeStatus | None, Parameter(description="Where it stands")] = None,
    payment: Annotated[str | None, Parameter(max_length=30, description="Of this payment")] = None,
    due_before: Annotated[
        datetime | None, Parameter(description="Evidence is due before (RFC 3339)")
    ] = None,
) -> DisputePage:
    """Return a page of disputes."""
    disputes: Disputes = state.disputes
    if cursor is not None and not is_id("dsp", cursor):
        raise Invalid(FieldError("/cursor", "cursor_malformed", "this is not a cursor"))
    if payment is not None and not is_id("pay", payment):
        raise Invalid(
            FieldError("/payment", "parameter_wrong", "a payment is pay_ and 26 characters")
        )
    principal = principal_of(request)
    sought = Sought(None if status is None else status.value, payment, in_utc(due_before))
    page, following = await disputes.page(principal.merchant, principal.mode, sought, cursor, limit)
    return DisputePage([dispute_out(each) for each in page], following is not None, following)


@get(
    "/v1/disputes/{dispute_id:str}",
    requires=Permission.PAYMENTS_DISPUTE_READ,
    summary="Read a dispute",
    description="Where it stands, how much of it is taken, and until when evidence helps.",
    tags=["disputes"],
    responses=answers(200, DisputeOut, examples.DISPUTE, 401, 403, 404, 429, 503),
)
async def read_dispute(
    request: LitestarRequest[Any, Any, State], state: State, dispute_id: str
) -> DisputeOut:
    """Return a dispute."""
    disputes: Disputes = state.disputes
    principal = principal_of(request)
    return dispute_out(await disputes.one(principal.merchant, principal.mode, dispute_id))


ROUTES: Final = (list_disputes, read_dispute)
