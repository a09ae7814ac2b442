# SPDX-License-Identifier: Apache-2.0
"""Routes of the gateway's listener about retries: parse, call, print."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import get, post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body

from strongroom.audit import Recorder
from strongroom.http.examples import answers
from strongroom.kernel.clock import Clock
from strongroom.kernel.permissions import Permission
from strongroom.payments import examples as payment_examples
from strongroom.payments.acting import by_of
from strongroom.payments.retries import examples
from strongroom.payments.retries.service import RetryService
from strongroom.payments.retries.wire import RetryPolicyIn, RetryPolicyOut, policy_out
from strongroom.payments.wire import PaymentOut, payment_out

_TAGS: Final = ["retries"]


@dataclass(frozen=True, slots=True)
class RetryDesk:
    """What the routes call; `compose` joins it."""

    service: RetryService
    recorder: Recorder
    clock: Clock


@get(
    "/v1/retry-policy",
    requires=Permission.PAYMENTS_RETRY_READ,
    summary="Read the retry policy",
    description="Whether, and when, what you begin is tried again after a soft decline. Off until you say otherwise.",
    tags=_TAGS,
    responses=answers(200, RetryPolicyOut, examples.POLICY, 401, 403, 429, 503),
)
async def read_retry_policy(
    request: LitestarRequest[Any, Any, State], state: State
) -> RetryPolicyOut:
    """Return what holds now."""
    desk: RetryDesk = state.retries
    return policy_out(await desk.service.policy(await by_of(desk, request)))


@post(
    "/v1/retry-policy",
    requires=Permission.PAYMENTS_RETRY_UPDATE,
    status_code=200,
    summary="Set the retry policy",
    description=(
        "Only payments that you begin are tried again, only after a decline whose advice is `later`, and only within "
        "the schemes' limits. Switched off, what is scheduled is not made."
    ),
    tags=_TAGS,
    responses=answers(200, RetryPolicyOut, examples.POLICY, 400, 401, 403, 413, 415, 422, 429, 503),
)
async def set_retry_policy(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[RetryPolicyIn, Body(examples=[Example(value=examples.POLICY_IN)])],
    state: State,
) -> RetryPolicyOut:
    """Say what holds from now on."""
    desk: RetryDesk = state.retries
    return policy_out(await desk.service.put_policy(data, await by_of(desk, request)))


@post(
    "/v1/payments/{payment_id:str}/retries/cancel",
    requires=Permission.PAYMENTS_PAYMENT_CANCEL,
    status_code=200,
    summary="Cancel a scheduled retry",
    description="The payment stays as it is; `next_retry_at` says when it would have been tried.",
    tags=_TAGS,
    responses=answers(
        200,
        PaymentOut,
        {**payment_examples.PAYMENT, "attempt": None},
        401,
        403,
        404,
        409,
        415,
        429,
        503,
    ),
)
async def cancel_retry(
    request: LitestarRequest[Any, Any, State], state: State, payment_id: str
) -> PaymentOut:
    """Have a scheduled retry not made."""
    desk: RetryDesk = state.retries
    return payment_out(await desk.service.cancel(payment_id, await by_of(desk, request)))


ROUTES: Final = (read_retry_policy, set_retry_policy, cancel_retry)
