# SPDX-License-Identifier: Apache-2.0
"""Routes of the console's listener about passkeys: log in, step up, one's own, and the first one of a new person."""

from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import delete, get, post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body

from strongroom.http.examples import answers
from strongroom.http.requires import PUBLIC, principal_of, request_of
from strongroom.identity.login.lockout import caller_of
from strongroom.identity.passkeys import examples
from strongroom.identity.passkeys.errors import PasskeyUnknown
from strongroom.identity.passkeys.model import Me, Whence
from strongroom.identity.passkeys.wire import (
    PasskeyIn,
    PasskeyLoginIn,
    PasskeyNameIn,
    PasskeyOptionsOut,
    PasskeyOut,
    PasskeysOut,
    PasskeyStepUpIn,
    PasskeyTicketIn,
    PasskeyTokensOut,
    SetupPasskeyIn,
    credential_json,
    passkey_out,
    tokens_out,
)
from strongroom.kernel.errors import Denied
from strongroom.kernel.ids import PasskeyId, PersonId, is_id
from strongroom.kernel.permissions import Permission
from strongroom.kernel.secret import Secret

OurRequest = LitestarRequest[Any, Any, State]


def _me(request: OurRequest) -> Me:
    principal = principal_of(request)
    if principal.presence is None:
        raise Denied("only a person has passkeys")
    return Me(
        principal.merchant,
        PersonId(principal.subject),
        principal.presence.session,
        principal.mode,
    )


def _whence(request: OurRequest) -> Whence:
    ours = request_of(request)
    return Whence(ours.address, ours.trace_hash)


def _passkey_id(text: str) -> PasskeyId:
    if not is_id("psk", text):
        raise PasskeyUnknown
    return PasskeyId(text)


def _slow_down(request: OurRequest, state: State) -> None:
    """Bound how often one address may ask where nobody is known: each asking writes a row for five minutes."""
    ours = request_of(request)
    state.passkey_visitors.take(caller_of(ours.address), ours.started)


@post(
    "/v1/login/passkey/options",
    requires=PUBLIC,
    status_code=200,
    summary="Ask for a login by passkey",
    description="What `navigator.credentials.get` is called with: any passkey of this installation, no e-mail address.",
    tags=["login"],
    responses=answers(200, PasskeyOptionsOut, examples.REQUEST_OPTIONS, 415, 429, 503),
)
async def login_options(request: OurRequest, state: State) -> PasskeyOptionsOut:
    """Return a challenge to whoever asks."""
    _slow_down(request, state)
    return PasskeyOptionsOut(await state.passkey_proofs.login_options())


@post(
    "/v1/login/passkey",
    requires=PUBLIC,
    status_code=200,
    summary="Log in by passkey",
    description="The passkey's signature with user verification is both factors: the answer is a session.",
    tags=["login"],
    responses=answers(200, PasskeyTokensOut, examples.TOKENS, 400, 401, 413, 415, 422, 429, 503),
)
async def login(
    request: OurRequest,
    data: Annotated[PasskeyLoginIn, Body(examples=[Example(value=examples.LOGIN_IN)])],
    state: State,
) -> PasskeyTokensOut:
    """Begin a session."""
    _slow_down(request, state)
    issued = await state.passkey_proofs.login(
        credential_json(data.credential), data.mode, _whence(request)
    )
    return tokens_out(issued)


@post(
    "/v1/step-up/passkey/options",
    requires=Permission.IDENTITY_OWN_MANAGE,
    status_code=200,
    summary="Ask for a step-up by passkey",
    description="What `navigator.credentials.get` is called with: one of the caller's own passkeys.",
    tags=["login"],
    responses=answers(200, PasskeyOptionsOut, examples.REQUEST_OPTIONS, 401, 403, 415, 429, 503),
)
async def step_up_options(request: OurRequest, state: State) -> PasskeyOptionsOut:
    """Return a challenge for this session."""
    return PasskeyOptionsOut(await state.passkey_proofs.step_up_options(_me(request)))


@post(
    "/v1/step-up/passkey",
    requires=Permission.IDENTITY_OWN_MANAGE,
    status_code=200,
    summary="Step up by passkey",
    description="Shows the second factor again; what is sensitive works for five minutes with the new access token.",
    tags=["login"],
    responses=answers(
        200, PasskeyTokensOut, examples.STEPPED_UP, 400, 401, 403, 413, 415, 422, 429, 503
    ),
)
async def step_up(
    request: OurRequest,
    data: Annotated[PasskeyStepUpIn, Body(examples=[Example(value=examples.STEP_UP_IN)])],
    state: State,
) -> PasskeyTokensOut:
    """Strengthen a session."""
    issued = await state.passkey_proofs.step_up(
        _me(request), credential_json(data.credential), _whence(request)
    )
    return tokens_out(issued)


@get(
    "/v1/own/passkeys",
    requires=Permission.IDENTITY_OWN_MANAGE,
    summary="List one's own passkeys",
    description="The caller's passkeys, oldest first.",
    tags=["own"],
    responses=answers(200, PasskeysOut, examples.PASSKEYS, 401, 403, 429, 503),
)
async def list_passkeys(request: OurRequest, state: State) -> PasskeysOut:
    """Return the caller's passkeys."""
    own = await state.own_passkeys.all_of(_me(request))
    return PasskeysOut([passkey_out(each) for each in own], has_more=False, next_cursor=None)


