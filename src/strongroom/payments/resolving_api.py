# SPDX-License-Identifier: Apache-2.0
"""The gateway's route with which two people say what became of an attempt."""

from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body

from strongroom.http.approval import Approval
from strongroom.http.examples import answers
from strongroom.http.requires import admitted, principal_of
from strongroom.kernel.permissions import Permission
from strongroom.payments import examples
from strongroom.payments.acting import origin_of
from strongroom.payments.api import Desk
from strongroom.payments.processing_wire import ResolveIn
from strongroom.payments.resolving import Resolutions
from strongroom.payments.wire import PaymentOut, payment_out


@post(
    "/v1/payments/{payment_id:str}/attempts/{attempt_id:str}/resolve",
    requires=Permission.PAYMENTS_ATTEMPT_RESOLVE,
    step_up=True,
    # Whoever says "it did not happen" can make the second charge: never one person, and never a key.
    # It asks when it has seen that there is something to say, and shows the second person what is said and why.
    approval=Approval("attempt_resolve", late=True),
    status_code=200,
    summary="Say what became of an attempt",
    description=(
        "Of an attempt that nobody could find out (`processing.reason`: `left_to_people`). A person says it, with how "
        "they know; another approves. The processor is asked once more first; what it says later and otherwise is a "
        "discrepancy."
    ),
    tags=["payments"],
    responses=answers(
        200, PaymentOut, examples.PAYMENT, 400, 401, 403, 404, 409, 413, 415, 422, 429, 503
    ),
)
async def resolve_attempt(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[ResolveIn, Body(examples=[Example(value=examples.RESOLVE_IN)])],
    state: State,
    payment_id: str,
    attempt_id: str,
) -> PaymentOut:
    """Record what two people say."""
    desk: Desk = state.payments
    resolutions: Resolutions = state.resolutions
    principal = principal_of(request)
    about = await resolutions.require_possible(principal, payment_id, attempt_id, data)
    await admitted(request, about=about)
    origin = await origin_of(desk, request)
    payment, attempt = await resolutions.resolve(principal, payment_id, attempt_id, data, origin)
    return payment_out(payment, attempt)


ROUTES: Final = (resolve_attempt,)
