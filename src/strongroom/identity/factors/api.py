# SPDX-License-Identifier: Apache-2.0
"""Routes of the console's listener about one's own second factors: with a session, or with a set-up ticket."""

from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import delete, get, post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body

from strongroom.audit import Origin
from strongroom.http import PUBLIC
from strongroom.http.examples import answers
from strongroom.http.requires import principal_of, request_of
from strongroom.identity.factors import examples
from strongroom.identity.factors.own import OwnFactors
from strongroom.identity.factors.wire import (
    CodeIn,
    ConfirmedOut,
    EnrolmentOut,
    FactorsOut,
    RecoveryCodesOut,
    TicketCodeIn,
    TicketIn,
    confirmed_out,
    enrolment_out,
    factors_out,
    recovery_codes_out,
)
from strongroom.kernel.permissions import Permission
from strongroom.kernel.secret import Secret

_TAG: Final = ["factors"]
_BODY_PROBLEMS: Final = (400, 401, 403, 413, 415, 422, 429, 503)
#: A set-up ticket stands in for a session, so nobody is forbidden anything.
_TICKET_PROBLEMS: Final = (400, 401, 413, 415, 422, 429, 503)


async def _origin(own: OwnFactors, request: LitestarRequest[Any, Any, State]) -> Origin:
    ours = request_of(request)
    return await own.origin(principal_of(request).merchant, ours.address, ours.trace_hash)


@get(
    "/v1/own/factors",
    requires=Permission.IDENTITY_OWN_MANAGE,
    summary="Read one's own factors",
    description="Whether an authenticator app is in use, and how many recovery codes are left.",
    tags=_TAG,
    responses=answers(200, FactorsOut, examples.FACTORS, 401, 403, 429, 503),
)
async def read_factors(request: LitestarRequest[Any, Any, State], state: State) -> FactorsOut:
    """Return what the caller has."""
    return factors_out(await state.own_factors.standing(principal_of(request)))


@post(
    "/v1/own/totp",
    requires=Permission.IDENTITY_OWN_MANAGE,
    step_up=True,
    summary="Set up an authenticator app",
    description=(
        "Draws a secret and shows it once, as text and as a QR code. The app is in use when it has shown a code, "
        "within 15 minutes; until then the one before goes on."
    ),
    tags=_TAG,
    responses=answers(201, EnrolmentOut, examples.ENROLMENT, 401, 403, 415, 429, 503),
)
async def enrol_totp(request: LitestarRequest[Any, Any, State], state: State) -> EnrolmentOut:
    """Begin to set up an app."""
    return enrolment_out(await state.own_factors.enrol(principal_of(request)))


@post(
    "/v1/own/totp/confirm",
    requires=Permission.IDENTITY_OWN_MANAGE,
    status_code=200,
    summary="Take the new app into use",
    description=(
        "Takes the code that the new app shows. The app before ends, and so do the caller's other sessions. Whoever "
        "has no recovery codes left gets ten, in this answer only."
    ),
    tags=_TAG,
    responses=answers(200, ConfirmedOut, examples.CONFIRMED, *_BODY_PROBLEMS, 409),
)
async def confirm_totp(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[CodeIn, Body(examples=[Example(value=examples.CODE_IN)])],
    state: State,
) -> ConfirmedOut:
    """Confirm an app with its code."""
    own: OwnFactors = state.own_factors
    origin = await _origin(own, request)
    return confirmed_out(await own.confirm(principal_of(request), data.code, origin=origin))


@delete(
    "/v1/own/totp",
    requires=Permission.IDENTITY_OWN_MANAGE,
    step_up=True,
    summary="Remove one's authenticator app",
    description="The last second factor stays: add a passkey first. The caller's other sessions end.",
    tags=_TAG,
    responses=answers(204, None, None, 401, 403, 404, 409, 429, 503),
)
async def remove_totp(request: LitestarRequest[Any, Any, State], state: State) -> None:
    """Remove the app in use."""
    own: OwnFactors = state.own_factors
    await own.remove(principal_of(request), origin=await _origin(own, request))


@post(
    "/v1/own/recovery-codes",
    requires=Permission.IDENTITY_OWN_MANAGE,
    step_up=True,
    summary="Make recovery codes",
    description="Ten codes, each used once in place of the app. The ones before end. They are in this answer only.",
    tags=_TAG,
    responses=answers(201, RecoveryCodesOut, examples.RECOVERY_CODES, 401, 403, 415, 429, 503),
)
async def make_recovery_codes(
    request: LitestarRequest[Any, Any, State], state: State
) -> RecoveryCodesOut:
    """Make new recovery codes."""
    own: OwnFactors = state.own_factors
    codes = await own.new_codes(principal_of(request), origin=await _origin(own, request))
    return recovery_codes_out(codes)


@post(
    "/v1/setup/totp",
    requires=PUBLIC,
    summary="Set up an authenticator app with a set-up link",
    description="As for somebody who is logged in; the link's ticket stands in for the session.",
    tags=_TAG,
    responses=answers(201, EnrolmentOut, examples.ENROLMENT, *_TICKET_PROBLEMS),
)
async def setup_totp(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[TicketIn, Body(examples=[Example(value=examples.TICKET_IN)])],
    state: State,
) -> EnrolmentOut:
    """Begin to set up an app for whoever holds a ticket."""
    await state.logins.visit(request_of(request))
    return enrolment_out(await state.own_factors.ticket_enrol(Secret(data.ticket)))


@post(
    "/v1/setup/totp/confirm",
    requires=PUBLIC,
    status_code=200,
    summary="Finish setting up with a set-up link",
    description="Takes the code that the app shows. The link ends; recovery codes are in this answer only.",
    tags=_TAG,
    responses=answers(200, ConfirmedOut, examples.CONFIRMED, *_TICKET_PROBLEMS, 409),
)
async def confirm_setup(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[TicketCodeIn, Body(examples=[Example(value=examples.TICKET_CODE_IN)])],
    state: State,
) -> ConfirmedOut:
    """Confirm the app, and end the ticket."""
    ours = request_of(request)
    await state.logins.visit(ours)
    confirmed = await state.own_factors.ticket_confirm(
        Secret(data.ticket), data.code, address=ours.address, request_hash=ours.trace_hash
    )
    return confirmed_out(confirmed)


ROUTES: Final = (
    read_factors,
    enrol_totp,
    confirm_totp,
    remove_totp,
    make_recovery_codes,
    setup_totp,
    confirm_setup,
)
