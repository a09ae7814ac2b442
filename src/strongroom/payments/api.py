# SPDX-License-Identifier: Apache-2.0
"""Routes of the gateway's listener about payments and refunds: parse, call, print. No body here holds a card number."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

import msgspec
from litestar import Request as LitestarRequest
from litestar import Response, get, post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter

from strongroom.audit import Recorder
from strongroom.http.app import as_response
from strongroom.http.examples import answers
from strongroom.http.idempotency import REPLAYED, IdempotencyKey, idempotency_key
from strongroom.http.problems import UNDECODABLE, decoding_error
from strongroom.http.request import PROBLEM_JSON, Answer, Request
from strongroom.http.requires import principal_of, request_of
from strongroom.kernel.clock import Clock, in_utc
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import is_id
from strongroom.kernel.invariant import Bug
from strongroom.kernel.permissions import Permission
from strongroom.payments import examples
from strongroom.payments.answers import Answered
from strongroom.payments.holds_wire import IncrementIn
from strongroom.payments.model import Status
from strongroom.payments.processing_wire import processing_out
from strongroom.payments.reading import PAGE_ROWS_MAX, Payments, Search
from strongroom.payments.repeats import CREATE, Wish
from strongroom.payments.service import PaymentService
from strongroom.payments.wire import (
    AttemptsOut,
    CancelIn,
    CaptureIn,
    ConfirmIn,
    PaymentIn,
    PaymentOut,
    PaymentPage,
    ProblemOfPayment,
    RefundIn,
    RefundOut,
    RefundsOut,
    attempt_out,
    payment_out,
    refund_out,
)

Shape = TypeVar("Shape", bound=msgspec.Struct)
_REFUSALS: Final = (400, 401, 403, 404, 409, 413, 415, 422, 429, 503)
_decode_payment: Final = msgspec.json.Decoder(PaymentIn).decode
_decode_confirm: Final = msgspec.json.Decoder(ConfirmIn).decode
_decode_capture: Final = msgspec.json.Decoder(CaptureIn).decode
_decode_cancel: Final = msgspec.json.Decoder(CancelIn).decode
_decode_refund: Final = msgspec.json.Decoder(RefundIn).decode


@dataclass(frozen=True, slots=True)
class Desk:
    """What the routes call; `compose` joins it."""

    service: PaymentService
    payments: Payments
    recorder: Recorder
    clock: Clock


async def _wish(desk: Desk, request: Request, route: str, body: msgspec.Struct) -> Wish:
    principal = request.principal
    if principal is None:
        raise Bug("the edge lets nobody in without a principal")
    key = idempotency_key(request)
    now = desk.clock.now()
    origin = desk.recorder.recent_origin(
        principal.merchant, request.address, request.trace_hash, now
    ) or await desk.recorder.origin(principal.merchant, request.address, request.trace_hash, now)
    now_known, before = await desk.service.repeats.fingerprints(principal, route, body)
    return Wish(principal, origin, route, key, request.request_id, now_known, before)


def _printed(answered: Answered) -> Answer:
    headers = [REPLAYED] if answered.replayed else []
    return Answer(answered.status, answered.body, answered.content_type, headers)


def _read(decode: Callable[[bytes], Shape], body: bytes) -> Shape:
    try:
        return decode(body or b"{}")
    except UNDECODABLE as error:
        raise decoding_error(error) from None


def lean_create(state: State) -> Callable[[Request], Awaitable[Answer]]:
    """Make the function behind `POST /v1/payments`."""
    desk: Desk = state.payments

    async def handle(request: Request) -> Answer:
        wanted = _read(_decode_payment, request.body)
        wish = await _wish(desk, request, CREATE, wanted)
        return _printed(await desk.service.create(wanted, wish))

    return handle


def lean_capture(state: State) -> Callable[[Request], Awaitable[Answer]]:
    """Make the function behind `POST /v1/payments/{payment_id}/capture`."""
    desk: Desk = state.payments

    async def handle(request: Request) -> Answer:
        payment = request.path.split("/")[3]
        wanted = _read(_decode_capture, request.body)
        wish = await _wish(desk, request, f"POST /v1/payments/{payment}/capture", wanted)
        return _printed(await desk.service.capture(payment, wanted, wish))

    return handle


_DECLINED: Final = answers(
    402,
    ProblemOfPayment,
    examples.DECLINED,
    description="The processor declined",
    media_type=PROBLEM_JSON,
)


def _outcomes(status: int, *, known: str) -> dict[int, Any]:
    """Return the `responses=` of a route that asks a processor."""
    return (
        answers(status, PaymentOut, examples.PAYMENT, *_REFUSALS, description=known)
        | answers(
            202,
            PaymentOut,
            {**examples.PAYMENT, "status": "processing"},
            description="Asked; the outcome is not known yet and will be found out",
        )
        | _DECLINED
    )


@post(
    "/v1/payments",
    requires=Permission.PAYMENTS_PAYMENT_CREATE,
    lean=lean_create,
    summary="Make a payment",
    description=(
        "With `confirm`, the token is charged at once: with `capture_method` automatic the money moves, with manual it "
        "is authorized. An outcome that is not known is 202 and `processing`: it is found out, and never called failed."
    ),
    tags=["payments"],
    responses=_outcomes(201, known="The payment as it now is"),
)
async def create_payment(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[PaymentIn, Body(examples=[Example(value=examples.PAYMENT_IN)])],
    state: State,
    idempotency_key: IdempotencyKey,  # noqa: ARG001 - documents the header; `_wish` reads it
) -> Response[bytes]:
    """Serve what the lean lane serves, when that is switched off."""
    desk: Desk = state.payments
    wish = await _wish(desk, request_of(request), CREATE, data)
    return as_response(_printed(await desk.service.create(data, wish)))


@get(
    "/v1/payments",
    requires=Permission.PAYMENTS_PAYMENT_READ,
    summary="List payments",
    description="Newest first; every filter narrows.",
    tags=["payments"],
    responses=answers(200, PaymentPage, examples.PAGE, 401, 403, 422, 429, 503),
)
async def list_payments(
    request: LitestarRequest[Any, Any, State],
    state: State,
    limit: Annotated[int, Parameter(ge=1, le=PAGE_ROWS_MAX, description="Rows a page")] = 20,
    cursor: Annotated[str | None, Parameter(description="`next_cursor` of the page before")] = None,
    reference: Annotated[
        str | None, Parameter(max_length=100, description="Your own name for it")
    ] = None,
    status: Annotated[Status | None, Parameter(description="Where it stands")] = None,
    created_from: Annotated[datetime | None, Parameter(description="Not before (RFC 3339)")] = None,
    created_to: Annotated[datetime | None, Parameter(description="Before (RFC 3339)")] = None,
    amount: Annotated[int | None, Parameter(ge=1, description="Minor units, exactly")] = None,
    last4: Annotated[
        str | None, Parameter(pattern="^[0-9]{4}$", description="The card's last four digits")
    ] = None,
    token: Annotated[str | None, Parameter(max_length=30, description="The card's token")] = None,
) -> PaymentPage:
    """Return a page of payments."""
    if cursor is not None and not is_id("pay", cursor):
        raise Invalid(FieldError("/cursor", "cursor_malformed", "this is not a cursor"))
    if reference is not None and "\x00" in reference:
        raise Invalid(FieldError("/reference", "parameter_wrong", "a reference has no NUL"))
    if token is not None and not is_id("tok", token):
        raise Invalid(FieldError("/token", "parameter_wrong", "a token is tok_ and 26 characters"))
    principal = principal_of(request)
    search = Search(
        reference,
        None if status is None else status.value,
        in_utc(created_from),
        in_utc(created_to),
        amount,
        last4,
        token,
    )
    page, following = await state.payments.payments.page(
        principal.merchant, principal.mode, search, cursor, limit
    )
    return PaymentPage([payment_out(each) for each in page], following is not None, following)


@get(
    "/v1/payments/{payment_id:str}",
    requires=Permission.PAYMENTS_PAYMENT_READ,
    summary="Read a payment",
    description="Where it stands and how much is where.",
    tags=["payments"],
    responses=answers(200, PaymentOut, examples.PAYMENT, 401, 403, 404, 429, 503),
)
async def read_payment(
    request: LitestarRequest[Any, Any, State], state: State, payment_id: str
) -> PaymentOut:
    """Return a payment."""
    principal = principal_of(request)
    payments: Payments = state.payments.payments
    payment = await payments.one(principal.merchant, principal.mode, payment_id)
    waits = None
    if payment.status is Status.PROCESSING:
        waits = await payments.waited_for(payment)
    shown = payment_out(payment)
    if waits is None:
        return shown
    return msgspec.structs.replace(shown, processing=processing_out(*waits))


@get(
    "/v1/payments/{payment_id:str}/attempts",
    requires=Permission.PAYMENTS_PAYMENT_READ,
    summary="List a payment's attempts",
    description="Each time that a processor was asked, oldest first, with what became of it and how that is known.",
    tags=["payments"],
    responses=answers(200, AttemptsOut, examples.ATTEMPTS, 401, 403, 404, 429, 503),
)
async def list_attempts(
    request: LitestarRequest[Any, Any, State], state: State, payment_id: str
) -> AttemptsOut:
    """Return a payment's attempts."""
    principal = principal_of(request)
    found = await state.payments.payments.attempts(principal.merchant, principal.mode, payment_id)
    return AttemptsOut([attempt_out(each) for each in found], has_more=False, next_cursor=None)


