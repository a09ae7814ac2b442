# SPDX-License-Identifier: Apache-2.0
"""The gateway's route for what happens to a hold by itself: a scheduled capture, and what is done at its end."""

from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body

from strongroom.http.examples import answers
from strongroom.http.requires import principal_of
from strongroom.kernel.permissions import Permission
from strongroom.payments import examples
from strongroom.payments.acting import origin_of
from strongroom.payments.api import Desk
from strongroom.payments.holding import HoldChanges
from strongroom.payments.holds_wire import HoldIn
from strongroom.payments.wire import PaymentOut, payment_out


@post(
    "/v1/payments/{payment_id:str}/hold",
    requires=Permission.PAYMENTS_PAYMENT_CAPTURE,
    status_code=200,
    summary="Schedule its capture",
    description=(
        "`capture_at` captures all that is left at that moment; another moves it, null calls it off, until it begins. "
        "`on_expiry` says whether what nobody captured is released when the authorization ends (`capture_before`). "
        "What is left out stays. No Idempotency-Key: the same again changes nothing."
    ),
    tags=["payments"],
    responses=answers(
        200, PaymentOut, examples.HELD, 400, 401, 403, 404, 409, 413, 415, 422, 429, 503
    ),
)
async def change_hold(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[HoldIn, Body(examples=[Example(value={"on_expiry": "leave"})])],
    state: State,
    payment_id: str,
) -> PaymentOut:
    """Change what happens to a hold by itself."""
    desk: Desk = state.payments
    holds: HoldChanges = state.holds
    principal, origin = principal_of(request), await origin_of(desk, request)
    return payment_out(await holds.change(principal, payment_id, data, origin))


ROUTES: Final = (change_hold,)
