# SPDX-License-Identifier: Apache-2.0
"""Routes of the console's listener for logging in and stepping up."""

from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body

from strongroom.http import PUBLIC
from strongroom.http.examples import answers
from strongroom.http.requires import principal_of, request_of
from strongroom.identity.login import examples
from strongroom.identity.login.service import Logins
from strongroom.identity.login.wire import (
    LoginIn,
    LoginOut,
    LoginTokensOut,
    SecondStepIn,
    StepUpIn,
    begun_out,
    logged_in_out,
    stepped_up_out,
)
from strongroom.kernel.permissions import Permission

_TAG: Final = ["login"]


@post(
    "/v1/login",
    requires=PUBLIC,
    status_code=200,
    summary="Log in: the password",
    description=(
        "The first of two steps. Its answer is the same for a right password, a wrong one, a locked account and an "
        "address that nobody has; only the second step refuses. The handle is good for five minutes."
    ),
    tags=_TAG,
    responses=answers(200, LoginOut, examples.LOGIN, 400, 413, 415, 422, 429, 503),
)
async def begin_login(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[LoginIn, Body(examples=[Example(value=examples.LOGIN_IN)])],
    state: State,
) -> LoginOut:
    """Take an address and a password."""
    logins: Logins = state.logins
    visit = await logins.visit(request_of(request))
    return begun_out(await logins.begin(data.email, data.password, data.mode, visit))


@post(
    "/v1/login/totp",
    requires=PUBLIC,
    status_code=200,
    summary="Log in: a code of the app",
    description=(
        "The second step. 401 `login_refused` says that something of both steps does not hold, not what. Each code "
        "is taken once. Ten failures lock the account for the caller's network, for 30 minutes."
    ),
    tags=_TAG,
    responses=answers(200, LoginTokensOut, examples.TOKENS, 400, 401, 413, 415, 422, 429, 503),
)
async def login_totp(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[SecondStepIn, Body(examples=[Example(value=examples.TOTP_IN)])],
    state: State,
) -> LoginTokensOut:
    """Take a code of an authenticator app, and begin a session."""
    logins: Logins = state.logins
    visit = await logins.visit(request_of(request))
    return logged_in_out(await logins.with_totp(data.handle, data.code, visit))


@post(
    "/v1/login/recovery",
    requires=PUBLIC,
    status_code=200,
    summary="Log in: a recovery code",
    description="The second step of whoever has lost their app. The code is used up. Otherwise like a code of the app.",
    tags=_TAG,
    responses=answers(200, LoginTokensOut, examples.RECOVERED, 400, 401, 413, 415, 422, 429, 503),
)
async def login_recovery(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[SecondStepIn, Body(examples=[Example(value=examples.RECOVERY_IN)])],
    state: State,
) -> LoginTokensOut:
    """Take a recovery code, and begin a session."""
    logins: Logins = state.logins
    visit = await logins.visit(request_of(request))
    return logged_in_out(await logins.with_recovery_code(data.handle, data.code, visit))


@post(
    "/v1/step-up/totp",
    requires=Permission.IDENTITY_OWN_MANAGE,
    status_code=200,
    summary="Show a code again",
    description=(
        "For what answered 401 `step_up_needed`: takes a code of the app, and returns an access token that counts as "
        "stepped up for five minutes. Wrong codes count for the lock-out."
    ),
    tags=_TAG,
    responses=answers(
        200, LoginTokensOut, examples.STEPPED_UP, 400, 401, 403, 413, 415, 422, 429, 503
    ),
)
async def step_up_totp(
    request: LitestarRequest[Any, Any, State],
    data: Annotated[StepUpIn, Body(examples=[Example(value=examples.STEP_UP_IN)])],
    state: State,
) -> LoginTokensOut:
    """Take a code, and return a new access token."""
    principal = principal_of(request)
    return stepped_up_out(await state.step_ups.with_totp(principal, data.code, request_of(request)))


ROUTES: Final = (begin_login, login_totp, login_recovery, step_up_totp)