@post(
    "/v1/payments/{payment_id:str}/confirm",
    requires=Permission.PAYMENTS_PAYMENT_CONFIRM,
    status_code=200,
    summary="Charge a payment",
    description="With the token it has, or with another. A customer who must do something is named in `next_action`.",
    tags=["payments"],
    responses=_outcomes(200, known="The payment as it now is"),
)
async def confirm_payment(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[
        ConfirmIn, Body(examples=[Example(value={"token": "tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"})])
    ],
    state: State,
    payment_id: str,
    idempotency_key: IdempotencyKey,  # noqa: ARG001 - documents the header; `_wish` reads it
) -> Response[bytes]:
    """Charge a payment."""
    desk: Desk = state.payments
    wish = await _wish(desk, request_of(request), _route(payment_id, "confirm"), data)
    return as_response(_printed(await desk.service.confirm(payment_id, data, wish)))


@post(
    "/v1/payments/{payment_id:str}/capture",
    requires=Permission.PAYMENTS_PAYMENT_CAPTURE,
    lean=lean_capture,
    status_code=200,
    summary="Capture",
    description=(
        "All that is left, or an amount of it. What then remains is released, unless `final_capture` is false: more "
        "captures may follow. The database refuses more than is left, however many ask at once."
    ),
    tags=["payments"],
    responses=_outcomes(200, known="The payment as it now is"),
)
async def capture_payment(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[
        CaptureIn, Body(examples=[Example(value={"amount": 500, "final_capture": False})])
    ],
    state: State,
    payment_id: str,
    idempotency_key: IdempotencyKey,  # noqa: ARG001 - documents the header; `_wish` reads it
) -> Response[bytes]:
    """Serve what the lean lane serves, when that is switched off."""
    desk: Desk = state.payments
    wish = await _wish(desk, request_of(request), _route(payment_id, "capture"), data)
    return as_response(_printed(await desk.service.capture(payment_id, data, wish)))