@post(
    "/v1/own/passkeys/options",
    requires=Permission.IDENTITY_OWN_MANAGE,
    step_up=True,
    status_code=200,
    summary="Ask for a further passkey",
    description="What `navigator.credentials.create` is called with. Asks for a step-up.",
    tags=["own"],
    responses=answers(
        200, PasskeyOptionsOut, examples.CREATION_OPTIONS, 401, 403, 415, 422, 429, 503
    ),
)
async def passkey_options(request: OurRequest, state: State) -> PasskeyOptionsOut:
    """Return a challenge for a new passkey."""
    return PasskeyOptionsOut(await state.passkey_registration.options(_me(request)))


@post(
    "/v1/own/passkeys",
    requires=Permission.IDENTITY_OWN_MANAGE,
    step_up=True,
    summary="Add a passkey",
    description="Keeps what the authenticator made. Asks for a step-up.",
    tags=["own"],
    responses=answers(
        201, PasskeyOut, examples.PASSKEY, 400, 401, 403, 409, 413, 415, 422, 429, 503
    ),
)
async def add_passkey(
    request: OurRequest,
    data: Annotated[PasskeyIn, Body(examples=[Example(value=examples.PASSKEY_IN)])],
    state: State,
) -> PasskeyOut:
    """Add a passkey of the caller's."""
    added = await state.passkey_registration.add(
        _me(request), data.name, credential_json(data.credential), _whence(request)
    )
    return passkey_out(added)


@post(
    "/v1/own/passkeys/{passkey_id:str}",
    requires=Permission.IDENTITY_OWN_MANAGE,
    status_code=200,
    summary="Rename a passkey",
    description="Gives one of the caller's passkeys another name.",
    tags=["own"],
    responses=answers(
        200, PasskeyOut, examples.PASSKEY, 400, 401, 403, 404, 413, 415, 422, 429, 503
    ),
)
async def rename_passkey(
    request: OurRequest,
    passkey_id: str,
    data: Annotated[PasskeyNameIn, Body(examples=[Example(value=examples.NAME_IN)])],
    state: State,
) -> PasskeyOut:
    """Rename a passkey of the caller's."""
    renamed = await state.own_passkeys.rename(_me(request), _passkey_id(passkey_id), data.name)
    return passkey_out(renamed)


@delete(
    "/v1/own/passkeys/{passkey_id:str}",
    requires=Permission.IDENTITY_OWN_MANAGE,
    step_up=True,
    summary="Remove a passkey",
    description="Ends one of the caller's passkeys and the caller's other sessions. The last factor stays. "
    "Asks for a step-up.",
    tags=["own"],
    responses=answers(204, None, None, 401, 403, 404, 409, 429, 503),
)
async def remove_passkey(request: OurRequest, state: State, passkey_id: str) -> None:
    """Remove a passkey of the caller's."""
    await state.own_passkeys.remove(_me(request), _passkey_id(passkey_id), _whence(request))


@post(
    "/v1/setup/passkey/options",
    requires=PUBLIC,
    status_code=200,
    summary="Ask for a new person's passkey",
    description="What `navigator.credentials.create` is called with, for whoever holds a set-up ticket.",
    tags=["setup"],
    responses=answers(
        200, PasskeyOptionsOut, examples.CREATION_OPTIONS, 400, 401, 404, 413, 415, 422, 429, 503
    ),
)
async def setup_options(
    request: OurRequest,
    data: Annotated[PasskeyTicketIn, Body(examples=[Example(value=examples.TICKET_IN)])],
    state: State,
) -> PasskeyOptionsOut:
    """Return a challenge for a new person's passkey."""
    _slow_down(request, state)
    return PasskeyOptionsOut(await state.passkey_registration.set_up_options(Secret(data.ticket)))


@post(
    "/v1/setup/passkey",
    requires=PUBLIC,
    summary="Add a new person's passkey",
    description="Keeps what the authenticator made, and finishes the person's set-up.",
    tags=["setup"],
    responses=answers(
        201, PasskeyOut, examples.PASSKEY, 400, 401, 404, 409, 413, 415, 422, 429, 503
    ),
)
async def set_up_passkey(
    request: OurRequest,
    data: Annotated[SetupPasskeyIn, Body(examples=[Example(value=examples.SETUP_IN)])],
    state: State,
) -> PasskeyOut:
    """Add the passkey of somebody who is being set up."""
    _slow_down(request, state)
    added = await state.passkey_registration.set_up(
        Secret(data.ticket), data.name, credential_json(data.credential), _whence(request)
    )
    return passkey_out(added)


ROUTES: Final = (
    login_options,
    login,
    step_up_options,
    step_up,
    list_passkeys,
    passkey_options,
    add_passkey,
    rename_passkey,
    remove_passkey,
    setup_options,
    set_up_passkey,
)