@post(
    "/v1/payments/{payment_id:str}/increment",
    requires=Permission.PAYMENTS_PAYMENT_INCREMENT,
    status_code=200,
    summary="Hold more",
    description=(
        "Raises what is authorized by an amount, of a payment that was made with `estimated` and of which nothing was "
        "captured or released. Whatever comes of it, what was held before stays held."
    ),
    tags=["payments"],
    responses=_outcomes(200, known="The payment as it now is"),
)
async def increment_payment(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[IncrementIn, Body(examples=[Example(value={"amount": 500})])],
    state: State,
    payment_id: str,
    idempotency_key: IdempotencyKey,  # noqa: ARG001 - documents the header; `_wish` reads it
) -> Response[bytes]:
    """Hold more."""
    desk: Desk = state.payments
    wish = await _wish(desk, request_of(request), _route(payment_id, "increment"), data)
    return as_response(_printed(await desk.service.increment(payment_id, data, wish)))


@post(
    "/v1/payments/{payment_id:str}/cancel",
    requires=Permission.PAYMENTS_PAYMENT_CANCEL,
    status_code=200,
    summary="Cancel",
    description="Releases what is authorized and not captured; a payment that no processor holds is only called off.",
    tags=["payments"],
    responses=_outcomes(200, known="The payment as it now is"),
)
async def cancel_payment(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[CancelIn, Body(examples=[Example(value={"reason": "duplicate"})])],
    state: State,
    payment_id: str,
    idempotency_key: IdempotencyKey,  # noqa: ARG001 - documents the header; `_wish` reads it
) -> Response[bytes]:
    """Call a payment off."""
    desk: Desk = state.payments
    wish = await _wish(desk, request_of(request), _route(payment_id, "cancel"), data)
    return as_response(_printed(await desk.service.cancel(payment_id, data, wish)))


@post(
    "/v1/payments/{payment_id:str}/refunds",
    requires=Permission.PAYMENTS_REFUND_CREATE,
    summary="Refund",
    description="All that is left of what was captured, or an amount of it.",
    tags=["refunds"],
    responses=answers(201, RefundOut, examples.REFUND, *_REFUSALS, description="The refund")
    | answers(
        202,
        RefundOut,
        {**examples.REFUND, "status": "pending"},
        description="Asked; the outcome is not known yet and will be found out",
    )
    | _DECLINED,
)
async def create_refund(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[
        RefundIn, Body(examples=[Example(value={"amount": 500, "reason": "requested_by_customer"})])
    ],
    state: State,
    payment_id: str,
    idempotency_key: IdempotencyKey,  # noqa: ARG001 - documents the header; `_wish` reads it
) -> Response[bytes]:
    """Give money back."""
    desk: Desk = state.payments
    wish = await _wish(desk, request_of(request), _route(payment_id, "refunds"), data)
    return as_response(_printed(await desk.service.refund(payment_id, data, wish)))


@get(
    "/v1/payments/{payment_id:str}/refunds",
    requires=Permission.PAYMENTS_REFUND_READ,
    summary="List a payment's refunds",
    description="Oldest first.",
    tags=["refunds"],
    responses=answers(200, RefundsOut, examples.REFUNDS, 401, 403, 404, 429, 503),
)
async def list_refunds(
    request: LitestarRequest[Any, Any, State], state: State, payment_id: str
) -> RefundsOut:
    """Return a payment's refunds."""
    principal = principal_of(request)
    found = await state.payments.payments.refunds(principal.merchant, principal.mode, payment_id)
    return RefundsOut([refund_out(each) for each in found], has_more=False, next_cursor=None)


@get(
    "/v1/refunds/{refund_id:str}",
    requires=Permission.PAYMENTS_REFUND_READ,
    summary="Read a refund",
    description="Where it stands.",
    tags=["refunds"],
    responses=answers(200, RefundOut, examples.REFUND, 401, 403, 404, 429, 503),
)
async def read_refund(
    request: LitestarRequest[Any, Any, State], state: State, refund_id: str
) -> RefundOut:
    """Return a refund."""
    principal = principal_of(request)
    return refund_out(
        await state.payments.payments.refund(principal.merchant, principal.mode, refund_id)
    )


def _route(payment_id: str, verb: str) -> str:
    return f"POST /v1/payments/{payment_id}/{verb}"


ROUTES: Final = (
    create_payment,
    list_payments,
    read_payment,
    list_attempts,
    confirm_payment,
    capture_payment,
    increment_payment,
    cancel_payment,
    create_refund,
    list_refunds,
    read_refund,
)
